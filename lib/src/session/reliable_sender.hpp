#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <utility>

#include "base/time.hpp"
#include "session/section.hpp"

namespace bzmq::session {

/// What a publisher keeps of a reliable stream for one receiver until that has it: which sections
/// are neither received nor consumed, and when which of them go out again. A pure state machine:
/// it says when to send, its owner sends.
///
/// Copies must not crowd out what they repair: the patience follows the measured round trip and
/// backs off without progress, and a repeat starts with a burst that halves at each setback and
/// doubles as it gets through.
class reliable_sender {
  public:
    struct retained {
        std::uint64_t number;
        std::uint64_t distance;
        section_ptr body;
        instant sent_at;
        bool sent_again = false;
    };
    enum class step : std::uint8_t {
        none,
        send_again,  ///< call `send_burst`
        ask          ///< ask the receiver for an acknowledgement
    };

    void push(instant now, std::uint64_t number, std::uint64_t distance, section_ptr body);
    /// The receiver has received and consumed so far; `gap`: it misses some in between.
    step acknowledged(instant now, std::uint64_t received, std::uint64_t consumed, bool gap);
    /// To be called when `next_deadline` has come.
    step tick(instant now);
    /// Nothing sent before counts as on its way any more.
    void path_changed(instant now) noexcept { due_ = settled() ? never : now; }

    /// Hands the burst's sections, oldest first, to `send(retained&)`, until it returns false.
    template <class function>
    void send_burst(instant now, function&& send);

    /// All is consumed.
    [[nodiscard]] bool settled() const noexcept { return unconsumed_.empty(); }
    [[nodiscard]] std::uint64_t unacknowledged_messages() const noexcept;
    [[nodiscard]] std::size_t unacknowledged_bytes() const noexcept { return unacknowledged_bytes_; }
    [[nodiscard]] std::size_t unconsumed_bytes() const noexcept { return unconsumed_bytes_; }
    [[nodiscard]] instant next_deadline() const noexcept { return due_; }

  private:
    step recover(instant now);
    [[nodiscard]] std::chrono::nanoseconds first_patience() const noexcept;

    std::deque<retained> unacknowledged_;
    std::size_t unacknowledged_bytes_ = 0;
    std::deque<std::pair<std::uint64_t, std::size_t>> unconsumed_;  // (number, bytes)
    std::size_t unconsumed_bytes_ = 0;
    instant due_ = never;
    std::chrono::nanoseconds patience_{};
    std::chrono::nanoseconds round_trip_{};  ///< smoothed: from sending to the acknowledgement
    std::size_t burst_bytes_ = 1024 * 1024;
    std::uint64_t recover_until_ = 0;  ///< all up to here is taken for lost
    std::uint64_t resent_until_ = 0;   ///< and has been sent again up to here
    instant resent_at_{std::chrono::hours{-1}};
};

template <class function>
void reliable_sender::send_burst(instant now, function&& send) {
    resent_at_ = now;
    std::size_t bytes = 0;
    for (auto& item : unacknowledged_) {
        if (bytes > burst_bytes_ || item.number > recover_until_) {
            break;
        }
        bytes += item.body->payload.size();
        resent_until_ = item.number;
        item.sent_again = true;
        if (!send(item)) {
            break;
        }
    }
}

}  // namespace bzmq::session
