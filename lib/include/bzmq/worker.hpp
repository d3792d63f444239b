#pragma once

#include "bzmq/export.hpp"
#include "bzmq/fwd.hpp"
#include "bzmq/time.hpp"

#include <memory>

namespace bzmq {

/// A subscription whose messages go to a callback, on a thread of its own. The handle only watches:
/// the subscription lives on without it, until `stop` or the end of its endpoint.
class BZMQ_EXPORT worker {
  public:
    worker() = default;

    /// Ends the subscription; `on_end` follows on its thread. May be called from a callback.
    void stop();
    /// Waits until `on_end` has returned. At once where there is no subscription, and in a callback on
    /// an endpoint's thread, which waits for nothing.
    void wait();
    /// The same, at most `timeout` long; false where it still runs.
    [[nodiscard]] bool wait_for(timespan timeout);

  private:
    friend class endpoint;
    explicit worker(std::shared_ptr<worker_state> state) noexcept : state_(std::move(state)) {}
    std::shared_ptr<worker_state> state_;
};

}  // namespace bzmq
