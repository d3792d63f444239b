#include "session/reliable_sender.hpp"

#include <algorithm>

namespace bzmq::session {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::nanoseconds patience_min = 300ms;
constexpr std::chrono::nanoseconds patience_max = 15s;
// A section that waited out an outage says nothing about the path.
constexpr std::chrono::nanoseconds round_trip_max = 1s;
constexpr auto ask_pause = 5s;
constexpr std::size_t burst_min = 2 * 1024;
constexpr std::size_t burst_max = 1024 * 1024;

}  // namespace

std::chrono::nanoseconds reliable_sender::first_patience() const noexcept {
    return std::max(2 * round_trip_, patience_min);
}

void reliable_sender::push(instant now, std::uint64_t number, std::uint64_t distance,
                           section_ptr body) {
    const auto bytes = body->payload.size();
    unacknowledged_.push_back({number, distance, std::move(body), now});
    unacknowledged_bytes_ += bytes;
    unconsumed_.emplace_back(number, bytes);
    unconsumed_bytes_ += bytes;
    if (due_ == never) {
        patience_ = first_patience();
        due_ = now + patience_;
    }
}

reliable_sender::step reliable_sender::acknowledged(instant now, std::uint64_t received,
                                                    std::uint64_t consumed, bool gap) {
    bool progress = false;
    instant sent_at{};
    while (!unacknowledged_.empty() && unacknowledged_.front().number <= received) {
        const auto& item = unacknowledged_.front();
        progress = true;
        sent_at = item.sent_again ? resent_at_ : item.sent_at;
        unacknowledged_bytes_ -= item.body->payload.size();
        unacknowledged_.pop_front();
    }
    if (progress) {
        const auto sample = std::min<std::chrono::nanoseconds>(now - sent_at, round_trip_max);
        round_trip_ = round_trip_ == 0ns ? sample : (7 * round_trip_ + sample) / 8;
        patience_ = first_patience();
    }
    while (!unconsumed_.empty() && unconsumed_.front().first <= consumed) {
        unconsumed_bytes_ -= unconsumed_.front().second;
        unconsumed_.pop_front();
    }
    if (settled()) {
        due_ = never;
        return step::none;
    }
    if (unacknowledged_.empty()) {
        due_ = now + ask_pause;  // Subscribers there take their time; the ack for that may be lost.
        return step::none;
    }
    if (progress && unacknowledged_.front().number <= recover_until_ && received >= resent_until_) {
        // The last burst got through, and there is more that seems lost.
        burst_bytes_ = std::min(2 * burst_bytes_, burst_max);
        due_ = now + patience_;
        return step::send_again;
    }
    if (gap && now >= resent_at_ + patience_ / 2) {
        // It repeats this until the copies have come: within that time it changes nothing.
        return recover(now);
    }
    if (progress) {
        due_ = now + patience_;
    }
    return step::none;
}

reliable_sender::step reliable_sender::tick(instant now) {
    if (unacknowledged_.empty()) {
        due_ = settled() ? never : now + ask_pause;
        return settled() ? step::none : step::ask;
    }
    return recover(now);
}

std::uint64_t reliable_sender::unacknowledged_messages() const noexcept {
    std::uint64_t count = 0;
    for (const auto& item : unacknowledged_) {
        count += item.body->records;
    }
    return count;
}

/// Takes all that is unacknowledged for lost.
reliable_sender::step reliable_sender::recover(instant now) {
    due_ = now + patience_;
    patience_ = std::min(2 * patience_, patience_max);
    burst_bytes_ = std::max(burst_bytes_ / 2, burst_min);
    recover_until_ = unacknowledged_.back().number;
    return step::send_again;
}

}  // namespace bzmq::session
