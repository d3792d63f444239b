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

/// Where only the number counts.
struct weightless {
    template <class T>
    std::size_t operator()(const T&) const noexcept {
        return 0;
    }
};

/// What a reader on another thread has not taken yet, with a descriptor to wait for it. At its bounds,
/// of number and of bytes as `Weight` has them, the oldest are given up and counted; the newest one
/// stays, whatever its size.
template <class T, class Weight = weightless>
class mailbox {
  public:
    using clock = std::chrono::steady_clock;
    static constexpr std::size_t unbounded = std::numeric_limits<std::size_t>::max();

    explicit mailbox(std::size_t max = unbounded, std::size_t bytes_max = unbounded)
        : max_(max), bytes_max_(bytes_max) {}

    void push(T what) {
        std::vector<T> gone;  // Destroyed without the lock.
        const auto weight = Weight{}(what);
        const std::lock_guard lock{mutex_};
        if (max_ == 0) {
            ++dropped_;
            return;
        }
        while (!entries_.empty()
               && (entries_.size() >= max_ || bytes_ + weight > bytes_max_)) {
            ++dropped_;
            bytes_ -= Weight{}(entries_.front());
            gone.push_back(std::move(entries_.front()));
            entries_.pop_front();
        }
        bytes_ += weight;
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

    /// Forgets what is there, and its descriptor: nobody takes or waits any more.
    void discard() {
        std::deque<T> gone;  // Destroyed without the lock.
        const std::lock_guard lock{mutex_};
        gone.swap(entries_);
        bytes_ = 0;
        fd_.close();
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
            bytes_ -= Weight{}(entries_.front());
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
    const std::size_t bytes_max_;
    mutable std::mutex mutex_;
    std::condition_variable arrived_;
    std::deque<T> entries_;
    std::size_t bytes_ = 0;
    std::uint64_t dropped_ = 0;
    bool ended_ = false;
    ready_fd fd_;
};

}  // namespace bzmq
