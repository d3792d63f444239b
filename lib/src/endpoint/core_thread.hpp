#pragma once

#include <chrono>
#include <mutex>

#include "bzmq/error.hpp"

namespace bzmq {

/// Marks the thread of an endpoint's core, or one that has its turn: it must not wait for what only it
/// can bring about.
class core_thread {
  public:
    explicit core_thread(const void* core) noexcept : outer_(current()) { current() = core; }
    ~core_thread() { current() = outer_; }
    core_thread(const core_thread&) = delete;
    core_thread& operator=(const core_thread&) = delete;

    /// Is the caller on the thread of any core, or of this one?
    [[nodiscard]] static bool any() noexcept { return current() != nullptr; }
    [[nodiscard]] static bool of(const void* core) noexcept { return current() == core; }

  private:
    static const void*& current() noexcept {
        thread_local const void* core = nullptr;
        return core;
    }

    const void* outer_;
};

/// Until when whoever asks may wait for what the thread of `core` brings. A callback on that thread
/// takes what is there.
inline std::chrono::steady_clock::time_point patience(
    const void* core, std::chrono::steady_clock::time_point deadline) noexcept {
    return core_thread::of(core) ? std::chrono::steady_clock::time_point{} : deadline;
}

/// What a wait there says.
inline error cannot_wait() {
    return {ec::request_timeout, "a callback on an endpoint's thread cannot wait"};
}

/// Locks what others hold while they wait for the thread of `core`. A callback on that thread gets it
/// where it is free.
inline expected<std::unique_lock<std::mutex>> lock_across(std::mutex& mutex, const void* core) {
    std::unique_lock lock{mutex, std::try_to_lock};
    if (!lock && core_thread::of(core)) {
        return tl::unexpected{cannot_wait()};
    }
    if (!lock) {
        lock.lock();
    }
    return lock;
}

}  // namespace bzmq
