#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <new>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "bzmq/error.hpp"
#include "data/msgpack_codec.hpp"

namespace bzmq {

/// A write on its way, shared by whoever waits for it and the core. Counts its references itself:
/// the core holds one as a plain number.
class write_state {
  public:
    using clock = std::chrono::steady_clock;
    using done_fn = std::function<void(write_state&)>;

    void add_ref() noexcept { refs_.fetch_add(1, std::memory_order_relaxed); }
    void drop_ref() noexcept {
        if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
            delete this;
        }
    }

    /// True where callbacks wait: somebody has to `call_back`. Only the first answer counts. The
    /// caller's reference must outlast the call.
    [[nodiscard]] bool finish(error problem, std::uint64_t revision,
                              std::span<const std::byte> value) noexcept {
        std::unique_lock lock{mutex_};
        if (done()) {
            return false;
        }
        problem_ = std::move(problem);
        revision_ = revision;
        try {
            value_.assign(value.begin(), value.end());
        } catch (const std::bad_alloc&) {
            value_.clear();  // The write is done; better no copy of the value than no answer.
        }
        done_.store(true, std::memory_order_release);
        const bool call_back = !callbacks_.empty();
        const bool wake = waiting_;
        // Whoever wakes up finds the lock free: one switch less, for each of those that one sync ends.
        lock.unlock();
        if (wake) {
            changed_.notify_all();
        }
        return call_back;
    }
    /// Calls all that wait. What one of them throws, if any does.
    [[nodiscard]] error call_back() {
        std::vector<done_fn> callbacks;
        {
            const std::lock_guard lock{mutex_};
            callbacks.swap(callbacks_);
        }
        error thrown;
        for (const auto& each : callbacks) {
            try {
                each(*this);
            } catch (const std::exception& problem) {
                thrown = {ec::unspecified, std::string{"a write's callback threw: "} + problem.what()};
            } catch (...) {
                thrown = {ec::unspecified, "a write's callback threw something that is no exception"};
            }
        }
        return thrown;
    }
    /// Calls back once it is done: now, or by `call_back`.
    void then(done_fn callback) {
        {
            const std::lock_guard lock{mutex_};
            if (!done()) {
                callbacks_.push_back(std::move(callback));
                return;
            }
        }
        callback(*this);
    }
    [[nodiscard]] bool done() const noexcept { return done_.load(std::memory_order_acquire); }
    bool wait_until(clock::time_point deadline) {
        if (done()) {
            return true;
        }
        std::unique_lock lock{mutex_};
        waiting_ = true;
        const auto ready = [this] { return done(); };
        if (deadline == clock::time_point::max()) {
            changed_.wait(lock, ready);
            return true;
        }
        return changed_.wait_until(lock, deadline, ready);
    }

    // Once done.
    [[nodiscard]] const error& problem() const noexcept { return problem_; }
    [[nodiscard]] std::uint64_t revision() const noexcept { return revision_; }
    [[nodiscard]] std::span<const std::byte> value() const noexcept { return value_; }

  private:
    ~write_state() = default;

    std::atomic<std::uint32_t> refs_{1};
    std::atomic<bool> done_{false};
    std::mutex mutex_;
    std::condition_variable changed_;
    bool waiting_ = false;
    error problem_;
    std::uint64_t revision_ = 0;
    std::vector<std::byte> value_;
    std::vector<done_fn> callbacks_;
};

}  // namespace bzmq
