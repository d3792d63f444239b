#include "overlay/paths.hpp"

#include <algorithm>
#include <tuple>

#include "overlay/limits.hpp"

namespace bzmq::overlay {

bool path_table::recompute(const link_state_db& db) {
    gained_.clear();
    lost_.clear();
    if (version_ == db.topology_version()) {
        return false;
    }
    version_ = db.topology_version();
    self_ = db.self_index();
    run(db);
    compare_with_before(db);
    return true;
}

std::vector<node_index> path_table::path_to(node_index node) const {
    std::vector<node_index> out;
    if (!reachable(node)) {
        return out;
    }
    out.resize(entries_[node].hops);
    for (auto at = out.rbegin(); at != out.rend(); ++at) {
        *at = node;
        node = entries_[node].parent;
    }
    return out;
}

void path_table::run(const link_state_db& db) {
    const link_graph& graph = db.graph();
    const auto farther = [](const heap_item& a, const heap_item& b) {
        return std::tie(a.distance, a.hops) > std::tie(b.distance, b.hops);
    };
    entries_.assign(db.slot_count(), entry{0, unreached, no_node, no_node});
    entries_[self_].hops = 0;
    heap_.assign(1, heap_item{0, 0, self_});
    while (!heap_.empty()) {
        std::pop_heap(heap_.begin(), heap_.end(), farther);
        const heap_item item = heap_.back();
        heap_.pop_back();
        const node_index node = item.node;
        const entry here = entries_[node];
        if (here.distance != item.distance || here.hops != item.hops) {
            continue;  // A better way was found after this one.
        }
        if (node != self_
            && (here.hops >= path_hops_max || (db.topology(node)->flags & flag_no_relay) != 0)) {
            continue;
        }
        for (const auto& edge : graph.edges(node)) {
            entry& there = entries_[edge.to];
            const std::uint64_t distance = here.distance + edge.cost;
            const std::uint32_t hops = here.hops + 1;
            if (there.hops != unreached) {
                const auto known = std::tie(there.distance, there.hops);
                const auto found = std::tie(distance, hops);
                if (known < found) {
                    continue;
                }
                if (known == found) {
                    // Every parent that makes for the same distance and hops comes by before
                    // `there` is settled, since its own key is smaller.
                    if (db.id_of(node) < db.id_of(there.parent)) {
                        there.parent = node;
                        there.first_hop = node == self_ ? edge.to : here.first_hop;
                    }
                    continue;
                }
            }
            there = {distance, hops, node, node == self_ ? edge.to : here.first_hop};
            heap_.push_back({distance, hops, edge.to});
            std::push_heap(heap_.begin(), heap_.end(), farther);
        }
    }
}

void path_table::compare_with_before(const link_state_db& db) {
    reached_.resize(entries_.size());
    reachable_count_ = 0;
    for (node_index node = 0; node < entries_.size(); ++node) {
        endpoint_id now;
        if (node != self_ && reachable(node)) {
            now = db.id_of(node);
            ++reachable_count_;
        }
        endpoint_id& before = reached_[node];
        if (before == now) {
            continue;
        }
        if (before) {
            lost_.push_back({before, node});
        }
        if (now) {
            gained_.push_back({now, node});
        }
        before = now;
    }
    const auto by_id = [](const node_ref& a, const node_ref& b) { return a.id < b.id; };
    std::sort(gained_.begin(), gained_.end(), by_id);
    std::sort(lost_.begin(), lost_.end(), by_id);
}

}  // namespace bzmq::overlay
