#pragma once

#include <cstddef>

#include "bzmq/status.hpp"
#include "endpoint/mailbox.hpp"

namespace bzmq {

/// What one status subscriber has not read yet.
class status_queue : public mailbox<status_variant> {
  public:
    static constexpr std::size_t entries_max = 65'536;

    explicit status_queue(bool statuses) : mailbox(entries_max), statuses_(statuses) {}

    void push(const status_variant& what) {
        if (statuses_ || !is<status>(what)) {
            mailbox::push(what);
        }
    }

  private:
    const bool statuses_;
};

}  // namespace bzmq
