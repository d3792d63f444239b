#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/prng.hpp"
#include "node/hub.hpp"
#include "node/permissions.hpp"
#include "overlay/filter.hpp"
#include "overlay/link_state.hpp"
#include "overlay/paths.hpp"
#include "overlay/receivers.hpp"
#include "overlay/tree.hpp"
#include "session/channel.hpp"
#include "session/reliable_sender.hpp"
#include "session/section.hpp"
#include "wire/frames.hpp"

namespace bzmq::node {

using session::incoming_tree;
using session::routed_section;
using session::section_body;
using session::section_ptr;
using session::subtree_ptr;

/// Lets hash tables of strings be asked with views.
struct text_hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
        return std::hash<std::string_view>{}(text);
    }
};
template <class T>
using topic_map = std::unordered_map<std::string, T, text_hash, std::equal_to<>>;

/// Where sections for a set of receivers go: one subtree per first hop.
struct branch {
    endpoint_id first_hop;
    subtree_ptr tree;
};
using branches_ptr = std::shared_ptr<const std::vector<branch>>;

struct route {
    branches_ptr branches;                 ///< never null
    std::vector<subscriber_id> locals;
    /// Receivers lost of late, in order of their ids: reliable sections wait for their return.
    std::vector<endpoint_id> absent;

    friend bool operator==(const route&, const route&) = default;
};

/// One link of the transport, from its first frame to its end.
struct link_record final : session::channel_events {
    /// connecting side: hello_sent → up; listening side: awaiting_hello → welcomed → up.
    enum class phase : std::uint8_t { hello_sent, awaiting_hello, welcomed, up };

    link_record(hub_impl& owner_hub, link_id number) : owner(owner_hub), id(number) {}

    hub_impl& owner;
    link_id id;
    target_id target = no_target;
    bool outgoing = false;
    std::string address;
    std::string public_key;
    phase now_in = phase::awaiting_hello;
    instant phase_deadline = never;
    instant hello_again = never;
    instant welcome_again{};       ///< earlier repeats of a hello are not answered
    endpoint_id peer;
    std::string peer_name;
    std::vector<std::byte> peer_topology, peer_filter;  ///< from its hello, until the link is up
    std::unique_ptr<session::channel> channel;          ///< once up
    bool announced = false;        ///< peer_added was told
    bool closing = false;          ///< goodbye follows when the channel is drained
    bool cut_off = false;          ///< its queue was full, under the policy disconnect
    bool ended = false;            ///< waits in the graveyard
    instant closing_deadline = never;
    std::set<subscriber_id> blockers;  ///< local subscribers that hold its credit
    bool came_late = false;        ///< a subscriber here has been full ever since before it came up
    overflow_policy overflow = overflow_policy::drop_newest;
    std::size_t queue_bytes_max = 0, queue_messages_max = 0;
    std::uint32_t fixed_cost = 0;  ///< 0: measured
    std::uint32_t cost = 0;
    std::uint32_t told_cost = 0;   ///< where peers are hidden: in the record that the peer has
    instant digest_sent_at{std::chrono::hours{-1}};
    instant view_differs_since = never;
    std::uint64_t dropped_messages = 0;
    std::size_t queue_bytes_high = 0;
    std::size_t message_bytes_max = wire::message_bytes_max;  ///< the largest that the peer takes
    instant too_big_told_at{std::chrono::hours{-1}};
    rules_ptr rules;               ///< what its peer's key may do; null: everything
    instant forbidden_in_quiet_until{}, forbidden_out_quiet_until{};

    [[nodiscard]] bool up() const noexcept { return now_in == phase::up && !ended; }

    void send_frame(shared_bytes frame) override;
    block_ptr allocate(std::size_t capacity) override;
    void section_received(const std::shared_ptr<const incoming_tree>& tree,
                          routed_section section) override;
    void control_received(wire::item_tag tag, std::span<const std::byte> body) override;
};

struct target_record {
    std::string address;
    bool retry = true;
    std::chrono::nanoseconds retry_interval{};  ///< 0: back-off
    peering_limits limits;
    bool dialling = false;
    std::optional<link_id> link;
    unsigned failures = 0;                ///< in a row
    std::uint64_t failed_attempts = 0;    ///< in all
    instant due = instant{0};
    endpoint_id peer;          ///< whom it last reached
    bool covered = false;      ///< a link that the peer dialled stands in for ours
    hub::target_progress progress = hub::target_progress::trying;
    error last_error;
};

/// Sections of one mode that we originate.
struct outgoing_stream {
    struct destination {
        std::uint64_t last = 0;  ///< number of the newest section for it
        // Reliable mode only.
        session::reliable_sender sender;
        instant unreachable_since = never;
    };
    std::uint64_t last = 0;
    std::unordered_map<endpoint_id, destination> destinations;
};

// What the files of the hub share.

constexpr std::size_t route_cache_max = 65'536;
/// Direct peers that are gone, whose keys are remembered.
constexpr std::size_t proven_keys_max = 4'096;
/// Sections without any path, or from an origin not yet known, wait this long for one.
constexpr auto limbo_max = std::chrono::seconds{3};
/// A hole in a reliable stream is told again after this.
constexpr auto gap_pause = std::chrono::milliseconds{20};

inline std::size_t index_of(delivery_mode mode) { return static_cast<std::size_t>(mode); }

/// One distance says it all where all are alike.
inline void collapse(std::vector<std::uint64_t>& distances) {
    if (distances.size() > 1
        && std::all_of(distances.begin(), distances.end(),
                       [&](std::uint64_t d) { return d == distances[0]; })) {
        distances.resize(1);
    }
}

struct stream_key {
    endpoint_id origin;
    delivery_mode mode = delivery_mode::best_effort;
    friend auto operator<=>(const stream_key&, const stream_key&) = default;
};

/// What we receive of one origin in one mode.
struct incoming_stream {
    struct held {
        section_ptr body;
        std::uint64_t previous;
        std::uint16_t path_tag;
        std::uint8_t hops;
        link_id from;
    };
    std::uint64_t last = 0;        ///< delivered up to here
    std::uint64_t consumed = 0;    ///< taken by the subscribers up to here
    std::uint16_t path_tag = 0;
    bool known = false;            ///< something was delivered since we met the origin
    std::map<std::uint64_t, held> waiting;
    std::size_t waiting_bytes = 0;
    instant skip_at = never;       ///< best effort: when to give up on a hole
    // Reliable mode only.
    std::set<subscriber_id> blockers;
    std::size_t owed_bytes = 0;    ///< delivered since the first of them was full
    bool refused = false;          ///< more came than a blocked stream may bring
    instant ack_at = never;
    bool gap_to_tell = false;
    instant gap_told_at{std::chrono::hours{-1}};
    std::size_t unacked_sections = 0, unacked_bytes = 0;
};

struct filter_query_state {
    std::uint64_t sequence = 0;
    std::set<endpoint_id> waiting_for;
    instant ask_at{};
};

class hub_impl {
  public:
    hub_impl(hub_options options, hub_output& output);

    // Links and peerings (hub_links.cpp).
    void link_opened(instant now, link_id id, target_id target, std::string_view address,
                     std::string_view public_key);
    void link_closed(instant now, link_id id, const error& reason);
    void connect_failed(instant now, target_id target, const error& reason);
    void frame_received(instant now, link_id id, const shared_bytes& frame);
    void add_target(instant now, target_id target, std::string_view address, bool retry,
                    std::chrono::nanoseconds retry_interval, peering_limits limits);
    void set_retry(target_id target, bool retry, std::chrono::nanoseconds retry_interval);
    void dial_now(instant now, target_id target);
    bool remove_target(instant now, target_id target);
    void shutdown(instant now);
    void send_hello(instant now, link_record& link, wire::frame_type type);
    void handle_hello(instant now, link_record& link, byte_reader& in);
    void handle_welcome(instant now, link_record& link, byte_reader& in);
    void handle_goodbye(instant now, link_record& link, byte_reader& in);
    /// Refuses `link` where whoever calls itself `id` is known by another key; true where it did.
    bool refuse_other_key(instant now, link_record& link, const endpoint_id& id,
                          std::span<const std::byte> filter);
    /// The key that `id` has proven on a link to us, as long as that is remembered; else empty.
    [[nodiscard]] std::string_view proven_key(instant now, const endpoint_id& id) const;
    [[nodiscard]] bool contradicts_key(instant now, const overlay::filter_record& record) const;
    static bool contradicts_key(instant, const overlay::topology_record&) { return false; }
    void remember_key(instant now, const link_record& link);
    /// Gives a link the bounds of the peering that it serves. True where its cost has changed.
    bool apply_limits(link_record& link) const;
    bool wins_over(const link_record& fresh, const link_record& old) const;
    /// False where another link to the same peer was kept instead.
    bool bring_up(instant now, link_record& link);
    /// Refuses `link` where there is no room for one more peer; true where it did.
    bool refuse_over_limit(instant now, link_record& link);
    void say_goodbye(link_record& link, ec code, const std::string& text);
    void refuse(instant now, link_record& link, ec code, const std::string& text);
    static void note_peer(link_record& link, wire::hello_frame hello);
    void end_link(instant now, link_record& link, sc how, const error& reason);
    void close_orderly(instant now, link_record& link);
    void target_failed(instant now, target_id id, const error& reason);
    void tick_links(instant now);
    link_record* link_to(const endpoint_id& peer) {
        const auto at = by_peer_.find(peer);
        return at == by_peer_.end() ? nullptr : at->second;
    }
    void bury();

    // Link state (hub_overlay.cpp).
    void own_topology_changed(instant now);
    [[nodiscard]] overlay::topology_record own_topology_for(const link_record& link) const;
    void tell_hidden_peers();
    void own_filter_changed(instant now);
    void flood(wire::item_tag tag, std::span<const std::byte> record, const link_record* except);
    void control_received(link_record& link, wire::item_tag tag, std::span<const std::byte> body);
    bool apply_record(instant now, wire::item_tag tag, std::span<const std::byte> body,
                      const link_record* from);
    void send_digest(instant now, link_record& link);
    void answer_digest(link_record& link, std::span<const std::byte> body);
    void compute_paths(instant now);
    void compute_paths_if_due(instant now);
    void announce_peers();
    void check_views(instant now);
    void update_costs(instant now);
    void forget(instant now);
    branches_ptr branches_for(std::vector<overlay::node_index> receivers);
    branches_ptr branches_to(const endpoint_id& one);

    // Messages (hub_publish.cpp, hub_relay.cpp, hub_streams.cpp).
    std::size_t publish(instant now, timestamp wall, delivery_mode mode,
                        const shared_bytes& records, std::size_t offset,
                        const record_facts& known);
    bool publish_ready(delivery_mode mode) const;
    error publish_to(instant now, timestamp wall, const endpoint_id& destination,
                     delivery_mode mode, const shared_bytes& records);
    const route& route_for(std::string_view topic);
    void find_receivers(std::string_view topic, std::vector<overlay::node_index>& out) const;
    std::vector<subscriber_id> local_receivers(std::string_view topic) const;
    bool at_bound(const link_record& link, std::size_t factor = 1) const;
    batch_ptr own_batch(timestamp wall, delivery_mode mode, shared_bytes records,
                        std::uint32_t count) const;
    bool may_send(delivery_mode mode, const route& way);
    void hold_publishers_up();
    bool window_full(const endpoint_id& receiver) const;
    bool may_return(instant now, const endpoint_id& id) const;
    void originate(instant now, timestamp wall, std::uint8_t flags, const route& way,
                   shared_bytes payload, std::uint32_t records, std::size_t headroom = 0);
    std::uint64_t originate_for(instant now, const section_ptr& body, const endpoint_id& receiver);
    void send_on(instant now, link_record& link, routed_section section, bool local);
    bool make_fit(instant now, link_record& link, routed_section& section);
    void tell_too_big(instant now, instant& told_at, std::string text);
    // What keys may do (hub_permissions.cpp).
    void set_permissions(permissions rules);
    bool make_permitted(instant now, link_record& link, routed_section& section, bool incoming);
    bool forbids_all(instant now, link_record& link, const section_body& body);
    void note_forbidden(instant now, link_record& link, bool incoming, std::uint32_t count,
                        std::string_view kind, std::string_view what);
    void note_break(const link_record& link, std::span<const routed_section> unconfirmed);
    bool broke_links(const endpoint_id& peer, const section_body& body) const;
    batch_ptr without_too_big(const message_batch& batch);
    void section_received(link_record& link, const std::shared_ptr<const incoming_tree>& tree,
                          routed_section section);
    /// Finds new ways; what has none yet waits for one, best effort and `until` then. What must not
    /// wait counts as dropped for want of room.
    void reroute(instant now, const routed_section& section, instant until);
    void retry_limbo(instant now);
    struct early_entry;
    void hold_early(early_entry entry);
    void retry_early(instant now);
    void accept(instant now, const section_ptr& body, std::uint64_t distance,
                std::uint16_t path_tag, std::uint8_t hops, link_id from);
    void drain_waiting(instant now, incoming_stream& stream, bool skip_holes);
    void deliver(instant now, incoming_stream& stream, const section_ptr& body, std::uint8_t hops,
                 link_id from);
    void deliver_batch(const batch_ptr& batch, std::vector<subscriber_id>& full,
                       bool spare_full = false);
    /// What full subscribers take of one link, of one reliable stream, and of links that have
    /// ended; whoever keeps to its credit needs less.
    std::size_t overdraft_bytes() const {
        return std::max({session::overdraft_bytes_min, 4 * options_.link_window_bytes,
                         4 * options_.reliable_window_bytes});
    }
    void subscriber_drained(instant now, subscriber_id id);
    void release_blocker(subscriber_id id);
    void tick_streams(instant now);
    void send_stream_ack(instant now, const stream_key& key, incoming_stream& stream);
    void handle_stream_ack(instant now, const endpoint_id& from, const wire::stream_ack& ack);
    void take_step(instant now, const endpoint_id& to, session::reliable_sender& sender,
                   session::reliable_sender::step what);
    void send_again(instant now, const endpoint_id& to, session::reliable_sender& sender);

    // Control messages between endpoints (hub_control.cpp).
    void send_control(instant now, const endpoint_id& to, wire::section_kind kind,
                      std::vector<std::byte> payload);
    void send_to_stores(instant now, std::span<const endpoint_id> to,
                        std::span<const std::byte> message, bool in_order);
    void handle_control(instant now, const section_body& body);
    void ping(instant now, request_id request, const endpoint_id& destination);
    void confirm_filter(instant now, request_id request);
    void ask_filters(instant now, request_id request, filter_query_state& query);
    void tick_queries(instant now);

    void flush(instant now);
    void tick(instant now);
    void forgive_stall(instant now);
    instant next_deadline() const;
    std::size_t buffered_bytes() const;

    hub_options options_;
    hub_output& output_;
    prng random_;
    instant now_{};
    hub_counters counters_;
    permissions permissions_;

    std::map<link_id, std::unique_ptr<link_record>> links_;
    std::unordered_map<endpoint_id, link_record*> by_peer_;  // links that are up; never iterated
    std::vector<std::unique_ptr<link_record>> graveyard_;
    std::map<target_id, target_record> targets_;
    bool shutting_down_ = false;
    bool may_block_ = false;  ///< some link's policy may be `block`
    struct proven {
        std::string key;
        instant until;
    };
    std::unordered_map<endpoint_id, proven> proven_;  // direct peers that have gone

    overlay::link_state_db db_;
    overlay::path_table paths_;
    overlay::receiver_table receivers_;
    overlay::tree_builder builder_;
    overlay::topology_record own_topology_;
    overlay::filter_record own_filter_;
    std::map<subscriber_id, std::vector<std::string>> subscribers_;
    std::map<subscriber_id, std::string> bridges_;  // of these, the bridges with their domain tags
    std::vector<std::string> forwarded_;
    std::vector<std::string> services_;
    bool paths_dirty_ = false;
    instant paths_due_{};
    instant paths_computed_at_{std::chrono::hours{-1}};
    std::chrono::nanoseconds paths_hold_{};
    instant expiry_due_ = never;  ///< when records may be forgotten, as of the last look
    instant expiry_look_at_{};

    topic_map<route> routes_;
    topic_map<std::vector<subscriber_id>> local_matches_;
    std::map<std::vector<overlay::node_index>, branches_ptr> branches_cache_;
    std::unordered_map<endpoint_id, branches_ptr> branches_to_;
    struct repair {
        subtree_ptr of;  // keeps the key alive
        struct part {
            endpoint_id first_hop;
            subtree_ptr tree;
            std::vector<std::size_t> receivers;  // positions in the old tree
        };
        std::vector<part> parts;
        std::vector<std::size_t> lost;
        subtree_ptr lost_tree;  // just their ids: shared by all sections that wait for them
    };
    std::unordered_map<const session::subtree*, repair> repairs_;
    struct limbo_entry {
        routed_section section;
        instant until;
    };
    /// Large sections whose receipt the last link to a peer had not confirmed when it broke.
    struct suspect {
        stream_key stream;
        std::uint64_t number = 0;
        unsigned breaks = 0;  ///< of links to this peer, one after the other
    };
    std::map<endpoint_id, std::vector<suspect>> suspects_;
    instant too_big_told_at_{std::chrono::hours{-1}};
    std::deque<limbo_entry> limbo_;
    std::size_t limbo_bytes_ = 0;
    /// Came before we knew a path to its origin: waits until that is discovered.
    struct early_entry {
        section_ptr body;
        std::uint64_t distance;
        std::uint16_t path_tag;
        std::uint8_t hops;
        link_id from;
        instant until;
    };
    std::deque<early_entry> early_;
    std::size_t early_bytes_ = 0;

    outgoing_stream outgoing_[2];
    auto& reliable_destinations() { return outgoing_[1].destinations; }
    const auto& reliable_destinations() const { return outgoing_[1].destinations; }
    std::map<stream_key, incoming_stream> incoming_;
    std::set<stream_key> busy_streams_;              // with a hole, or an acknowledgement to send
    std::set<endpoint_id> unacknowledged_;           // reliable destinations with a resend timer
    /// When endpoints became unreachable, of those that may still come back to reliable streams.
    std::map<endpoint_id, instant> lost_;
    std::set<subscriber_id> full_;                   // local subscribers that have not drained yet
    std::size_t stranded_bytes_ = 0;                 // what ended links have brought to full ones
    std::set<subscriber_id> publish_blockers_;       // local subscribers that hold publishers up
    endpoint_id blocked_on_[2];                      // what stopped the last publish, by mode
    std::map<request_id, filter_query_state> queries_;
    std::vector<subscriber_id> full_scratch_;
    std::vector<overlay::node_index> receivers_scratch_;
};

}  // namespace bzmq::node
