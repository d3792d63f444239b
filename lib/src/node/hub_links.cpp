// Links and peerings: hello, duplicate links, goodbye, dialling again.
#include <algorithm>
#include <tuple>

#include "base/assert.hpp"
#include "node/hub_impl.hpp"
#include "overlay/record_codec.hpp"

namespace bzmq::node {
namespace {

using namespace std::chrono_literals;

constexpr auto hello_interval = 500ms;
// A hello is small and its answer may be large: repeats are answered no faster than this.
constexpr auto welcome_pause = 250ms;
// How long an orderly end waits for what is queued.
constexpr auto closing_max = 2s;

std::string version_range(unsigned lowest, unsigned highest) {
    return std::to_string(lowest) + ".." + std::to_string(highest);
}

}  // namespace

void link_record::send_frame(shared_bytes frame) { owner.output_.send(id, std::move(frame)); }
block_ptr link_record::allocate(std::size_t capacity) { return owner.output_.allocate(capacity); }
void link_record::section_received(const std::shared_ptr<const incoming_tree>& tree,
                                   routed_section section) {
    owner.section_received(*this, tree, std::move(section));
}
void link_record::control_received(wire::item_tag tag, std::span<const std::byte> body) {
    owner.control_received(*this, tag, body);
}

// -- What the transport reports -------------------------------------------------------------------

void hub_impl::link_opened(instant now, link_id id, target_id target, std::string_view address,
                           std::string_view public_key) {
    BZMQ_ASSERT(links_.find(id) == links_.end());
    auto& link = *links_.emplace(id, std::make_unique<link_record>(*this, id)).first->second;
    link.target = target;
    link.outgoing = target != no_target;
    link.address = address;
    link.public_key = public_key;
    link.rules = permissions_.of(public_key);
    link.phase_deadline = now + options_.handshake_timeout;
    if (!link.outgoing) {
        return;
    }
    link.now_in = link_record::phase::hello_sent;
    const auto at = targets_.find(target);
    if (at == targets_.end() || shutting_down_) {
        end_link(now, link, sc::unspecified, error{ec::cancelled, "no longer wanted"});
        output_.close(id);
        return;
    }
    at->second.dialling = false;
    at->second.link = id;
    send_hello(now, link, wire::frame_type::hello);
}

void hub_impl::link_closed(instant now, link_id id, const error& reason) {
    const auto at = links_.find(id);
    if (at == links_.end()) {
        return;
    }
    auto& link = *at->second;
    if (link.up()) {
        end_link(now, link, link.closing ? sc::peer_removed : sc::peer_lost, reason);
    } else {
        end_link(now, link, sc::unspecified,
                 error{ec::peer_disconnect_during_handshake,
                       link.address + " hung up before the handshake was complete: "
                           + reason.message()});
    }
}

void hub_impl::connect_failed(instant now, target_id target, const error& reason) {
    if (const auto at = targets_.find(target); at != targets_.end()) {
        at->second.dialling = false;
        target_failed(now, target, reason);
    }
}

void hub_impl::frame_received(instant now, link_id id, const shared_bytes& frame) {
    const auto at = links_.find(id);
    if (at == links_.end()) {
        return;
    }
    auto& link = *at->second;
    byte_reader in{frame.span()};
    const auto type = static_cast<wire::frame_type>(in.u8());
    switch (type) {
        case wire::frame_type::hello:
            handle_hello(now, link, in);
            return;
        case wire::frame_type::welcome:
            handle_welcome(now, link, in);
            return;
        case wire::frame_type::ready:
            if (link.now_in == link_record::phase::welcomed) {
                bring_up(now, link);
            }
            return;
        case wire::frame_type::goodbye:
            handle_goodbye(now, link, in);
            return;
        default:
            break;
    }
    if (link.now_in == link_record::phase::welcomed && !bring_up(now, link)) {
        return;  // Its READY was lost; these frames say as much.
    }
    if (link.now_in == link_record::phase::awaiting_hello) {
        ++counters_.malformed;
        refuse(now, link, ec::peer_incompatible, "expected a hello of the bzmq protocol");
        return;
    }
    if (!link.up()) {
        return;  // Batches may overtake a welcome on a link that reorders; they are sent again.
    }
    if (!link.channel->receive(now, frame.span(), frame, link) && !link.ended) {
        const bool overdrawn = link.channel->overdrawn();
        ++(overdrawn ? counters_.ignored_credit : counters_.malformed);
        refuse(now, link, ec::peer_invalid,
               overdrawn ? "it ignores credit: it went on sending to a full subscriber"
                         : std::string{link.channel->fault()});
    }
}

// -- Handshake ------------------------------------------------------------------------------------

void hub_impl::send_hello(instant now, link_record& link, wire::frame_type type) {
    wire::hello_frame hello;
    hello.id = options_.self;
    hello.domain = options_.domain;
    hello.name = options_.name;
    hello.topology = overlay::encode(own_topology_for(link));
    hello.filter = overlay::encode(own_filter_);
    hello.message_bytes_max = options_.message_bytes_max;
    link.send_frame(shared_bytes::copy_of(wire::encode(type, hello)));
    if (type == wire::frame_type::hello) {
        link.hello_again = now + hello_interval;
    }
}

void hub_impl::handle_hello(instant now, link_record& link, byte_reader& in) {
    if (link.outgoing || link.up()) {
        return;  // A late copy, or a connector's frame where none belongs.
    }
    if (now < link.welcome_again) {
        return;
    }
    link.welcome_again = now + welcome_pause;
    auto hello = wire::decode_hello(in);
    if (!hello) {
        ++counters_.malformed;
        refuse(now, link, ec::peer_incompatible, "malformed hello");
        return;
    }
    if (hello->version_lowest > wire::version_max || hello->version_highest < wire::version_min) {
        refuse(now, link, ec::peer_incompatible,
               "protocol versions " + version_range(hello->version_lowest, hello->version_highest)
                   + " offered, " + version_range(wire::version_min, wire::version_max)
                   + " spoken here");
        return;
    }
    if (hello->domain != options_.domain) {
        refuse(now, link, ec::peer_incompatible,
               "domain \"" + hello->domain + "\" offered, \"" + options_.domain + "\" here");
        return;
    }
    if (hello->id == options_.self) {
        refuse(now, link, ec::peer_invalid, "an endpoint cannot peer with itself");
        return;
    }
    if (shutting_down_) {
        refuse(now, link, ec::shutting_down, "shutting down");
        return;
    }
    if (refuse_other_key(now, link, hello->id, hello->filter)) {
        return;
    }
    note_peer(link, std::move(*hello));
    if (refuse_over_limit(now, link)) {
        return;
    }
    link.now_in = link_record::phase::welcomed;
    send_hello(now, link, wire::frame_type::welcome);
}

void hub_impl::handle_welcome(instant now, link_record& link, byte_reader& in) {
    if (!link.outgoing || link.now_in != link_record::phase::hello_sent) {
        return;
    }
    auto welcome = wire::decode_hello(in);
    if (!welcome || welcome->version_lowest > wire::version_max
        || welcome->version_highest < wire::version_min) {
        ++counters_.malformed;
        refuse(now, link, ec::peer_incompatible, "malformed welcome");
        return;
    }
    if (welcome->domain != options_.domain) {
        refuse(now, link, ec::peer_incompatible,
               "domain \"" + welcome->domain + "\" there, \"" + options_.domain + "\" here");
        return;
    }
    if (welcome->id == options_.self) {
        refuse(now, link, ec::peer_invalid, "an endpoint cannot peer with itself");
        return;
    }
    if (refuse_other_key(now, link, welcome->id, welcome->filter)) {
        return;
    }
    note_peer(link, std::move(*welcome));
    if (const auto at = targets_.find(link.target); at != targets_.end()) {
        at->second.peer = link.peer;
    }
    bring_up(now, link);
}

/// Keeps what a hello or welcome tells of the far end until the link is up.
void hub_impl::note_peer(link_record& link, wire::hello_frame hello) {
    link.peer = hello.id;
    link.peer_name = std::move(hello.name);
    link.peer_topology = std::move(hello.topology);
    link.peer_filter = std::move(hello.filter);
    if (hello.message_bytes_max != 0) {
        link.message_bytes_max = std::min<std::uint64_t>(hello.message_bytes_max,
                                                         wire::message_bytes_max);
    }
}

// -- Who is who -----------------------------------------------------------------------------------

std::string_view hub_impl::proven_key(instant now, const endpoint_id& id) const {
    if (const auto at = by_peer_.find(id); at != by_peer_.end()) {
        return at->second->public_key;
    }
    if (id == options_.self) {
        return options_.public_key;
    }
    const auto at = proven_.find(id);
    return at != proven_.end() && now < at->second.until ? at->second.key : std::string_view{};
}

void hub_impl::remember_key(instant now, const link_record& link) {
    if (link.public_key.empty()) {
        return;
    }
    if (proven_.size() >= proven_keys_max) {
        std::erase_if(proven_, [now](const auto& each) { return each.second.until <= now; });
    }
    if (proven_.size() >= proven_keys_max) {
        proven_.erase(std::min_element(proven_.begin(), proven_.end(),
                                       [](const auto& a, const auto& b) {
                                           return std::tie(a.second.until, a.first)
                                                  < std::tie(b.second.until, b.first);
                                       }));
    }
    proven_[link.peer] = {link.public_key, now + options_.forget_after};
}

bool hub_impl::contradicts_key(instant now, const overlay::filter_record& record) const {
    const auto told = overlay::key_among(record.services);
    const auto proven = proven_key(now, record.origin);
    return !told.empty() && !proven.empty() && told != proven;
}

/// An id is made anew at each start and has one key for life: whoever comes with another one is
/// somebody else. What we saw ourselves counts more than what the overlay's records say.
bool hub_impl::refuse_other_key(instant now, link_record& link, const endpoint_id& id,
                                std::span<const std::byte> filter) {
    if (link.public_key.empty()) {
        return false;  // Nothing is authenticated here.
    }
    std::string known{proven_key(now, id)};
    const auto index = db_.find(id);
    if (known.empty() && index) {
        known = overlay::key_among(db_.services(*index));
    }
    if (known.empty() || known == link.public_key) {
        const auto own = overlay::decode_filter(filter);
        known = own && own->origin == id ? overlay::key_among(own->services) : std::string_view{};
    }
    if (known.empty() || known == link.public_key) {
        return false;
    }
    refuse(now, link, ec::peer_not_authenticated,
           "endpoint " + to_string(id) + " has the key " + known + ", but the key "
               + link.public_key + " was shown");
    return true;
}

bool hub_impl::apply_limits(link_record& link) const {
    peering_limits limits;
    for (const auto& [id, target] : targets_) {
        if (target.link == link.id || (target.covered && target.peer == link.peer)) {
            limits = target.limits;
            break;
        }
    }
    link.overflow = limits.overflow.value_or(options_.peer_overflow);
    link.queue_bytes_max = limits.queue_bytes.value_or(options_.peer_queue_bytes);
    link.queue_messages_max = limits.queue_messages.value_or(options_.peer_queue_messages);
    link.fixed_cost = limits.link_cost.value_or(options_.link_cost);
    const auto before = link.cost;
    if (link.fixed_cost != 0) {
        link.cost = link.fixed_cost;
    }
    return link.cost != before;
}

bool hub_impl::wins_over(const link_record& fresh, const link_record& old) const {
    if (fresh.outgoing == old.outgoing) {
        // Twice the same way: the side that dialled knows whether its old link still stands.
        return !fresh.outgoing;
    }
    const auto& fresh_dialler = fresh.outgoing ? options_.self : fresh.peer;
    const auto& old_dialler = old.outgoing ? options_.self : old.peer;
    return fresh_dialler < old_dialler;
}

bool hub_impl::refuse_over_limit(instant now, link_record& link) {
    if (link_to(link.peer) != nullptr || by_peer_.size() < options_.peers_max) {
        return false;
    }
    refuse(now, link, ec::peer_unavailable,
           std::to_string(options_.peers_max) + " peers, as many as an endpoint may have");
    return true;
}

bool hub_impl::bring_up(instant now, link_record& link) {
    if (refuse_over_limit(now, link) || refuse_other_key(now, link, link.peer, {})) {
        return false;
    }
    auto* old = link_to(link.peer);
    if (old != nullptr && !wins_over(link, *old)) {
        say_goodbye(link, ec::redundant_connection, "already connected");
        end_link(now, link, sc::unspecified, error{ec::redundant_connection});
        return false;
    }
    if (link.outgoing) {
        link.send_frame(shared_bytes::copy_of(wire::encode_ready()));
    }
    link.now_in = link_record::phase::up;
    link.phase_deadline = never;
    link.hello_again = never;
    session::channel_options options;
    options.self = options_.self;
    options.frame_bytes = options_.frame_bytes;
    options.part_bytes = options_.part_bytes;
    options.window_bytes = options_.link_window_bytes;
    options.overdraft_bytes = overdraft_bytes();
    options.data_section_bytes_max = wire::section_bytes_max(options_.message_bytes_max);
    options.heartbeat_interval = options_.heartbeat_interval;
    options.peer_timeout = options_.peer_timeout;
    link.channel = std::make_unique<session::channel>(options, now);
    link.cost = overlay::default_cost;
    apply_limits(link);
    if (!full_.empty()) {
        // A link that breaks and comes again must not give a full subscriber a window each time.
        link.blockers = full_;
        link.came_late = true;
        link.channel->pause(true);
    }
    std::vector<routed_section> unsent;
    by_peer_[link.peer] = &link;
    proven_.erase(link.peer);
    if (old != nullptr) {
        // The new link takes over where the old one stands, unseen by anybody above.
        link.announced = old->announced;
        unsent = old->channel->take_undelivered();
        say_goodbye(*old, ec::redundant_connection, "already connected");
        end_link(now, *old, sc::unspecified, error{ec::redundant_connection});
    }
    for (auto& [id, target] : targets_) {
        if (target.link == link.id || (target.covered && target.peer == link.peer)) {
            // Until peer_added is told, unless the link before this one has done that.
            target.progress = link.announced ? hub::target_progress::peered
                                             : hub::target_progress::trying;
            target.failures = 0;
        }
    }
    apply_record(now, wire::item_tag::topology, link.peer_topology, &link);
    apply_record(now, wire::item_tag::filter, link.peer_filter, &link);
    link.peer_topology.clear();
    link.peer_filter.clear();
    own_topology_changed(now);
    send_digest(now, link);
    for (auto& section : unsent) {
        link.channel->push(now, std::move(section));
    }
    return true;
}

void hub_impl::say_goodbye(link_record& link, ec code, const std::string& text) {
    link.send_frame(shared_bytes::copy_of(wire::encode(wire::goodbye_frame{code, text})));
    output_.close(link.id);
}

void hub_impl::refuse(instant now, link_record& link, ec code, const std::string& text) {
    say_goodbye(link, code, text);
    end_link(now, link, sc::peer_lost, error{code, link.address + ": " + text});
}

void hub_impl::handle_goodbye(instant now, link_record& link, byte_reader& in) {
    const auto goodbye = wire::decode_goodbye(in);
    const auto code = goodbye ? goodbye->code : ec::peer_invalid;
    const auto text = goodbye ? goodbye->text : std::string{"malformed goodbye"};
    if (code == ec::redundant_connection && link.up() && link_to(link.peer) == &link) {
        // The peer has taken up another link to us whose READY has not come yet.
        for (auto& [id, other] : links_) {
            if (other->now_in == link_record::phase::welcomed && other->peer == link.peer
                && !other->ended) {
                bring_up(now, *other);
                break;
            }
        }
        if (link.ended) {
            return;
        }
    }
    output_.close(link.id);
    if (link.up() && (code == ec::none || code == ec::shutting_down)) {
        end_link(now, link, sc::peer_removed, error{code, text});
    } else if (code == ec::none) {
        end_link(now, link, sc::unspecified,
                 error{ec::peer_disconnect_during_handshake,
                       link.address + " said goodbye before the handshake was complete"});
    } else {
        end_link(now, link, sc::peer_lost, error{code, link.address + ": " + text});
    }
}

// -- The end of a link ----------------------------------------------------------------------------

void hub_impl::end_link(instant now, link_record& link, sc how, const error& reason) {
    if (link.ended) {
        return;
    }
    const bool was_up = link.up();
    const bool current = was_up && link_to(link.peer) == &link;
    link.ended = true;
    std::vector<routed_section> orphans;
    if (was_up) {
        const auto sent = link.channel->unconfirmed_sections();
        orphans = link.channel->take_undelivered();
        if (reason.code() == ec::peer_unavailable || reason.code() == ec::peer_invalid) {
            note_break(link, std::span{orphans}.first(sent));  // Not silent: the connection broke.
        }
        stranded_bytes_ += link.channel->owed_bytes();
    }
    const auto at = links_.find(link.id);
    graveyard_.push_back(std::move(at->second));
    links_.erase(at);

    // Tell of it before the routes change: peer_lost precedes endpoint_unreachable.
    if (current) {
        by_peer_.erase(link.peer);
        remember_key(now, link);
        if (link.announced) {
            output_.notify(status{how == sc::unspecified ? sc::peer_lost : how,
                                  {link.peer, link.peer_name, link.address},
                                  reason.message()});
        }
    }
    const bool silent = reason.code() == ec::redundant_connection
                        || reason.code() == ec::cancelled;
    if (!was_up && !link.outgoing && !silent) {
        output_.notify(reason);
    }
    if (link.target != no_target) {
        const auto target = targets_.find(link.target);
        if (target != targets_.end() && target->second.link == link.id) {
            target->second.link.reset();
            if (reason.code() == ec::redundant_connection && link_to(link.peer) != nullptr) {
                target->second.covered = true;
                target->second.peer = link.peer;
                auto& stands = *link_to(link.peer);
                if (stands.announced) {
                    target->second.progress = hub::target_progress::peered;
                }
                if (apply_limits(stands)) {
                    own_topology_changed(now);
                }
            } else if (was_up) {
                target->second.covered = false;
                target->second.progress = hub::target_progress::trying;
                target_failed(now, link.target, error{ec::none});
            } else {
                target_failed(now, link.target, reason);
            }
        }
    }
    if (current) {
        // Peerings of ours for which this link stood in must dial for themselves now.
        for (auto& [id, target] : targets_) {
            if (target.covered && target.peer == link.peer) {
                target.covered = false;
                target.progress = hub::target_progress::trying;
                target_failed(now, id, error{ec::none});
            }
        }
        own_topology_changed(now);
        compute_paths(now);
    }
    // Who was cut off because its queue was full must not find it full when it comes again.
    const auto until = link.cut_off ? now : now + limbo_max;
    for (auto& orphan : orphans) {
        reroute(now, orphan, until);
    }
}

void hub_impl::close_orderly(instant now, link_record& link) {
    if (!link.up()) {
        say_goodbye(link, ec::cancelled, "no longer wanted");
        end_link(now, link, sc::unspecified, error{ec::cancelled, "no longer wanted"});
        return;
    }
    if (!link.closing) {
        link.closing = true;
        link.closing_deadline = now + closing_max;
    }
}

void hub_impl::bury() { graveyard_.clear(); }

// -- Peerings -------------------------------------------------------------------------------------

void hub_impl::add_target(instant now, target_id target, std::string_view address, bool retry,
                          std::chrono::nanoseconds retry_interval, peering_limits limits) {
    BZMQ_ASSERT(target != no_target);
    target_record record;
    record.address = address;
    record.retry = retry;
    record.retry_interval = retry_interval;
    record.limits = limits;
    record.due = now;
    may_block_ = may_block_ || limits.overflow == overflow_policy::block;
    targets_[target] = std::move(record);
}

void hub_impl::set_retry(target_id target, bool retry, std::chrono::nanoseconds retry_interval) {
    if (const auto at = targets_.find(target); at != targets_.end()) {
        at->second.retry = retry;
        at->second.retry_interval = retry_interval;
    }
}

void hub_impl::dial_now(instant now, target_id target) {
    const auto at = targets_.find(target);
    if (at != targets_.end() && !at->second.link && !at->second.dialling && !at->second.covered) {
        at->second.progress = hub::target_progress::trying;
        at->second.due = now;
    }
}

bool hub_impl::remove_target(instant now, target_id target) {
    const auto at = targets_.find(target);
    if (at == targets_.end()) {
        return false;
    }
    const auto record = at->second;
    targets_.erase(at);
    if (record.link) {
        close_orderly(now, *links_.at(*record.link));
    } else if (record.covered) {
        if (auto* link = link_to(record.peer)) {
            close_orderly(now, *link);
        }
    }
    return true;
}

void hub_impl::target_failed(instant now, target_id id, const error& reason) {
    auto& target = targets_.at(id);
    if (reason) {
        target.last_error = reason;
        ++target.failed_attempts;
        output_.notify(reason);
        if (!target.retry) {
            target.progress = hub::target_progress::failed;
            target.due = never;
            return;
        }
        ++target.failures;
    }
    if (target.retry_interval.count() > 0) {
        target.due = now + target.retry_interval;
        return;
    }
    // Exponential with full jitter over its upper half, so that a restart storm spreads out.
    const auto factor = std::uint64_t{1} << std::min(target.failures > 0 ? target.failures - 1 : 0,
                                                     20u);
    auto delay = std::min<std::chrono::nanoseconds>(
        options_.retry_max, options_.retry_min * static_cast<std::int64_t>(factor));
    delay = delay / 2
            + std::chrono::nanoseconds{static_cast<std::int64_t>(
                random_.below(static_cast<std::uint64_t>(delay.count() / 2 + 1)))};
    target.due = now + delay;
}

void hub_impl::shutdown(instant now) {
    shutting_down_ = true;
    targets_.clear();
    // Whoever leaves says so: publishers of reliable streams need not wait for its return.
    own_filter_changed(now);
    // What has come must not be sent again to somebody who is no longer there.
    for (const auto& key : busy_streams_) {
        const auto at = incoming_.find(key);
        if (at != incoming_.end() && at->second.ack_at != never) {
            send_stream_ack(now, key, at->second);
        }
    }
    std::vector<link_record*> all;
    for (auto& [id, link] : links_) {
        all.push_back(link.get());
    }
    for (auto* link : all) {
        if (!link->ended) {
            close_orderly(now, *link);
        }
    }
}

void hub_impl::tick_links(instant now) {
    for (auto& [id, target] : targets_) {
        if (!target.link && !target.dialling && !target.covered && now >= target.due) {
            target.dialling = true;
            target.due = never;
            output_.connect(id);
        }
    }
    std::vector<link_record*> all;
    for (auto& [id, link] : links_) {
        all.push_back(link.get());
    }
    for (auto* link : all) {
        if (link->ended) {
            continue;
        }
        if (now >= link->phase_deadline) {
            refuse(now, *link, ec::peer_timeout,
                   "no handshake within "
                       + std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(
                                            options_.handshake_timeout)
                                            .count())
                       + " ms");
        } else if (now >= link->hello_again) {
            send_hello(now, *link, wire::frame_type::hello);
        } else if (link->up() && link->channel->timed_out(now)) {
            output_.close(link->id);
            end_link(now, *link, sc::peer_lost,
                     error{ec::peer_timeout, link->address + " is silent"});
        } else if (link->up() && link->channel->unanswered(now)) {
            output_.close(link->id);
            end_link(now, *link, sc::peer_lost,
                     error{ec::peer_timeout,
                           link->address + " is alive, but answers nothing that it is sent"});
        } else if (link->closing
                   && (link->channel->drained() || now >= link->closing_deadline)) {
            say_goodbye(*link, shutting_down_ ? ec::shutting_down : ec::none, "goodbye");
            end_link(now, *link, sc::peer_removed, error{ec::none, "closed here"});
        }
    }
}

}  // namespace bzmq::node
