#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <vector>

#include "bzmq/configuration.hpp"
#include "bzmq/error.hpp"
#include "bzmq/publish_limit.hpp"
#include "bzmq/shared_bytes.hpp"
#include "bzmq/time.hpp"
#include "base/time.hpp"
#include "endpoint/clock.hpp"
#include "endpoint/core_thread.hpp"
#include "endpoint/locking.hpp"
#include "node/hub.hpp"
#include "transport/block_pool.hpp"
#include "transport/socket_hub.hpp"
#include "wire/records.hpp"

namespace bzmq {

/// Records on their way from publishing threads to the core, in one delivery mode. A publisher
/// encodes straight into the open chunk under a short lock; the core takes whole chunks. Bounded in
/// bytes, those that the core has taken but could not pass on included.
class publish_queue {
  public:
    struct settings {
        std::size_t chunk_bytes = 64 * 1024;
        std::size_t bytes_max = 16 * 1024 * 1024;
        std::size_t message_bytes_max = 64 * 1024 * 1024;
        timespan timeout{0};  ///< longest wait for room; 0: for ever
        /// Whether publishers wait as long as that even when only the core is slow.
        bool always_wait = false;
    };
    struct chunk {
        shared_bytes records;
        node::record_facts facts;
        std::size_t offset = 0;  ///< where the part that is not passed on yet begins
    };
    /// So long a record waits for others at most while records come in numbers.
    static constexpr auto pace = std::chrono::microseconds{100};
    /// Publishers under a policy that drops wait so long for the core, which is never held up.
    static constexpr auto core_patience = std::chrono::milliseconds{200};

    /// A call that publishes and is held up: what its thread's `publish_limit` says.
    class hold_up {
      public:
        using clock = std::chrono::steady_clock;
        hold_up() noexcept;

        /// Of the first attempt; the endpoint's own limit counts from there.
        [[nodiscard]] clock::time_point began() const noexcept { return began_; }
        /// The thread's limit ends this attempt.
        [[nodiscard]] clock::time_point until() const noexcept { return until_; }
        /// It did, and there was no room.
        void ran_out() const noexcept;

      private:
        clock::time_point began_;
        clock::time_point until_ = clock::time_point::max();
    };

    publish_queue(settings how, transport::block_pool& pool, transport::socket_hub& core)
        : settings_(how), pool_(pool), core_(core) {}

    // -- Any thread -------------------------------------------------------------------------------

    /// Appends one record, whose payload of `size` bytes `encode(to)` writes. ec::none,
    /// invalid_topic, message_too_big, queue_full, shutting_down.
    ///
    /// The core is woken where it does not know yet that something waits; unless nothing came for
    /// `pace`, and `turn`, which is not locked, can be taken: then the caller has the core's turn and
    /// publishes in its stead.
    template <class encoder>
    ec push(std::string_view topic, std::size_t size, encoder&& encode,
            std::unique_lock<std::mutex>& turn) {
        if (topic.empty() || topic.size() > topic_bytes_max) {
            return ec::invalid_topic;
        }
        if (size > settings_.message_bytes_max) {
            return ec::message_too_big;
        }
        const auto need = wire::record_size(topic, size, false);
        auto lock = lock_briefly(mutex_);
        if (waiting_bytes() + need > settings_.bytes_max || closed_) {
            if (const auto problem = wait_for_room(lock, need); problem != ec::none) {
                return problem;
            }
        }
        encode(open_record(topic, size, need));
        if (!announced_.load(std::memory_order_relaxed) && (!paced_ || !sealed_.empty())) {
            announced_.store(true, std::memory_order_release);
            // Under the lock: after `close` nobody touches the core any more.
            if (core_thread::any() || monotonic_now() < taken_at_ + pace || !turn.try_lock()) {
                core_.wake();
            }
        }
        return ec::none;
    }
    /// Room for what waits outside the queue, until `release`. ec::none, queue_full, shutting_down.
    ec reserve(std::size_t bytes) {
        auto lock = lock_briefly(mutex_);
        if (waiting_bytes() + bytes > settings_.bytes_max || closed_) {
            if (const auto problem = wait_for_room(lock, bytes); problem != ec::none) {
                return problem;
            }
        }
        pushed_bytes_ += bytes;
        return ec::none;
    }
    /// Behind all that was pushed so far; `passed` tells when that is published.
    [[nodiscard]] std::size_t mark() const {
        const std::lock_guard lock{mutex_};
        return pushed_bytes_;
    }
    [[nodiscard]] bool passed(std::size_t mark) const noexcept {
        return static_cast<std::ptrdiff_t>(released_bytes_.load(std::memory_order_relaxed) - mark)
               >= 0;
    }
    /// From now on publishers wait even when only the core is slow.
    void always_wait() {
        const std::lock_guard lock{mutex_};
        settings_.always_wait = true;
    }
    [[nodiscard]] std::size_t bytes() const {
        const std::lock_guard lock{mutex_};
        return waiting_bytes();
    }
    [[nodiscard]] std::uint64_t refused() const noexcept {
        return refused_.load(std::memory_order_relaxed);
    }

    // -- The core ---------------------------------------------------------------------------------

    /// Appends all that waits to `out`; it counts against the bound until `release`. While many
    /// records come it rather leaves them until a chunk is full or `pace` has passed: each look
    /// costs core and publishers more than a record does. `all`: not now.
    void take(std::vector<chunk>& out, instant now, bool all);
    /// When to call `take` again even if nobody wakes the core.
    [[nodiscard]] instant take_due() const noexcept { return take_due_; }
    void release(std::size_t bytes);
    /// A `block` policy or a reliable window holds the core up.
    void held_up(bool yes);
    /// From now on `push` fails with `shutting_down`.
    void close();

  private:
    /// Under the lock.
    [[nodiscard]] std::size_t waiting_bytes() const noexcept {
        return pushed_bytes_ - released_bytes_.load(std::memory_order_relaxed);
    }
    ec wait_for_room(std::unique_lock<std::mutex>& lock, std::size_t need);
    /// Room for one record: writes all of it but the payload, and returns where that goes.
    std::byte* open_record(std::string_view topic, std::size_t size, std::size_t need) {
        bool same = used_ > begin_ && topic == topic_;
        if (!block_ || used_ + need > block_->capacity
            || (used_ > begin_ && used_ - begin_ + need > settings_.chunk_bytes + chunk_slack)) {
            next_block(need);
            same = false;
        }
        auto* at = block_->data + used_;
        // The block was last in another processor's cache. Unless its lines are on their way early,
        // every unlocking waits for one.
        __builtin_prefetch(at + prefetch_ahead, 1);
        __builtin_prefetch(at + prefetch_ahead + 64, 1);
        auto* to = wire::put_record_head(at, topic, size, same);
        ++count_;
        if (!same) {
            one_topic_ = used_ == begin_;
            const auto* head_end = to - varint_size(size);
            topic_ = {reinterpret_cast<const char*>(head_end - topic.size()), topic.size()};
        }
        const auto length = static_cast<std::size_t>(to - at) + size;
        used_ += length;
        pushed_bytes_ += length;
        return to;
    }
    void next_block(std::size_t need);
    void seal();
    void start_chunk(std::size_t at) noexcept {
        begin_ = used_ = at + headroom;
        count_ = 0;
    }

    // What the first frame that carries a chunk needs ahead of it.
    static constexpr std::size_t headroom = 128;
    // What a chunk may exceed its size by, so that four 16 KiB messages fit one frame.
    static constexpr std::size_t chunk_slack = 4096;
    // As many records in one `take` are a crowd.
    static constexpr std::size_t crowd = 16;
    static constexpr std::size_t prefetch_ahead = 512;
    // Less room than this is not worth keeping a block for.
    static constexpr std::size_t remainder_min = 2048;

    settings settings_;
    transport::block_pool& pool_;
    transport::socket_hub& core_;

    mutable std::mutex mutex_;
    std::condition_variable room_;
    std::atomic<std::size_t> waiting_{0};
    bool closed_ = false;
    std::atomic<bool> announced_{false};   // the core was told
    bool paced_ = false;                   // it wants to hear of full chunks only
    instant taken_at_{std::chrono::hours{-1}};
    bool held_up_ = false;
    // Their difference waits. Unsigned: they may wrap.
    std::size_t pushed_bytes_ = 0;
    std::atomic<std::size_t> released_bytes_{0};
    std::vector<chunk> sealed_;
    block_ptr block_;         // the open chunk is [begin_, used_) of it, behind its headroom
    std::size_t begin_ = 0;
    std::size_t used_ = 0;
    std::string_view topic_;  // of the open chunk's last record
    std::uint32_t count_ = 0;  // of its records
    std::size_t sealed_count_ = 0;
    bool one_topic_ = true;
    std::atomic<std::uint64_t> refused_{0};

    instant take_due_ = never;  // the core's
};

}  // namespace bzmq
