#include "overlay/paths.hpp"

#include <gtest/gtest.h>

#include "overlay/graphs.hpp"
#include "overlay/limits.hpp"

#include <chrono>
#include <limits>
#include <optional>
#include <tuple>

namespace bzmq::overlay {
namespace {

using testing::database_of;
using testing::id;
using testing::links_of;
using testing::origins_of;
using testing::plain_graph;
using namespace std::chrono_literals;

struct best_path {
    std::uint64_t distance = 0;
    std::uint32_t hops = 0;
    std::uint64_t parent = 0;
};

/// Bellman and Ford, then the parents by looking at all of them.
std::map<std::uint64_t, best_path> slow_paths(const plain_graph& graph) {
    std::map<std::uint64_t, best_path> out{{0, {}}};
    const auto origins = origins_of(graph);
    const auto step =
        [&](std::uint64_t from,
            std::uint64_t to) -> std::optional<std::pair<std::uint64_t, std::uint32_t>> {
        const auto cost = graph.cost(from, to);
        if (cost == 0 || !out.contains(from) || (from != 0 && graph.no_relay.contains(from))) {
            return std::nullopt;
        }
        return std::pair{out[from].distance + cost, out[from].hops + 1};
    };
    for (bool changed = true; changed;) {
        changed = false;
        for (const auto from : origins) {
            for (const auto to : origins) {
                const auto found = step(from, to);
                if (found
                    && (!out.contains(to) || *found < std::pair{out[to].distance, out[to].hops})) {
                    out[to] = {found->first, found->second, 0};
                    changed = true;
                }
            }
        }
    }
    for (auto& [node, best] : out) {
        for (auto from = origins.rbegin(); from != origins.rend(); ++from) {
            if (step(*from, node) == std::pair{best.distance, best.hops}) {
                best.parent = *from;  // The smallest comes last.
            }
        }
    }
    return out;
}

TEST(paths, are_what_a_slow_search_finds_whatever_the_order_of_records) {
    prng random{5};
    for (int round = 0; round < 300; ++round) {
        const auto nodes = 1 + random.below(25);
        const auto cost_max = static_cast<std::uint32_t>(1 + random.below(4));
        const auto graph = testing::random_graph(random, nodes, 3 * nodes, cost_max);
        const auto expected = slow_paths(graph);
        for (int order = 0; order < 3; ++order) {
            auto origins = origins_of(graph);
            testing::shuffle(origins, random);
            const auto db = database_of(graph, origins);
            path_table paths;
            ASSERT_TRUE(paths.recompute(db));
            ASSERT_EQ(paths.reachable_count(), expected.size() - 1);
            for (const auto origin : origins) {
                const auto node = *db.find(id(origin));
                const auto best = expected.find(origin);
                ASSERT_EQ(paths.reachable(node), best != expected.end());
                if (best == expected.end() || origin == 0) {
                    ASSERT_TRUE(paths.path_to(node).empty());
                    continue;
                }
                ASSERT_EQ(paths[node].distance, best->second.distance);
                ASSERT_EQ(paths[node].hops, best->second.hops);
                ASSERT_EQ(db.id_of(paths.parent(node)), id(best->second.parent));
                const auto path = paths.path_to(node);
                ASSERT_EQ(path.size(), best->second.hops);
                ASSERT_EQ(path.front(), paths.first_hop(node));
                ASSERT_EQ(path.back(), node);
            }
        }
    }
}

TEST(paths, fewer_hops_win_among_equal_costs) {
    plain_graph graph;
    graph.link(0, 1, 1);
    graph.link(1, 9, 1);
    graph.link(0, 9, 2);
    const auto db = database_of(graph, origins_of(graph));
    path_table paths;
    paths.recompute(db);
    EXPECT_EQ(paths[*db.find(id(9))].hops, 1U);
}

TEST(paths, no_path_leads_through_a_node_that_relays_nothing) {
    plain_graph graph;
    graph.link(0, 1, 1);
    graph.link(1, 2, 1);
    graph.no_relay = {0, 1};
    const auto db = database_of(graph, origins_of(graph));
    path_table paths;
    paths.recompute(db);
    EXPECT_TRUE(paths.reachable(*db.find(id(1))));
    EXPECT_FALSE(paths.reachable(*db.find(id(2))));
    EXPECT_TRUE(db.connected(*db.find(id(2))));
}

TEST(paths, no_path_is_longer_than_a_section_may_travel) {
    plain_graph graph;
    for (std::uint64_t node = 0; node < 20'000; ++node) {
        graph.link(node, node + 1, 1);
    }
    const auto db = database_of(graph, origins_of(graph));
    path_table paths;
    paths.recompute(db);
    EXPECT_EQ(paths.path_to(*db.find(id(path_hops_max))).size(), path_hops_max);
    EXPECT_FALSE(paths.reachable(*db.find(id(path_hops_max + 1))));
}

TEST(paths, links_of_cost_zero_and_of_the_greatest_cost_are_in_order) {
    constexpr auto most = std::numeric_limits<std::uint32_t>::max();
    link_state_db db{id(0)};
    db.apply(links_of(0, 1, {{1, 0}}), 0s);
    db.apply(links_of(1, 1, {{0, 0}, {2, most}}), 0s);
    db.apply(links_of(2, 1, {{1, most}, {3, most}}), 0s);
    db.apply(links_of(3, 1, {{2, 0}}), 0s);
    path_table paths;
    paths.recompute(db);
    EXPECT_EQ(paths[*db.find(id(1))].distance, 0U);
    EXPECT_EQ(paths[*db.find(id(3))].distance, 2ULL * most);
    EXPECT_EQ(paths[*db.find(id(3))].hops, 3U);
}

TEST(paths, changes_of_reach_are_listed_once) {
    plain_graph graph;
    graph.link(0, 2, 1);
    graph.link(2, 1, 1);
    auto db = database_of(graph, origins_of(graph));
    path_table paths;
    EXPECT_FALSE(paths.reachable(0));
    EXPECT_TRUE(paths.recompute(db));
    const auto one = *db.find(id(1));
    const auto two = *db.find(id(2));
    ASSERT_EQ(paths.newly_reachable().size(), 2U);
    EXPECT_EQ(paths.newly_reachable()[0], (node_ref{id(1), one}));
    EXPECT_EQ(paths.newly_reachable()[1], (node_ref{id(2), two}));

    EXPECT_FALSE(paths.recompute(db));
    EXPECT_TRUE(paths.newly_reachable().empty());

    db.apply(links_of(1, 2, {}), 0s);
    EXPECT_TRUE(paths.recompute(db));
    EXPECT_TRUE(paths.newly_reachable().empty());
    ASSERT_EQ(paths.newly_unreachable().size(), 1U);
    EXPECT_EQ(paths.newly_unreachable()[0], (node_ref{id(1), one}));
    EXPECT_FALSE(paths.reachable(one));
    EXPECT_FALSE(paths.reachable(12345));
}

TEST(paths, an_index_used_again_is_not_taken_for_its_former_node) {
    plain_graph graph;
    graph.link(0, 1, 1);
    auto db = database_of(graph, origins_of(graph));
    path_table paths;
    paths.recompute(db);
    const auto one = *db.find(id(1));
    // All of this happens before anybody asks for paths again.
    db.apply(links_of(0, 2, {}), 1s);
    ASSERT_EQ(db.next_expiry(60s), 61s);
    ASSERT_EQ(db.forget_stale(100s, 60s).size(), 1U);
    db.apply(links_of(2, 1, {{0, 1}}), 100s);
    db.apply(links_of(0, 3, {{2, 1}}), 100s);
    ASSERT_EQ(db.find(id(2)), one);
    paths.recompute(db);
    ASSERT_EQ(paths.newly_unreachable().size(), 1U);
    EXPECT_EQ(paths.newly_unreachable()[0].id, id(1));
    ASSERT_EQ(paths.newly_reachable().size(), 1U);
    EXPECT_EQ(paths.newly_reachable()[0].id, id(2));
}

}  // namespace
}  // namespace bzmq::overlay
