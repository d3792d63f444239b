#include "overlay/tree.hpp"

#include <algorithm>
#include <utility>

namespace bzmq::overlay {

std::vector<branch> tree_builder::build(const path_table& paths,
                                        std::span<const node_index> receivers) {
    ++round_;
    unreachable_.clear();
    marks_.resize(std::max<std::size_t>(marks_.size(), paths.slot_count()));
    std::span<const node_index> in_order = receivers;
    if (!std::is_sorted(receivers.begin(), receivers.end())) {
        sorted_.assign(receivers.begin(), receivers.end());
        std::sort(sorted_.begin(), sorted_.end());
        in_order = sorted_;
    }
    const node_index self = paths.self_index();
    std::vector<branch> out;
    if (paths.slot_count() != 0) {
        touch(self);
    }
    for (const auto receiver : in_order) {
        if (!paths.reachable(receiver)) {
            if (unreachable_.empty() || unreachable_.back() != receiver) {
                unreachable_.push_back(receiver);
            }
        } else if (receiver != self) {
            add_receiver(paths, receiver);
        }
    }
    if (paths.slot_count() != 0) {
        for (auto hop = marks_[self].first_child; hop != no_node; hop = marks_[hop].next_sibling) {
            out.push_back(write_branch(hop));
        }
    }
    return out;
}

/// Makes the node part of the present tree; true where it was not yet.
bool tree_builder::touch(node_index node) {
    if (marks_[node].round == round_) {
        return false;
    }
    marks_[node] = mark{};
    marks_[node].round = round_;
    return true;
}

/// Joins the receiver to the tree, with as many of the nodes before it as are not part of it yet.
void tree_builder::add_receiver(const path_table& paths, node_index receiver) {
    node_index node = receiver;
    bool joined = touch(node);
    marks_[node].is_receiver = true;
    while (joined) {
        const node_index above = paths.parent(node);
        joined = touch(above);
        mark& parent = marks_[above];
        (parent.first_child == no_node ? parent.first_child
                                       : marks_[parent.last_child].next_sibling) = node;
        parent.last_child = node;
        ++parent.child_count;
        node = above;
    }
}

branch tree_builder::write_branch(node_index first_hop) {
    branch out;
    out.first_hop = first_hop;
    stack_.clear();
    for (node_index node = first_hop;;) {
        const mark& here = marks_[node];
        out.nodes.push_back({node, here.is_receiver, here.child_count});
        if (here.is_receiver) {
            out.receivers_in_preorder.push_back(node);
        }
        if (here.first_child != no_node) {
            stack_.push_back(node);
            node = here.first_child;
            continue;
        }
        while (node != first_hop && marks_[node].next_sibling == no_node) {
            node = stack_.back();
            stack_.pop_back();
        }
        if (node == first_hop) {
            return out;
        }
        node = marks_[node].next_sibling;
    }
}

bool child_ranges(std::span<const tree_node> nodes, std::vector<subtree_range>& out) {
    out.clear();
    if (nodes.empty()) {
        return false;
    }
    std::size_t at = 1;
    std::size_t receivers = nodes[0].is_receiver ? 1 : 0;
    for (std::uint32_t child = 0; child < nodes[0].child_count; ++child) {
        subtree_range range{at, at, receivers, receivers};
        for (std::uint64_t open = 1; open != 0; ++at) {
            if (open > nodes.size() - at) {
                out.clear();
                return false;
            }
            open += nodes[at].child_count;
            --open;
            receivers += nodes[at].is_receiver ? 1 : 0;
        }
        range.node_end = at;
        range.receiver_end = receivers;
        out.push_back(range);
    }
    if (at != nodes.size()) {
        out.clear();
        return false;
    }
    return true;
}

std::vector<node_index> receivers_of(std::span<const tree_node> nodes) {
    std::vector<node_index> out;
    for (const tree_node& node : nodes) {
        if (node.is_receiver) {
            out.push_back(node.node);
        }
    }
    return out;
}

}  // namespace bzmq::overlay
