#include "overlay/paths.hpp"

#include <algorithm>

#include "overlay/growth.hpp"

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
    out.resize((*this)[node].hops);
    for (auto at = out.rbegin(); at != out.rend(); ++at) {
        *at = node;
        node = entries_[node].parent;
    }
    return out;
}

void path_table::run(const link_state_db& db) {
    thread_local std::vector<heap_item> heap;
    const auto farther = [](const heap_item& a, const heap_item& b) { return a.length > b.length; };
    make_room(entries_, db.slot_count());
    entries_.assign(db.slot_count(), packed_entry{});
    entries_[self_].length = 0;
    heap.assign(1, heap_item{0, self_});
    while (!heap.empty()) {
        std::pop_heap(heap.begin(), heap.end(), farther);
        const auto length = heap.back().length;
        const auto node = heap.back().node;
        heap.pop_back();
        const packed_entry here = entries_[node];
        if (here.length != length) {
            continue;  // A better way was found after this one.
        }
        if (node != self_
            && ((length & hops_mask) >= path_hops_max || (db.flags(node) & flag_no_relay) != 0)) {
            continue;
        }
        db.each_edge(node, [&](const edge& edge) {
            packed_entry& there = entries_[edge.to];
            const path_length found = length + (path_length{edge.cost} << hops_bits) + 1;
            if (there.length < found) {
                return;
            }
            if (there.length == found) {
                // Every parent that makes for the same distance and hops comes by before `there`
                // is settled, since its own length is smaller.
                if (db.id_of(node) < db.id_of(there.parent)) {
                    there.parent = node;
                    there.first_hop = node == self_ ? edge.to : here.first_hop;
                }
                return;
            }
            there = {found, node, node == self_ ? edge.to : here.first_hop};
            heap.push_back({found, edge.to});
            std::push_heap(heap.begin(), heap.end(), farther);
        });
    }
}

void path_table::compare_with_before(const link_state_db& db) {
    make_room(reached_, entries_.size());
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
