#pragma once

#include "base/assert.hpp"
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

namespace bzmq::transport {

/// Wakes one sleeping thread from any other. A call costs one atomic exchange unless the sleeper
/// sleeps; then also one write. A wake-up while it is awake makes its next sleep return at once.
class waker {
  public:
    waker() : fd_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) { BZMQ_ASSERT(fd_ >= 0); }
    ~waker() { ::close(fd_); }
    waker(const waker&) = delete;
    waker& operator=(const waker&) = delete;

    [[nodiscard]] int fd() const noexcept { return fd_; }

    /// Any thread. What the caller wrote before is visible to the sleeper once it is awake.
    void wake() noexcept {
        if (state_.exchange(woken) == asleep) {
            const std::uint64_t one = 1;
            [[maybe_unused]] const auto count = ::write(fd_, &one, sizeof one);
        }
    }
    /// The sleeper, before it waits for `fd()`. False: it was woken already and must not wait.
    bool fall_asleep() noexcept {
        auto expected_state = awake;
        return state_.compare_exchange_strong(expected_state, asleep);
    }
    /// The sleeper, behind every `fall_asleep`, before it looks at what others left for it.
    void get_up() noexcept { state_.exchange(awake); }
    /// The sleeper, when `fd()` is readable.
    void drain() noexcept {
        std::uint64_t count = 0;
        [[maybe_unused]] const auto size = ::read(fd_, &count, sizeof count);
    }

  private:
    enum state_type : std::uint8_t { awake, asleep, woken };
    std::atomic<state_type> state_{awake};
    int fd_;
};

}  // namespace bzmq::transport
