#include "endpoint/command_queue.hpp"

#include <string>
#include <utility>

#include "replica/limits.hpp"

namespace bzmq {

error command_queue::push(std::span<const std::byte> command, write_state* state, bool may_wait,
                          std::uint64_t& number, bool& first) {
    if (command.size() > replica::entry_bytes_max) {
        return {ec::message_too_big, "a command of " + std::to_string(command.size())
                                         + " bytes; at most "
                                         + std::to_string(replica::entry_bytes_max) + " fit"};
    }
    const auto costs = cost(1, command.size());
    std::unique_lock lock{mutex_};
    const auto fits = [&] { return closed_ || cost_ == 0 || cost_ + costs <= bytes_max; };
    if (may_wait && !fits()) {
        ++waiting_for_room_;
        room_.wait(lock, fits);
        --waiting_for_room_;
    }
    if (closed_) {
        return closed_;
    }
    waiting_.heads.push_back({command.size(), state, submitted_ + 1});
    try {
        waiting_.bytes.insert(waiting_.bytes.end(), command.begin(), command.end());
    } catch (...) {
        waiting_.heads.pop_back();
        throw;
    }
    state->add_ref();  // Under the lock: the core has not seen it yet.
    cost_ += costs;
    number = ++submitted_;
    first = waiting_.heads.size() == 1;
    return {};
}

bool command_queue::empty() const {
    const std::lock_guard lock{mutex_};
    return cost_ == 0;
}

void command_queue::take(commands& into) {
    const std::lock_guard lock{mutex_};
    std::swap(into, waiting_);
}

void command_queue::release(std::size_t commands, std::size_t bytes) {
    const std::lock_guard lock{mutex_};
    cost_ -= cost(commands, bytes);
    if (waiting_for_room_ > 0) {
        room_.notify_all();
    }
}

void command_queue::close(error why) {
    const std::lock_guard lock{mutex_};
    if (!closed_) {
        closed_ = std::move(why);
        room_.notify_all();
    }
}

}  // namespace bzmq
