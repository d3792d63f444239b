#pragma once

#include <atomic>

#include "endpoint/mailbox.hpp"
#include "replica/command.hpp"

namespace bzmq {

/// Events of a store that one subscriber has not read yet.
class store_event_queue : public mailbox<replica::effect> {
  public:
    using mailbox::mailbox;

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
