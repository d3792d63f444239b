// Messages: routes, streams with their order and reliability, relaying and repair.
#include <algorithm>

#include "base/assert.hpp"
#include "node/hub_impl.hpp"
#include "wire/records.hpp"

namespace bzmq::node {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t route_cache_max = 65'536;
constexpr std::size_t repair_cache_max = 4'096;
// Sections without any path wait this long for one.
constexpr auto limbo_max = 3s;
// Reliable streams: acknowledge after so many sections, or so long.
constexpr std::size_t ack_sections = 16;
constexpr auto ack_delay = 5ms;
constexpr auto resend_first = 300ms;
constexpr auto resend_max = 5s;
constexpr std::size_t resend_burst_bytes = 1024 * 1024;
constexpr std::size_t waiting_bytes_max = 16 * 1024 * 1024;

std::size_t index_of(delivery_mode mode) { return static_cast<std::size_t>(mode); }

std::uint16_t mixed(std::uint16_t tag, const endpoint_id& id) {
    const auto own = static_cast<std::uint16_t>(id.bytes()[0] | id.bytes()[1] << 8);
    return static_cast<std::uint16_t>((tag << 3 | tag >> 13) ^ own);
}

void collapse(std::vector<std::uint64_t>& distances) {
    if (distances.size() > 1
        && std::all_of(distances.begin(), distances.end(),
                       [&](std::uint64_t d) { return d == distances[0]; })) {
        distances.resize(1);
    }
}

/// A section that a reliable receiver or a control exchange needs: bounded elsewhere.
bool exempt_from_bounds(const section_body& body) {
    return body.kind() != wire::section_kind::best_effort;
}

}  // namespace

// -- Publishing -----------------------------------------------------------------------------------

/// Replaces `out` by the reachable endpoints that receive `topic`, gateways to other domains among
/// them; sorted, none twice.
void hub_impl::find_receivers(std::string_view topic,
                              std::vector<overlay::node_index>& out) const {
    receivers_.match(topic, out);
    std::vector<overlay::bridge_match> bridges;
    receivers_.match_bridges(topic, bridges);
    if (!bridges.empty()) {
        for (const auto& bridge : bridges) {
            out.push_back(bridge.node);
        }
        std::sort(out.begin(), out.end());
        out.erase(std::unique(out.begin(), out.end()), out.end());
    }
    std::erase_if(out, [this](overlay::node_index index) { return !paths_.reachable(index); });
}

std::vector<subscriber_id> hub_impl::local_receivers(std::string_view topic) const {
    std::vector<subscriber_id> ids;
    for (const auto& [id, prefixes] : subscribers_) {
        if (overlay::matches(prefixes, topic)) {
            ids.push_back(id);
        }
    }
    return ids;
}

/// Is the queue toward this peer at its bound, or at a multiple of it?
bool hub_impl::at_bound(const link_record& link, std::size_t factor) const {
    return link.channel->queued_bytes() >= factor * options_.peer_queue_bytes
           || link.channel->queued_messages() >= factor * options_.peer_queue_messages;
}

/// A batch that we publish ourselves, for subscribers here.
batch_ptr hub_impl::own_batch(timestamp wall, delivery_mode mode, shared_bytes records,
                              std::uint32_t count) const {
    auto* batch = new message_batch;
    batch->records = std::move(records);
    batch->origin = options_.self;
    batch->sent_at = wall;
    batch->count = count;
    batch->mode = mode;
    return batch_ptr{batch};
}

const route& hub_impl::route_for(std::string_view topic) {
    if (const auto known = routes_.find(topic); known != routes_.end()) {
        return known->second;
    }
    if (routes_.size() >= route_cache_max) {
        routes_.clear();
    }
    route fresh;
    find_receivers(topic, receivers_scratch_);
    fresh.branches = branches_for(receivers_scratch_);
    fresh.locals = local_receivers(topic);
    return routes_.emplace(std::string{topic}, std::move(fresh)).first->second;
}

std::size_t hub_impl::publish(instant now, timestamp wall, delivery_mode mode,
                              const shared_bytes& records, std::size_t offset) {
    blocked_on_[index_of(mode)] = {};
    wire::record_cursor cursor{records.span().subspan(offset)};
    wire::record record;
    bool more = cursor.next(record);
    const auto at = [&](const std::byte* where) {
        return static_cast<std::size_t>(where - records.data());
    };
    while (more) {
        // A run: the records that take the same route.
        const auto begin = record.begin;
        const route& way = route_for(record.topic);
        const auto branches = way.branches;
        const auto locals = way.locals;
        std::uint32_t count = 0;
        do {
            ++count;
            more = cursor.next(record);
            if (!more || record.same_topic) {
                continue;
            }
            const auto& next = route_for(record.topic);
            if (next.branches != branches || next.locals != locals) {
                break;
            }
        } while (more);
        const auto end = more ? record.begin : records.data() + records.size();
        if (!publish_blockers_.empty() || !may_send(mode, *branches)) {
            if (blocked_on_[index_of(mode)].is_nil()) {
                blocked_on_[index_of(mode)] = options_.self;
            }
            return at(begin);
        }
        auto payload = records.slice(at(begin), static_cast<std::size_t>(end - begin));
        counters_.published += count;
        const bool local = options_.local_delivery && !locals.empty();
        if (local) {
            full_scratch_.clear();
            counters_.delivered += count;
            output_.deliver(locals, own_batch(wall, mode, payload, count), full_scratch_);
            publish_blockers_.insert(full_scratch_.begin(), full_scratch_.end());
        }
        if (!branches->empty()) {
            originate(now, wall, static_cast<std::uint8_t>(mode), *branches, std::move(payload),
                      count);
        } else if (!local) {
            counters_.no_receiver += count;
        }
    }
    return records.size();
}

bool hub_impl::may_send(delivery_mode mode, const std::vector<branch>& branches) {
    if (mode == delivery_mode::reliable) {
        auto& stream = outgoing_[index_of(mode)];
        for (const auto& part : branches) {
            for (const auto& id : part.tree->receivers) {
                const auto at = stream.destinations.find(id);
                if (at != stream.destinations.end()
                    && at->second.unconsumed_bytes >= options_.reliable_window_bytes) {
                    blocked_on_[index_of(mode)] = id;
                    return false;
                }
            }
        }
        return true;
    }
    if (options_.peer_overflow != overflow_policy::block) {
        return true;
    }
    for (const auto& part : branches) {
        const auto* link = link_to(part.first_hop);
        if (link != nullptr && at_bound(*link)) {
            blocked_on_[index_of(mode)] = part.first_hop;
            return false;
        }
    }
    return true;
}

bool hub_impl::publish_ready(delivery_mode mode) const {
    if (!publish_blockers_.empty()) {
        return false;
    }
    const auto& who = blocked_on_[index_of(mode)];
    if (who.is_nil() || who == options_.self) {
        return true;
    }
    if (mode == delivery_mode::reliable) {
        const auto& destinations = outgoing_[index_of(mode)].destinations;
        const auto at = destinations.find(who);
        return at == destinations.end()
               || at->second.unconsumed_bytes < options_.reliable_window_bytes;
    }
    const auto at = by_peer_.find(who);
    return at == by_peer_.end() || !at_bound(*at->second);
}

void hub_impl::originate(instant now, timestamp wall, std::uint8_t flags,
                         const std::vector<branch>& branches, shared_bytes payload,
                         std::uint32_t records) {
    auto body = std::make_shared<section_body>();
    body->origin = options_.self;
    body->sent_at = static_cast<std::uint64_t>(wall.time_since_epoch().count());
    body->records = records;
    body->flags = flags;
    body->payload = std::move(payload);
    const auto kind = body->kind();
    if (kind != wire::section_kind::best_effort && kind != wire::section_kind::reliable) {
        for (const auto& part : branches) {
            if (auto* link = link_to(part.first_hop)) {
                send_on(now, *link, {body, part.tree, {0}, 0, 0}, true);
            }
        }
        return;
    }
    const auto mode = static_cast<delivery_mode>(kind);
    auto& stream = outgoing_[index_of(mode)];
    body->number = ++stream.last;
    for (const auto& part : branches) {
        auto* link = link_to(part.first_hop);
        if (link == nullptr) {
            counters_.dropped_no_path += 1;
            continue;
        }
        if (mode == delivery_mode::best_effort
            && options_.peer_overflow == overflow_policy::drop_newest && at_bound(*link)) {
            // Dropped before it is numbered for these receivers: they see no hole.
            counters_.dropped_overflow += records;
            link->dropped_messages += records;
            continue;
        }
        routed_section section{body, part.tree, {}, 0, 0};
        section.distances.reserve(part.tree->receivers.size());
        for (const auto& id : part.tree->receivers) {
            auto& state = stream.destinations[id];
            const auto distance = state.last == 0 ? 0 : body->number - state.last;
            state.last = body->number;
            section.distances.push_back(distance);
            if (mode == delivery_mode::reliable) {
                state.unacknowledged.push_back({body->number, distance, body});
                state.unacknowledged_bytes += body->payload.size();
                state.unconsumed.emplace_back(body->number, body->payload.size());
                state.unconsumed_bytes += body->payload.size();
                if (state.resend_at == never) {
                    state.resend_after = resend_first;
                    state.resend_at = now + resend_first;
                    unacknowledged_.insert(id);
                }
            }
        }
        collapse(section.distances);
        send_on(now, *link, std::move(section), true);
    }
}

error hub_impl::publish_to(instant now, timestamp wall, const endpoint_id& destination,
                           delivery_mode mode, const shared_bytes& records) {
    std::uint32_t count = 0;
    wire::record_cursor cursor{records.span()};
    for (wire::record record; cursor.next(record);) {
        ++count;
    }
    if (destination == options_.self) {
        full_scratch_.clear();
        deliver_batch(own_batch(wall, mode, records, count), full_scratch_);
        publish_blockers_.insert(full_scratch_.begin(), full_scratch_.end());
        counters_.published += count;
        return {};
    }
    compute_paths_if_due(now);
    const auto branches = branches_to(destination);
    if (branches->empty()) {
        return {ec::no_path_to_peer, "no path to " + to_string(destination)};
    }
    if (!may_send(mode, *branches)) {
        return {ec::queue_full, "the queue toward " + to_string(destination) + " is full"};
    }
    counters_.published += count;
    originate(now, wall,
              static_cast<std::uint8_t>(static_cast<std::uint8_t>(mode) | wire::section_direct),
              *branches, records, count);
    return {};
}

// -- One link further -----------------------------------------------------------------------------

void hub_impl::send_on(instant now, link_record& link, routed_section section, bool local) {
    auto& channel = *link.channel;
    const auto count = section.body->records;
    if (exempt_from_bounds(*section.body)) {
        if (!local && at_bound(link, 2)) {
            link.dropped_messages += count;
            counters_.dropped_overflow += count;
            return;
        }
    } else if (at_bound(link) && !(local && options_.peer_overflow == overflow_policy::block)) {
        switch (options_.peer_overflow) {
            case overflow_policy::drop_oldest: {
                const auto size = section.size();
                const auto dropped = channel.drop_oldest(
                    options_.peer_queue_bytes > size ? options_.peer_queue_bytes - size : 0,
                    options_.peer_queue_messages > count ? options_.peer_queue_messages - count
                                                         : 0);
                link.dropped_messages += dropped;
                counters_.dropped_overflow += dropped;
                break;
            }
            case overflow_policy::disconnect:
                refuse(now, link, ec::queue_full, "its queue is full");
                counters_.dropped_overflow += count;
                return;
            default:  // A relay never holds up others' traffic: it drops, also under `block`.
                link.dropped_messages += count;
                counters_.dropped_overflow += count;
                return;
        }
    }
    channel.push(now, std::move(section));
    link.queue_bytes_high = std::max(link.queue_bytes_high, channel.queued_bytes());
}

void hub_impl::section_received(link_record& link,
                                const std::shared_ptr<const incoming_tree>& tree,
                                routed_section section) {
    const auto now = now_;
    if (section.hops >= wire::hops_max) {
        ++counters_.malformed;
        return;
    }
    ++section.hops;
    if (section.body->origin == options_.self && tree->deliver_here) {
        ++counters_.malformed;  // A repaired tree may lead back through us, but not to us.
        return;
    }
    if (paths_dirty_) {
        // Whoever is about to speak must have been announced.
        const auto index = db_.find(section.body->origin);
        if (!link.announced || !index || !paths_.reachable(*index)) {
            compute_paths(now);
        }
    }
    if (section.body->kind() == wire::section_kind::trace) {
        auto traced = std::make_shared<section_body>(*section.body);
        std::vector<std::byte> longer{traced->payload.span().begin(),
                                      traced->payload.span().end()};
        if (longer.size() < 64 * 1024) {
            byte_writer{longer}.id(options_.self);
        }
        traced->payload = shared_bytes::copy_of(longer);
        section.body = std::move(traced);
    }
    if (!tree->children.empty()) {
        const auto tag = mixed(section.path_tag, options_.self);
        ++counters_.relayed;
        for (const auto& child : tree->children) {
            routed_section onward{section.body, child.tree, {}, tag, section.hops};
            if (section.distances.size() == 1) {
                onward.distances = section.distances;
            } else {
                const auto first = section.distances.begin()
                                   + static_cast<std::ptrdiff_t>(child.first_receiver);
                onward.distances.assign(
                    first, first + static_cast<std::ptrdiff_t>(child.receiver_count));
            }
            auto* next = link_to(child.tree->nodes[0].id);
            if (next != nullptr && next != &link) {
                send_on(now, *next, std::move(onward), false);
            } else {
                reroute(now, onward);
            }
        }
    }
    if (tree->deliver_here) {
        accept(now, section.body, section.distance(0), section.path_tag, section.hops, link.id);
    }
}

/// Finds new ways to the receivers of a section whose next hop is gone.
void hub_impl::reroute(instant now, const routed_section& section) {
    if (repairs_.size() >= repair_cache_max) {
        repairs_.clear();
    }
    const auto [at, is_new] = repairs_.try_emplace(section.tree.get());
    if (is_new) {
        auto& fresh = at->second;
        fresh.of = section.tree;
        std::vector<overlay::node_index> wanted;
        std::unordered_map<endpoint_id, std::size_t> position;
        for (std::size_t i = 0; i < section.tree->receivers.size(); ++i) {
            const auto& id = section.tree->receivers[i];
            const auto index = db_.find(id);
            if (index && paths_.reachable(*index) && id != options_.self) {
                wanted.push_back(*index);
                position[id] = i;
            } else {
                fresh.lost.push_back(i);
            }
        }
        std::sort(wanted.begin(), wanted.end());
        for (const auto& part : *branches_for(std::move(wanted))) {
            // The same shape as our own trees, but of the section's origin.
            auto tree = std::make_shared<session::subtree>(*part.tree);
            tree->origin = section.tree->origin;
            repair::part out{part.first_hop, nullptr, {}};
            for (const auto& id : tree->receivers) {
                out.receivers.push_back(position.at(id));
            }
            out.tree = std::move(tree);
            fresh.parts.push_back(std::move(out));
        }
    }
    const auto plan = at->second;  // A send may end a link and with it change the cache.
    const auto pick = [&](const std::vector<std::size_t>& which) {
        std::vector<std::uint64_t> out;
        for (const auto i : which) {
            out.push_back(section.distance(i));
        }
        collapse(out);
        return out;
    };
    for (const auto& part : plan.parts) {
        if (auto* link = link_to(part.first_hop)) {
            ++counters_.repaired;
            // A path of its own: its tag must differ from that of the broken one.
            send_on(now, *link,
                    {section.body, part.tree, pick(part.receivers),
                     mixed(static_cast<std::uint16_t>(section.path_tag + 1), options_.self),
                     section.hops},
                    false);
        }
    }
    if (plan.lost.empty()) {
        return;
    }
    if (section.body->kind() == wire::section_kind::best_effort
        && limbo_bytes_ < options_.peer_queue_bytes) {
        auto tree = std::make_shared<session::subtree>();
        tree->origin = section.tree->origin;
        for (const auto i : plan.lost) {
            tree->receivers.push_back(section.tree->receivers[i]);
        }
        limbo_bytes_ += section.size();
        limbo_.push_back({{section.body, std::move(tree), pick(plan.lost), section.path_tag,
                           section.hops},
                          now + limbo_max});
    } else {
        ++counters_.dropped_no_path;
    }
}

void hub_impl::retry_limbo(instant now) {
    auto waiting = std::move(limbo_);
    limbo_.clear();
    limbo_bytes_ = 0;
    for (auto& entry : waiting) {
        const bool hope = std::any_of(entry.section.tree->receivers.begin(),
                                      entry.section.tree->receivers.end(), [this](const auto& id) {
                                          const auto index = db_.find(id);
                                          return index && paths_.reachable(*index);
                                      });
        if (now >= entry.until) {
            ++counters_.dropped_no_path;
        } else if (hope) {
            reroute(now, entry.section);
        } else {
            limbo_bytes_ += entry.section.size();
            limbo_.push_back(std::move(entry));
        }
    }
}

// -- Receiving ------------------------------------------------------------------------------------

void hub_impl::hold_early(early_entry entry) {
    const auto size = entry.body->payload.size() + sizeof(early_entry);
    if (early_bytes_ + size > options_.peer_queue_bytes) {
        ++counters_.dropped_late;
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
            ++counters_.dropped_late;
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
        ++counters_.dropped_late;
        if (reliable) {
            stream.ack_at = now;  // The sender does not know that it came.
        }
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
    full_scratch_.clear();
    deliver_batch(held, full_scratch_);
    if (held->mode == delivery_mode::reliable) {
        stream.blockers.insert(full_scratch_.begin(), full_scratch_.end());
        if (stream.blockers.empty()) {
            stream.consumed = stream.last;
        }
    } else if (!full_scratch_.empty()) {
        if (const auto at = links_.find(from); at != links_.end() && at->second->up()) {
            at->second->blockers.insert(full_scratch_.begin(), full_scratch_.end());
            at->second->channel->pause(true);
        }
    }
}

/// Hands a batch to every subscriber that matches one of its topics.
void hub_impl::deliver_batch(const batch_ptr& batch, std::vector<subscriber_id>& full) {
    std::size_t count = 0;
    const std::vector<subscriber_id>* all = nullptr;  // While one topic's list says it all.
    std::set<subscriber_id> merged;
    wire::record_cursor cursor{batch->records.span()};
    for (wire::record record; cursor.next(record);) {
        ++count;
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
    std::vector<subscriber_id> list{merged.begin(), merged.end()};
    const auto& to = all != nullptr ? *all : list;
    if (!to.empty()) {
        counters_.delivered += batch->count;
        output_.deliver(to, batch, full);
    }
}

void hub_impl::subscriber_drained(instant now, subscriber_id id) {
    release_blocker(id);
    flush(now);
}

void hub_impl::release_blocker(subscriber_id id) {
    publish_blockers_.erase(id);
    for (auto& [number, link] : links_) {
        if (link->blockers.erase(id) > 0 && link->blockers.empty() && link->up()) {
            link->channel->pause(false);
        }
    }
    for (auto& [key, stream] : incoming_) {
        if (stream.blockers.erase(id) > 0 && stream.blockers.empty()) {
            stream.consumed = stream.last;
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

void hub_impl::drop_acknowledged(outgoing_stream::destination& state, std::uint64_t received,
                                 std::uint64_t consumed) {
    while (!state.unacknowledged.empty() && state.unacknowledged.front().number <= received) {
        state.unacknowledged_bytes -= state.unacknowledged.front().body->payload.size();
        state.unacknowledged.pop_front();
    }
    while (!state.unconsumed.empty() && state.unconsumed.front().first <= consumed) {
        state.unconsumed_bytes -= state.unconsumed.front().second;
        state.unconsumed.pop_front();
    }
}

void hub_impl::handle_stream_ack(instant now, const endpoint_id& from,
                                 const wire::stream_ack& ack) {
    auto& destinations = reliable_destinations();
    const auto at = destinations.find(from);
    if (at == destinations.end()) {
        return;
    }
    auto& state = at->second;
    const auto before = state.unacknowledged.size();
    drop_acknowledged(state, ack.received, ack.consumed);
    if (state.unconsumed.empty()) {
        state.resend_at = never;
        if (state.unreachable_since == never) {
            unacknowledged_.erase(from);
        }
    } else if (state.unacknowledged.empty()) {
        // Subscribers there take their time. The ack that will say so may be lost: ask for it.
        state.resend_after = resend_max;
        state.resend_at = now + resend_max;
    } else if (ack.gap) {
        resend(now, from, state);
    } else if (state.unacknowledged.size() < before) {
        state.resend_after = resend_first;
        state.resend_at = now + resend_first;
    }
}

void hub_impl::resend(instant now, const endpoint_id& to, outgoing_stream::destination& state) {
    state.resend_at = now + state.resend_after;
    state.resend_after = std::min<std::chrono::nanoseconds>(2 * state.resend_after, resend_max);
    const auto branches = branches_to(to);
    if (branches->empty()) {
        return;
    }
    const auto& way = branches->front();
    auto* link = link_to(way.first_hop);
    if (link == nullptr) {
        return;
    }
    std::size_t sent = 0;
    bool first = true;
    for (const auto& item : state.unacknowledged) {
        if (sent > resend_burst_bytes) {
            break;
        }
        sent += item.body->payload.size();
        ++counters_.retransmitted;
        // All before the first one is acknowledged or given up: it needs no predecessor.
        send_on(now, *link, {item.body, way.tree, {first ? 0 : item.distance}, 0, 0}, true);
        first = false;
        if (link->ended) {
            return;
        }
    }
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
            counters_.dropped_no_path += state.unacknowledged.size();
            destinations.erase(found);
            at = unacknowledged_.erase(at);
            continue;
        }
        if (state.unreachable_since == never && now >= state.resend_at) {
            if (state.unacknowledged.empty()) {
                state.resend_at = now + resend_max;
                send_control(now, *at, wire::section_kind::control,
                             {static_cast<std::byte>(wire::control_type::ack_query)});
            } else {
                resend(now, *at, state);
            }
        }
        ++at;
    }
    while (!limbo_.empty() && now >= limbo_.front().until) {
        limbo_bytes_ -= limbo_.front().section.size();
        ++counters_.dropped_no_path;
        limbo_.pop_front();
    }
    if (!early_.empty() && now >= early_.front().until) {
        retry_early(now);
    }
}

}  // namespace bzmq::node
