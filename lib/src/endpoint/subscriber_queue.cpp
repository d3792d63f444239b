#include "endpoint/subscriber_queue.hpp"

#include <algorithm>
#include <utility>

#include "endpoint/locking.hpp"
#include "overlay/filter.hpp"
#include "wire/records.hpp"

namespace bzmq {

namespace {

wire::record_cursor cursor_over(const std::byte* at, const std::byte* end,
                                std::string_view topic) noexcept {
    return wire::record_cursor{std::span{at, end}, topic};
}

}  // namespace

subscriber_queue::subscriber_queue(limits bounds, std::vector<std::string> filter)
    : limits_(bounds), filter_(overlay::minimise(std::move(filter))) {}

bool subscriber_queue::matches(std::string_view topic) const noexcept {
    return overlay::matches(filter_, topic);
}

// -- Counting and skipping ------------------------------------------------------------------------

void subscriber_queue::make_exact(entry& what) {
    if (what.exact) {
        return;
    }
    std::size_t count = 0;
    bool wanted = matches(what.topic);
    auto cursor = cursor_over(what.at, what.end, what.topic);
    for (wire::record record; cursor.next(record);) {
        wanted = record.same_topic ? wanted : matches(record.topic);
        count += wanted ? 1 : 0;
    }
    what.count = count;
    what.exact = true;
}

void subscriber_queue::make_all_exact() {
    messages_ = 0;
    for (auto& each : entries_) {
        make_exact(each);
        messages_ += each.count;
    }
}

void subscriber_queue::settle_front() {
    while (!entries_.empty()) {
        auto& front = entries_.front();
        auto cursor = cursor_over(front.at, front.end, front.topic);
        bool wanted = matches(front.topic);
        bool found = false;
        wire::record record;
        const auto* at = front.at;
        std::size_t skipped = 0;
        while (cursor.next(record)) {
            wanted = record.same_topic ? wanted : matches(record.topic);
            if (wanted) {
                found = true;
                at = record.begin;
                front.topic = record.topic;
                break;
            }
            ++skipped;
        }
        if (found) {
            if (!front.exact) {
                const auto less = std::min(skipped, front.count);
                front.count -= less;
                messages_ -= less;
            }
            bytes_ -= static_cast<std::size_t>(at - front.at);
            front.at = at;
            return;
        }
        messages_ -= front.count;
        bytes_ -= front.bytes();
        entries_.pop_front();
    }
}

// -- The core's side ------------------------------------------------------------------------------

subscriber_queue::push_result subscriber_queue::push(const batch_ptr& batch) {
    auto lock = lock_briefly(mutex_);
    if (ended_) {
        return push_result::accepted;
    }
    const auto bytes = batch->records.span();
    entry fresh{batch, bytes.data(), bytes.data() + bytes.size(), {}, batch->count, false};
    if (messages_ + fresh.count > limits_.messages || bytes_ + fresh.bytes() > limits_.bytes) {
        // Near the bound the counts must be true.
        make_all_exact();
        make_exact(fresh);
        if (messages_ + fresh.count > limits_.messages || bytes_ + fresh.bytes() > limits_.bytes) {
            if (limits_.policy == overflow_policy::drop_newest) {
                shorten_to_fit(fresh);
            } else if (limits_.policy == overflow_policy::disconnect) {
                dropped_ += fresh.count;
                ended_ = true;
                reason_ = {ec::queue_full, "the subscriber's queue was full"};
                update_fd();
                arrived_.notify_all();
                return push_result::disconnected;
            }
        }
        if (fresh.count == 0) {
            return push_result::accepted;
        }
    }
    messages_ += fresh.count;
    bytes_ += fresh.bytes();
    entries_.push_back(std::move(fresh));
    if (entries_.size() == 1) {
        settle_front();
    }
    if (limits_.policy == overflow_policy::drop_oldest && over()) {
        drop_oldest();
    }
    bytes_high_ = std::max(bytes_high_, bytes_);
    update_fd();
    const bool full = limits_.policy == overflow_policy::block
                      && (messages_ >= limits_.messages || bytes_ >= limits_.bytes);
    told_full_ = told_full_ || full;
    const bool awaited = waiting_ > 0;
    lock.unlock();  // Or the reader would wake only to wait for the lock.
    if (awaited) {
        arrived_.notify_all();
    }
    return full ? push_result::full : push_result::accepted;
}

/// Keeps the first matching records that there is room for.
void subscriber_queue::shorten_to_fit(entry& what) {
    std::size_t kept = 0;
    const auto* end = what.at;
    bool wanted = false;
    auto cursor = cursor_over(what.at, what.end, what.topic);
    for (wire::record record; cursor.next(record);) {
        wanted = record.same_topic ? wanted : matches(record.topic);
        if (!wanted) {
            continue;
        }
        const auto size = static_cast<std::size_t>(cursor.position() - what.at);
        // A message that is larger than the whole queue gets in where nothing else waits.
        const bool first_of_all = entries_.empty() && kept == 0;
        if (!first_of_all
            && (messages_ + kept + 1 > limits_.messages || bytes_ + size > limits_.bytes)) {
            break;
        }
        ++kept;
        end = cursor.position();
    }
    dropped_ += what.count - kept;
    what.count = kept;
    what.end = end;
}

/// Gives up messages at the front until the rest fits; the last one stays.
void subscriber_queue::drop_oldest() {
    make_all_exact();
    while (over() && messages_ > 1) {
        auto& front = entries_.front();
        auto cursor = cursor_over(front.at, front.end, front.topic);
        wire::record record;
        while (over() && messages_ > 1 && front.count > 0 && cursor.next(record)) {
            // `settle_front` has put the front at a record that matches.
            if (!record.same_topic && !matches(record.topic)) {
                break;
            }
            bytes_ -= static_cast<std::size_t>(cursor.position() - front.at);
            front.at = cursor.position();
            front.topic = record.topic;
            --front.count;
            --messages_;
            ++dropped_;
        }
        settle_front();
    }
}

void subscriber_queue::end(const error& why) {
    error reason = why;  // Either all of this happens or, without memory for the text, nothing.
    const std::lock_guard lock{mutex_};
    if (!ended_) {
        ended_ = true;
        reason_ = std::move(reason);
        update_fd();
        arrived_.notify_all();
    }
}

// -- The reader's side ----------------------------------------------------------------------------

/// Reads from the front entry; it stays at its next record, which may not match.
std::size_t subscriber_queue::read_front(std::vector<message>& out, std::size_t max) {
    auto& front = entries_.front();
    const auto* at = front.at;
    bool wanted = true;  // The front is settled.
    auto cursor = cursor_over(front.at, front.end, front.topic);
    std::size_t count = 0;
    std::size_t seen = 0;
    wire::record record;
    while (count < max && cursor.next(record)) {
        if (!record.same_topic && record.topic != front.topic) {
            wanted = matches(record.topic);
        }
        front.topic = record.topic;
        ++seen;
        if (wanted) {
            out.emplace_back(front.batch, record.topic, record.payload);
            ++count;
        }
    }
    front.at = cursor.malformed() ? front.end : cursor.position();
    bytes_ -= static_cast<std::size_t>(front.at - at);
    const auto less = std::min(front.exact ? count : seen, front.count);
    front.count -= less;
    messages_ -= less;
    return count;
}

subscriber_queue::taken subscriber_queue::take(std::vector<message>& out, std::size_t max,
                                               std::size_t enough, clock::time_point deadline) {
    taken result;
    auto lock = lock_briefly(mutex_);
    while (result.count < max) {
        if (!entries_.empty()) {
            result.count += read_front(out, std::min(max - result.count, stride));
            settle_front();
            if (tell_drained()) {
                result.drained = true;
                break;  // The caller lets the core go on, and comes again for the rest.
            }
            if (result.count < max && !entries_.empty()) {
                lock.unlock();
                lock = lock_briefly(mutex_);
            }
            continue;
        }
        if (result.count >= enough || ended_) {
            break;
        }
        ++waiting_;
        const bool for_ever = deadline == clock::time_point::max();
        const auto how = for_ever ? (arrived_.wait(lock), std::cv_status::no_timeout)
                                  : arrived_.wait_until(lock, deadline);
        --waiting_;
        if (how == std::cv_status::timeout && entries_.empty()) {
            break;
        }
    }
    result.ended = ended_ && entries_.empty();
    update_fd();
    return result;
}

std::size_t subscriber_queue::available() {
    const std::lock_guard lock{mutex_};
    make_all_exact();
    return messages_;
}

int subscriber_queue::fd() {
    const std::lock_guard lock{mutex_};
    return fd_.open(!entries_.empty() || ended_);
}

bool subscriber_queue::set_filter(std::vector<std::string> filter) {
    const std::lock_guard lock{mutex_};
    filter_ = overlay::minimise(std::move(filter));
    for (auto& each : entries_) {
        each.exact = false;
    }
    make_all_exact();
    std::erase_if(entries_, [this](const entry& each) {
        bytes_ -= each.count == 0 ? each.bytes() : 0;
        return each.count == 0;
    });
    settle_front();
    update_fd();
    return tell_drained();
}

subscriber_queue::gauges subscriber_queue::look() const {
    const std::lock_guard lock{mutex_};
    return {messages_, bytes_, bytes_high_, dropped_};
}

bool subscriber_queue::ended() const {
    const std::lock_guard lock{mutex_};
    return ended_;
}

error subscriber_queue::reason() const {
    const std::lock_guard lock{mutex_};
    return reason_;
}

}  // namespace bzmq
