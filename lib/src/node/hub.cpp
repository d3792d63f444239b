#include "node/hub.hpp"

#include <algorithm>

#include "node/hub_impl.hpp"
#include "overlay/limits.hpp"

namespace bzmq::node {

static_assert(overlay::path_hops_max == wire::hops_max);
static_assert(overlay::nodes_max < wire::nodes_per_link_max);

hub_impl::hub_impl(hub_options options, hub_output& output)
    : options_(std::move(options)), output_(output), random_(options_.seed), db_(options_.self) {
    own_topology_.origin = own_filter_.origin = options_.self;
    own_topology_.sequence = own_filter_.sequence = 1;
    own_topology_.name = options_.name;
    own_topology_.flags = options_.forwarding ? 0 : overlay::flag_no_relay;
    if (!options_.public_key.empty()) {
        own_filter_.services = {overlay::key_service(options_.public_key)};
    }
    may_block_ = options_.peer_overflow == overflow_policy::block;
    db_.apply(own_topology_, instant{});
    db_.apply(own_filter_, instant{});
    paths_.recompute(db_);
}

void hub_impl::flush(instant now) {
    compute_paths_if_due(now);
    tick_streams(now);
    std::vector<link_record*> up;
    bool beat = false;
    for (const auto& [id, link] : links_) {
        if (link->up()) {
            up.push_back(link.get());
            beat = beat || link->channel->heartbeat_due(now);
        }
    }
    // After a change of the topology the hash costs a look at all of it: not on each turn.
    const auto hash = beat && !options_.hide_peers ? db_.digest_hash() : 0;
    for (auto* link : up) {
        if (!link->ended) {
            link->channel->flush(now, hash, *link);
        }
    }
}

void hub_impl::tick(instant now) {
    tick_links(now);
    tick_queries(now);
    check_views(now);
    update_costs(now);
    forget(now);
    flush(now);
}

/// A stopped process or a suspended machine must not take its own absence for its peers' silence:
/// what they sent meanwhile is still to be read. With a link up a turn comes at each heartbeat.
void hub_impl::forgive_stall(instant now) {
    const auto unwatched = now - now_ - 2 * options_.heartbeat_interval;
    if (unwatched <= std::chrono::nanoseconds{0}) {
        return;
    }
    for (const auto& [id, link] : links_) {
        if (link->up()) {
            link->channel->forgive(unwatched);
        }
    }
}

instant hub_impl::next_deadline() const {
    instant due = never;
    const auto sooner = [&due](instant when) { due = std::min(due, when); };
    if (paths_dirty_) {
        sooner(paths_due_);
    }
    for (const auto& [id, target] : targets_) {
        if (!target.link && !target.dialling && !target.covered) {
            sooner(target.due);
        }
    }
    for (const auto& [id, link] : links_) {
        sooner(link->phase_deadline);
        sooner(link->hello_again);
        sooner(link->closing_deadline);
        if (link->up()) {
            sooner(link->channel->next_deadline());
            if (link->closing && link->channel->drained()) {
                sooner(now_);
            }
        }
    }
    for (const auto& key : busy_streams_) {
        if (const auto at = incoming_.find(key); at != incoming_.end()) {
            sooner(at->second.skip_at);
            sooner(at->second.ack_at);
            if (at->second.gap_to_tell) {
                sooner(at->second.gap_told_at + gap_pause);
            }
        }
    }
    for (const auto& id : unacknowledged_) {
        const auto& destinations = reliable_destinations();
        if (const auto at = destinations.find(id); at != destinations.end()) {
            const auto& state = at->second;
            sooner(state.unreachable_since == never
                       ? state.sender.next_deadline()
                       : state.unreachable_since + options_.reliable_hold);
        }
    }
    for (const auto& [request, query] : queries_) {
        sooner(query.ask_at);
    }
    if (!limbo_.empty()) {
        sooner(limbo_.front().until);
    }
    if (!early_.empty()) {
        sooner(early_.front().until);
    }
    sooner(expiry_due_);
    return due;
}

std::size_t hub_impl::buffered_bytes() const {
    std::size_t total = limbo_bytes_ + early_bytes_;
    for (const auto& [id, link] : links_) {
        if (link->channel) {
            total += link->channel->queued_bytes() + link->channel->unacknowledged_bytes()
                     + link->channel->partial_bytes();
        }
    }
    for (const auto& [key, stream] : incoming_) {
        total += stream.waiting_bytes;
    }
    for (const auto& [id, state] : reliable_destinations()) {
        total += state.sender.unacknowledged_bytes();
    }
    return total;
}

// -- The facade: notes the time, lets ended links go at the end of each call ----------------------

namespace {

class turn {
  public:
    turn(hub_impl& hub, instant now) : hub_(hub) {
        hub_.forgive_stall(now);
        hub_.now_ = now;
    }
    turn(const turn&) = delete;
    turn& operator=(const turn&) = delete;
    ~turn() { hub_.bury(); }

  private:
    hub_impl& hub_;
};

}  // namespace

hub::hub(hub_options options, hub_output& output)
    : impl_(std::make_unique<hub_impl>(std::move(options), output)) {}
hub::~hub() = default;

void hub::link_opened(instant now, link_id link, target_id target, std::string_view address,
                      std::string_view public_key) {
    turn here{*impl_, now};
    impl_->link_opened(now, link, target, address, public_key);
}
void hub::link_closed(instant now, link_id link, const error& reason) {
    turn here{*impl_, now};
    impl_->link_closed(now, link, reason);
}
void hub::connect_failed(instant now, target_id target, const error& reason) {
    turn here{*impl_, now};
    impl_->connect_failed(now, target, reason);
}
void hub::frame_received(instant now, link_id link, const shared_bytes& frame) {
    turn here{*impl_, now};
    impl_->frame_received(now, link, frame);
}
void hub::set_permissions(instant now, permissions rules) {
    turn here{*impl_, now};
    impl_->set_permissions(std::move(rules));
}
void hub::add_target(instant now, target_id target, std::string_view address, bool retry,
                     std::chrono::nanoseconds retry_interval, peering_limits limits) {
    turn here{*impl_, now};
    impl_->add_target(now, target, address, retry, retry_interval, limits);
}
void hub::set_retry(instant now, target_id target, bool retry,
                    std::chrono::nanoseconds retry_interval) {
    turn here{*impl_, now};
    impl_->set_retry(target, retry, retry_interval);
}
void hub::dial_now(instant now, target_id target) {
    turn here{*impl_, now};
    impl_->dial_now(now, target);
}
bool hub::remove_target(instant now, target_id target) {
    turn here{*impl_, now};
    return impl_->remove_target(now, target);
}
hub::target_report hub::target_status(target_id target) const {
    const auto at = impl_->targets_.find(target);
    if (at == impl_->targets_.end()) {
        return {};
    }
    const auto& record = at->second;
    return {record.progress, record.peer, record.last_error, record.failed_attempts};
}

void hub::add_subscriber(instant now, subscriber_id id, std::vector<std::string> prefixes) {
    set_filter(now, id, std::move(prefixes));
}
void hub::set_filter(instant now, subscriber_id id, std::vector<std::string> prefixes) {
    turn here{*impl_, now};
    impl_->subscribers_[id] = overlay::minimise(std::move(prefixes));
    impl_->own_filter_changed(now);
}
void hub::remove_subscriber(instant now, subscriber_id id) {
    turn here{*impl_, now};
    impl_->subscribers_.erase(id);
    impl_->bridges_.erase(id);
    impl_->release_blocker(id);
    impl_->own_filter_changed(now);
}
void hub::subscriber_drained(instant now, subscriber_id id) {
    turn here{*impl_, now};
    impl_->subscriber_drained(now, id);
}
void hub::set_forwarded(instant now, std::vector<std::string> prefixes) {
    turn here{*impl_, now};
    impl_->forwarded_ = std::move(prefixes);
    impl_->own_filter_changed(now);
}

void hub::set_bridge(instant now, subscriber_id id, std::string tag,
                     std::vector<std::string> prefixes) {
    turn here{*impl_, now};
    if (tag.empty()) {
        impl_->subscribers_.erase(id);
        impl_->bridges_.erase(id);
    } else {
        impl_->subscribers_[id] = overlay::minimise(std::move(prefixes));
        impl_->bridges_[id] = std::move(tag);
    }
    impl_->own_filter_changed(now);
}
std::vector<std::string> hub::aggregate_filter(std::string_view except_tag) const {
    std::vector<std::string> all;
    const auto& db = impl_->db_;
    for (const auto index : db.connected_nodes()) {
        // Who is told that something is wanted here must find a way to whoever wants it.
        if (index == db.self_index() || !impl_->paths_.reachable(index)) {
            continue;
        }
        const auto& prefixes = db.prefixes(index);
        all.insert(all.end(), prefixes.begin(), prefixes.end());
        for (const auto& bridge : db.bridges(index)) {
            if (bridge.domain_tag != except_tag) {
                all.insert(all.end(), bridge.prefixes.begin(), bridge.prefixes.end());
            }
        }
    }
    return overlay::minimise(std::move(all));
}
std::vector<endpoint_id> hub::gateways_to(std::string_view tag) const {
    std::vector<endpoint_id> out;
    const auto& db = impl_->db_;
    for (const auto index : db.connected_nodes()) {
        const auto& bridges = db.bridges(index);
        if (std::any_of(bridges.begin(), bridges.end(),
                        [&](const auto& bridge) { return bridge.domain_tag == tag; })) {
            out.push_back(db.id_of(index));
        }
    }
    return out;
}
void hub::set_services(instant now, std::vector<std::string> services) {
    std::sort(services.begin(), services.end());
    services.erase(std::unique(services.begin(), services.end()), services.end());
    impl_->services_ = std::move(services);
    impl_->own_filter_changed(now);
}
std::vector<endpoint_id> hub::providers(std::string_view service) const {
    std::vector<endpoint_id> out;
    const auto& db = impl_->db_;
    for (const auto index : db.connected_nodes()) {
        const auto& services = db.services(index);
        if (std::binary_search(services.begin(), services.end(), service)) {
            out.push_back(db.id_of(index));
        }
    }
    return out;
}
void hub::send_to_stores(instant now, std::span<const endpoint_id> to,
                         std::span<const std::byte> message, bool in_order) {
    impl_->now_ = now;
    impl_->send_to_stores(now, to, message, in_order);
}
std::uint64_t hub::routing_version() const {
    return impl_->db_.topology_version() + impl_->db_.filter_version()
           + impl_->counters_.route_computations;
}

std::size_t hub::publish(instant now, timestamp wall, delivery_mode mode,
                         const shared_bytes& records, std::size_t offset,
                         const record_facts& known) {
    turn here{*impl_, now};
    return impl_->publish(now, wall, mode, records, offset, known);
}
bool hub::publish_ready(delivery_mode mode) const { return impl_->publish_ready(mode); }
error hub::publish_to(instant now, timestamp wall, const endpoint_id& destination,
                      delivery_mode mode, const shared_bytes& records) {
    turn here{*impl_, now};
    return impl_->publish_to(now, wall, destination, mode, records);
}

void hub::flush(instant now) {
    turn here{*impl_, now};
    impl_->flush(now);
}
void hub::tick(instant now) {
    turn here{*impl_, now};
    impl_->tick(now);
}
instant hub::next_deadline() const { return impl_->next_deadline(); }

void hub::shutdown(instant now) {
    turn here{*impl_, now};
    impl_->shutdown(now);
}
bool hub::drained() const { return impl_->links_.empty(); }

void hub::ping(instant now, request_id request, const endpoint_id& destination) {
    turn here{*impl_, now};
    impl_->ping(now, request, destination);
}
void hub::confirm_filter(instant now, request_id request) {
    turn here{*impl_, now};
    impl_->confirm_filter(now, request);
}

void hub::forget_query(request_id request) { impl_->queries_.erase(request); }

std::vector<peer_view> hub::peers() const {
    std::vector<peer_view> out;
    const auto fill = [&](peer_view& view, const link_record& link) {
        view.id = link.peer;
        view.name = link.peer_name;
        view.address = link.address;
        view.outgoing = link.outgoing;
        view.target = link.target;
        view.public_key = link.public_key;
        view.cost = link.cost;
        view.dropped_messages = link.dropped_messages;
        view.queue_bytes_high = link.queue_bytes_high;
        view.state = link.announced ? peer_state::peered : peer_state::handshake;
        if (link.channel) {
            const auto& counters = link.channel->counters();
            view.round_trip = link.channel->round_trip();
            view.queue_messages = link.channel->queued_messages();
            view.queue_bytes = link.channel->queued_bytes();
            view.sent_messages = counters.sent_messages;
            view.sent_bytes = counters.sent_bytes;
            view.received_messages = counters.received_messages;
            view.received_bytes = counters.received_bytes;
            view.retransmitted_frames = counters.retransmitted_frames;
        }
    };
    for (const auto& [id, link] : impl_->links_) {
        fill(out.emplace_back(), *link);
    }
    for (const auto& [id, target] : impl_->targets_) {
        if (!target.link && !target.covered) {
            auto& view = out.emplace_back();
            view.address = target.address;
            view.outgoing = true;
            view.target = id;
            view.state = target.dialling ? peer_state::connecting : peer_state::waiting;
        }
    }
    return out;
}

std::vector<topology_node> hub::topology() const {
    std::vector<topology_node> out;
    const auto& db = impl_->db_;
    for (const auto index : db.connected_nodes()) {
        const bool self = index == db.self_index();
        if (!self && !impl_->paths_.reachable(index)) {
            continue;  // Linked, but over endpoints that do not relay.
        }
        topology_node node;
        node.id = db.id_of(index);
        node.name = db.name(index);
        node.filter = db.prefixes(index);
        const auto proven = impl_->proven_key(impl_->now_, node.id);
        node.public_key = !proven.empty() ? proven : overlay::key_among(db.services(index));
        db.each_edge(index, [&](const overlay::edge& edge) {
            node.links.push_back({db.id_of(edge.to), edge.cost});
        });
        if (!self) {
            node.distance = impl_->paths_[index].hops;
            node.next_hop = db.id_of(impl_->paths_.first_hop(index));
        }
        out.push_back(std::move(node));
    }
    return out;
}

bool hub::alone() const { return impl_->db_.connected_nodes().size() <= 1; }

bool hub::reachable(const endpoint_id& id) const {
    const auto index = impl_->db_.find(id);
    return index && impl_->paths_.reachable(*index);
}
std::size_t hub::receiver_count(std::string_view topic) const {
    std::vector<overlay::node_index> found;
    impl_->find_receivers(topic, found);
    return found.size();
}
std::vector<endpoint_id> hub::receivers(std::string_view topic) const {
    std::vector<overlay::node_index> found;
    impl_->find_receivers(topic, found);
    std::vector<endpoint_id> out;
    out.reserve(found.size());
    for (const auto each : found) {
        out.push_back(impl_->db_.id_of(each));
    }
    return out;
}
std::vector<std::string> hub::filter_of(const endpoint_id& id) const {
    const auto index = impl_->db_.find(id);
    return index ? impl_->db_.prefixes(*index) : std::vector<std::string>{};
}
const hub_counters& hub::counters() const { return impl_->counters_; }
std::uint64_t hub::view_hash() const { return impl_->db_.digest_hash(); }
std::size_t hub::buffered_bytes() const { return impl_->buffered_bytes(); }

}  // namespace bzmq::node
