#include "session/section.hpp"

namespace bzmq::session {
namespace {

/// The end of the pre-order range that starts at `root`, or 0 where the counts do not add up.
std::size_t range_end(const std::vector<tree_node>& nodes, std::size_t root) {
    std::uint64_t open = 1;
    std::size_t at = root;
    while (open > 0) {
        if (at == nodes.size()) {
            return 0;
        }
        open += nodes[at].children;
        --open;
        ++at;
    }
    return at;
}

}  // namespace

std::shared_ptr<const incoming_tree> split(subtree_ptr tree) {
    const auto& nodes = tree->nodes;
    if (nodes.empty() || range_end(nodes, 0) != nodes.size()) {
        return nullptr;
    }
    auto out = std::make_shared<incoming_tree>();
    out->deliver_here = nodes[0].receiver;
    std::size_t receivers_seen = nodes[0].receiver ? 1 : 0;
    for (std::size_t at = 1; at < nodes.size();) {
        const auto end = range_end(nodes, at);
        auto child = std::make_shared<subtree>();
        child->origin = tree->origin;
        child->nodes.assign(nodes.begin() + static_cast<std::ptrdiff_t>(at),
                            nodes.begin() + static_cast<std::ptrdiff_t>(end));
        for (const auto& node : child->nodes) {
            if (node.receiver) {
                child->receivers.push_back(node.id);
            }
        }
        const auto count = child->receivers.size();
        out->children.push_back({std::move(child), receivers_seen, count});
        receivers_seen += count;
        at = end;
    }
    out->tree = std::move(tree);
    return out;
}

}  // namespace bzmq::session
