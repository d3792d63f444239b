#include "overlay/tree.hpp"

#include <gtest/gtest.h>

#include "overlay/graphs.hpp"

#include <algorithm>
#include <set>

namespace bzmq::overlay {
namespace {

using testing::id;
using testing::plain_graph;
using indices = std::vector<node_index>;

/// Reads a pre-order tree by recursion: who sits under whom.
std::size_t read_tree(const std::vector<tree_node>& nodes, std::size_t at, node_index parent,
                      std::set<std::pair<node_index, node_index>>& links) {
    const auto& here = nodes.at(at);
    links.emplace(parent, here.node);
    ++at;
    for (std::uint32_t child = 0; child < here.child_count; ++child) {
        at = read_tree(nodes, at, here.node, links);
    }
    return at;
}

struct overlay_fixture {
    explicit overlay_fixture(const plain_graph& graph)
        : db(testing::database_of(graph, testing::origins_of(graph))) {
        paths.recompute(db);
    }
    [[nodiscard]] node_index at(std::uint64_t number) const { return *db.find(id(number)); }

    link_state_db db;
    path_table paths;
};

/// 0 - 1 - {2, 3 - 4}, 0 - 5, and 6 that nobody reaches.
plain_graph small_graph() {
    plain_graph graph;
    graph.link(0, 1, 1);
    graph.link(1, 2, 1);
    graph.link(1, 3, 1);
    graph.link(3, 4, 1);
    graph.link(0, 5, 1);
    graph.claims[6];
    return graph;
}

TEST(tree, branches_hold_the_paths_to_the_receivers_and_nothing_else) {
    const overlay_fixture net{small_graph()};
    tree_builder builder;
    const indices receivers{net.at(4), net.at(2), net.at(2), net.at(1)};
    const auto branches = builder.build(net.paths, receivers);
    ASSERT_EQ(branches.size(), 1U);
    EXPECT_EQ(branches[0].first_hop, net.at(1));
    EXPECT_EQ(branches[0].nodes, (std::vector<tree_node>{{net.at(1), true, 2},
                                                         {net.at(2), true, 0},
                                                         {net.at(3), false, 1},
                                                         {net.at(4), true, 0}}));
    EXPECT_EQ(branches[0].receivers_in_preorder, (indices{net.at(1), net.at(2), net.at(4)}));
    EXPECT_TRUE(builder.unreachable().empty());
}

TEST(tree, receivers_out_of_reach_are_reported_and_self_is_left_out) {
    const overlay_fixture net{small_graph()};
    tree_builder builder;
    const auto branches =
        builder.build(net.paths, indices{1000, net.at(6), net.at(0), net.at(5), net.at(6)});
    ASSERT_EQ(branches.size(), 1U);
    EXPECT_EQ(branches[0].first_hop, net.at(5));
    EXPECT_EQ(indices(builder.unreachable().begin(), builder.unreachable().end()),
              (indices{net.at(6), 1000}));
    EXPECT_TRUE(builder.build(net.paths, indices{}).empty());
    EXPECT_TRUE(builder.unreachable().empty());
}

TEST(tree, without_paths_nobody_is_reached) {
    tree_builder builder;
    EXPECT_TRUE(builder.build(path_table{}, indices{0, 1}).empty());
    EXPECT_EQ(builder.unreachable().size(), 2U);
}

TEST(tree, is_the_union_of_the_paths) {
    prng random{8};
    tree_builder builder;
    for (int round = 0; round < 300; ++round) {
        const auto nodes = 1 + random.below(40);
        const overlay_fixture net{testing::random_graph(random, nodes, 2 * nodes, 3)};
        indices receivers;
        for (node_index node = 0; node < net.db.slot_count(); ++node) {
            if (random.chance(1, 3)) {
                receivers.push_back(node);
            }
        }
        std::set<std::pair<node_index, node_index>> expected, found;
        std::set<node_index> reached;
        for (const auto receiver : receivers) {
            node_index before = 0;
            for (const auto step : net.paths.path_to(receiver)) {
                expected.emplace(before, step);
                before = step;
            }
            if (receiver != 0 && net.paths.reachable(receiver)) {
                reached.insert(receiver);
            }
        }
        const auto branches = builder.build(net.paths, receivers);
        std::set<node_index> listed;
        std::size_t node_count = 0;
        for (const auto& each : branches) {
            ASSERT_EQ(each.nodes.front().node, each.first_hop);
            ASSERT_EQ(read_tree(each.nodes, 0, 0, found), each.nodes.size());
            ASSERT_EQ(receivers_of(each.nodes), each.receivers_in_preorder);
            listed.insert(each.receivers_in_preorder.begin(), each.receivers_in_preorder.end());
            node_count += each.nodes.size();
        }
        ASSERT_EQ(found, expected);
        ASSERT_EQ(node_count, expected.size());
        ASSERT_EQ(listed, reached);
        testing::shuffle(receivers, random);
        ASSERT_EQ(builder.build(net.paths, receivers), branches);
    }
}

TEST(tree, a_relay_splits_it_into_the_subtrees_of_the_children) {
    prng random{9};
    tree_builder builder;
    std::vector<subtree_range> ranges;
    for (int round = 0; round < 200; ++round) {
        const auto nodes = 2 + random.below(40);
        const overlay_fixture net{testing::random_graph(random, nodes, 2 * nodes, 3)};
        indices receivers;
        for (node_index node = 1; node < net.db.slot_count(); ++node) {
            if (random.chance(1, 2)) {
                receivers.push_back(node);
            }
        }
        for (const auto& each : builder.build(net.paths, receivers)) {
            ASSERT_TRUE(child_ranges(each.nodes, ranges));
            ASSERT_EQ(ranges.size(), each.nodes[0].child_count);
            std::size_t node_at = 1;
            std::size_t receiver_at = each.nodes[0].is_receiver ? 1 : 0;
            for (const auto& range : ranges) {
                ASSERT_EQ(range.node_begin, node_at);
                ASSERT_EQ(range.receiver_begin, receiver_at);
                std::set<std::pair<node_index, node_index>> links;
                node_at = read_tree(each.nodes, range.node_begin, 0, links);
                ASSERT_EQ(range.node_end, node_at);
                const auto part =
                    std::span{each.nodes}.subspan(range.node_begin, node_at - range.node_begin);
                const auto of_part = receivers_of(part);
                receiver_at += of_part.size();
                ASSERT_EQ(range.receiver_end, receiver_at);
                ASSERT_TRUE(std::equal(of_part.begin(), of_part.end(),
                                       each.receivers_in_preorder.begin()
                                           + static_cast<std::ptrdiff_t>(range.receiver_begin)));
            }
            ASSERT_EQ(node_at, each.nodes.size());
        }
    }
}

TEST(tree, a_relay_rebuilds_with_its_own_paths_what_it_cannot_pass_on) {
    // 0 reaches 3 over 1 and 2; 1 has lost 2 and reaches 3 over 4.
    plain_graph graph;
    graph.link(1, 4, 1);
    graph.link(4, 3, 1);
    link_state_db db{id(1)};
    for (const std::uint64_t origin : {1, 3, 4}) {
        db.apply(graph.record(origin, 1), instant{0});
    }
    path_table paths;
    paths.recompute(db);
    const auto two = db.index_of(id(2));
    const auto three = *db.find(id(3));
    const std::vector<tree_node> subtree{{two, false, 1}, {three, true, 0}};
    tree_builder builder;
    const auto repaired = builder.build(paths, receivers_of(subtree));
    ASSERT_EQ(repaired.size(), 1U);
    EXPECT_EQ(repaired[0].first_hop, *db.find(id(4)));
    EXPECT_EQ(repaired[0].receivers_in_preorder, indices{three});
}

TEST(tree, what_is_not_exactly_one_tree_is_refused) {
    std::vector<subtree_range> ranges{{}};
    EXPECT_FALSE(child_ranges({}, ranges));
    EXPECT_TRUE(ranges.empty());
    using nodes = std::vector<tree_node>;
    EXPECT_FALSE(child_ranges(nodes{{1, false, 1}}, ranges));
    EXPECT_FALSE(child_ranges(nodes{{1, false, 0}, {2, true, 0}}, ranges));
    EXPECT_FALSE(child_ranges(nodes{{1, false, 1}, {2, true, 0xffff'ffff}}, ranges));
    EXPECT_FALSE(child_ranges(nodes{{1, false, 0xffff'ffff}, {2, true, 0}}, ranges));
    EXPECT_FALSE(child_ranges(nodes{{1, false, 2}, {2, true, 0}}, ranges));
    EXPECT_TRUE(ranges.empty());
    EXPECT_TRUE(child_ranges(nodes{{1, true, 0}}, ranges));
    EXPECT_TRUE(ranges.empty());
}

TEST(tree, a_deep_tree_needs_no_deep_stack) {
    std::vector<tree_node> line(300'000, {1, false, 1});
    line.back() = {1, true, 0};
    std::vector<subtree_range> ranges;
    ASSERT_TRUE(child_ranges(line, ranges));
    EXPECT_EQ(ranges, (std::vector<subtree_range>{{1, line.size(), 0, 1}}));
}

}  // namespace
}  // namespace bzmq::overlay
