#include "bzmq/worker.hpp"

#include <pthread.h>

#include <exception>
#include <vector>

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

void worker_state::run() {
    ::pthread_setname_np(::pthread_self(), "bzmq-worker");
    constexpr std::size_t at_once = 256;
    const auto reason = guarded("callback", [&] {
        if (on_init_) {
            on_init_();
        }
        std::vector<message> batch;
        while (source_.take(batch, at_once) > 0) {
            for (const auto& each : batch) {
                if (on_next_) {
                    on_next_(each);
                }
            }
            batch.clear();
        }
        return source_.last_error();
    });
    source_.close();
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

bool worker::wait_for(timespan timeout) {
    return !state_ || state_->finished()
           || (!core_thread::any() && state_->wait_until(deadline_in(timeout)));
}

}  // namespace bzmq
