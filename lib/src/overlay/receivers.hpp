#pragma once

#include "overlay/link_state.hpp"
#include "overlay/prefix_trie.hpp"

#include <compare>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

/// Who receives a topic.
namespace bzmq::overlay {

/// A gateway that takes a topic for another domain.
struct bridge_match {
    node_index node = 0;
    std::string_view domain_tag;  ///< holds until the next change of the table
    friend auto operator<=>(const bridge_match&, const bridge_match&) = default;
};

/// The filters of all nodes, turned round: from a topic to the nodes that subscribe to it. Knows
/// nothing of reachability. Whoever applies a filter record that is newer calls `set`, whoever
/// forgets a node calls `remove`.
class receiver_table {
  public:
    /// The node's filter is now this, in the form in which the database keeps it. Costs the size of
    /// the filter; sets that stay the same are not touched.
    void set(node_index node, const std::vector<std::string>& prefixes,
             const std::vector<bridge>& bridges);
    void set(node_index node, const filter_record& record) {
        set(node, record.prefixes, record.bridges);
    }
    /// The node subscribes to nothing. No effect for unknown nodes.
    void remove(node_index node);

    /// Replaces `out` by the nodes that subscribe to `topic`, sorted, none twice.
    /// O(topic + result) where prefixes of at most two lengths match, see `prefix_trie::collect`.
    void match(std::string_view topic, std::vector<node_index>& out) const;
    /// Replaces `out` by the bridges that take `topic`, sorted by node and domain tag, none twice.
    void match_bridges(std::string_view topic, std::vector<bridge_match>& out) const;

  private:
    struct bridge_slot {
        node_index node = no_node;  ///< `no_node` where free
        std::string domain_tag;
        std::vector<prefix_trie::place> places;
    };
    struct node_state {
        std::vector<prefix_trie::place> places;  ///< sorted
        std::vector<std::uint32_t> bridges;      ///< slots, by domain tag
    };

    void set_bridges(node_index node, std::vector<std::uint32_t>& held,
                     const std::vector<bridge>& bridges);
    std::uint32_t new_bridge(node_index node, const std::string& domain_tag);

    std::vector<std::unique_ptr<node_state>> nodes_;  ///< null for those that take nothing
    prefix_trie topics_;
    std::vector<bridge_slot> bridge_slots_;
    std::vector<std::uint32_t> free_bridges_;
    prefix_trie bridged_topics_;
};

}  // namespace bzmq::overlay
