#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <ctime>

namespace bzmq {

/// Where threads wait for their writes, those of writes that come one after another at the same gate:
/// what one sync of the disk ends, one call to the system wakes. A condition variable for each write
/// costs a call for each, and one for all of them has the woken threads queue for its mutex.
class write_gates {
  public:
    using clock = std::chrono::steady_clock;
    using gate = std::uint32_t;
    static constexpr gate count = 64;
    using set = std::uint64_t;  ///< a bit for each gate

    /// Of a store's next write. Stores may share gates: who is woken for nothing waits on.
    static gate at(std::uint64_t salt, std::uint64_t number) noexcept {
        return static_cast<gate>((salt + number / writes_at_one) % count);
    }

    /// False where the time is over first.
    static bool wait(gate which, const std::atomic<bool>& done, clock::time_point deadline) noexcept {
        auto& here = gates_[which];
        here.waiting.fetch_add(1);
        bool in_time = true;
        while (true) {
            const auto seen = here.word.load();
            if (done.load()) {
                break;
            }
            if (deadline != clock::time_point::max() && clock::now() >= deadline) {
                in_time = false;
                break;
            }
            sleep(here.word, seen, deadline);
        }
        here.waiting.fetch_sub(1);
        return in_time;
    }

    /// After their writes have been marked as done.
    static void wake(set which) noexcept {
        for (; which != 0; which &= which - 1) {
            auto& here = gates_[static_cast<std::size_t>(std::countr_zero(which))];
            here.word.fetch_add(1);
            if (here.waiting.load() != 0) {
                ::syscall(SYS_futex, &here.word, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
            }
        }
    }

  private:
    static constexpr std::uint64_t writes_at_one = 64;
    struct alignas(64) place {
        std::atomic<std::uint32_t> word;
        std::atomic<std::uint32_t> waiting;
    };

    static void sleep(std::atomic<std::uint32_t>& word, std::uint32_t seen,
                      clock::time_point deadline) noexcept {
        static_assert(sizeof(word) == sizeof(std::uint32_t));
        timespec until{};
        const auto since_boot = deadline.time_since_epoch();
        const auto seconds = std::chrono::floor<std::chrono::seconds>(since_boot);
        until.tv_sec = static_cast<std::time_t>(seconds.count());
        until.tv_nsec = static_cast<long>(std::chrono::nanoseconds{since_boot - seconds}.count());
        // Takes the time of CLOCK_MONOTONIC, which steady_clock is, as it is.
        ::syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, seen,
                  deadline == clock::time_point::max() ? nullptr : &until, nullptr,
                  FUTEX_BITSET_MATCH_ANY);
    }

    static inline constinit std::array<place, count> gates_{};
};

}  // namespace bzmq
