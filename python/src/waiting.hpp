#pragma once

#include "bzmq/time.hpp"

#include <pybind11/pybind11.h>

#include "gil.hpp"

#include <algorithm>
#include <chrono>
#include <optional>

/// Waiting with the GIL released and Ctrl-C heard.
namespace bzmq::python {

namespace py = pybind11;
using wait_clock = std::chrono::steady_clock;

/// Longest time for which a signal may go unnoticed. Most end a wait at once (poll(2) says EINTR);
/// one that comes just before the wait begins, or while no descriptor is at hand, waits so long.
constexpr auto signal_slice = std::chrono::milliseconds{50};

/// `timeout` from now; nothing is without end.
wait_clock::time_point deadline_in(std::optional<timespan> timeout);

/// Waits until `fd` is readable; false at the deadline. Throws what a signal's handler raised.
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

}  // namespace bzmq::python
