#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <mutex>

#include "replica/table.hpp"

namespace bzmq {

/// Keeps many readers and one writer of a table apart, at little cost for the readers: each takes
/// one of several locks, the one that its thread always takes; the writer takes them all.
class read_gate final : public replica::write_gate {
  public:
    void lock() override {
        wanted_.store(true, std::memory_order_relaxed);
        for (auto& each : lanes_) {
            each.mutex.lock();
        }
    }
    void unlock() override {
        wanted_.store(false, std::memory_order_relaxed);
        for (auto& each : lanes_) {
            each.mutex.unlock();
        }
    }

    /// The writer waits, or is at work: who reads again and again lets it go first, as these locks
    /// would go to whoever asks again at once.
    [[nodiscard]] bool wanted() const noexcept { return wanted_.load(std::memory_order_relaxed); }

    class reading {
      public:
        explicit reading(read_gate& gate) : mutex_(gate.lanes_[lane()].mutex) { mutex_.lock(); }
        ~reading() { mutex_.unlock(); }
        reading(const reading&) = delete;
        reading& operator=(const reading&) = delete;

      private:
        std::mutex& mutex_;
    };

  private:
    static constexpr std::size_t lanes = 8;
    struct alignas(64) padded {
        std::mutex mutex;
    };

    static std::size_t lane() noexcept {
        static std::atomic<std::size_t> next{0};
        thread_local const std::size_t mine = next.fetch_add(1, std::memory_order_relaxed) % lanes;
        return mine;
    }

    std::array<padded, lanes> lanes_;
    std::atomic<bool> wanted_{false};
};

}  // namespace bzmq
