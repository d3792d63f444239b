#include "interrupt.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <system_error>
#include <utility>

namespace bzmq::cli {

interrupt::interrupt() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    // Who closes our output is seen where we write.
    std::signal(SIGPIPE, SIG_IGN);
    // A limit on the size of files is a full disk like any other, no reason to die.
    std::signal(SIGXFSZ, SIG_IGN);
    signal_fd_ = signalfd(-1, &signals, SFD_CLOEXEC);
    stop_fd_ = eventfd(0, EFD_CLOEXEC);
    raised_fd_ = eventfd(0, EFD_CLOEXEC);
    if (signal_fd_ < 0 || stop_fd_ < 0 || raised_fd_ < 0) {
        throw std::system_error{errno, std::generic_category(), "cannot watch signals"};
    }
    thread_ = std::thread{[this] { watch(); }};
}

interrupt::~interrupt() {
    eventfd_write(stop_fd_, 1);
    thread_.join();
    ::close(signal_fd_);
    ::close(stop_fd_);
    ::close(raised_fd_);
}

void interrupt::watch() {
    std::array<pollfd, 2> fds{{{signal_fd_, POLLIN, 0}, {stop_fd_, POLLIN, 0}}};
    for (;;) {
        if (::poll(fds.data(), fds.size(), -1) < 0) {
            continue;
        }
        if (fds[1].revents != 0) {
            return;
        }
        signalfd_siginfo info{};
        if (::read(signal_fd_, &info, sizeof info) != sizeof info) {
            continue;
        }
        const std::lock_guard lock{mutex_};
        if (signal_ != 0) {
            _exit(128 + static_cast<int>(info.ssi_signo));
        }
        signal_ = static_cast<int>(info.ssi_signo);
        changed_.notify_all();
        eventfd_write(raised_fd_, 1);
        if (handler_) {
            // On a thread of its own, so that a second signal is heard while it runs.
            runner_ = std::thread{std::exchange(handler_, {})};
        }
    }
}

bool interrupt::raised() const {
    const std::lock_guard lock{mutex_};
    return signal_ != 0;
}

exit_code interrupt::code() const {
    const std::lock_guard lock{mutex_};
    return signal_ == SIGTERM ? exit_code::terminated : exit_code::interrupted;
}

bool interrupt::wait_for(timespan limit) {
    std::unique_lock lock{mutex_};
    return changed_.wait_for(lock, limit, [this] { return signal_ != 0; });
}

interrupt::handler::handler(interrupt& source, std::function<void()> what) : source_(source) {
    std::unique_lock lock{source_.mutex_};
    if (source_.signal_ != 0) {
        lock.unlock();
        what();
        return;
    }
    outer_ = std::exchange(source_.handler_, std::move(what));
}

interrupt::handler::~handler() {
    std::unique_lock lock{source_.mutex_};
    source_.handler_ = std::move(outer_);
    auto runner = std::exchange(source_.runner_, {});
    lock.unlock();
    if (runner.joinable()) {
        runner.join();
    }
}

}  // namespace bzmq::cli
