#include "overlay/receivers.hpp"

#include "overlay/growth.hpp"

#include <algorithm>
#include <utility>

namespace bzmq::overlay {
namespace {

using places = std::vector<prefix_trie::place>;

/// Makes `trie` hold `value` at the places of `prefixes` instead of at `held`, which it updates.
void move_to(prefix_trie& trie, const std::vector<std::string>& prefixes, prefix_trie::value value,
             places& held) {
    places wanted;
    wanted.reserve(prefixes.size());
    for (const std::string& prefix : prefixes) {
        wanted.push_back(trie.locate(prefix));
    }
    std::sort(wanted.begin(), wanted.end());
    places difference;
    std::set_difference(wanted.begin(), wanted.end(), held.begin(), held.end(),
                        std::back_inserter(difference));
    for (const auto at : difference) {
        trie.add(at, value);
    }
    difference.clear();
    std::set_difference(held.begin(), held.end(), wanted.begin(), wanted.end(),
                        std::back_inserter(difference));
    for (const auto at : difference) {
        trie.remove(at, value);
    }
    held = std::move(wanted);
}

}  // namespace

void receiver_table::set(node_index node, const std::vector<std::string>& prefixes,
                         const std::vector<bridge>& bridges) {
    if (prefixes.empty() && bridges.empty()) {
        remove(node);
        return;
    }
    if (node >= nodes_.size()) {
        make_room(nodes_, static_cast<std::size_t>(node) + 1);
        nodes_.resize(static_cast<std::size_t>(node) + 1);
    }
    if (!nodes_[node]) {
        nodes_[node] = std::make_unique<node_state>();
    }
    move_to(topics_, prefixes, node, nodes_[node]->places);
    set_bridges(node, nodes_[node]->bridges, bridges);
}

void receiver_table::remove(node_index node) {
    if (node < nodes_.size() && nodes_[node]) {
        move_to(topics_, {}, node, nodes_[node]->places);
        set_bridges(node, nodes_[node]->bridges, {});
        nodes_[node].reset();
    }
}

void receiver_table::match(std::string_view topic, std::vector<node_index>& out) const {
    out.clear();
    topics_.collect(topic, out);
}

void receiver_table::match_bridges(std::string_view topic, std::vector<bridge_match>& out) const {
    out.clear();
    std::vector<std::uint32_t> slots;
    bridged_topics_.collect(topic, slots);
    for (const auto slot : slots) {
        out.push_back({bridge_slots_[slot].node, bridge_slots_[slot].domain_tag});
    }
    std::sort(out.begin(), out.end());
}

/// Makes `held`, the slots of `node`, those of `bridges`.
void receiver_table::set_bridges(node_index node, std::vector<std::uint32_t>& held,
                                 const std::vector<bridge>& bridges) {
    if (held.empty() && bridges.empty()) {
        return;
    }
    std::vector<std::uint32_t> slots;
    for (const bridge& wanted : bridges) {
        const auto known = std::find_if(held.begin(), held.end(), [&](std::uint32_t slot) {
            return bridge_slots_[slot].domain_tag == wanted.domain_tag;
        });
        std::uint32_t slot = 0;
        if (known != held.end()) {
            slot = *known;
            held.erase(known);
        } else {
            slot = new_bridge(node, wanted.domain_tag);
        }
        move_to(bridged_topics_, wanted.prefixes, slot, bridge_slots_[slot].places);
        slots.push_back(slot);
    }
    for (const auto slot : held) {
        move_to(bridged_topics_, {}, slot, bridge_slots_[slot].places);
        bridge_slots_[slot] = bridge_slot{};
        free_bridges_.push_back(slot);
    }
    held = std::move(slots);
}

std::uint32_t receiver_table::new_bridge(node_index node, const std::string& domain_tag) {
    std::uint32_t slot = 0;
    if (free_bridges_.empty()) {
        slot = static_cast<std::uint32_t>(bridge_slots_.size());
        bridge_slots_.emplace_back();
    } else {
        slot = free_bridges_.back();
        free_bridges_.pop_back();
    }
    bridge_slots_[slot].node = node;
    bridge_slots_[slot].domain_tag = domain_tag;
    return slot;
}

}  // namespace bzmq::overlay
