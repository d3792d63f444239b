#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <utility>
#include <vector>

#include "bzmq/status.hpp"
#include "endpoint/ready_fd.hpp"

namespace bzmq {

/// What one status subscriber has not read yet. At its bound the oldest are given up.
class status_queue {
  public:
    using clock = std::chrono::steady_clock;
    static constexpr std::size_t entries_max = 65'536;

    explicit status_queue(bool statuses) : statuses_(statuses) {}

    void push(const status_variant& what) {
        if (!statuses_ && is<status>(what)) {
            return;
        }
        const std::lock_guard lock{mutex_};
        if (entries_.size() == entries_max) {
            entries_.pop_front();
            ++dropped_;
        }
        entries_.push_back(what);
        fd_.set(true);
        arrived_.notify_all();
    }
    void end() {
        const std::lock_guard lock{mutex_};
        ended_ = true;
        fd_.set(true);
        arrived_.notify_all();
    }

    /// Up to `max`, waiting until `deadline` for `enough` of them, or for the end.
    std::vector<status_variant> take(std::size_t max, std::size_t enough,
                                     clock::time_point deadline) {
        std::vector<status_variant> out;
        std::unique_lock lock{mutex_};
        const auto done = [&] { return ended_ || entries_.size() >= enough; };
        if (deadline == clock::time_point::max()) {
            arrived_.wait(lock, done);
        } else {
            arrived_.wait_until(lock, deadline, done);
        }
        while (out.size() < max && !entries_.empty()) {
            out.push_back(std::move(entries_.front()));
            entries_.pop_front();
        }
        fd_.set(!entries_.empty() || ended_);
        return out;
    }
    std::size_t available() const {
        const std::lock_guard lock{mutex_};
        return entries_.size();
    }
    int fd() {
        const std::lock_guard lock{mutex_};
        return fd_.open(!entries_.empty() || ended_);
    }
    std::uint64_t dropped() const {
        const std::lock_guard lock{mutex_};
        return dropped_;
    }

  private:
    const bool statuses_;
    mutable std::mutex mutex_;
    std::condition_variable arrived_;
    std::deque<status_variant> entries_;
    std::uint64_t dropped_ = 0;
    bool ended_ = false;
    ready_fd fd_;
};

}  // namespace bzmq
