#pragma once

#include "bzmq/endpoint_id.hpp"
#include "bzmq/error.hpp"
#include "bzmq/export.hpp"
#include "bzmq/status.hpp"
#include "bzmq/time.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

/// What an endpoint tells of its peers, of the overlay and of itself.
namespace bzmq {

enum class peer_status : std::uint8_t {
    connecting = 0,  ///< an attempt to connect is under way
    handshake = 1,   ///< connected; who it is and what it subscribes to is being told
    peered = 2,      ///< messages flow
    waiting = 3,     ///< the last attempt failed or the link broke; the next attempt comes later
};
BZMQ_EXPORT std::string_view to_string(peer_status what) noexcept;

/// One direct peer, or one that is being tried.
struct peer_info {
    endpoint_info peer;  ///< the id is nil until it is known
    peer_status state = peer_status::connecting;
    bool outgoing = false;   ///< we dialled
    std::string public_key;  ///< Z85, authenticated; empty without encryption
    timespan round_trip{};   ///< of the link; zero before the first measurement
    std::uint32_t cost = 0;  ///< of the link, as paths are chosen by
    std::size_t queue_messages = 0, queue_bytes = 0, queue_bytes_high = 0;
    std::uint64_t sent_messages = 0, sent_bytes = 0;
    std::uint64_t received_messages = 0, received_bytes = 0;
    std::uint64_t dropped_messages = 0;      ///< because its queue was full
    std::uint64_t retransmitted_frames = 0;  ///< sent again, because the link lost them
};

struct topology_link {
    endpoint_id to;
    std::uint32_t cost = 0;
};

/// One endpoint of the overlay, as this one sees it.
struct topology_node {
    endpoint_id id;
    std::string name;
    unsigned distance = 0;             ///< links on our path to it; 0 for ourselves
    endpoint_id next_hop;              ///< nil for ourselves
    std::vector<topology_link> links;  ///< that both ends claim
    std::vector<std::string> filter;   ///< topic prefixes that it subscribes to
    /// Z85; authenticated where it is a direct peer, otherwise as the overlay's records say. Empty
    /// without encryption, and where its version does not tell.
    std::string public_key;
};

struct ping_result {
    timespan round_trip{};
    std::vector<endpoint_id> path;  ///< the endpoints that the question crossed, destination last
};

struct subscriber_metrics {
    std::vector<std::string> topics;
    std::size_t queue_messages = 0, queue_bytes = 0, queue_bytes_high = 0;
    std::uint64_t dropped_messages = 0;
};

/// Counters since the start, and gauges of now.
struct endpoint_metrics {
    std::uint64_t published = 0;         ///< messages accepted from local publishers
    std::uint64_t publish_refused = 0;   ///< calls to publish that failed with queue_full
    std::uint64_t no_receiver = 0;       ///< published messages that nobody wanted
    std::uint64_t delivered = 0;         ///< messages handed to local subscribers' queues
    std::uint64_t relayed = 0;           ///< batches passed on for others
    std::uint64_t repaired = 0;          ///< batches for which another way was found
    std::uint64_t dropped_overflow = 0;  ///< messages dropped because a peer's queue was full
    std::uint64_t dropped_no_path = 0;   ///< messages without any path left
    std::uint64_t dropped_late = 0;      ///< messages that came after their successors or twice
    std::uint64_t dropped_too_big = 0;   ///< messages larger than a peer, or this endpoint, takes
    std::uint64_t dropped_forbidden = 0;  ///< messages that the `permissions` of a peer's key forbid
    std::uint64_t dropped_by_subscribers = 0;  ///< messages that local subscribers had no room for
    std::uint64_t gaps = 0;               ///< holes that streams went over
    std::uint64_t retransmitted = 0;      ///< reliable batches sent again
    std::uint64_t malformed = 0;          ///< frames, records or store messages that broke the protocol
    std::uint64_t ignored_credit = 0;     ///< links ended because their peer sent without credit
    std::uint64_t control_bytes = 0;      ///< bytes of link-state records sent
    std::uint64_t route_computations = 0;
    std::size_t buffered_bytes = 0;       ///< in queues toward peers, for repeating and reordering
    std::size_t publish_queue_bytes = 0;  ///< handed over by publishers, not yet taken

    std::uint64_t sent_frames = 0, sent_bytes = 0;
    std::uint64_t received_frames = 0, received_bytes = 0;
    std::uint64_t accepted_connections = 0;  ///< TCP or ipc connections, before any handshake
    std::uint64_t failed_handshakes = 0;  ///< of those; also those that never said hello
    std::uint64_t refused_peers = 0;  ///< kept out by key

    std::vector<peer_info> peers;
    std::vector<subscriber_metrics> subscribers;
};

}  // namespace bzmq
