#pragma once

#include "bzmq/endpoint_id.hpp"

#include "base/time.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
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

/// The links that both ends claim, as flat arrays by node index: the cost of a link is the larger
/// of the two claims.
class link_graph {
  public:
    struct edge {
        node_index to = 0;
        std::uint32_t cost = 0;
        friend bool operator==(const edge&, const edge&) = default;
    };

    /// All links of `node`, by the index of the far end; none for unknown nodes.
    [[nodiscard]] std::span<const edge> edges(node_index node) const noexcept {
        if (static_cast<std::size_t>(node) + 1 >= first_.size()) {
            return {};
        }
        return std::span{edges_}.subspan(first_[node], first_[node + 1] - first_[node]);
    }

  private:
    friend class link_state_db;
    std::vector<std::uint32_t> first_;  ///< by node, and one more: where its edges begin
    std::vector<edge> edges_;
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

    /// The records held; null where there is none.
    [[nodiscard]] const topology_record* topology(node_index index) const noexcept;
    [[nodiscard]] const filter_record* filter(node_index index) const noexcept;

    // -- What follows from the records ----------------------------------------------------------

    /// Changes whenever links, flags or the use of indices may have changed.
    [[nodiscard]] std::uint64_t topology_version() const noexcept { return topology_version_; }
    /// Changes whenever what somebody subscribes to, or the use of indices, may have changed.
    [[nodiscard]] std::uint64_t filter_version() const noexcept { return filter_version_; }

    [[nodiscard]] const link_graph& graph() const;
    [[nodiscard]] bool connected(node_index index) const;
    /// The connected nodes, `self` among them, in the order of their ids.
    [[nodiscard]] std::span<const node_index> connected_nodes() const;

    // -- Resynchronisation ----------------------------------------------------------------------

    /// The sequence numbers of all connected nodes that have a record, in the order of their ids.
    [[nodiscard]] std::vector<digest_entry> digest() const;
    /// A hash over `digest()`, whatever the order; O(1) while nothing changes.
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
    struct node {
        endpoint_id id;  ///< nil where the slot is free
        std::optional<topology_record> topology;
        std::optional<filter_record> filter;
        std::vector<node_index> links;  ///< the indices of topology->neighbours, in their order
        std::uint32_t claims = 0;       ///< records of others that name this node
        mutable bool connected = false;
        mutable instant lost{};  ///< while not connected: what its age counts from

        [[nodiscard]] bool has_records() const noexcept { return topology || filter; }
    };

    [[nodiscard]] static digest_entry digest_of(const node& of) {
        return {of.id, of.topology ? of.topology->sequence : 0,
                of.filter ? of.filter->sequence : 0};
    }
    [[nodiscard]] bool may_age(node_index index) const noexcept;
    [[nodiscard]] bool room_for(const topology_record& record) const;
    node_index intern(const endpoint_id& id);
    void unlink(node& from);
    void refresh() const;
    void build_graph() const;
    void mark_connected() const;

    std::vector<node> nodes_;
    std::vector<node_index> free_;
    std::unordered_map<endpoint_id, node_index> index_;  ///< looked up, never iterated
    std::uint64_t topology_version_ = 1;
    std::uint64_t filter_version_ = 1;
    instant now_{};  ///< of the last call that passed the time

    // Derived on demand.
    mutable std::uint64_t graph_version_ = 0;  ///< the topology_version_ of what follows
    mutable link_graph graph_;
    mutable std::vector<node_index> connected_;
    mutable bool connected_sorted_ = false;
    mutable bool hash_known_ = false;
    mutable std::uint64_t hash_ = 0;
    mutable bool oldest_known_ = false;
    mutable instant oldest_ = never;  ///< the earliest `lost` of nodes that may age
};

}  // namespace bzmq::overlay
