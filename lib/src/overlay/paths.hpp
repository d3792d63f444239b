#pragma once

#include "bzmq/endpoint_id.hpp"

#include "overlay/limits.hpp"
#include "overlay/link_state.hpp"

#include <cstdint>
#include <span>
#include <vector>

/// Shortest paths from `self` to every other endpoint.
namespace bzmq::overlay {

struct node_ref {
    endpoint_id id;
    node_index index = 0;
    friend bool operator==(const node_ref&, const node_ref&) = default;
};

/// Shortest paths (Dijkstra) over the links that both ends claim, never through a relay that wants
/// none (`flag_no_relay`) and over no more than `path_hops_max` of them. Among paths of equal cost
/// the one with fewer hops wins, then the one whose parent has the smaller id at each node: the
/// result depends on the records alone, not on the order in which they came.
///
/// Answers are about the database as of the last `recompute`. Indices out of range are unreachable.
class path_table {
  public:
    struct entry {
        std::uint64_t distance = 0;
        std::uint32_t hops = 0;
        node_index parent = no_node;     ///< `no_node` for self
        node_index first_hop = no_node;  ///< `no_node` for self
    };

    /// Brings the table up to date with `db`, which must be the same each time. Where the topology
    /// version is that of last time there is nothing to do: false. O((nodes + links) log nodes),
    /// buffers are kept.
    bool recompute(const link_state_db& db);

    /// What the last recompute changed, in the order of ids; self is never listed.
    /// The index of a node lost may already name another node.
    [[nodiscard]] std::span<const node_ref> newly_reachable() const noexcept { return gained_; }
    [[nodiscard]] std::span<const node_ref> newly_unreachable() const noexcept { return lost_; }

    [[nodiscard]] std::uint64_t topology_version() const noexcept { return version_; }
    [[nodiscard]] node_index self_index() const noexcept { return self_; }
    [[nodiscard]] node_index slot_count() const noexcept {
        return static_cast<node_index>(entries_.size());
    }
    /// Self is reachable.
    [[nodiscard]] bool reachable(node_index node) const noexcept {
        return node < entries_.size() && entries_[node].length != unreached;
    }
    /// How many nodes are reachable, self not counted.
    [[nodiscard]] std::size_t reachable_count() const noexcept { return reachable_count_; }
    /// Of a reachable node only.
    [[nodiscard]] entry operator[](node_index node) const noexcept {
        const auto& [length, parent, first_hop] = entries_[node];
        return {length >> hops_bits, static_cast<std::uint32_t>(length & hops_mask), parent,
                first_hop};
    }
    [[nodiscard]] node_index parent(node_index node) const noexcept {
        return entries_[node].parent;
    }
    [[nodiscard]] node_index first_hop(node_index node) const noexcept {
        return entries_[node].first_hop;
    }
    /// The nodes from the first hop to `node` itself; empty for self and where unreachable.
    [[nodiscard]] std::vector<node_index> path_to(node_index node) const;

  private:
    /// Distance and hops in one number that orders paths as they shall be chosen: every endpoint
    /// keeps one for every other, and compares them in the innermost loop.
    using path_length = std::uint64_t;
    static constexpr unsigned hops_bits = 8;
    static constexpr path_length hops_mask = (1U << hops_bits) - 1;
    static_assert(path_hops_max <= hops_mask);
    static constexpr path_length unreached = ~path_length{0};
    struct packed_entry {
        path_length length = unreached;
        node_index parent = no_node;
        node_index first_hop = no_node;
    };
    struct heap_item {
        path_length length;
        node_index node;
    };

    void run(const link_state_db& db);
    void compare_with_before(const link_state_db& db);

    std::uint64_t version_ = 0;
    node_index self_ = 0;
    std::size_t reachable_count_ = 0;
    std::vector<packed_entry> entries_;  ///< by node
    std::vector<endpoint_id> reached_;   ///< by node: its id where it was reachable last time
    std::vector<node_ref> gained_, lost_;
};

}  // namespace bzmq::overlay
