#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "bzmq/request.hpp"
#include "endpoint/clock.hpp"

namespace bzmq {

class request_room;

/// A request on its way, shared by those who wait for it and the endpoint's request room.
class request_state {
  public:
    using callback = std::function<void(const replies&)>;

    std::weak_ptr<request_room> room;
    std::string topic;  // of its messages
    request_options how;
    std::function<void(const answer&)> on_answer;
    std::uint64_t id = 0;

    void add(answer what) {
        const std::lock_guard lock{mutex_};
        got_.answers.push_back(std::move(what));
    }
    /// The callbacks that wait for it.
    [[nodiscard]] std::vector<callback> finish(error why) {
        const std::lock_guard lock{mutex_};
        got_.why = std::move(why);
        done_ = true;
        changed_.notify_all();
        return std::exchange(callbacks_, {});
    }
    [[nodiscard]] bool done() const {
        const std::lock_guard lock{mutex_};
        return done_;
    }
    bool wait_until(std::chrono::steady_clock::time_point deadline) const {
        std::unique_lock lock{mutex_};
        if (deadline == std::chrono::steady_clock::time_point::max()) {
            changed_.wait(lock, [this] { return done_; });
            return true;
        }
        return changed_.wait_until(lock, deadline, [this] { return done_; });
    }
    /// False, with `what` taken, where it is to be called later.
    bool done_or_later(callback& what) {
        const std::lock_guard lock{mutex_};
        if (!done_) {
            callbacks_.push_back(std::move(what));
        }
        return done_;
    }
    /// What came so far; all of it once done.
    [[nodiscard]] replies got() const {
        const std::lock_guard lock{mutex_};
        return got_;
    }

  private:
    mutable std::mutex mutex_;
    mutable std::condition_variable changed_;
    bool done_ = false;
    replies got_;
    std::vector<callback> callbacks_;
};

}  // namespace bzmq
