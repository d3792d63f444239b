#include "bzmq/table.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <thread>

namespace bzmq::zeek {

struct store_watch::state {
    store_event_subscriber events;
    std::function<void(const store_event&)> callback;
    int stop = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    std::atomic<std::uint64_t> failed{0};
    std::thread thread = {};

    void run() {
        std::array<pollfd, 2> watched{pollfd{stop, POLLIN, 0}, pollfd{events.fd(), POLLIN, 0}};
        for (;;) {
            if (::poll(watched.data(), watched.size(), -1) < 0) {
                continue;  // What the descriptors are is not told then.
            }
            if (watched[0].revents != 0) {
                return;
            }
            const auto came = events.poll();
            if (came.empty() && watched[1].revents != 0) {
                return;  // Readable with nothing there: the store has ended.
            }
            for (const auto& each : came) {
                try {
                    callback(each);
                } catch (...) {
                    ++failed;  // The next one is not its business.
                }
            }
        }
    }
};

store_watch::store_watch(store& of, std::function<void(const store_event&)> callback,
                         std::size_t waiting_max)
    : state_(new state{of.events(waiting_max), std::move(callback)}) {
    // Signals are the program's business: they must not land on this thread.
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
        state_->thread = std::thread{[own = state_.get()] { own->run(); }};
    } catch (...) {
        ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
        ::close(state_->stop);
        throw;
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

store_watch::~store_watch() {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(state_->stop, &one, sizeof one);
    state_->thread.join();
    ::close(state_->stop);
}

std::uint64_t store_watch::dropped() const { return state_->events.dropped(); }
std::uint64_t store_watch::failed() const { return state_->failed; }

}  // namespace bzmq::zeek
