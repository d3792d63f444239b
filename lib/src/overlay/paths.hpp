#pragma once

#include "bzmq/endpoint_id.hpp"

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
/// none (`flag_no_relay`) and over no more than `path_hops_max` of them. Among paths of equal cost the one with fewer hops wins, then the one
/// whose parent has the smaller id at each node: the result depends on the records alone, not on
/// the order in which they came.
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
        return node < entries_.size() && entries_[node].hops != unreached;
    }
    /// How many nodes are reachable, self not counted.
    [[nodiscard]] std::size_t reachable_count() const noexcept { return reachable_count_; }
    /// Of a reachable node only.
    [[nodiscard]] const entry& operator[](node_index node) const noexcept { return entries_[node]; }
    [[nodiscard]] node_index parent(node_index node) const noexcept {
        return entries_[node].parent;
    }
    [[nodiscard]] node_index first_hop(node_index node) const noexcept {
        return entries_[node].first_hop;
    }
    /// The nodes from the first hop to `node` itself; empty for self and where unreachable.
    [[nodiscard]] std::vector<node_index> path_to(node_index node) const;

  private:
    static constexpr std::uint32_t unreached = 0xffff'ffff;
    struct heap_item {
        std::uint64_t distance;
        std::uint32_t hops;
        node_index node;
    };

    void run(const link_state_db& db);
    void compare_with_before(const link_state_db& db);

    std::uint64_t version_ = 0;
    node_index self_ = 0;
    std::size_t reachable_count_ = 0;
    std::vector<entry> entries_;        ///< by node; `hops` is `unreached` where unreachable
    std::vector<endpoint_id> reached_;  ///< by node: its id where it was reachable last time
    std::vector<heap_item> heap_;
    std::vector<node_ref> gained_, lost_;
};

}  // namespace bzmq::overlay
