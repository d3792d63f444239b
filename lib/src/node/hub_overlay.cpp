// Link state: what this endpoint tells of itself, what it hears of others, and the routes that follow.
#include <algorithm>

#include "base/assert.hpp"
#include "node/hub_impl.hpp"
#include "overlay/record_codec.hpp"

namespace bzmq::node {
namespace {

using namespace std::chrono_literals;

// Route computations are spaced out while the topology churns, and immediate when it is calm.
constexpr auto calm = 1s;
constexpr auto hold_first = 1ms;
constexpr auto hold_max_small = 64ms;
// Views that differ for this long are compared record by record.
constexpr auto view_patience = 2s;
constexpr auto digest_pause = 2s;
// What may be forgotten is looked up so often; a look may cost as much as the topology is large.
constexpr auto expiry_look_pause = 1s;
// A peer that asks without taking the answers must not make us pile them up.
constexpr std::size_t answer_backlog_max = 16 * 1024 * 1024;

}  // namespace

// -- Our own records ------------------------------------------------------------------------------

void hub_impl::own_topology_changed(instant now) {
    own_topology_.neighbours.clear();
    for (const auto& [id, link] : links_) {
        if (link->up() && link_to(link->peer) == link.get()) {
            own_topology_.neighbours.push_back({link->peer, link->cost});
        }
    }
    std::sort(own_topology_.neighbours.begin(), own_topology_.neighbours.end(),
              [](const auto& a, const auto& b) { return a.id < b.id; });
    ++own_topology_.sequence;
    db_.apply(own_topology_, now);
    if (options_.hide_peers) {
        tell_hidden_peers();
    } else {
        flood(wire::item_tag::topology, overlay::encode(own_topology_), nullptr);
    }
    paths_dirty_ = true;
}

/// What a peer may know of us: where peers are hidden from each other, of our links its own only.
overlay::topology_record hub_impl::own_topology_for(const link_record& link) const {
    auto out = own_topology_;
    if (options_.hide_peers) {
        std::erase_if(out.neighbours, [&](const auto& each) { return each.id != link.peer; });
    }
    return out;
}

/// Each has a record of its own, and most changes are none to it: a thousand peers that come in a
/// crowd cost each of them nothing.
void hub_impl::tell_hidden_peers() {
    for (const auto& [id, link] : links_) {
        if (link->up() && link_to(link->peer) == link.get() && link->told_cost != link->cost) {
            link->told_cost = link->cost;
            const auto bytes = overlay::encode(own_topology_for(*link));
            counters_.control_bytes += bytes.size();
            link->channel->push_control(now_, wire::item_tag::topology, bytes);
        }
    }
}

void hub_impl::own_filter_changed(instant now) {
    std::vector<std::string> all = forwarded_;
    std::vector<overlay::bridge> bridges;
    for (const auto& [id, prefixes] : subscribers_) {
        if (const auto bridge = bridges_.find(id); bridge != bridges_.end()) {
            bridges.push_back({bridge->second, prefixes});
        } else {
            all.insert(all.end(), prefixes.begin(), prefixes.end());
        }
    }
    auto services = services_;
    if (shutting_down_) {
        all.clear();
        bridges.clear();
        services.clear();
    }
    if (!options_.public_key.empty()) {
        auto key = overlay::key_service(options_.public_key);
        services.insert(std::lower_bound(services.begin(), services.end(), key), std::move(key));
    }
    all = overlay::minimise(std::move(all));
    local_matches_.clear();
    routes_.clear();
    if (all == own_filter_.prefixes && bridges == own_filter_.bridges
        && services == own_filter_.services) {
        return;
    }
    own_filter_.prefixes = std::move(all);
    own_filter_.bridges = std::move(bridges);
    own_filter_.services = std::move(services);
    ++own_filter_.sequence;
    db_.apply(own_filter_, now);
    flood(wire::item_tag::filter, overlay::encode(own_filter_), nullptr);
}

void hub_impl::flood(wire::item_tag tag, std::span<const std::byte> record,
                     const link_record* except) {
    for (const auto& [id, link] : links_) {
        if (link->up() && link.get() != except) {
            counters_.control_bytes += record.size();
            link->channel->push_control(now_, tag, record);
        }
    }
}

// -- Records of others ----------------------------------------------------------------------------

void hub_impl::control_received(link_record& link, wire::item_tag tag,
                                std::span<const std::byte> body) {
    if (tag == wire::item_tag::digest) {
        answer_digest(link, body);
        return;
    }
    if (!apply_record(now_, tag, body, &link)) {
        ++counters_.malformed;
    }
}

bool hub_impl::apply_record(instant now, wire::item_tag tag, std::span<const std::byte> body,
                            const link_record* from) {
    const auto handle = [&](auto& own, auto record) {
        if (!record) {
            return false;
        }
        if (record->origin == options_.self) {
            // Somebody remembers more of us than we do; outbid it.
            if (record->sequence > own.sequence) {
                own.sequence = record->sequence + 1;
                if (options_.hide_peers && tag == wire::item_tag::topology) {
                    for (const auto& [id, link] : links_) {
                        link->told_cost = 0;
                    }
                    own_topology_changed(now);
                } else {
                    db_.apply(own, now);
                    flood(tag, overlay::encode(own), nullptr);
                }
            }
            return true;
        }
        const auto origin = record->origin;
        if (contradicts_key(now, *record)) {
            return false;  // Its owner has shown us another key: somebody else made this.
        }
        if (db_.apply(std::move(*record), now) == overlay::freshness::newer) {
            if (!options_.hide_peers) {
                flood(tag, body, from);
            }
            if (tag == wire::item_tag::topology) {
                paths_dirty_ = true;
            } else {
                const auto index = db_.index_of(origin);
                receivers_.set(index, db_.prefixes(index), db_.bridges(index));
                routes_.clear();
            }
        }
        return true;
    };
    if (tag == wire::item_tag::topology) {
        return handle(own_topology_, overlay::decode_topology(body));
    }
    return handle(own_filter_, overlay::decode_filter(body));
}

void hub_impl::send_digest(instant now, link_record& link) {
    link.digest_sent_at = now;
    // Who hides its peers asks for all: what it has of others is nobody's to know.
    const auto bytes =
        overlay::encode(options_.hide_peers ? std::vector<overlay::digest_entry>{} : db_.digest());
    counters_.control_bytes += bytes.size();
    link.channel->push_control(now_, wire::item_tag::digest, bytes);
}

void hub_impl::answer_digest(link_record& link, std::span<const std::byte> body) {
    const auto digest = overlay::decode_digest(body);
    if (!digest) {
        ++counters_.malformed;
        return;
    }
    if (link.channel->queued_control_bytes() > answer_backlog_max) {
        return;  // What the last answers brought is still on its way; views that differ ask again.
    }
    const auto send = [&](wire::item_tag tag, const std::vector<std::byte>& bytes) {
        counters_.control_bytes += bytes.size();
        link.channel->push_control(now_, tag, bytes);
    };
    if (options_.hide_peers) {
        send(wire::item_tag::topology, overlay::encode(own_topology_for(link)));
        send(wire::item_tag::filter, overlay::encode(own_filter_));
        return;
    }
    for (const auto& item : db_.newer_than(*digest)) {
        if (item.topology) {
            send(wire::item_tag::topology, overlay::encode(*db_.topology(item.node)));
        }
        if (item.filter) {
            send(wire::item_tag::filter, overlay::encode(*db_.filter(item.node)));
        }
    }
}

/// Floods and digests leave no difference unless something went wrong; then this heals it.
void hub_impl::check_views(instant now) {
    if (options_.hide_peers) {
        return;  // No peer has our view.
    }
    // While the topology changes there is nothing to compare, and the hash would cost much.
    const auto mine = paths_dirty_ ? 0 : db_.digest_hash();
    for (const auto& [id, link] : links_) {
        if (!link->up()) {
            continue;
        }
        const auto theirs = link->channel->peer_view_hash();
        if (paths_dirty_ || theirs == mine || theirs == 0) {
            link->view_differs_since = never;
        } else if (link->view_differs_since == never) {
            link->view_differs_since = now;
        } else if (now >= link->view_differs_since + view_patience
                   && now >= link->digest_sent_at + digest_pause) {
            send_digest(now, *link);
        }
    }
}

void hub_impl::update_costs(instant now) {
    bool changed = false;
    for (const auto& [id, link] : links_) {
        if (!link->up() || link->fixed_cost != 0 || link->channel->round_trip() == 0ns) {
            continue;
        }
        // Classes a factor of two apart, entered upward only: jitter must not move traffic.
        std::uint32_t cost = overlay::default_cost;
        for (auto bound = 2ms; link->channel->round_trip() > bound && cost < 10'240; bound *= 2) {
            cost *= 2;
        }
        if (cost > 2 * link->cost || 2 * cost < link->cost) {
            link->cost = cost;
            changed = true;
        }
    }
    if (changed) {
        own_topology_changed(now);
    }
}

// -- Routes ---------------------------------------------------------------------------------------

void hub_impl::compute_paths_if_due(instant now) {
    if (paths_dirty_ && now >= paths_due_) {
        compute_paths(now);
    }
}

void hub_impl::compute_paths(instant now) {
    paths_dirty_ = false;
    if (!paths_.recompute(db_)) {
        return;
    }
    const auto ceiling = std::max<std::chrono::nanoseconds>(
        hold_max_small, 50us * static_cast<std::int64_t>(db_.slot_count()));
    paths_hold_ = now - paths_computed_at_ > calm
                      ? std::chrono::nanoseconds{hold_first}
                      : std::min<std::chrono::nanoseconds>(2 * paths_hold_, ceiling);
    paths_computed_at_ = now;
    paths_due_ = now + paths_hold_;
    ++counters_.route_computations;

    routes_.clear();
    branches_cache_.clear();
    branches_to_.clear();
    repairs_.clear();
    std::erase_if(lost_, [&](const auto& one) { return !may_return(now, one.first); });

    const auto info = [this](const overlay::node_ref& node) {
        const bool same = db_.id_of(node.index) == node.id;
        endpoint_info out{node.id, std::string{same ? db_.name(node.index) : ""}, {}};
        if (const auto* link = link_to(node.id)) {
            out.address = link->address;
        }
        return out;
    };
    for (const auto& node : paths_.newly_reachable()) {
        const auto& id = node.id;
        lost_.erase(id);
        for (auto& stream : outgoing_) {
            if (const auto at = stream.destinations.find(id); at != stream.destinations.end()) {
                at->second.unreachable_since = never;
                if (!at->second.sender.settled()) {
                    at->second.sender.path_changed(now);
                    unacknowledged_.insert(id);
                }
            }
        }
        output_.notify(status{sc::endpoint_discovered, info(node)});
    }
    announce_peers();
    for (const auto& node : paths_.newly_unreachable()) {
        const auto& id = node.id;
        // What waits for a hole to fill has come before this news and goes out before it.
        if (const auto at = incoming_.find({id, delivery_mode::best_effort}); at != incoming_.end()) {
            drain_waiting(now, at->second, true);
        }
        lost_[id] = now;
        outgoing_[0].destinations.erase(id);
        auto& reliable = reliable_destinations();
        if (const auto at = reliable.find(id); at != reliable.end()) {
            at->second.unreachable_since = now;
            unacknowledged_.insert(id);
        }
        if (auto* link = link_to(id); link != nullptr && link->announced) {
            // It does not claim our link any more: to it the peering has ended already.
            link->announced = false;
            output_.notify(status{sc::peer_lost, {id, link->peer_name, link->address},
                                  "the peer gave up the link"});
        }
        output_.notify(status{sc::endpoint_unreachable, info(node)});
    }
    if (!paths_.newly_unreachable().empty()) {
        expiry_due_ = std::min(expiry_due_, now + options_.forget_after);
    }
    retry_limbo(now);
    retry_early(now);
}

/// A peering counts once data can take it: both ends claim the link.
void hub_impl::announce_peers() {
    for (const auto& [id, link] : links_) {
        if (!link->up() || link_to(link->peer) != link.get()) {
            continue;
        }
        const auto index = db_.find(link->peer);
        if (!index || !paths_.reachable(*index)) {
            continue;
        }
        if (!link->announced) {
            // Reachable by another way is not enough: the peer must claim this very link.
            if (!db_.claims_link(*index, db_.self_index())) {
                continue;
            }
            link->announced = true;
            output_.notify(status{sc::peer_added, {link->peer, link->peer_name, link->address}});
        }
        for (auto& [number, target] : targets_) {
            if ((target.link == link->id) || (target.covered && target.peer == link->peer)) {
                target.progress = hub::target_progress::peered;
            }
        }
    }
}

void hub_impl::forget(instant now) {
    if (now < std::min(expiry_look_at_, expiry_due_)) {
        return;
    }
    expiry_look_at_ = now + expiry_look_pause;
    expiry_due_ = db_.next_expiry(options_.forget_after);
    if (now < expiry_due_) {
        return;
    }
    for (const auto& node : db_.forget_stale(now, options_.forget_after)) {
        receivers_.remove(node.index);
        suspects_.erase(node.id);
        for (const auto mode : {delivery_mode::best_effort, delivery_mode::reliable}) {
            const stream_key key{node.id, mode};
            incoming_.erase(key);
            busy_streams_.erase(key);
        }
    }
    expiry_due_ = db_.next_expiry(options_.forget_after);
}

branches_ptr hub_impl::branches_for(std::vector<overlay::node_index> receivers) {
    const auto [at, is_new] = branches_cache_.try_emplace(std::move(receivers));
    if (!is_new) {
        return at->second;
    }
    auto out = std::make_shared<std::vector<branch>>();
    for (auto& part : builder_.build(paths_, at->first)) {
        auto tree = std::make_shared<session::subtree>();
        tree->origin = options_.self;
        tree->nodes.reserve(part.nodes.size());
        for (const auto& node : part.nodes) {
            tree->nodes.push_back({db_.id_of(node.node), node.child_count, node.is_receiver});
            if (node.is_receiver) {
                tree->receivers.push_back(db_.id_of(node.node));
            }
        }
        out->push_back({db_.id_of(part.first_hop), std::move(tree)});
    }
    at->second = std::move(out);
    return at->second;
}

branches_ptr hub_impl::branches_to(const endpoint_id& one) {
    const auto index = db_.find(one);
    if (!index || !paths_.reachable(*index)) {
        // Not kept: whoever makes up ids must not make us grow.
        static const auto none = std::make_shared<const std::vector<branch>>();
        return none;
    }
    auto& entry = branches_to_[one];
    if (!entry) {
        entry = branches_for({*index});
    }
    return entry;
}

}  // namespace bzmq::node
