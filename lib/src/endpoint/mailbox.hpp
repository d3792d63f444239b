#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <mutex>
#include <utility>
#include <vector>

#include "endpoint/ready_fd.hpp"

namespace bzmq {

/// What a reader on another thread has not taken yet, with a descriptor to wait for it. At its bound
/// the oldest are given up and counted.
template <class T>
class mailbox {
  public:
    using clock = std::chrono::steady_clock;

    explicit mailbox(std::size_t max = std::numeric_limits<std::size_t>::max()) : max_(max) {}

    void push(T what) {
        const std::lock_guard lock{mutex_};
        if (entries_.size() >= max_) {
            ++dropped_;
            if (max_ == 0) {
                return;
            }
            entries_.pop_front();
        }
        entries_.push_back(std::move(what));
        fd_.set(true);
        arrived_.notify_all();
    }
    /// No more comes; what is there can still be taken.
    void end() {
        const std::lock_guard lock{mutex_};
        ended_ = true;
        fd_.set(true);
        arrived_.notify_all();
    }

    /// Forgets what is there.
    void discard() {
        std::deque<T> gone;  // Destroyed without the lock.
        const std::lock_guard lock{mutex_};
        gone.swap(entries_);
        fd_.set(ended_);
    }

    /// Up to `max`, waiting until `deadline` for `enough` of them, or for the end.
    std::vector<T> take(std::size_t max, std::size_t enough, clock::time_point deadline) {
        std::vector<T> out;
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
    [[nodiscard]] std::size_t available() const {
        const std::lock_guard lock{mutex_};
        return entries_.size();
    }
    /// Readable while something can be taken, and after the end.
    int fd() {
        const std::lock_guard lock{mutex_};
        return fd_.open(!entries_.empty() || ended_);
    }
    [[nodiscard]] std::uint64_t dropped() const {
        const std::lock_guard lock{mutex_};
        return dropped_;
    }

  private:
    const std::size_t max_;
    mutable std::mutex mutex_;
    std::condition_variable arrived_;
    std::deque<T> entries_;
    std::uint64_t dropped_ = 0;
    bool ended_ = false;
    ready_fd fd_;
};

}  // namespace bzmq
