#pragma once

#include "bzmq/export.hpp"
#include "bzmq/time.hpp"

#include <chrono>

namespace bzmq {

/// While it lives, each publishing call of this thread waits for room at most so long, and at most the
/// option `publish_timeout`; then it fails with `ec::queue_full`. For callers that must look at
/// something else in between, as at signals: repeat the call while `ran_out()`, and the option counts
/// from the first attempt. Limits of one thread nest.
class BZMQ_EXPORT publish_limit {
  public:
    /// Zero: no wait at all.
    explicit publish_limit(timespan longest) noexcept;
    ~publish_limit();
    publish_limit(const publish_limit&) = delete;
    publish_limit& operator=(const publish_limit&) = delete;

    /// Did the last call fail for this limit, and not for the endpoint's own?
    [[nodiscard]] bool ran_out() const noexcept { return ran_out_; }
    /// From now on.
    void set(timespan longest) noexcept { longest_ = longest; }
    /// The next call is for another message.
    void restart() noexcept { ran_out_ = false; }

  private:
    friend class publish_queue;
    timespan longest_;
    bool ran_out_ = false;
    std::chrono::steady_clock::time_point began_;  ///< the first of the calls that ran out
    publish_limit* outer_;
};

}  // namespace bzmq
