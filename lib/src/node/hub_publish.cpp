// Publishing: who receives a topic, by which trees, and the streams that we originate.
#include <algorithm>

#include "node/hub_impl.hpp"
#include "wire/records.hpp"

namespace bzmq::node {

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

/// Is the queue of messages toward this peer at its bound, or at a multiple of it? What stores say has
/// a bound of its own.
bool hub_impl::at_bound(const link_record& link, std::size_t factor) const {
    return link.channel->data_bytes() >= factor * link.queue_bytes_max
           || link.channel->queued_messages() >= factor * link.queue_messages_max;
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
    for (const auto& [id, since] : lost_) {
        const auto index = db_.find(id);
        if (index && overlay::matches(db_.prefixes(*index), topic)) {
            fresh.absent.push_back(id);
        }
    }
    fresh.branches = branches_for(receivers_scratch_);
    fresh.locals = local_receivers(topic);
    return routes_.emplace(std::string{topic}, std::move(fresh)).first->second;
}

std::size_t hub_impl::publish(instant now, timestamp wall, delivery_mode mode,
                              const shared_bytes& records, std::size_t offset,
                              const record_facts& known) {
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
        const route way = route_for(record.topic);  // A copy: the cache may change under it.
        const bool whole = begin == records.data();
        std::uint32_t count = 0;
        if (whole && known.of_one_topic > 0) {
            count = known.of_one_topic;
            more = false;
        }
        while (more) {
            ++count;
            more = cursor.next(record);
            if (!more || record.same_topic) {
                continue;
            }
            if (route_for(record.topic) != way) {
                break;
            }
        }
        const auto end = more ? record.begin : records.data() + records.size();
        if (!publish_blockers_.empty() || !may_send(mode, way)) {
            if (blocked_on_[index_of(mode)].is_nil()) {
                blocked_on_[index_of(mode)] = options_.self;
            }
            return at(begin);
        }
        auto payload = records.slice(at(begin), static_cast<std::size_t>(end - begin));
        counters_.published += count;
        const bool local = options_.local_delivery && !way.locals.empty();
        if (local) {
            full_scratch_.clear();
            counters_.delivered += count;
            output_.deliver(way.locals, own_batch(wall, mode, payload, count), full_scratch_);
            hold_publishers_up();
        }
        const bool remote = !way.branches->empty()
                            || (mode == delivery_mode::reliable
                                && std::any_of(way.absent.begin(), way.absent.end(),
                                               [&](const auto& id) { return may_return(now, id); }));
        if (remote) {
            originate(now, wall, static_cast<std::uint8_t>(mode), way, std::move(payload), count,
                      whole ? known.headroom : 0);
        } else if (!local) {
            counters_.no_receiver += count;
        }
    }
    return records.size();
}

/// Whom the last delivery of our own found full.
void hub_impl::hold_publishers_up() {
    publish_blockers_.insert(full_scratch_.begin(), full_scratch_.end());
    full_.insert(full_scratch_.begin(), full_scratch_.end());
}

/// Lost, but not for longer than reliable streams wait for it?
bool hub_impl::may_return(instant now, const endpoint_id& id) const {
    const auto at = lost_.find(id);
    return at != lost_.end() && now < at->second + options_.reliable_hold;
}

bool hub_impl::window_full(const endpoint_id& receiver) const {
    const auto& destinations = reliable_destinations();
    const auto at = destinations.find(receiver);
    return at != destinations.end()
           && at->second.sender.unconsumed_bytes() >= options_.reliable_window_bytes;
}

bool hub_impl::may_send(delivery_mode mode, const route& way) {
    if (mode == delivery_mode::reliable) {
        const auto free = [this](const endpoint_id& id) {
            if (window_full(id)) {
                blocked_on_[index_of(delivery_mode::reliable)] = id;
                return false;
            }
            return true;
        };
        return std::all_of(way.absent.begin(), way.absent.end(), free)
               && std::all_of(way.branches->begin(), way.branches->end(), [&](const branch& part) {
                      return std::all_of(part.tree->receivers.begin(), part.tree->receivers.end(),
                                         free);
                  });
    }
    if (!may_block_) {
        return true;
    }
    for (const auto& part : *way.branches) {
        const auto* link = link_to(part.first_hop);
        if (link != nullptr && link->overflow == overflow_policy::block && at_bound(*link)) {
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
        return !window_full(who);
    }
    const auto at = by_peer_.find(who);
    return at == by_peer_.end() || !at_bound(*at->second);
}

void hub_impl::originate(instant now, timestamp wall, std::uint8_t flags,
                         const route& way, shared_bytes payload, std::uint32_t records,
                         std::size_t headroom) {
    auto body = std::make_shared<section_body>();
    body->origin = options_.self;
    body->sent_at = static_cast<std::uint64_t>(wall.time_since_epoch().count());
    body->records = records;
    body->flags = flags;
    body->payload = std::move(payload);
    body->ahead = session::headroom{headroom};
    const auto kind = body->kind();
    if (kind != wire::section_kind::best_effort && kind != wire::section_kind::reliable) {
        for (const auto& part : *way.branches) {
            if (auto* link = link_to(part.first_hop)) {
                send_on(now, *link, {body, part.tree, {0}, 0, 0}, true);
            }
        }
        return;
    }
    const auto mode = static_cast<delivery_mode>(kind);
    auto& stream = outgoing_[index_of(mode)];
    body->number = ++stream.last;
    for (const auto& part : *way.branches) {
        auto* link = link_to(part.first_hop);
        if (link == nullptr) {
            if (mode == delivery_mode::reliable) {
                for (const auto& id : part.tree->receivers) {
                    originate_for(now, body, id);  // Goes out with the first repeat.
                }
            } else {
                counters_.dropped_no_path += records;
            }
            continue;
        }
        if (forbids_all(now, *link, *body)) {
            continue;
        }
        if (mode == delivery_mode::best_effort && link->overflow == overflow_policy::drop_newest
            && at_bound(*link)) {
            // Dropped before it is numbered for these receivers: they see no hole.
            counters_.dropped_overflow += records;
            link->dropped_messages += records;
            continue;
        }
        routed_section section{body, part.tree, {}, 0, 0};
        section.distances.reserve(part.tree->receivers.size());
        for (const auto& id : part.tree->receivers) {
            section.distances.push_back(originate_for(now, body, id));
        }
        collapse(section.distances);
        send_on(now, *link, std::move(section), true);
    }
    if (mode == delivery_mode::reliable) {
        for (const auto& id : way.absent) {
            if (may_return(now, id)) {
                originate_for(now, body, id);
                stream.destinations[id].unreachable_since = lost_.at(id);
            }
        }
    }
}

/// Notes that a section goes to this receiver; returns how far back its one before lies.
std::uint64_t hub_impl::originate_for(instant now, const section_ptr& body,
                                      const endpoint_id& receiver) {
    const auto mode = static_cast<delivery_mode>(body->kind());
    auto& state = outgoing_[index_of(mode)].destinations[receiver];
    const auto distance = state.last == 0 ? 0 : body->number - state.last;
    state.last = body->number;
    if (mode == delivery_mode::reliable) {
        state.sender.push(now, body->number, distance, body);
        unacknowledged_.insert(receiver);
    }
    return distance;
}

error hub_impl::publish_to(instant now, timestamp wall, const endpoint_id& destination,
                           delivery_mode mode, const shared_bytes& records) {
    std::uint32_t count = 0;
    wire::record_cursor cursor{records.span()};
    for (wire::record record; cursor.next(record);) {
        ++count;
    }
    if (destination == options_.self) {
        if (!publish_blockers_.empty()) {
            return {ec::queue_full, "a subscriber here is full"};
        }
        full_scratch_.clear();
        deliver_batch(own_batch(wall, mode, records, count), full_scratch_);
        hold_publishers_up();
        counters_.published += count;
        return {};
    }
    compute_paths_if_due(now);
    const route way{branches_to(destination), {}, {}};
    if (way.branches->empty()) {
        return {ec::no_path_to_peer, "no path to " + to_string(destination)};
    }
    if (!may_send(mode, way)) {
        return {ec::queue_full, "the queue toward " + to_string(destination) + " is full"};
    }
    counters_.published += count;
    originate(now, wall,
              static_cast<std::uint8_t>(static_cast<std::uint8_t>(mode) | wire::section_direct),
              way, records, count);
    return {};
}

}  // namespace bzmq::node
