#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "bzmq/error.hpp"
#include "bzmq/message.hpp"
#include "bzmq/overflow_policy.hpp"
#include "endpoint/ready_fd.hpp"

namespace bzmq {

/// What one subscriber has not read yet: batches that it shares with others, read record by record
/// under its own filter. Between any two calls its front is a record that matches, so that it is
/// empty exactly when nothing is available.
class subscriber_queue {
  public:
    using clock = std::chrono::steady_clock;
    struct limits {
        std::size_t messages = 1'000'000;
        std::size_t bytes = 64 * 1024 * 1024;
        overflow_policy policy = overflow_policy::drop_newest;
    };
    struct gauges {
        std::size_t messages = 0, bytes = 0, bytes_high = 0;
        std::uint64_t dropped = 0;
    };
    enum class push_result : std::uint8_t {
        accepted,
        full,          ///< policy block: accepted, and the bound is reached
        disconnected,  ///< policy disconnect: the queue has just ended
    };

    subscriber_queue(limits bounds, std::vector<std::string> filter);

    // -- The core ---------------------------------------------------------------------------------

    push_result push(const batch_ptr& batch);
    /// No more comes; what is there can still be read. The first reason counts.
    void end(const error& why);

    // -- The reader -------------------------------------------------------------------------------

    struct taken {
        std::size_t count = 0;
        bool drained = false;  ///< the core, which was told `full`, can go on
        bool ended = false;    ///< and nothing is left
    };
    /// Appends up to `max` messages to `out`, waiting until `deadline` for `enough` of them.
    taken take(std::vector<message>& out, std::size_t max, std::size_t enough,
               clock::time_point deadline);
    std::size_t available();
    int fd();
    /// What the new filter does not match is gone at once. True as `taken::drained`.
    bool set_filter(std::vector<std::string> filter);

    [[nodiscard]] gauges look() const;
    [[nodiscard]] bool ended() const;
    [[nodiscard]] error reason() const;

  private:
    struct entry {
        batch_ptr batch;
        const std::byte* at = nullptr;   ///< the next record
        const std::byte* end = nullptr;
        std::string_view topic;          ///< of the record before `at`
        std::size_t count = 0;           ///< records left that match, or may match
        bool exact = false;              ///< `count` is what matches

        [[nodiscard]] std::size_t bytes() const noexcept {
            return static_cast<std::size_t>(end - at);
        }
    };

    [[nodiscard]] bool matches(std::string_view topic) const noexcept;
    [[nodiscard]] bool over() const noexcept {
        return messages_ > limits_.messages || bytes_ > limits_.bytes;
    }
    void make_exact(entry& what);
    void make_all_exact();
    /// Moves to the front's next matching record; drops entries that have none.
    void settle_front();
    std::size_t read_front(std::vector<message>& out, std::size_t max);
    void shorten_to_fit(entry& what);
    void drop_oldest();
    /// Has a queue that was reported full become half empty?
    bool tell_drained() noexcept {
        const bool drained = told_full_ && messages_ <= limits_.messages / 2
                             && bytes_ <= limits_.bytes / 2;
        told_full_ = told_full_ && !drained;
        return drained;
    }
    void update_fd() { fd_.set(!entries_.empty() || ended_); }

    // Records read under one lock at most, so that the core never waits for long.
    static constexpr std::size_t stride = 512;

    const limits limits_;
    mutable std::mutex mutex_;
    std::condition_variable arrived_;
    std::size_t waiting_ = 0;
    std::deque<entry> entries_;
    std::size_t messages_ = 0;  // the sum of the entries' counts
    std::size_t bytes_ = 0;
    std::size_t bytes_high_ = 0;
    std::uint64_t dropped_ = 0;
    std::vector<std::string> filter_;
    bool told_full_ = false;
    bool ended_ = false;
    error reason_;
    ready_fd fd_;
};

}  // namespace bzmq
