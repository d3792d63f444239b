#pragma once

#include "overlay/link_state.hpp"
#include "overlay/paths.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

/// Multicast trees: the union of the paths from one node to several receivers.
namespace bzmq::overlay {

/// One node of a tree written in pre-order: it is followed by its children's subtrees.
struct tree_node {
    node_index node = 0;
    bool is_receiver = false;
    std::uint32_t child_count = 0;
    friend bool operator==(const tree_node&, const tree_node&) = default;
};

/// The part of a tree that leaves through one link.
struct branch {
    node_index first_hop = no_node;
    std::vector<tree_node> nodes;  ///< pre-order; nodes[0].node == first_hop
    std::vector<node_index> receivers_in_preorder;
    friend bool operator==(const branch&, const branch&) = default;
};

/// Builds trees from shortest paths; keeps its buffers.
class tree_builder {
  public:
    /// The tree from the table's self to `receivers`. Order and repetitions among these do not
    /// matter, and self is left out. Branches, and children in a branch, are ordered by the
    /// smallest receiver under them. O(nodes of the tree) for sorted receivers.
    std::vector<branch> build(const path_table& paths, std::span<const node_index> receivers);

    /// The receivers that the last `build` left out because no path leads there, sorted.
    [[nodiscard]] std::span<const node_index> unreachable() const noexcept { return unreachable_; }

  private:
    struct mark {
        std::uint64_t round = 0;  ///< the build that this mark belongs to
        node_index first_child = no_node, last_child = no_node, next_sibling = no_node;
        std::uint32_t child_count = 0;
        bool is_receiver = false;
    };

    bool touch(node_index node);
    void add_receiver(const path_table& paths, node_index receiver);
    [[nodiscard]] branch write_branch(node_index first_hop);

    std::uint64_t round_ = 0;
    std::vector<mark> marks_;  ///< by node
    std::vector<node_index> sorted_, stack_, unreachable_;
};

/// Where one child of a tree's root lies in the arrays of that tree: nodes [node_begin, node_end)
/// and, of the receivers in pre-order, [receiver_begin, receiver_end).
struct subtree_range {
    std::size_t node_begin = 0, node_end = 0;
    std::size_t receiver_begin = 0, receiver_end = 0;
    friend bool operator==(const subtree_range&, const subtree_range&) = default;
};

/// Replaces `out` by the ranges of the children of nodes[0], in order. False, and `out` empty,
/// where `nodes` is not exactly one tree: a peer may have sent it. O(nodes), no recursion.
[[nodiscard]] bool child_ranges(std::span<const tree_node> nodes, std::vector<subtree_range>& out);

/// The receivers of a tree or of a part of it, in pre-order. A relay that cannot reach a child
/// rebuilds that child's tree with its own paths from them.
[[nodiscard]] std::vector<node_index> receivers_of(std::span<const tree_node> nodes);

}  // namespace bzmq::overlay
