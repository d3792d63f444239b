#include "waiting.hpp"

#include <poll.h>

#include <cerrno>
#include <thread>

namespace bzmq::python {

wait_clock::time_point deadline_in(std::optional<timespan> timeout) {
    const auto now = wait_clock::now();
    if (!timeout || *timeout >= wait_clock::time_point::max() - now) {
        return wait_clock::time_point::max();
    }
    return now + *timeout;
}

void check_signals() {
    if (PyErr_CheckSignals() != 0) {
        throw py::error_already_set{};
    }
}

bool wait_readable(int fd, wait_clock::time_point deadline) {
    for (;;) {
        const auto left = std::max(deadline - wait_clock::now(), wait_clock::duration{0});
        const auto slice = std::min<wait_clock::duration>(left, signal_slice);
        int ready = 0;
        {
            const without_gil free;
            timespec time{0, static_cast<long>(timespan{slice}.count())};
            pollfd one{fd, POLLIN, 0};
            if (fd >= 0) {
                ready = ::ppoll(&one, 1, &time, nullptr);
            } else {
                std::this_thread::sleep_for(slice);  // No descriptor was left for this one.
            }
        }
        if (ready > 0) {
            return true;
        }
        check_signals();
        if (left <= slice) {
            return false;
        }
    }
}

}  // namespace bzmq::python
