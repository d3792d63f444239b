// Streams as they are received: order, holes, delivery; and what makes the reliable ones so.
#include <algorithm>
#include <utility>

#include "node/hub_impl.hpp"
#include "wire/records.hpp"

namespace bzmq::node {
namespace {

using namespace std::chrono_literals;

// Reliable streams: acknowledge after so many sections, or so long.
constexpr std::size_t ack_sections = 16;
constexpr auto ack_delay = 5ms;
constexpr std::size_t waiting_bytes_max = 16 * 1024 * 1024;

}  // namespace

// -- Receiving ------------------------------------------------------------------------------------

void hub_impl::hold_early(early_entry entry) {
    const auto size = entry.body->payload.size() + sizeof(early_entry);
    if (early_bytes_ + size > options_.peer_queue_bytes) {
        counters_.dropped_late += entry.body->records;
        return;
    }
    early_bytes_ += size;
    early_.push_back(std::move(entry));
}

void hub_impl::retry_early(instant now) {
    auto waiting = std::move(early_);
    early_.clear();
    early_bytes_ = 0;
    for (auto& entry : waiting) {
        const auto origin = db_.find(entry.body->origin);
        if (now >= entry.until) {
            counters_.dropped_late += entry.body->records;
        } else if (!origin || !paths_.reachable(*origin)) {
            hold_early(std::move(entry));  // Until its own time is over, however often we try.
        } else {
            accept(now, entry.body, entry.distance, entry.path_tag, entry.hops, entry.from);
        }
    }
}

void hub_impl::accept(instant now, const section_ptr& body, std::uint64_t distance,
                      std::uint16_t path_tag, std::uint8_t hops, link_id from) {
    const auto kind = body->kind();
    if (kind == wire::section_kind::control || kind == wire::section_kind::trace) {
        handle_control(now, *body);
        return;
    }
    const auto known_origin = db_.find(body->origin);
    if (!known_origin || !paths_.reachable(*known_origin)) {
        // Data may be faster than the news of who sends it.
        hold_early({body, distance, path_tag, hops, from, now + limbo_max});
        return;
    }
    const auto mode = static_cast<delivery_mode>(kind);
    const stream_key key{body->origin, mode};
    auto& stream = incoming_[key];
    const bool reliable = mode == delivery_mode::reliable;
    if (distance > body->number) {
        ++counters_.malformed;
        return;
    }
    if (reliable) {
        busy_streams_.insert(key);
        ++stream.unacked_sections;
        stream.unacked_bytes += body->payload.size();
        if (stream.ack_at == never) {
            stream.ack_at = now + ack_delay;
        }
    }
    if (body->number <= stream.last || stream.waiting.contains(body->number)) {
        if (reliable) {
            stream.ack_at = now;  // The sender does not know that it came.
        } else {
            counters_.dropped_late += body->records;
        }
        return;
    }
    if (reliable && stream.owed_bytes >= overdraft_bytes()) {
        stream.refused = true;  // Its origin ignores credit; if not, it sends it again.
        return;
    }
    const auto previous = distance == 0 ? 0 : body->number - distance;
    const bool in_order = previous <= stream.last && (stream.known || distance == 0 || !reliable);
    const bool same_path = stream.known && path_tag == stream.path_tag;
    if (in_order || (!reliable && (!stream.known || (same_path && stream.waiting.empty())))) {
        if (!in_order && stream.known) {
            ++counters_.gaps;  // Links keep order, so what is missing on the same path is lost.
        }
        stream.path_tag = path_tag;
        stream.last = body->number;
        stream.known = true;
        deliver(now, stream, body, hops, from);
        if (!stream.waiting.empty()) {
            drain_waiting(now, stream, false);
        }
        return;
    }
    // A hole: it may still come by the old path (best effort) or must be sent again (reliable).
    const auto bound = reliable ? 2 * options_.reliable_window_bytes : waiting_bytes_max;
    if (stream.waiting_bytes + body->payload.size() > bound) {
        if (reliable) {
            return;  // It will be sent again.
        }
        drain_waiting(now, stream, true);
    }
    stream.waiting_bytes += body->payload.size();
    stream.waiting.emplace(body->number,
                           incoming_stream::held{body, previous, path_tag, hops, from});
    busy_streams_.insert(key);
    if (reliable) {
        stream.gap_to_tell = true;
    } else if (stream.skip_at == never) {
        stream.skip_at = now + options_.reorder_hold;
    }
}

void hub_impl::drain_waiting(instant now, incoming_stream& stream, bool skip_holes) {
    while (!stream.waiting.empty()) {
        const auto at = stream.waiting.begin();
        auto& held = at->second;
        if (at->first > stream.last && held.previous > stream.last) {
            if (!skip_holes) {
                break;
            }
            ++counters_.gaps;
        }
        const auto item = std::move(held);
        stream.waiting_bytes -= item.body->payload.size();
        stream.waiting.erase(at);
        if (item.body->number <= stream.last) {
            continue;
        }
        stream.last = item.body->number;
        stream.path_tag = item.path_tag;
        stream.known = true;
        deliver(now, stream, item.body, item.hops, item.from);
    }
    if (stream.waiting.empty()) {
        stream.skip_at = never;
        stream.gap_to_tell = false;
    } else if (stream.skip_at != never) {
        stream.skip_at = now + options_.reorder_hold;
    }
}

void hub_impl::deliver(instant, incoming_stream& stream, const section_ptr& body,
                       std::uint8_t hops, link_id from) {
    auto* batch = new message_batch;
    batch->records = body->payload;
    batch->origin = body->origin;
    batch->sent_at = timestamp{timespan{static_cast<std::int64_t>(body->sent_at)}};
    batch->count = body->records;
    batch->hops = hops;
    batch->mode = static_cast<delivery_mode>(body->kind());
    const batch_ptr held{batch};
    if (body->records == 0) {
        ++counters_.gaps;  // Too big, or forbidden, for a link on its way, which brought the heads.
    }
    const auto at = links_.find(from);
    auto* link = at != links_.end() && at->second->up() ? at->second.get() : nullptr;
    full_scratch_.clear();
    // Links that come again and again must not bring a window each time without end.
    deliver_batch(held, full_scratch_,
                  held->mode == delivery_mode::best_effort && link != nullptr && link->came_late
                      && stranded_bytes_ >= overdraft_bytes());
    full_.insert(full_scratch_.begin(), full_scratch_.end());
    if (held->mode == delivery_mode::reliable) {
        stream.blockers.insert(full_scratch_.begin(), full_scratch_.end());
        if (stream.blockers.empty()) {
            stream.consumed = stream.last;
        } else {
            stream.owed_bytes += body->payload.size();
        }
    } else if (!full_scratch_.empty() && link != nullptr) {
        link->blockers.insert(full_scratch_.begin(), full_scratch_.end());
        link->channel->pause(true);
    }
}

/// Hands a batch to every subscriber that matches one of its topics; `spare_full`: except for those
/// that are full, which lose it.
void hub_impl::deliver_batch(const batch_ptr& batch, std::vector<subscriber_id>& full,
                             bool spare_full) {
    std::size_t count = 0;
    bool too_big = false;
    const std::vector<subscriber_id>* all = nullptr;  // While one topic's list says it all.
    std::set<subscriber_id> merged;
    wire::record_cursor cursor{batch->records.span()};
    for (wire::record record; cursor.next(record);) {
        ++count;
        too_big = too_big || record.payload.size() > options_.message_bytes_max;
        if (record.same_topic) {
            continue;
        }
        auto known = local_matches_.find(record.topic);
        if (known == local_matches_.end()) {
            if (local_matches_.size() >= route_cache_max) {
                local_matches_.clear();
                if (all != nullptr) {
                    merged.insert(all->begin(), all->end());
                    all = nullptr;
                }
            }
            known = local_matches_
                        .emplace(std::string{record.topic}, local_receivers(record.topic))
                        .first;
        }
        if (all == nullptr && merged.empty()) {
            all = &known->second;
        } else if (all == nullptr || *all != known->second) {
            if (all != nullptr) {
                merged.insert(all->begin(), all->end());
                all = nullptr;
            }
            merged.insert(known->second.begin(), known->second.end());
        }
    }
    if (cursor.malformed() || count != batch->count) {
        ++counters_.malformed;  // Subscribers and their bounds rely on what a batch says of itself.
        return;
    }
    if (too_big) {
        deliver_batch(without_too_big(*batch), full, spare_full);
        return;
    }
    std::vector<subscriber_id> list{merged.begin(), merged.end()};
    if (spare_full) {
        list = all != nullptr ? *all : list;
        all = nullptr;
        if (std::erase_if(list, [this](subscriber_id id) { return full_.contains(id); }) > 0) {
            counters_.dropped_overflow += batch->count;
        }
    }
    const auto& to = all != nullptr ? *all : list;
    if (!to.empty()) {
        counters_.delivered += batch->count;
        output_.deliver(to, batch, full);
    }
}

/// What is left of a batch that has messages larger than this endpoint takes.
batch_ptr hub_impl::without_too_big(const message_batch& batch) {
    std::vector<std::byte> kept;
    std::string_view topic;  // Of the last one that was kept.
    std::uint32_t count = 0;
    wire::record_cursor cursor{batch.records.span()};
    for (wire::record record; cursor.next(record);) {
        const auto size = record.payload.size();
        if (size > options_.message_bytes_max) {
            ++counters_.dropped_too_big;
            tell_too_big(now_, too_big_told_at_,
                         "a message of " + std::to_string(size) + " bytes from "
                             + to_string(batch.origin) + ", while max_message_bytes is "
                             + std::to_string(options_.message_bytes_max) + " here: dropped");
            continue;
        }
        const bool same = count > 0 && record.topic == topic;
        const auto at = kept.size();
        kept.resize(at + wire::record_size(record.topic, size, same));
        auto* to = wire::put_record_head(kept.data() + at, record.topic, size, same);
        std::copy(record.payload.begin(), record.payload.end(), to);
        topic = record.topic;
        ++count;
    }
    auto* out = new message_batch;
    out->records = shared_bytes::copy_of(kept);
    out->origin = batch.origin;
    out->sent_at = batch.sent_at;
    out->count = count;
    out->hops = batch.hops;
    out->mode = batch.mode;
    return batch_ptr{out};
}

void hub_impl::subscriber_drained(instant now, subscriber_id id) {
    release_blocker(id);
    flush(now);
}

void hub_impl::release_blocker(subscriber_id id) {
    full_.erase(id);
    if (full_.empty()) {
        stranded_bytes_ = 0;
    }
    publish_blockers_.erase(id);
    for (auto& [number, link] : links_) {
        if (link->blockers.erase(id) > 0 && link->blockers.empty() && link->up()) {
            link->came_late = false;
            link->channel->pause(false);
        }
    }
    for (auto& [key, stream] : incoming_) {
        if (stream.blockers.erase(id) > 0 && stream.blockers.empty()) {
            stream.consumed = stream.last;
            stream.owed_bytes = 0;
            stream.gap_to_tell = std::exchange(stream.refused, false) || stream.gap_to_tell;
            stream.ack_at = now_;
            busy_streams_.insert(key);
        }
    }
}

// -- Reliable streams -----------------------------------------------------------------------------

void hub_impl::send_stream_ack(instant now, const stream_key& key, incoming_stream& stream) {
    std::vector<std::byte> payload;
    byte_writer out{payload};
    out.u8(static_cast<std::uint8_t>(wire::control_type::stream_ack));
    out.varint(stream.last);
    out.varint(stream.consumed);
    out.u8(stream.gap_to_tell ? 1 : 0);
    send_control(now, key.origin, wire::section_kind::control, std::move(payload));
    stream.unacked_sections = stream.unacked_bytes = 0;
    stream.ack_at = never;
    if (stream.gap_to_tell) {
        stream.gap_told_at = now;
        stream.gap_to_tell = false;
    }
}

void hub_impl::handle_stream_ack(instant now, const endpoint_id& from,
                                 const wire::stream_ack& ack) {
    auto& destinations = reliable_destinations();
    const auto at = destinations.find(from);
    if (at == destinations.end()) {
        return;
    }
    auto& sender = at->second.sender;
    take_step(now, from, sender, sender.acknowledged(now, ack.received, ack.consumed, ack.gap));
    if (sender.settled() && at->second.unreachable_since == never) {
        unacknowledged_.erase(from);
    }
}

void hub_impl::take_step(instant now, const endpoint_id& to, session::reliable_sender& sender,
                         session::reliable_sender::step what) {
    using session::reliable_sender;
    if (what == reliable_sender::step::send_again) {
        send_again(now, to, sender);
    } else if (what == reliable_sender::step::ask) {
        send_control(now, to, wire::section_kind::control,
                     {static_cast<std::byte>(wire::control_type::ack_query)});
    }
}

/// Sends what a receiver seems to have lost once more, to that receiver alone.
void hub_impl::send_again(instant now, const endpoint_id& to, session::reliable_sender& sender) {
    const auto branches = branches_to(to);
    if (branches->empty()) {
        return;
    }
    const auto& way = branches->front();
    auto* link = link_to(way.first_hop);
    if (link == nullptr || link->channel->data_bytes() > options_.link_window_bytes) {
        return;  // No way, or the last copies are still waiting to leave.
    }
    bool first = true;
    sender.send_burst(now, [&](const session::reliable_sender::retained& item) {
        // All before the first one is acknowledged or given up: it needs no predecessor.
        routed_section copy{item.body, way.tree, {first ? 0 : item.distance}, 0, 0};
        counters_.retransmitted += link->channel->holds(copy) ? 0 : 1;
        send_on(now, *link, std::move(copy), true);
        first = false;
        return !link->ended;
    });
}

void hub_impl::tick_streams(instant now) {
    for (auto at = busy_streams_.begin(); at != busy_streams_.end();) {
        const auto found = incoming_.find(*at);
        if (found == incoming_.end()) {
            at = busy_streams_.erase(at);
            continue;
        }
        auto& stream = found->second;
        if (at->mode == delivery_mode::reliable) {
            const bool gap_due = stream.gap_to_tell && now >= stream.gap_told_at + gap_pause;
            if (gap_due || now >= stream.ack_at || stream.unacked_sections >= ack_sections
                || stream.unacked_bytes >= options_.reliable_window_bytes / 8) {
                send_stream_ack(now, *at, stream);
            }
        } else if (now >= stream.skip_at) {
            drain_waiting(now, stream, true);
        }
        if (stream.ack_at == never && stream.skip_at == never && !stream.gap_to_tell) {
            at = busy_streams_.erase(at);
        } else {
            ++at;
        }
    }
    auto& destinations = reliable_destinations();
    for (auto at = unacknowledged_.begin(); at != unacknowledged_.end();) {
        const auto found = destinations.find(*at);
        if (found == destinations.end()) {
            at = unacknowledged_.erase(at);
            continue;
        }
        auto& state = found->second;
        if (state.unreachable_since != never
            && now >= state.unreachable_since + options_.reliable_hold) {
            counters_.dropped_no_path += state.sender.unacknowledged_messages();
            destinations.erase(found);
            at = unacknowledged_.erase(at);
            continue;
        }
        if (state.unreachable_since == never && now >= state.sender.next_deadline()) {
            take_step(now, *at, state.sender, state.sender.tick(now));
        }
        ++at;
    }
    while (!limbo_.empty() && now >= limbo_.front().until) {
        limbo_bytes_ -= limbo_.front().section.size();
        counters_.dropped_no_path += limbo_.front().section.body->records;
        limbo_.pop_front();
    }
    if (!early_.empty() && now >= early_.front().until) {
        retry_early(now);
    }
}

}  // namespace bzmq::node
