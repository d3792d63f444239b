#pragma once

#include <atomic>
#include <chrono>
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
#include "endpoint/write_gates.hpp"

namespace bzmq {

/// A write on its way, shared by whoever waits for it and the core. Counts its references itself:
/// the core holds one as a plain number.
class write_state {
  public:
    using clock = std::chrono::steady_clock;
    using done_fn = std::function<void(write_state&)>;

    explicit write_state(write_gates::gate gate) noexcept : gate_(gate) {}

    void add_ref() noexcept { refs_.fetch_add(1, std::memory_order_relaxed); }
    void drop_ref() noexcept {
        if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
            delete this;
        }
    }

    /// True where callbacks wait: somebody has to `call_back`. Only the first answer counts. The
    /// caller's reference must outlast the call. Who waits at its gate has to be woken.
    [[nodiscard]] bool finish(error problem, std::uint64_t revision,
                              std::span<const std::byte> value) noexcept {
        const std::lock_guard lock{mutex_};
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
        done_.store(true);
        return !callbacks_.empty();
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
    bool wait_until(clock::time_point deadline) const noexcept {
        return done() || write_gates::wait(gate_, done_, deadline);
    }
    [[nodiscard]] write_gates::gate gate() const noexcept { return gate_; }

    // Once done.
    [[nodiscard]] const error& problem() const noexcept { return problem_; }
    [[nodiscard]] std::uint64_t revision() const noexcept { return revision_; }
    [[nodiscard]] std::span<const std::byte> value() const noexcept { return value_; }

  private:
    ~write_state() = default;

    std::atomic<std::uint32_t> refs_{1};
    std::atomic<bool> done_{false};
    const write_gates::gate gate_;
    std::mutex mutex_;
    error problem_;
    std::uint64_t revision_ = 0;
    std::vector<std::byte> value_;
    std::vector<done_fn> callbacks_;
};

}  // namespace bzmq
