#pragma once

#include "bzmq/time.hpp"

#include "gil.hpp"
#include <pybind11/pybind11.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <thread>

/// Waiting with the GIL released and Ctrl-C heard.
namespace bzmq::python {

namespace py = pybind11;
using wait_clock = std::chrono::steady_clock;

/// Longest time for which a signal may go unnoticed. Most end a wait at once (poll(2) says EINTR);
/// one that comes just before the wait begins, or while no descriptor is at hand, waits so long.
constexpr auto signal_slice = std::chrono::milliseconds{50};

/// `timeout` from now; nothing is without end.
wait_clock::time_point deadline_in(std::optional<timespan> timeout);

/// Waits until `fd` is readable; false at the deadline. Throws what a signal's handler raised, and
/// OSError (EMFILE) for -1, which an object has whose process has no descriptor left.
bool wait_readable(int fd, wait_clock::time_point deadline);

/// Throws what a signal's handler raised.
void check_signals();

/// Did a wait that began then say no long before its slice was over? Then its endpoint or store has
/// ended, and to ask again would be to spin.
inline bool gave_up(wait_clock::time_point began, wait_clock::duration slice) {
    return wait_clock::now() - began < slice / 2;
}

/// Calls `step(slice)`, which waits at most `slice` and says whether it is done, until it is or the
/// deadline has come.
template <class function>
bool wait_in_slices(std::optional<timespan> timeout, function&& step) {
    const auto deadline = deadline_in(timeout);
    for (;;) {
        const auto left = std::max(deadline - wait_clock::now(), wait_clock::duration{0});
        const auto slice = std::min<wait_clock::duration>(left, signal_slice);
        const auto began = wait_clock::now();
        bool done = false;
        {
            const without_gil free;
            done = step(timespan{slice});
        }
        if (done) {
            return true;
        }
        check_signals();
        if (left <= slice || gave_up(began, slice)) {
            return false;
        }
    }
}

/// A descriptor that is readable while another one is, or while we say so. Level-triggered. Not
/// thread-safe; -1 where the process has no descriptor left.
class joined_fd {
  public:
    joined_fd() = default;
    ~joined_fd();
    joined_fd(const joined_fd&) = delete;
    joined_fd& operator=(const joined_fd&) = delete;

    /// Made when first asked for; `other` must live as long as this does.
    int open(int other, bool ready);
    void set(bool ready) noexcept;

  private:
    int fd_ = -1;
    bool ready_ = false;
};

/// Waits at `fd`, a level-triggered descriptor that is also readable at the end, until `look` finds
/// something (no null). Null at the deadline and at the end.
template <class function>
auto wait_for_item(int fd, wait_clock::time_point deadline, function&& look) -> decltype(look()) {
    // Readable, and nothing there: the end, or another thread was faster. The end stays.
    constexpr int looks = 20;
    for (;;) {
        for (int i = 0; i < looks; ++i) {
            const bool ready = wait_readable(fd, wait_clock::now());
            if (auto got = look()) {
                return got;
            }
            if (!ready) {
                break;
            }
            if (i + 1 == looks) {
                return {};
            }
            const without_gil free;
            std::this_thread::sleep_for(std::chrono::microseconds{500});
        }
        if (!wait_readable(fd, deadline)) {
            return {};
        }
    }
}

}  // namespace bzmq::python
