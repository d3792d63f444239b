#include "session/channel.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/assert.hpp"

namespace bzmq::session {
namespace {

using namespace std::chrono_literals;

// With this many frames on their way the link counts as busy: what waits is packed until a frame
// is full, an acknowledgement comes, or `hold_max` has passed.
constexpr std::size_t busy_frames = 4;
constexpr auto hold_max = 500us;
// An acknowledgement waits this long for a batch to ride on, unless two frames wait for it.
constexpr auto ack_delay = 1ms;
constexpr auto retransmit_pause = 20ms;
// Without a new acknowledgement the pause doubles up to here, and after so many repeats of all that
// is unacknowledged only its first part is sent again: who does not read must not make us pile up.
constexpr std::chrono::nanoseconds retransmit_pause_max = 1s;
constexpr unsigned full_repeats_max = 2;
constexpr std::size_t repeat_bytes_max = 64 * 1024;
// A peer may leave us without any answer for so many `peer_timeout`s, not less than this, and longer
// where a large frame is on its way: the last is the slowest path that we expect.
constexpr int answer_timeouts = 5;
constexpr std::chrono::nanoseconds answer_patience_min = 5s;
constexpr std::size_t slowest_bytes_per_second = 64 * 1024;
constexpr auto round_trip_memory = 30s;
// Control records in flight; beyond it they wait for acknowledgements.
constexpr std::size_t unacknowledged_frames_max = 256;
// Heads and the definitions of nodes and trees; a frame grows where they need more.
constexpr std::size_t frame_slack_min = 1024;
constexpr std::size_t frame_slack_max = 8 * 1024;
// Of what is large, no more is under way than the path carried of late in this time and one round
// trip: what comes between waits no longer than this behind it, and for the part that is on the line.
constexpr auto pace_time = 500ms;
// So long link-state records wait at most for the end of what goes in parts ahead of them.
constexpr auto control_hold_max = 1s;
// Smaller frames say how long the path is, not how fast.
constexpr std::size_t pace_sample_min = 64 * 1024;
// Of frames larger than this, small sections are copied out rather than kept with all of it.
constexpr std::size_t copy_frame_min = 4 * 1024;
// So many trees of one reliable section are remembered, and copies for so many receivers looked for
// in them: peers must not make the search long.
constexpr std::size_t held_trees_max = 32;
constexpr std::size_t held_receivers_max = 16;
constexpr std::size_t batch_head_bytes_max = 1 + 3 * varint_bytes_max;

/// Writes a section up to its payload, or to the first `size` bytes of it.
std::byte* put_head(std::byte* to, routed_section& section, std::uint32_t slot, std::size_t size) {
    const auto& body = *section.body;
    wire::section_head head;
    head.slot = slot;
    head.flags = body.flags;
    head.number = body.number;
    head.distances.swap(section.distances);
    if (head.distances.size() == 1) {
        head.flags |= wire::section_uniform;
    }
    head.sent_at = body.sent_at;
    head.hops = section.hops;
    head.path_tag = section.path_tag;
    head.records = body.records;
    if (size < body.payload.size()) {
        head.flags |= wire::section_in_parts;
        head.total = body.payload.size();
    }
    to = wire::put_section_head(to, head, size);
    head.distances.swap(section.distances);
    return to;
}

}  // namespace

/// Grows one frame in a block from the events' allocator.
struct channel::frame_builder {
    channel_events& events;
    block_ptr block;
    std::size_t size = 0;

    frame_builder(channel_events& source, std::size_t capacity)
        : events(source), block(source.allocate(capacity)) {}

    std::byte* room(std::size_t count) {
        if (size + count > block->capacity) {
            block_ptr larger = events.allocate(std::max(size + count, 2 * block->capacity));
            std::memcpy(larger->data, block->data, size);
            block = std::move(larger);
        }
        return block->data + size;
    }
    void wrote_to(const std::byte* end) { size = static_cast<std::size_t>(end - block->data); }
    shared_bytes finish() {
        const auto* data = block->data;
        return {std::move(block), data, size};
    }
};

channel::channel(channel_options options, instant now)
    : options_(options), answered_at_(now), last_heard_(now), heartbeat_due_(now) {
    options_.frame_bytes = std::min(options.frame_bytes, batch_bytes_max);
    part_bytes_ = options_.part_bytes != 0 ? options_.part_bytes
                                           : std::max(options_.frame_bytes, part_bytes_min);
}

// -- Sending --------------------------------------------------------------------------------------

void channel::push_control(instant now, wire::item_tag tag, std::span<const std::byte> body) {
    // What the window lets go without waiting is ahead of it.
    const bool large = !data_.sections.empty() && is_large(data_.sections.front());
    const auto ahead = large ? std::min(data_.bytes, options_.window_bytes) : 0;
    control_.push_back(
        {tag, {body.begin(), body.end()}, now, data_pushed_ - data_.bytes + ahead});
    control_bytes_ += body.size();
}

void channel::push(instant now, routed_section section) {
    if (data_.sections.empty() && urgent_.sections.empty() && bulk_.sections.empty()) {
        oldest_queued_ = now;
    }
    auto* to = &data_;
    if (section.body->is_data()) {
        queued_messages_ += section.body->records;
        data_pushed_ += section.size();
        note_held(section);
    } else {
        to = goes_bulk(section) ? &bulk_ : &urgent_;
    }
    to->bytes += section.size();
    to->sections.push_back(std::move(section));
}

bool channel::holds(const routed_section& copy) const {
    const auto& wanted = copy.tree->receivers;
    const auto [first, last] = held_.equal_range({copy.body->origin, copy.body->number});
    return std::any_of(first, last, [&](const auto& entry) {
        const auto& there = entry.second->receivers;
        return entry.second == copy.tree.get()
               || (wanted.size() <= held_receivers_max
                   && std::all_of(wanted.begin(), wanted.end(), [&](const endpoint_id& id) {
                          return std::find(there.begin(), there.end(), id) != there.end();
                      }));
    });
}

void channel::note_held(const routed_section& section) {
    const std::pair key{section.body->origin, section.body->number};
    if (section.body->kind() == wire::section_kind::reliable && held_.count(key) < held_trees_max) {
        held_.emplace(key, section.tree.get());
    }
}

/// Its receipt is confirmed.
void channel::forget_held(const routed_section& section) {
    if (section.body->kind() != wire::section_kind::reliable) {
        return;
    }
    const auto [first, last] = held_.equal_range({section.body->origin, section.body->number});
    const auto at = std::find_if(
        first, last, [&](const auto& entry) { return entry.second == section.tree.get(); });
    if (at != last) {
        held_.erase(at);
    }
}

std::uint64_t channel::drop_oldest(std::size_t bytes_max, std::size_t messages_max) {
    std::uint64_t dropped = 0;
    auto& all = data_.sections;
    auto at = all.begin();
    if (data_.begun > 0) {
        ++at;  // Its other parts must follow.
    }
    while (at != all.end() && (data_.bytes > bytes_max || queued_messages_ > messages_max)) {
        if (at->body->kind() != wire::section_kind::best_effort) {
            ++at;
            continue;
        }
        dropped += at->body->records;
        data_.bytes -= at->size();
        queued_messages_ -= at->body->records;
        at = all.erase(at);
    }
    return dropped;
}

std::size_t channel::unconfirmed_sections() const noexcept {
    std::size_t count = 0;
    for (const auto& frame : unacknowledged_) {
        count += frame.sections.size();
    }
    for (const auto* from : {&bulk_, &data_}) {
        count += from->begun > 0 ? 1 : 0;
    }
    return count;
}

std::vector<routed_section> channel::take_undelivered() {
    std::vector<routed_section> out;
    for (auto& frame : unacknowledged_) {
        std::move(frame.sections.begin(), frame.sections.end(), std::back_inserter(out));
    }
    unacknowledged_.clear();
    for (auto* from : {&bulk_, &data_}) {
        if (from->begun > 0) {
            out.push_back(std::move(from->sections.front()));
            from->sections.pop_front();
        }
    }
    for (auto* from : {&urgent_, &bulk_, &data_}) {
        std::move(from->sections.begin(), from->sections.end(), std::back_inserter(out));
        *from = {};
    }
    unacknowledged_bytes_ = paced_bytes_ = queued_messages_ = 0;
    held_.clear();
    return out;
}

void channel::flush(instant now, std::uint64_t view_hash, channel_events& events) {
    send_batches(now, events);
    if (echo_due_) {
        echo_due_ = false;
        events.send_frame(shared_bytes::copy_of(wire::encode_echo(echo_clock_)));
    }
    if (now >= heartbeat_due_) {
        heartbeat_due_ = now + options_.heartbeat_interval;
        wire::heartbeat_frame beat;
        beat.at = my_progress();
        beat.last_sent = sent_;
        beat.clock = static_cast<std::uint64_t>(now.count());
        beat.view_hash = view_hash;
        events.send_frame(shared_bytes::copy_of(wire::encode(beat)));
    }
    const auto at = my_progress();
    const bool news = at.received != told_received_ || at.consumed != told_consumed_;
    if (newest_seen_ > received_ && now >= gap_told_at_ + retransmit_pause) {
        gap_told_at_ = now;
        send_ack(events, true);
    } else if (news) {
        // A peer that waits for credit or keeps a busy link must hear at once.
        if (at.received >= told_received_ + 2 || at.received == told_received_
            || untold_bytes_ >= options_.window_bytes / 8 || now >= ack_due_) {
            send_ack(events, false);
        } else if (ack_due_ == never) {
            ack_due_ = now + ack_delay;
        }
    }
}

/// Who leaves says so in a record: it must not come before the rest of what was sent ahead of it. Not
/// for long, since others' records wait as well; and not for what itself waits for subscribers.
bool channel::control_may_go(instant now) const noexcept {
    if (control_.empty()) {
        return false;
    }
    const auto& next = control_.front();
    return (data_.begun == 0 && data_pushed_ - data_.bytes >= next.behind) || is_starved()
           || now >= next.since + control_hold_max;
}

void channel::send_batches(instant now, channel_events& events) {
    while (unacknowledged_.size() < unacknowledged_frames_max) {
        bool bulk = bulk_may_go();
        bool data = data_may_go();
        const bool control = control_may_go(now);
        const bool small = control || !urgent_.sections.empty();
        if (!small && !bulk && !data) {
            return;
        }
        if (!control && unacknowledged_.size() >= busy_frames
            && queued_bytes() < options_.frame_bytes && now < oldest_queued_ + hold_max) {
            return;
        }
        const bool cut_bulk = bulk && is_large(bulk_.sections.front());
        const bool cut_data = data && is_large(data_.sections.front());
        if (!small && bulk && data) {
            // They take turns: either could fill all that may be under way.
            (data_next_ ? bulk : data) = false;
            data_next_ = !data_next_;
        }
        if (!small && bulk && cut_bulk) {
            send_part(now, bulk_, events);
        } else if (!small && data && cut_data) {
            send_part(now, data_, events);
        } else {
            send_one_batch(now, events, control, bulk && !cut_bulk, data && !cut_data);
        }
        if (!data_.sections.empty() || !urgent_.sections.empty() || !bulk_.sections.empty()) {
            oldest_queued_ = now;
        }
    }
}

void channel::send_one_batch(instant now, channel_events& events, bool with_control, bool with_bulk,
                             bool with_data) {
    sent_frame frame{++sent_, {}, {}};
    const bool data_only = with_data && !with_bulk && !with_control && urgent_.sections.empty();
    if (data_only) {
        frame.bytes = pack_in_place(frame);
    }
    if (frame.bytes.empty()) {
        frame.bytes = pack(now, with_bulk, with_data, frame, events);
    }
    send(now, std::move(frame), events);
}

/// The next part of the lane's first section, in a frame of its own.
void channel::send_part(instant now, lane& from, channel_events& events) {
    sent_frame frame{++sent_, {}, {}};
    frame.paced = true;
    auto& section = from.sections.front();
    const auto payload = section.body->payload.span();
    const auto part = payload.subspan(from.begun, std::min(part_bytes_, payload.size() - from.begun));
    frame_builder out{events, part.size() + frame_slack_min};
    out.wrote_to(put_batch_head(out.room(batch_head_bytes_max)));
    std::byte* to = nullptr;
    if (from.begun == 0) {
        const auto slot = slot_of(section.tree, out);
        to = out.room(wire::section_head_bytes_max(section.distances.size()) + part.size());
        to = put_head(to, section, slot, part.size());
    } else {
        const auto which = &from == &data_ ? wire::part_lane::data : wire::part_lane::control;
        to = out.room(wire::part_head_bytes_max + part.size());
        to = wire::put_part_head(to, which, part.size());
    }
    std::memcpy(to, part.data(), part.size());
    out.wrote_to(to + part.size());
    frame.bytes = out.finish();
    from.begun += part.size();
    from.bytes -= part.size();
    if (from.begun == payload.size()) {
        from.bytes += payload.size();  // `move_to` takes all of it off.
        move_to(frame, from);
    }
    send(now, std::move(frame), events);
}

void channel::send(instant now, sent_frame frame, channel_events& events) {
    const auto size = frame.bytes.size();
    counters_.sent_bytes += size;
    unacknowledged_bytes_ += size;
    unconsumed_bytes_ += size;
    unconsumed_.emplace_back(frame.sequence, size);
    events.send_frame(frame.bytes);
    if (unacknowledged_.empty()) {
        answered_at_ = now;
    }
    if (frame.paced) {
        paced_bytes_ += size;
        frame.sent_at = now;
        frame.ahead = unacknowledged_bytes_;
    }
    unacknowledged_.push_back(std::move(frame));
}

/// What was under way with this frame went through in the time that it took.
void channel::note_pace(instant now, const sent_frame& frame) {
    paced_bytes_ -= frame.bytes.size();
    if (retransmitted_at_ >= frame.sent_at) {
        return;  // Nobody knows which copy it was.
    }
    const auto took = std::max<std::chrono::nanoseconds>(now - frame.sent_at, 1us);
    // The shortest ever: one of late may have waited behind what this lets go.
    const std::chrono::duration<double> span = pace_time + shortest_round_trip_;
    const auto carried = static_cast<double>(frame.ahead) * (span / took);
    const auto bytes = static_cast<std::size_t>(
        std::clamp(carried, 1.0, static_cast<double>(options_.window_bytes)));
    if (bytes > pace_bytes_ || frame.ahead >= pace_sample_min) {
        pace_bytes_ = bytes;
    }
}

std::byte* channel::put_batch_head(std::byte* to) {
    const auto at = my_progress();
    *to++ = static_cast<std::byte>(wire::frame_type::batch);
    to = put_varint(to, sent_);
    to = put_varint(to, at.received);
    to = put_varint(to, at.consumed);
    told_received_ = at.received;
    told_consumed_ = at.consumed;
    untold_bytes_ = 0;
    ack_due_ = never;
    return to;
}

/// The next section as a frame of its own, whose heads stand ahead of the payload: no copy of it.
/// Nothing where that cannot be, or where other sections fit the same frame.
shared_bytes channel::pack_in_place(sent_frame& frame) {
    const auto& all = data_.sections;
    const auto& section = all.front();
    const auto& body = *section.body;
    const auto known = tx_slot_of_.find(section.tree.get());
    if (body.ahead.size() == 0 || known == tx_slot_of_.end()
        || (all.size() > 1
            && body.payload.size() + all[1].body->payload.size() <= options_.frame_bytes)) {
        return {};
    }
    std::array<std::byte, 256> heads;
    if (batch_head_bytes_max + wire::section_head_bytes_max(section.distances.size())
        > heads.size()) {
        return {};
    }
    const auto* end = put_head(put_batch_head(heads.data()), data_.sections.front(), known->second,
                               body.payload.size());
    const auto size = static_cast<std::size_t>(end - heads.data());
    if (size > body.ahead.size()) {
        return {};
    }
    body.ahead.take();
    auto* begin = const_cast<std::byte*>(body.payload.data()) - size;
    std::memcpy(begin, heads.data(), size);
    tx_slots_[known->second].used = ++slot_clock_;
    shared_bytes bytes{body.payload.block(), begin, size + body.payload.size()};
    move_to(frame, data_);
    return bytes;
}

/// Accounts for the lane's next section as sent with `frame`.
void channel::move_to(sent_frame& frame, lane& from) {
    auto& section = from.sections.front();
    from.bytes -= section.size();
    from.begun = 0;
    if (&from == &data_) {
        queued_messages_ -= section.body->records;
        counters_.sent_messages += section.body->records;
    }
    frame.sections.push_back(std::move(section));
    from.sections.pop_front();
}

shared_bytes channel::pack(instant now, bool with_bulk, bool with_data, sent_frame& frame,
                           channel_events& events) {
    // Room for what waits and for some definitions; a frame is kept until it is acknowledged.
    const auto waiting = (control_may_go(now) ? control_bytes_ : 0) + urgent_.bytes
                         + (with_bulk ? bulk_.bytes : 0) + (with_data ? data_.bytes : 0);
    frame_builder out{events, std::min(options_.frame_bytes, waiting)
                                  + std::min(waiting, frame_slack_max) + frame_slack_min};
    out.wrote_to(put_batch_head(out.room(batch_head_bytes_max)));
    while (control_may_go(now) && out.size < options_.frame_bytes) {
        auto& item = control_.front();
        auto* to = out.room(1 + varint_bytes_max + item.body.size());
        *to++ = static_cast<std::byte>(item.tag);
        to = put_varint(to, item.body.size());
        std::memcpy(to, item.body.data(), item.body.size());
        out.wrote_to(to + item.body.size());
        control_bytes_ -= item.body.size();
        control_.pop_front();
    }
    const auto take = [&](lane& from) {
        while (!from.sections.empty() && fits(from.sections.front(), out, frame)) {
            put_section(from.sections.front(), out);
            move_to(frame, from);
        }
    };
    take(urgent_);
    if (with_bulk) {
        const auto before = frame.sections.size();
        take(bulk_);
        frame.paced = frame.sections.size() > before;
    }
    if (with_data) {
        take(data_);
    }
    return out.finish();
}

/// Does another section still fit? The first one always does; what is to be cut goes alone.
bool channel::fits(const routed_section& section, const frame_builder& out,
                   const sent_frame& frame) const {
    return !is_large(section)
           && (frame.sections.empty()
               || out.size + section.body->payload.size() <= options_.frame_bytes);
}

void channel::put_section(routed_section& section, frame_builder& out) {
    const auto slot = slot_of(section.tree, out);
    const auto& payload = section.body->payload;
    auto* to = out.room(wire::section_head_bytes_max(section.distances.size()) + payload.size());
    to = put_head(to, section, slot, payload.size());
    if (!payload.empty()) {
        std::memcpy(to, payload.data(), payload.size());
    }
    out.wrote_to(to + payload.size());
}

std::uint32_t channel::node_of(const endpoint_id& id, frame_builder& out) {
    const auto [at, is_new] = tx_nodes_.try_emplace(id, static_cast<std::uint32_t>(tx_nodes_.size()));
    if (is_new) {
        auto* to = out.room(1 + varint_bytes_max + 16);
        *to++ = static_cast<std::byte>(wire::item_tag::node);
        to = put_varint(to, at->second);
        std::memcpy(to, id.bytes().data(), 16);
        out.wrote_to(to + 16);
    }
    return at->second;
}

std::uint32_t channel::slot_of(const subtree_ptr& tree, frame_builder& out) {
    ++slot_clock_;
    if (const auto known = tx_slot_of_.find(tree.get()); known != tx_slot_of_.end()) {
        tx_slots_[known->second].used = slot_clock_;
        return known->second;
    }
    tx_tree_nodes_ += tree->nodes.size();
    if (tx_tree_nodes_ > wire::slot_nodes_max) {
        // As the receiver does when it meets this definition.
        tx_slots_.clear();
        tx_slot_of_.clear();
        tx_tree_nodes_ = tree->nodes.size();
    }
    std::uint32_t slot = 0;
    if (tx_slots_.size() < wire::tree_slots_max) {
        slot = static_cast<std::uint32_t>(tx_slots_.size());
        tx_slots_.emplace_back();
    } else {
        const auto oldest = std::min_element(
            tx_slots_.begin(), tx_slots_.end(),
            [](const tree_slot& a, const tree_slot& b) { return a.used < b.used; });
        slot = static_cast<std::uint32_t>(oldest - tx_slots_.begin());
        tx_slot_of_.erase(oldest->tree.get());
        tx_tree_nodes_ -= oldest->tree->nodes.size();
    }
    tx_slots_[slot] = {tree, slot_clock_};
    tx_slot_of_[tree.get()] = slot;
    // Indexes first: their definitions must precede the tree that uses them.
    if (tx_nodes_.size() + tree->nodes.size() + 1 > wire::nodes_per_link_max) {
        tx_nodes_.clear();  // Start over; the receiver overwrites its entries.
    }
    const auto origin = node_of(tree->origin, out);
    std::vector<std::uint32_t> indexes;
    indexes.reserve(tree->nodes.size());
    for (const auto& node : tree->nodes) {
        indexes.push_back(node_of(node.id, out));
    }
    auto* to = out.room(1 + (3 + 2 * indexes.size()) * varint_bytes_max);
    *to++ = static_cast<std::byte>(wire::item_tag::tree);
    to = put_varint(to, slot);
    to = put_varint(to, origin);
    to = put_varint(to, indexes.size());
    for (std::size_t i = 0; i < indexes.size(); ++i) {
        to = put_varint(to, std::uint64_t{indexes[i]} << 1 | (tree->nodes[i].receiver ? 1 : 0));
        to = put_varint(to, tree->nodes[i].children);
    }
    out.wrote_to(to);
    return slot;
}

void channel::acknowledged(instant now, const wire::progress& at) {
    peer_at_.received = std::max(peer_at_.received, std::min(at.received, sent_));
    peer_at_.consumed = std::max(peer_at_.consumed, std::min(at.consumed, sent_));
    while (!unacknowledged_.empty() && unacknowledged_.front().sequence <= peer_at_.received) {
        const auto& frame = unacknowledged_.front();
        unacknowledged_bytes_ -= frame.bytes.size();
        if (frame.paced) {
            note_pace(now, frame);
        }
        for (const auto& section : frame.sections) {
            forget_held(section);
        }
        unacknowledged_.pop_front();
        answered_at_ = now;
        fruitless_ = 0;
    }
    while (!unconsumed_.empty() && unconsumed_.front().first <= peer_at_.consumed) {
        unconsumed_bytes_ -= unconsumed_.front().second;
        unconsumed_.pop_front();
    }
}

void channel::retransmit(instant now, channel_events& events) {
    const auto pause = std::min<std::chrono::nanoseconds>(
        retransmit_pause * (1 << std::min(fruitless_, 16U)), retransmit_pause_max);
    if (now < retransmitted_at_ + pause) {
        return;
    }
    retransmitted_at_ = now;
    const auto bytes_max = fruitless_ < full_repeats_max ? SIZE_MAX : repeat_bytes_max;
    ++fruitless_;
    std::size_t bytes = 0;
    for (const auto& frame : unacknowledged_) {
        bytes += frame.bytes.size();
        if (bytes > bytes_max && &frame != &unacknowledged_.front()) {
            break;
        }
        events.send_frame(frame.bytes);
        ++counters_.retransmitted_frames;
    }
}

instant channel::answer_deadline() const noexcept {
    auto due = answered_at_
               + std::max(answer_timeouts * options_.peer_timeout, answer_patience_min);
    if (!unacknowledged_.empty()) {
        due += std::chrono::seconds{unacknowledged_.front().bytes.size()
                                    / slowest_bytes_per_second};
    }
    return due;
}

// -- Receiving ------------------------------------------------------------------------------------

wire::progress channel::my_progress() {
    if (!paused_) {
        consumed_ = received_;
    }
    return {received_, consumed_};
}

void channel::send_ack(channel_events& events, bool gap) {
    const wire::ack_frame ack{my_progress(), gap};
    told_received_ = ack.at.received;
    told_consumed_ = ack.at.consumed;
    untold_bytes_ = 0;
    ack_due_ = never;
    events.send_frame(shared_bytes::copy_of(wire::encode(ack)));
}

bool channel::receive(instant now, std::span<const std::byte> frame, const shared_bytes& whole,
                      channel_events& events) {
    last_heard_ = now;
    byte_reader in{frame};
    switch (static_cast<wire::frame_type>(in.u8())) {
        case wire::frame_type::batch:
            return receive_batch(now, in, whole, events);
        case wire::frame_type::ack: {
            const auto ack = wire::decode_ack(in);
            if (!ack) {
                return false;
            }
            acknowledged(now, ack->at);
            if (ack->gap && !unacknowledged_.empty()) {
                retransmit(now, events);
            }
            return true;
        }
        case wire::frame_type::heartbeat: {
            const auto beat = wire::decode_heartbeat(in);
            if (!beat) {
                return false;
            }
            acknowledged(now, beat->at);
            peer_view_hash_ = beat->view_hash;
            echo_due_ = true;
            echo_clock_ = beat->clock;
            newest_seen_ = std::max(newest_seen_, beat->last_sent);
            return true;
        }
        case wire::frame_type::heartbeat_echo: {
            const auto clock = wire::decode_echo(in);
            if (!clock) {
                return false;
            }
            note_round_trip(now, *clock);
            return true;
        }
        default:
            return false;
    }
}

void channel::note_round_trip(instant now, std::uint64_t clock) {
    // Unsigned: the peer may echo a clock that was never ours.
    const auto passed = static_cast<std::uint64_t>(now.count()) - clock;
    const std::chrono::nanoseconds sample{static_cast<std::int64_t>(passed)};
    if (sample < 0ns || sample > 10 * options_.peer_timeout) {
        return;
    }
    if (unacknowledged_.empty()) {
        answered_at_ = now;
    }
    if (shortest_round_trip_ == 0ns || sample < shortest_round_trip_) {
        shortest_round_trip_ = sample;
    }
    // The minimum tells the path's length; everything above it is queueing and scheduling.
    if (round_trip_ == 0ns || sample <= round_trip_ || now >= round_trip_at_ + round_trip_memory) {
        round_trip_ = std::max<std::chrono::nanoseconds>(sample, 1ns);
        round_trip_at_ = now;
    }
}

bool channel::receive_batch(instant now, byte_reader& in, const shared_bytes& whole,
                            channel_events& events) {
    const auto head = wire::decode_batch_head(in);
    if (!head) {
        return false;
    }
    acknowledged(now, head->at);
    if (head->sequence != received_ + 1) {
        // Sent again although it had come: say so. From the future: one is missing.
        const bool gap = head->sequence > received_;
        if (!gap) {
            ack_due_ = now;
            told_received_ = std::min(told_received_, received_ - 1);
        } else {
            newest_seen_ = std::max(newest_seen_, head->sequence);
        }
        return true;
    }
    received_ = head->sequence;
    untold_bytes_ += whole.size();
    counters_.received_bytes += whole.size();
    // A relay may write over what it has read, unless somebody else looks at it, too.
    const bool ours = whole.block() && whole.block()->refs.load(std::memory_order_acquire) == 1;
    const auto* reusable = ours ? whole.data() : nullptr;
    while (!in.done()) {
        if (!receive_item(in, whole, reusable, events)) {
            return false;
        }
    }
    if (paused_) {
        owed_bytes_ += whole.size();
    }
    return true;
}

/// `reusable` is where the bytes begin that are ours and read to the end; null where there are none.
bool channel::receive_item(byte_reader& in, const shared_bytes& whole, const std::byte*& reusable,
                           channel_events& events) {
    const auto tag = static_cast<wire::item_tag>(in.u8());
    switch (tag) {
        case wire::item_tag::node: {
            const auto index = in.varint_up_to(wire::nodes_per_link_max - 1);
            const auto id = in.id();
            // Definitions come in order, so that a peer cannot make us allocate ahead.
            if (in.failed() || index > rx_nodes_.size()) {
                return false;
            }
            if (index == rx_nodes_.size()) {
                rx_nodes_.push_back(id);
            } else {
                rx_nodes_[index] = id;
            }
            return true;
        }
        case wire::item_tag::tree:
            return define_tree(in);
        case wire::item_tag::section:
            return receive_section(in, whole, reusable, events);
        case wire::item_tag::part:
            return receive_part(in, events);
        case wire::item_tag::topology:
        case wire::item_tag::filter:
        case wire::item_tag::digest: {
            const auto body = in.bytes(in.varint_up_to(wire::control_record_bytes_max));
            if (in.failed()) {
                return false;
            }
            events.control_received(tag, body);
            return true;
        }
    }
    return false;
}

bool channel::receive_section(byte_reader& in, const shared_bytes& whole,
                              const std::byte*& reusable, channel_events& events) {
    wire::section_head head;
    head.distances = std::move(distances_scratch_);
    const bool ok = wire::read_section(
        in, head, [this](std::uint32_t slot) -> std::optional<std::size_t> {
            if (slot >= rx_slots_.size() || !rx_slots_[slot]) {
                return std::nullopt;
            }
            return rx_slots_[slot]->tree->receivers.size();
        });
    if (!ok) {
        return false;
    }
    const auto& tree = rx_slots_[head.slot];
    auto body = std::make_shared<section_body>();
    body->origin = tree->tree->origin;
    body->number = head.number;
    body->sent_at = head.sent_at;
    body->records = head.records;
    body->flags = head.flags
                  & (wire::section_kind_mask | wire::section_direct | wire::section_bulk);
    if (!within_overdraft(body->is_data())) {
        return false;
    }
    if ((head.flags & wire::section_in_parts) != 0) {
        routed_section begun{body, tree->tree, head.distances, head.path_tag, head.hops};
        return begin_partial(head, std::move(begun), std::move(body), tree, events);
    }
    counters_.received_messages += head.records;
    // A slice keeps its frame alive, wherever it waits; queues count what they can see.
    const bool keeps_little = whole.size() > copy_frame_min
                              && head.payload.size() < whole.size() / 4;
    body->payload = keeps_little
                        ? shared_bytes::copy_of(head.payload)
                        : whole.slice(static_cast<std::size_t>(head.payload.data() - whole.data()),
                                      head.payload.size());
    if (reusable != nullptr && !keeps_little) {
        body->ahead = headroom{static_cast<std::size_t>(head.payload.data() - reusable)};
        reusable = in.position();
    }
    events.section_received(tree, {std::move(body), tree->tree, head.distances, head.path_tag,
                                   head.hops});
    distances_scratch_ = std::move(head.distances);
    return true;
}

/// As the sender counts: it may go on until what came before this batch uses its window up.
bool channel::within_overdraft(bool data) noexcept {
    overdrawn_ = overdrawn_ || (data && owed_bytes_ >= options_.overdraft_bytes);
    return !overdrawn_;
}

bool channel::begin_partial(const wire::section_head& head, routed_section section,
                            std::shared_ptr<section_body> body,
                            const std::shared_ptr<const incoming_tree>& tree,
                            channel_events& events) {
    const bool data = body->is_data();
    auto& here = partials_[static_cast<std::size_t>(data ? wire::part_lane::data
                                                         : wire::part_lane::control)];
    if (here) {
        return refuse("a section in parts began before the one ahead of it was whole");
    }
    const auto most = data ? options_.data_section_bytes_max : options_.control_section_bytes_max;
    if (head.total > most) {
        return refuse("a section of more bytes than this endpoint takes");
    }
    here.emplace();
    here->section = std::move(section);
    here->body = std::move(body);
    here->tree = tree;
    here->total = static_cast<std::size_t>(head.total);
    here->append(head.payload, events);
    return true;
}

bool channel::receive_part(byte_reader& in, channel_events& events) {
    const auto which = in.u8();
    const auto bytes = in.bytes(in.varint());
    if (in.failed() || bytes.empty() || which >= partials_.size() || !partials_[which]) {
        return refuse("a part of no section");
    }
    auto& here = partials_[which];
    if (bytes.size() > here->total - here->size) {
        return refuse("a section of more bytes than it announced");
    }
    if (!within_overdraft(which == static_cast<std::size_t>(wire::part_lane::data))) {
        return false;
    }
    here->append(bytes, events);
    if (here->size == here->total) {
        auto done = std::move(*here);
        here.reset();
        counters_.received_messages += done.body->records;
        const auto* data = done.block->data;
        done.body->payload = {std::move(done.block), data, done.total};
        events.section_received(done.tree, std::move(done.section));
    }
    return true;
}

/// Whoever announces much gets no memory for it: twice what has come, at most.
void channel::partial::append(std::span<const std::byte> bytes, channel_events& events) {
    if (!block || size + bytes.size() > block->capacity) {
        block_ptr larger = events.allocate(std::min(total, 2 * (size + bytes.size())));
        if (size > 0) {
            std::memcpy(larger->data, block->data, size);
        }
        block = std::move(larger);
    }
    std::memcpy(block->data + size, bytes.data(), bytes.size());
    size += bytes.size();
}

std::size_t channel::partial_bytes() const noexcept {
    std::size_t sum = 0;
    for (const auto& each : partials_) {
        sum += each ? each->size : 0;
    }
    return sum;
}

bool channel::define_tree(byte_reader& in) {
    const auto slot = in.varint_up_to(wire::tree_slots_max - 1);
    const auto origin = in.varint();
    const auto count = in.varint_up_to(wire::tree_nodes_max);
    if (in.failed() || origin >= rx_nodes_.size() || count == 0 || count > in.remaining() / 2) {
        return false;
    }
    // Both sides count alike, so that the sender knows when its definitions are forgotten.
    rx_tree_nodes_ += count;
    if (rx_tree_nodes_ > wire::slot_nodes_max) {
        rx_slots_.clear();
        rx_tree_nodes_ = count;
    }
    if (slot > rx_slots_.size()) {
        return false;
    }
    auto tree = std::make_shared<subtree>();
    tree->origin = rx_nodes_[origin];
    tree->nodes.reserve(count);
    for (std::uint64_t i = 0; i < count; ++i) {
        const auto code = in.varint();
        const auto children = in.varint_up_to(count);
        if (in.failed() || code >> 1 >= rx_nodes_.size()) {
            return false;
        }
        tree->nodes.push_back({rx_nodes_[code >> 1], static_cast<std::uint32_t>(children),
                               (code & 1) != 0});
        if ((code & 1) != 0) {
            tree->receivers.push_back(tree->nodes.back().id);
        }
    }
    if (tree->nodes[0].id != options_.self) {
        return false;
    }
    auto incoming = split(std::move(tree));
    if (!incoming) {
        return false;
    }
    if (slot == rx_slots_.size()) {
        rx_slots_.emplace_back();
    } else {
        rx_tree_nodes_ -= rx_slots_[slot]->tree->nodes.size();
    }
    rx_slots_[slot] = std::move(incoming);
    return true;
}

// -- Time -----------------------------------------------------------------------------------------

instant channel::next_deadline() const noexcept {
    auto due = std::min({heartbeat_due_, last_heard_ + options_.peer_timeout, ack_due_,
                         answer_deadline()});
    if (newest_seen_ > received_) {
        due = std::min(due, gap_told_at_ + retransmit_pause);
    }
    if ((!urgent_.sections.empty() || bulk_may_go() || data_may_go())
        && unacknowledged_.size() < unacknowledged_frames_max) {
        due = std::min(due, oldest_queued_ + hold_max);
    }
    if (!control_.empty() && unacknowledged_.size() < unacknowledged_frames_max) {
        due = std::min(due, control_.front().since + control_hold_max);
    }
    return due;
}

}  // namespace bzmq::session
