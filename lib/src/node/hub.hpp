#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.hpp"
#include "bzmq/endpoint_id.hpp"
#include "bzmq/message.hpp"
#include "bzmq/overflow_policy.hpp"
#include "bzmq/overlay_info.hpp"
#include "bzmq/peering_limits.hpp"
#include "bzmq/status.hpp"
#include "bzmq/time.hpp"
#include "node/permissions.hpp"
#include "overlay/limits.hpp"

/// The whole of an endpoint but its I/O: link sessions, overlay routing and message streams behind
/// one pure machine. Events and the time go in; what is to be done comes out through
/// `hub_output`. No socket, clock, thread or randomness inside: the endpoint's core thread and the
/// simulator drive the same code.
namespace bzmq::node {

/// One connection of the transport; chosen by the shell, never reused in a run.
using link_id = std::uint32_t;
/// One `peer` request; chosen by the shell, never reused in a run.
using target_id = std::uint32_t;
/// One local consumer; chosen by the shell, never reused in a run.
using subscriber_id = std::uint32_t;
/// Ties an answer to its question.
using request_id = std::uint64_t;

constexpr target_id no_target = 0;

struct hub_options {
    endpoint_id self;
    std::string name;
    std::string domain;
    std::string public_key;  ///< our own, Z85; empty without CURVE
    std::uint64_t seed = 1;  ///< for jitter only
    std::chrono::nanoseconds heartbeat_interval = std::chrono::seconds{1};
    std::chrono::nanoseconds peer_timeout = std::chrono::seconds{3};
    std::chrono::nanoseconds handshake_timeout = std::chrono::seconds{5};
    std::chrono::nanoseconds retry_min = std::chrono::milliseconds{100};
    std::chrono::nanoseconds retry_max = std::chrono::seconds{10};
    std::uint32_t link_cost = 0;  ///< 0: measured from the round trip
    std::size_t message_bytes_max = std::size_t{64} << 20;  ///< of a larger one nothing is delivered
    std::size_t frame_bytes = 64 * 1024;
    std::size_t part_bytes = 0;  ///< of longer sections, for tests; 0: the session's choice
    std::size_t link_window_bytes = 4 * 1024 * 1024;
    std::size_t peer_queue_bytes = 64 * 1024 * 1024;
    std::size_t peer_queue_messages = 1'000'000;
    overflow_policy peer_overflow = overflow_policy::drop_newest;
    std::size_t reliable_window_bytes = 8 * 1024 * 1024;
    std::chrono::nanoseconds reliable_hold = std::chrono::seconds{10};
    std::chrono::nanoseconds reorder_hold = std::chrono::milliseconds{200};
    std::chrono::nanoseconds forget_after = std::chrono::seconds{60};
    std::size_t peers_max = overlay::neighbours_max;  ///< as many as one record can name
    bool local_delivery = true;  ///< local publishes reach local subscribers
    bool forwarding = true;      ///< relays for others
    bool hide_peers = false;     ///< peers are told of this endpoint only, not of each other
};

/// What the hub wants done. Called only from inside a hub call. Implementations must not call back
/// into the hub.
class hub_output {
  public:
    virtual ~hub_output() = default;
    /// Hands one frame to the transport. Frames of one link keep their order.
    virtual void send(link_id link, shared_bytes frame) = 0;
    /// Ends the link once the frames sent so far are out. No `link_closed` follows.
    virtual void close(link_id link) = 0;
    /// Dials the target once; answered by `link_opened` or `connect_failed`.
    virtual void connect(target_id target) = 0;
    /// Queues a batch for local subscribers, of which each matches at least one of its topics.
    /// Ids of subscribers with policy `block` whose queue now stands at or over its bound are
    /// appended to `full`.
    virtual void deliver(std::span<const subscriber_id> to, const batch_ptr& batch,
                         std::vector<subscriber_id>& full) = 0;
    /// Tells status subscribers.
    virtual void notify(status_variant what) = 0;
    /// An uninitialised block of at least `capacity` bytes.
    virtual block_ptr allocate(std::size_t capacity) = 0;
    /// A `ping` came back: the endpoints that the probe crossed, ending with its destination.
    virtual void pong(request_id request, std::chrono::nanoseconds round_trip,
                      std::vector<endpoint_id> path) = 0;
    /// A `confirm_filter` is complete: all reachable endpoints know our filter.
    virtual void filter_confirmed(request_id request) = 0;
    /// A message for the stores of this endpoint. Where there are none it falls to the floor.
    virtual void store_message([[maybe_unused]] const endpoint_id& from,
                               [[maybe_unused]] shared_bytes message) {}
};

enum class peer_state : std::uint8_t { connecting, handshake, peered, waiting };

struct peer_view {
    endpoint_id id;       ///< nil until its hello came
    std::string name;
    std::string address;
    peer_state state = peer_state::connecting;
    bool outgoing = false;
    target_id target = no_target;
    std::string public_key;  ///< Z85, empty without CURVE
    std::chrono::nanoseconds round_trip{};
    std::uint32_t cost = 0;
    std::size_t queue_messages = 0, queue_bytes = 0, queue_bytes_high = 0;
    std::uint64_t sent_messages = 0, sent_bytes = 0, received_messages = 0, received_bytes = 0;
    std::uint64_t dropped_messages = 0, retransmitted_frames = 0;
};

struct hub_counters {
    std::uint64_t published = 0;          ///< messages accepted from local publishers
    std::uint64_t no_receiver = 0;        ///< published messages that nobody wanted
    std::uint64_t delivered = 0;          ///< messages handed to local subscribers' queues
    std::uint64_t relayed = 0;            ///< batches passed on for others
    std::uint64_t repaired = 0;           ///< batches for which a relay found another way
    std::uint64_t dropped_overflow = 0;   ///< messages dropped because a peer's queue was full
    std::uint64_t dropped_no_path = 0;    ///< messages without any path left
    std::uint64_t dropped_late = 0;       ///< messages that came after their successors or twice
    std::uint64_t dropped_too_big = 0;    ///< messages larger than a peer, or this endpoint, takes
    std::uint64_t dropped_forbidden = 0;  ///< messages that the permissions of a peer's key forbid
    std::uint64_t dropped_store = 0;      ///< messages of stores that found a link too busy
    std::uint64_t gaps = 0;               ///< holes that streams went over
    std::uint64_t retransmitted = 0;      ///< reliable batches sent again
    std::uint64_t spared_copies = 0;      ///< reliable batches that still waited for the same link
    std::uint64_t malformed = 0;          ///< frames or records that broke the protocol
    std::uint64_t ignored_credit = 0;     ///< links ended because their peer sent without credit
    std::uint64_t control_bytes = 0;      ///< bytes of link-state records sent
    std::uint64_t route_computations = 0;
};

/// What the maker of some records knows of them, so that the hub need not find out.
struct record_facts {
    std::uint32_t of_one_topic = 0;  ///< how many there are, where all have the same topic; else 0
    std::size_t headroom = 0;        ///< bytes ahead of them that the hub may write to
};

class hub_impl;

class hub {
  public:
    hub(hub_options options, hub_output& output);
    ~hub();

    // -- Links: what the transport reports ------------------------------------------------------

    /// A connection stands: ours to `target` (then `target` is not `no_target`) or one that came in.
    void link_opened(instant now, link_id link, target_id target, std::string_view address,
                     std::string_view public_key);
    /// A connection is gone, for the reason given. Unknown links are ignored.
    void link_closed(instant now, link_id link, const error& reason);
    void connect_failed(instant now, target_id target, const error& reason);
    void frame_received(instant now, link_id link, const shared_bytes& frame);

    /// What peers may do, by the key that their link has shown; holds at once, also for links that are
    /// up. What already waits for them goes out.
    void set_permissions(instant now, permissions rules);

    // -- Peerings -------------------------------------------------------------------------------

    /// Keeps a peering with `address` up: dials now and again, with jittered back-off or, where
    /// `retry_interval` is not zero, with this pause. With `retry` false it tries once. Progress
    /// shows as notifications and in `target_status`. `limits` hold for the link that serves it.
    void add_target(instant now, target_id target, std::string_view address, bool retry,
                    std::chrono::nanoseconds retry_interval = {}, peering_limits limits = {});
    /// Changes how a peering is kept up.
    void set_retry(instant now, target_id target, bool retry,
                   std::chrono::nanoseconds retry_interval = {});
    /// Dials at once where it waits for the next attempt, or where the only one has failed.
    void dial_now(instant now, target_id target);
    /// Ends the peering (goodbye, after what is queued) or the attempts. False where unknown.
    bool remove_target(instant now, target_id target);

    enum class target_progress : std::uint8_t { unknown, trying, peered, failed };
    struct target_report {
        target_progress progress = target_progress::unknown;
        endpoint_id peer;
        error last_error;
        std::uint64_t failed_attempts = 0;  ///< so far
    };
    [[nodiscard]] target_report target_status(target_id target) const;

    // -- Subscribing ----------------------------------------------------------------------------

    /// Registers a local consumer; an empty filter receives nothing.
    void add_subscriber(instant now, subscriber_id id, std::vector<std::string> prefixes);
    void set_filter(instant now, subscriber_id id, std::vector<std::string> prefixes);
    void remove_subscriber(instant now, subscriber_id id);
    /// A subscriber that `deliver` reported as full has room again.
    void subscriber_drained(instant now, subscriber_id id);
    /// Topics that this endpoint subscribes to without consuming them.
    void set_forwarded(instant now, std::vector<std::string> prefixes);

    // -- Gateways: this endpoint takes topics for another domain ----------------------------------

    /// Makes the local consumer `id` the bridge to the domain `tag`: its prefixes are told to this
    /// domain as that domain's, and replace what the bridge took before. An empty tag ends it.
    void set_bridge(instant now, subscriber_id id, std::string tag,
                    std::vector<std::string> prefixes);
    /// What the other endpoints of this domain subscribe to, and what their gateways take for
    /// domains other than `except_tag`; minimised.
    [[nodiscard]] std::vector<std::string> aggregate_filter(std::string_view except_tag) const;
    /// The reachable endpoints, this one included, that are gateways to the domain `tag`, by id.
    [[nodiscard]] std::vector<endpoint_id> gateways_to(std::string_view tag) const;
    /// Grows whenever the answers of the two calls above, or of `providers`, may have changed.
    [[nodiscard]] std::uint64_t routing_version() const;

    // -- Services, and what stores say to each other ----------------------------------------------

    /// Tells the overlay what this endpoint offers, in place of what it told before.
    void set_services(instant now, std::vector<std::string> services);
    /// The reachable endpoints that offer a service, this one included, by id.
    [[nodiscard]] std::vector<endpoint_id> providers(std::string_view service) const;
    /// Sends one message to the stores of other endpoints, each reached once. Whoever is out of
    /// reach misses it, and links drop it where too much waits for them: stores repeat what counts.
    /// With `in_order` it stays behind those sent so before, and all others may pass it.
    void send_to_stores(instant now, std::span<const endpoint_id> to,
                        std::span<const std::byte> message, bool in_order);

    // -- Publishing -----------------------------------------------------------------------------

    /// Publishes records (see wire/records.hpp; trusted, they come from our own encoder) from byte
    /// `offset` on, which must be the start of a record that spells out its topic. Returns the
    /// offset up to which it took them: short of the end where a `block` policy or a reliable
    /// window holds it up; then call again from there when `publish_ready` says so.
    std::size_t publish(instant now, timestamp wall, delivery_mode mode,
                        const shared_bytes& records, std::size_t offset,
                        const record_facts& known = {});
    /// May `publish` make progress in this mode? Changes only inside hub calls.
    [[nodiscard]] bool publish_ready(delivery_mode mode) const;
    /// Publishes records to one endpoint only, whatever it subscribes to; its local subscribers
    /// see them. `no_path_to_peer` where it is out of reach, `queue_full` where it must wait.
    error publish_to(instant now, timestamp wall, const endpoint_id& destination,
                     delivery_mode mode, const shared_bytes& records);

    // -- Time -----------------------------------------------------------------------------------

    /// Sends what the calls since the last flush have queued. Call once per turn of the loop.
    void flush(instant now);
    /// Does what is due. Call when `next_deadline` has passed.
    void tick(instant now);
    [[nodiscard]] instant next_deadline() const;

    /// Says goodbye on every link after what is queued; `drained` tells when all of it is out.
    void shutdown(instant now);
    [[nodiscard]] bool drained() const;

    // -- Questions ------------------------------------------------------------------------------

    void ping(instant now, request_id request, const endpoint_id& destination);
    /// Answers with `filter_confirmed` once every reachable endpoint knows our present filter.
    void confirm_filter(instant now, request_id request);
    /// Nobody waits for that any more.
    void forget_query(request_id request);

    [[nodiscard]] std::vector<peer_view> peers() const;
    [[nodiscard]] std::vector<topology_node> topology() const;
    /// Has it a link to nobody, not even over others?
    [[nodiscard]] bool alone() const;
    [[nodiscard]] bool reachable(const endpoint_id& id) const;
    /// How many reachable endpoints other than this one would receive `topic`.
    [[nodiscard]] std::size_t receiver_count(std::string_view topic) const;
    /// Which they are.
    [[nodiscard]] std::vector<endpoint_id> receivers(std::string_view topic) const;
    /// The prefixes that a known endpoint subscribes to.
    [[nodiscard]] std::vector<std::string> filter_of(const endpoint_id& id) const;
    [[nodiscard]] const hub_counters& counters() const;
    /// A hash over the reachable records: equal at two endpoints whose views agree.
    [[nodiscard]] std::uint64_t view_hash() const;
    /// Bytes held in queues, retransmission stores and reorder buffers.
    [[nodiscard]] std::size_t buffered_bytes() const;

  private:
    std::unique_ptr<hub_impl> impl_;
};

}  // namespace bzmq::node
