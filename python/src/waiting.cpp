#include "waiting.hpp"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

namespace bzmq::python {
namespace {

/// Always readable; one for the process.
int readable_fd() {
    static const int fd = ::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    return fd;
}

bool watch(int at, int what) noexcept {
    epoll_event wanted{};
    wanted.events = EPOLLIN;
    return ::epoll_ctl(at, EPOLL_CTL_ADD, what, &wanted) == 0;
}

}  // namespace

joined_fd::~joined_fd() {
    if (fd_ >= 0) {
        ::close(fd_);
    }
}

int joined_fd::open(int other, bool ready) {
    if (fd_ < 0 && other >= 0 && readable_fd() >= 0) {
        fd_ = ::epoll_create1(EPOLL_CLOEXEC);
        if (fd_ >= 0 && !watch(fd_, other)) {
            ::close(fd_);
            fd_ = -1;
        }
    }
    set(ready);
    return fd_;
}

void joined_fd::set(bool ready) noexcept {
    if (fd_ < 0 || ready == ready_) {
        return;
    }
    const bool done = ready ? watch(fd_, readable_fd())
                            : ::epoll_ctl(fd_, EPOLL_CTL_DEL, readable_fd(), nullptr) == 0;
    ready_ = done ? ready : ready_;
}

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
    if (fd < 0) {
        errno = EMFILE;
        PyErr_SetFromErrno(PyExc_OSError);
        throw py::error_already_set{};
    }
    for (;;) {
        const auto left = std::max(deadline - wait_clock::now(), wait_clock::duration{0});
        const auto slice = std::min<wait_clock::duration>(left, signal_slice);
        int ready = 0;
        {
            const without_gil free;
            timespec time{0, static_cast<long>(timespan{slice}.count())};
            pollfd one{fd, POLLIN, 0};
            ready = ::ppoll(&one, 1, &time, nullptr);
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
