#include "background.hpp"

#include "bind.hpp"
#include "errors.hpp"
#include "gil.hpp"
#include "owned.hpp"
#include "waiting.hpp"
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <thread>
#include <utility>

namespace bzmq::python {
namespace {

constexpr auto look_interval = std::chrono::milliseconds{5};  // Where nothing tells of the end.

}  // namespace

struct background_call::state {
    state() : event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
    ~state() {
        if (event >= 0) {
            ::close(event);
        }
    }
    state(const state&) = delete;
    state& operator=(const state&) = delete;

    const int event;
    const unsigned born = fork_generation();
    std::atomic<bool> given_up{false};
    std::atomic<bool> finished{false};
    finish outcome;  // Written before `finished`.
};

namespace {

/// Signals belong to Python's main thread: its waits end by them.
class signals_blocked {
  public:
    signals_blocked() {
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    ~signals_blocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    signals_blocked(const signals_blocked&) = delete;
    signals_blocked& operator=(const signals_blocked&) = delete;

  private:
    sigset_t before_{};
};

}  // namespace

background_call::background_call(work what, std::function<void()> give_up)
    : state_(std::make_shared<state>()), give_up_(std::move(give_up)) {
    const signals_blocked none_here;
    std::thread{[shared = state_, what = std::move(what)]() mutable {
        shared->outcome = what([&shared] { return shared->given_up.load(); });
        what = nullptr;  // What it held goes before anybody learns of the end.
        shared->finished.store(true);
        const std::uint64_t one = 1;
        [[maybe_unused]] const auto told = ::write(shared->event, &one, sizeof one);
    }}.detach();
}

background_call::~background_call() {
    cancel();
}

int background_call::fd() const {
    return state_->event;
}

bool background_call::done() const {
    return state_->finished.load();
}

py::object background_call::result() const {
    if (!done()) {
        raise(PyExc_RuntimeError, "not done yet");
    }
    return state_->outcome();
}

void background_call::cancel() {
    if (state_->born != fork_generation() || done() || state_->given_up.exchange(true)) {
        return;
    }
    if (give_up_) {
        const without_gil free;
        give_up_();
    }
}

py::object background_call::wait() {
    try {
        while (!done()) {
            if (fd() >= 0) {
                wait_readable(fd(), deadline_in(std::nullopt));
                continue;
            }
            // No descriptor was left for this one.
            {
                const without_gil free;
                std::this_thread::sleep_for(look_interval);
            }
            check_signals();
        }
    } catch (...) {
        cancel();
        throw;
    }
    return result();
}

std::unique_ptr<background_call> wait_later(std::function<bool(timespan)> step,
                                            std::optional<timespan> timeout) {
    const auto deadline = deadline_in(timeout);
    return std::make_unique<background_call>([step = std::move(step), deadline](auto given_up) {
        bool done = false;
        for (bool over = false; !done && !over && !given_up();) {
            const auto began = wait_clock::now();
            const auto left = std::max(deadline - began, wait_clock::duration{0});
            const auto slice = std::min<wait_clock::duration>(left, signal_slice);
            done = step(timespan{slice});
            over = left <= slice || gave_up(began, slice);
        }
        return [done]() -> py::object { return py::bool_{done}; };
    });
}

void bind_background(py::module_& module) {
    py::class_<background_call>(module, "BackgroundCall")
        .def("fileno", &background_call::fd)
        .def("done", &background_call::done)
        .def("result", &background_call::result)
        .def("cancel", &background_call::cancel)
        .def("wait", &background_call::wait);
}

}  // namespace bzmq::python
