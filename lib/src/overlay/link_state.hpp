#pragma once

#include "bzmq/endpoint_id.hpp"

#include "base/time.hpp"
#include "overlay/id_index.hpp"
#include "overlay/limits.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// What every endpoint of an overlay tells all others about itself, and the database of it. A
/// record replaces those of the same origin with lower sequence numbers.
namespace bzmq::overlay {

/// A small number for an endpoint, dense and local to one database; stable as long as the node is
/// known there. The numbers of forgotten nodes are used again.
using node_index = std::uint32_t;
constexpr node_index no_node = std::numeric_limits<node_index>::max();

struct neighbour {
    endpoint_id id;
    std::uint32_t cost = 0;
    friend bool operator==(const neighbour&, const neighbour&) = default;
};

/// Bits of `topology_record::flags`. Unknown bits are kept and passed on.
/// The endpoint relays nothing for others: paths end at it but never lead through it.
constexpr std::uint32_t flag_no_relay = 1;

/// Who an endpoint is and which links it holds.
struct topology_record {
    endpoint_id origin;
    std::uint64_t sequence = 0;  ///< from 1 on; 0 stands for "no record"
    std::string name;
    std::uint32_t flags = 0;
    std::vector<neighbour> neighbours;  ///< in the database: by id, none twice, never the origin
    friend bool operator==(const topology_record&, const topology_record&) = default;
};

/// What a gateway takes for another domain.
struct bridge {
    std::string domain_tag;
    std::vector<std::string> prefixes;  ///< in the database: minimised
    friend bool operator==(const bridge&, const bridge&) = default;
};

/// What an endpoint subscribes to, and what it offers.
struct filter_record {
    endpoint_id origin;
    std::uint64_t sequence = 0;         ///< from 1 on; 0 stands for "no record"
    std::vector<std::string> prefixes;  ///< in the database: minimised
    std::vector<bridge> bridges;        ///< in the database: by domain tag, none twice
    /// Names of what others may ask this endpoint for; in the database: sorted, none twice.
    std::vector<std::string> services = {};
    friend bool operator==(const filter_record&, const filter_record&) = default;
};

/// How an endpoint with a key tells it: as a service, which versions that know nothing of it keep
/// and pass on (docs/protocol.md, "Filter record").
[[nodiscard]] std::string key_service(std::string_view public_key);
/// The key among the services of a record, the smallest of several; empty where there is none.
[[nodiscard]] std::string_view key_among(const std::vector<std::string>& services) noexcept;

/// True where the record names an origin, has a sequence number and keeps within limits.hpp. What
/// comes from a peer must pass before it is applied.
[[nodiscard]] bool valid(const topology_record& record) noexcept;
[[nodiscard]] bool valid(const filter_record& record) noexcept;

// Scoped enumerators shadow nothing, but GCC 12 says that they do.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"

/// What a record was to the database that it was applied to. Only `newer` changes anything, and
/// only a newer record is worth passing on.
enum class freshness : std::uint8_t {
    newer,
    same,
    older,
    refused,  ///< newer, but it names more endpoints than `nodes_max` leaves room for
};

#pragma GCC diagnostic pop

/// A link that both ends claim, seen from one of them.
struct edge {
    node_index to = 0;
    std::uint32_t cost = 0;  ///< the larger of the two claims
    friend bool operator==(const edge&, const edge&) = default;
};

/// Sequence numbers of one origin's records; 0 where there is none.
struct digest_entry {
    endpoint_id origin;
    std::uint64_t topology = 0;
    std::uint64_t filter = 0;
    friend bool operator==(const digest_entry&, const digest_entry&) = default;
};

/// Records of one node that a peer should have.
struct missing_records {
    node_index node = 0;
    bool topology = false;
    bool filter = false;
    friend bool operator==(const missing_records&, const missing_records&) = default;
};

/// A node whose records are gone. Its index may come to name another node.
struct forgotten_node {
    endpoint_id id;
    node_index index = 0;
    friend bool operator==(const forgotten_node&, const forgotten_node&) = default;
};

/// The records of all endpoints known. A node is connected where links that both ends claim lead
/// to it from `self`; this is about knowledge and disregards `flag_no_relay`, so that all members
/// of one component agree on what they know. For routes see paths.hpp.
///
/// Not thread-safe, not even for const calls: what is derived from the records is brought up to
/// date when asked for. Pointers and references handed out hold until the next non-const call.
class link_state_db {
  public:
    /// Knows `self`, at index 0, for ever.
    explicit link_state_db(const endpoint_id& self);

    /// Takes a record in where its sequence number exceeds that of the record held. It is brought
    /// into the form that the record types describe. Time must not run backwards.
    freshness apply(topology_record record, instant now);
    freshness apply(filter_record record, instant now);

    // -- Nodes ----------------------------------------------------------------------------------

    /// The index of `id`, made if need be; `no_node` where `nodes_max` is reached or `id` is nil.
    node_index index_of(const endpoint_id& id);
    [[nodiscard]] std::optional<node_index> find(const endpoint_id& id) const;
    /// Nil for indices not in use.
    [[nodiscard]] endpoint_id id_of(node_index index) const noexcept;
    /// One more than the largest index that was ever in use.
    [[nodiscard]] node_index slot_count() const noexcept {
        return static_cast<node_index>(nodes_.size());
    }
    [[nodiscard]] node_index self_index() const noexcept { return 0; }
    [[nodiscard]] const endpoint_id& self() const noexcept { return nodes_.front().id; }

    /// The records held, put together anew: for passing on. Nothing where there is none.
    [[nodiscard]] std::optional<topology_record> topology(node_index index) const;
    [[nodiscard]] std::optional<filter_record> filter(node_index index) const;
    /// What the records say, for looking at: empty, zero or false where there is none.
    [[nodiscard]] std::string_view name(node_index index) const noexcept;
    [[nodiscard]] std::uint32_t flags(node_index index) const noexcept;
    [[nodiscard]] bool claims_link(node_index from, node_index to) const noexcept;
    [[nodiscard]] std::uint64_t filter_sequence(node_index index) const noexcept;
    [[nodiscard]] const std::vector<std::string>& prefixes(node_index index) const noexcept;
    [[nodiscard]] const std::vector<bridge>& bridges(node_index index) const noexcept;
    [[nodiscard]] const std::vector<std::string>& services(node_index index) const noexcept;

    // -- What follows from the records ----------------------------------------------------------

    /// Changes whenever links that both ends claim, flags or the use of indices may have changed.
    [[nodiscard]] std::uint64_t topology_version() const noexcept { return topology_version_; }
    /// Changes whenever what somebody subscribes to, or the use of indices, may have changed.
    [[nodiscard]] std::uint64_t filter_version() const noexcept { return filter_version_; }

    /// Calls `what` with each `edge` of a node, in the order of the far ends' ids.
    template <class action>
    void each_edge(node_index index, action&& what) const {
        refresh();
        if (index < nodes_.size()) {
            returned_links(index, what);
        }
    }
    [[nodiscard]] std::vector<edge> edges(node_index index) const;
    [[nodiscard]] bool connected(node_index index) const;
    /// The connected nodes, `self` among them, in the order of their ids.
    [[nodiscard]] std::span<const node_index> connected_nodes() const;

    // -- Resynchronisation ----------------------------------------------------------------------

    /// The sequence numbers of all connected nodes that have a record, in the order of their ids.
    [[nodiscard]] std::vector<digest_entry> digest() const;
    /// A hash over `digest()`, whatever the order. O(1) while no links come or go.
    [[nodiscard]] std::uint64_t digest_hash() const;
    /// What to send to a peer whose digest is `theirs` (in any order), in the order of ids: records
    /// that it lacks or has older of connected nodes and of nodes that were met or lost a moment
    /// ago (the records that connect them may still be on their way here, and then only those would
    /// be passed on), and of all nodes that it lists as older.
    [[nodiscard]] std::vector<missing_records> newer_than(
        std::span<const digest_entry> theirs) const;

    // -- Ageing ---------------------------------------------------------------------------------

    /// Forgets the nodes that have been out of reach for `max_age`, and returns them in the order
    /// of their ids. While a record of somebody else claims a link to a node, its index stays its
    /// own, without records; the node is returned again when the index is given up.
    ///
    /// The age counts from the node's last newer record or, where that is later, from when the loss
    /// was found out: with the first question about what follows from the records, or the call of
    /// this, after the record that told of it.
    std::vector<forgotten_node> forget_stale(instant now, std::chrono::nanoseconds max_age);
    /// When `forget_stale` will have something to do; `never` where nothing ages.
    [[nodiscard]] instant next_expiry(std::chrono::nanoseconds max_age) const;

  private:
    /// A claim of one node. Twelve bytes: an overlay of n endpoints keeps n times all links.
    struct link {
        std::uint16_t to = 0;       ///< a node_index
        bool returned = false;      ///< the far end claims it as well
        std::uint32_t claimed = 0;  ///< the cost by this end's record
        std::uint32_t cost = 0;     ///< of the edge, while `returned`
    };
    static_assert(nodes_max <= 0xffff);

    /// What a node subscribes to, and offers. Most nodes do not, and have none of these.
    struct subscriptions {
        std::vector<std::string> prefixes;
        std::vector<bridge> bridges;
        std::vector<std::string> services;
    };

    /// All that is known of one endpoint. An overlay of n endpoints keeps n times n of these: what
    /// few nodes have is allocated apart.
    struct node {
        endpoint_id id;                       ///< nil where the slot is free
        std::uint64_t topology_sequence = 0;  ///< 0: no record
        std::uint64_t filter_sequence = 0;    ///< 0: no record
        std::unique_ptr<link[]> link_array;   ///< by the id of the far end
        std::uint32_t link_count = 0;
        std::uint32_t flags = 0;
        std::uint32_t claims = 0;  ///< records of others that name this node
        mutable bool connected = false;
        mutable instant lost{};  ///< while not connected: what its age counts from
        std::string name;
        std::unique_ptr<subscriptions> filter;  ///< null where it subscribes to nothing

        [[nodiscard]] bool has_records() const noexcept {
            return topology_sequence != 0 || filter_sequence != 0;
        }
        [[nodiscard]] std::span<link> links() const noexcept {
            return {link_array.get(), link_count};
        }
    };

    [[nodiscard]] static digest_entry digest_of(const node& of) {
        return {of.id, of.topology_sequence, of.filter_sequence};
    }
    [[nodiscard]] auto id_lookup() const noexcept {
        return [this](node_index index) -> const endpoint_id& { return nodes_[index].id; };
    }
    template <class action>
    void returned_links(node_index index, action&& what) const {
        for (const link& each : nodes_[index].links()) {
            if (each.returned) {
                what(edge{each.to, each.cost});
            }
        }
    }
    [[nodiscard]] bool may_age(node_index index) const noexcept;
    [[nodiscard]] bool room_for(const topology_record& record) const;
    node_index intern(const endpoint_id& id);
    [[nodiscard]] link* link_between(node_index from, node_index to) const noexcept;
    bool relink(node_index origin, const std::vector<neighbour>& neighbours);
    void unlink(node_index from);
    void news_of(node& origin, std::uint64_t& sequence, std::uint64_t now_is);
    void refresh() const {
        if (parted_ || !joined_.empty()) {
            update_connected();
        }
    }
    void update_connected() const;
    void grow_connected() const;
    void find_connected() const;
    void now_connected(std::vector<node_index>& gained) const;

    std::vector<node> nodes_;
    std::vector<node_index> free_;
    id_index index_;
    std::uint64_t topology_version_ = 1;
    std::uint64_t filter_version_ = 1;
    instant now_{};  ///< of the last call that passed the time

    // Derived on demand.
    struct pair_of_nodes {
        node_index from, to;
    };
    mutable std::vector<pair_of_nodes> joined_;  ///< new edges since the last `refresh`
    mutable bool parted_ = false;                ///< edges were lost since the last `refresh`
    mutable std::vector<node_index> connected_;  ///< by id
    mutable std::uint64_t hash_ = 0;  ///< the digest hash over the nodes marked `connected`
    mutable bool oldest_known_ = false;
    mutable instant oldest_ = never;  ///< the earliest `lost` of nodes that may age
};

}  // namespace bzmq::overlay
