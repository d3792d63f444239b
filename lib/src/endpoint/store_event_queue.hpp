#pragma once

#include <atomic>

#include "endpoint/mailbox.hpp"
#include "replica/command.hpp"

namespace bzmq {

/// What an event keeps in memory: the values before and after, though others may share them.
struct event_weight {
    std::size_t operator()(const replica::effect& what) const noexcept {
        return sizeof what + (what.before ? what.before->footprint() : 0)
               + (what.after ? what.after->footprint() : 0);
    }
};

/// Events of a store that one subscriber has not read yet.
class store_event_queue : public mailbox<replica::effect, event_weight> {
  public:
    static constexpr std::size_t bytes_max = std::size_t{256} << 20;

    explicit store_event_queue(std::size_t max, std::size_t bytes = bytes_max)
        : mailbox(max, bytes) {}

    /// Nobody reads it any more.
    void close() {
        closed_ = true;
        discard();
    }
    [[nodiscard]] bool closed() const { return closed_; }

  private:
    std::atomic<bool> closed_{false};
};

}  // namespace bzmq
