#include "bzmq/worker.hpp"

#include <pthread.h>

#include <exception>
#include <utility>

#include "endpoint/clock.hpp"
#include "endpoint/core_thread.hpp"
#include "endpoint/worker_state.hpp"

namespace bzmq {

worker_state::worker_state(subscriber source, std::function<void()> on_init,
                           std::function<void(const message&)> on_next,
                           std::function<void(const error&)> on_end,
                           std::function<void(const error&)> report)
    : source_(std::move(source)),
      on_init_(std::move(on_init)),
      on_next_(std::move(on_next)),
      on_end_(std::move(on_end)),
      report_(std::move(report)) {}

worker_state::~worker_state() {
    if (thread_.joinable()) {
        thread_.detach();  // Only where the last reference falls on the thread itself.
    }
}

void worker_state::start() {
    thread_ = std::thread{[self = shared_from_this()] { self->run(); }};
}

template <class F>
error worker_state::guarded(std::string_view name, F&& callback) noexcept {
    const auto failed = [&](const char* what) noexcept {
        try {
            const error problem{ec::unspecified, what};
            report_({ec::unspecified, "a subscriber's " + std::string{name} + " threw: " + what});
            return problem;
        } catch (...) {
            return error{ec::unspecified};  // No memory for the text.
        }
    };
    try {
        return callback();
    } catch (const std::exception& problem) {
        return failed(problem.what());
    } catch (...) {
        return failed("something that is no exception");
    }
}

void worker_state::begin() {
    if (!std::exchange(begun_, true) && on_init_) {
        on_init_();
    }
}

void worker_state::call_back() {
    for (const auto& each : batch_) {
        if (on_next_) {
            on_next_(each);
        }
    }
    batch_.clear();
}

void worker_state::end(const error& reason) {
    source_.close();
    batch_.clear();
    guarded("on_end", [&] {
        if (on_end_) {
            on_end_(reason);
        }
        return error{};
    });
    const std::lock_guard lock{mutex_};
    finished_ = true;
    changed_.notify_all();
}

void worker_state::run() {
    ::pthread_setname_np(::pthread_self(), "bzmq-worker");
    end(guarded("callback", [&] {
        begin();
        while (source_.take(batch_, at_once) > 0) {
            call_back();
        }
        return source_.last_error();
    }));
}

bool worker_state::run_here() {
    if (finished()) {
        return false;
    }
    std::size_t count = 0;
    bool over = false;
    const auto reason = guarded("callback", [&] {
        begin();
        over = source_.ended();  // Asked first: nothing comes after it.
        count = source_.take(batch_, at_once, timespan{0});
        call_back();
        return over && count < at_once ? source_.last_error() : error{};
    });
    if (reason || (over && count < at_once)) {
        end(reason);
        return false;
    }
    return count == at_once;
}

bool worker_state::finished() const {
    const std::lock_guard lock{mutex_};
    return finished_;
}

bool worker_state::wait_until(std::chrono::steady_clock::time_point deadline) {
    std::unique_lock lock{mutex_};
    if (deadline == std::chrono::steady_clock::time_point::max()) {
        changed_.wait(lock, [this] { return finished_; });
        return true;
    }
    return changed_.wait_until(lock, deadline, [this] { return finished_; });
}

void worker_state::join_until(std::chrono::steady_clock::time_point deadline) {
    if (!thread_.joinable()) {
        return;
    }
    if (thread_.get_id() != std::this_thread::get_id() && wait_until(deadline)) {
        thread_.join();
    } else {
        thread_.detach();
    }
}

void worker::stop() {
    if (state_) {
        state_->stop();
    }
}

void worker::wait() {
    if (state_ && !core_thread::any()) {
        state_->wait_until(std::chrono::steady_clock::time_point::max());
    }
}

std::uint64_t worker::dropped() const { return state_ ? state_->dropped() : 0; }

bool worker::wait_for(timespan timeout) {
    return !state_ || state_->finished()
           || (!core_thread::any() && state_->wait_until(deadline_in(timeout)));
}

}  // namespace bzmq
