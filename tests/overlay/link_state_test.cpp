#include "overlay/link_state.hpp"

#include <gtest/gtest.h>

#include "overlay/graphs.hpp"
#include "overlay/limits.hpp"
#include "overlay/paths.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <set>

namespace bzmq::overlay {
namespace {

using testing::filter_of;
using testing::id;
using testing::links_of;
using namespace std::chrono_literals;
using strings = std::vector<std::string>;

void link(link_state_db& db, std::uint64_t a, std::uint64_t b, std::uint64_t sequence,
          instant now = 0s) {
    db.apply(links_of(a, sequence, {{b, 1}}), now);
    db.apply(links_of(b, sequence, {{a, 1}}), now);
}

TEST(link_state, only_higher_sequence_numbers_replace_a_record) {
    link_state_db db{id(0)};
    EXPECT_EQ(db.apply(links_of(1, 5, {}), 0s), freshness::newer);
    EXPECT_EQ(db.apply(links_of(1, 5, {{2, 1}}), 0s), freshness::same);
    EXPECT_EQ(db.apply(links_of(1, 4, {{2, 1}}), 0s), freshness::older);
    EXPECT_TRUE(db.topology(*db.find(id(1)))->neighbours.empty());
    EXPECT_EQ(db.apply(links_of(1, 6, {{2, 1}}), 0s), freshness::newer);
    EXPECT_EQ(db.topology(*db.find(id(1)))->neighbours.size(), 1U);
}

TEST(link_state, filters_and_topology_have_sequence_numbers_of_their_own) {
    link_state_db db{id(0)};
    EXPECT_EQ(db.apply(links_of(1, 5, {}), 0s), freshness::newer);
    EXPECT_EQ(db.apply(filter_of(1, 2, {"a"}), 0s), freshness::newer);
    EXPECT_EQ(db.apply(filter_of(1, 2, {"b"}), 0s), freshness::same);
    EXPECT_EQ(db.filter(*db.find(id(1)))->prefixes, strings{"a"});
}

TEST(link_state, records_without_origin_or_sequence_change_nothing) {
    link_state_db db{id(0)};
    topology_record nobody;
    nobody.sequence = 1;
    EXPECT_EQ(db.apply(nobody, 0s), freshness::older);
    EXPECT_EQ(db.apply(links_of(1, 0, {}), 0s), freshness::older);
    EXPECT_EQ(db.slot_count(), 1U);
}

TEST(link_state, records_are_kept_in_one_form) {
    link_state_db db{id(0)};
    auto record = links_of(1, 1, {{3, 7}, {2, 5}, {1, 1}, {3, 4}});
    record.neighbours.push_back({endpoint_id{}, 1});
    db.apply(record, 0s);
    EXPECT_EQ(db.topology(*db.find(id(1)))->neighbours,
              (std::vector<neighbour>{{id(2), 5}, {id(3), 4}}));
    db.apply(filter_of(1, 1, {"b", "ab", "a"}, {{"z", {"x"}}, {"y", {}}, {"z", {"xx", "w"}}}), 0s);
    const auto filter = db.filter(*db.find(id(1)));
    EXPECT_EQ(filter->prefixes, (strings{"a", "b"}));
    EXPECT_EQ(filter->bridges, (std::vector<bridge>{{"y", {}}, {"z", {"w", "x"}}}));
}

TEST(link_state, versions_tell_changes_from_mere_repetition) {
    link_state_db db{id(0)};
    link(db, 0, 1, 1);
    db.apply(filter_of(1, 1, {"a"}), 0s);
    const auto topology = db.topology_version();
    const auto filter = db.filter_version();
    auto renamed = links_of(1, 2, {{0, 1}});
    renamed.name = "other";
    db.apply(renamed, 0s);
    db.apply(filter_of(1, 2, {"a", "ab"}), 0s);
    EXPECT_EQ(db.topology_version(), topology);
    EXPECT_EQ(db.filter_version(), filter);
    EXPECT_EQ(db.topology(*db.find(id(1)))->name, "other");
    db.apply(links_of(1, 3, {{0, 2}}), 0s);
    db.apply(filter_of(1, 3, {"a"}, {{"d", {"x"}}}), 0s);
    EXPECT_NE(db.topology_version(), topology);
    EXPECT_NE(db.filter_version(), filter);
}

TEST(link_state, a_claim_changes_no_route_before_the_far_end_returns_it) {
    link_state_db db{id(0)};
    link(db, 0, 1, 1);
    const auto before = db.topology_version();
    db.apply(links_of(1, 2, {{0, 1}, {2, 1}}), 0s);
    db.apply(links_of(2, 1, {}), 0s);
    EXPECT_EQ(db.topology_version(), before);
    db.apply(links_of(2, 2, {{1, 1}}), 0s);
    EXPECT_NE(db.topology_version(), before);
    EXPECT_TRUE(db.connected(*db.find(id(2))));
}

TEST(link_state, a_link_counts_where_both_ends_claim_it_at_the_larger_cost) {
    link_state_db db{id(0)};
    db.apply(links_of(0, 1, {{1, 3}, {2, 1}}), 0s);
    db.apply(links_of(1, 1, {{0, 5}}), 0s);
    db.apply(links_of(2, 1, {}), 0s);
    const auto one = *db.find(id(1));
    const auto edges = db.edges(0);
    ASSERT_EQ(edges.size(), 1U);
    EXPECT_EQ(edges[0], (edge{one, 5}));
    EXPECT_TRUE(db.connected(one));
    EXPECT_FALSE(db.connected(*db.find(id(2))));
    EXPECT_TRUE(db.edges(1000).empty());
}

TEST(link_state, the_graph_is_what_the_claims_say) {
    prng random{2};
    for (int round = 0; round < 100; ++round) {
        const auto graph = testing::random_graph(random, 1 + random.below(30), 60, 5);
        auto origins = testing::origins_of(graph);
        testing::shuffle(origins, random);
        const auto db = testing::database_of(graph, origins);
        for (const auto a : origins) {
            std::map<node_index, std::uint32_t> expected, found;
            for (const auto b : origins) {
                if (const auto cost = graph.cost(a, b); cost != 0) {
                    expected[*db.find(id(b))] = cost;
                }
            }
            const auto edges = db.edges(*db.find(id(a)));
            for (const auto& edge : edges) {
                found[edge.to] = edge.cost;
            }
            ASSERT_EQ(found, expected);
            ASSERT_EQ(edges.size(), expected.size());
            ASSERT_TRUE(std::is_sorted(edges.begin(), edges.end(),
                                       [&](auto x, auto y) {
                                           return db.id_of(x.to) < db.id_of(y.to);
                                       }));
        }
    }
}

/// Records replace one another in random order, and after each the edges, what is connected and the
/// hash must be those of a database that got only the last record of each.
TEST(link_state, what_follows_from_the_records_depends_on_the_last_ones_only) {
    prng random{7};
    for (int round = 0; round < 30; ++round) {
        const auto nodes = 2 + random.below(40);
        link_state_db db{id(0)};
        std::map<std::uint64_t, topology_record> last;
        for (std::uint64_t sequence = 1; sequence <= 150; ++sequence) {
            const auto origin = random.below(nodes);
            const auto degree = random.chance(1, 20) ? nodes : random.below(5);
            std::vector<std::pair<std::uint64_t, std::uint32_t>> links;
            for (std::uint64_t i = 0; i < degree; ++i) {
                links.emplace_back(random.below(nodes), static_cast<std::uint32_t>(random.below(3)));
            }
            last[origin] = links_of(origin, sequence, links);
            db.apply(last[origin], 0s);
            if (random.chance(1, 2)) {
                continue;  // Nobody asks before the next record.
            }
            link_state_db fresh{id(0)};
            for (const auto& [from, record] : last) {
                fresh.apply(record, 0s);
            }
            ASSERT_EQ(db.digest(), fresh.digest());
            ASSERT_EQ(db.digest_hash(), fresh.digest_hash());
            for (std::uint64_t each = 0; each < nodes; ++each) {
                const auto here = db.find(id(each));
                const auto there = fresh.find(id(each));
                if (!here || !there) {
                    continue;  // Named by a record that has been replaced, or by none.
                }
                ASSERT_EQ(db.connected(*here), fresh.connected(*there));
                ASSERT_EQ(db.topology(*here), fresh.topology(*there));
                std::vector<std::pair<endpoint_id, std::uint32_t>> edges_here, edges_there;
                db.each_edge(*here, [&](const edge& to) {
                    edges_here.emplace_back(db.id_of(to.to), to.cost);
                });
                fresh.each_edge(*there, [&](const edge& to) {
                    edges_there.emplace_back(fresh.id_of(to.to), to.cost);
                });
                ASSERT_EQ(edges_here, edges_there);
            }
        }
    }
}

TEST(link_state, the_digest_lists_connected_nodes_only) {
    link_state_db db{id(0)};
    link(db, 0, 2, 1);
    db.apply(filter_of(2, 4, {"a"}), 0s);
    db.apply(links_of(1, 1, {{0, 1}}), 0s);  // Nobody returns this claim.
    EXPECT_EQ(db.digest(), (std::vector<digest_entry>{{id(0), 1, 0}, {id(2), 1, 4}}));
}

TEST(link_state, the_digest_hash_depends_on_what_is_known_and_not_on_the_way_there) {
    link_state_db a{id(0)};
    link_state_db b{id(1)};
    link(a, 0, 1, 2);
    a.apply(filter_of(1, 1, {"x"}), 0s);
    b.apply(filter_of(1, 1, {"x"}), 0s);
    b.apply(links_of(0, 1, {}), 0s);
    b.apply(links_of(7, 1, {}), 0s);  // Out of reach.
    EXPECT_NE(a.digest_hash(), b.digest_hash());
    link(b, 1, 0, 2);
    EXPECT_EQ(a.digest_hash(), b.digest_hash());
    b.apply(filter_of(1, 2, {"x"}), 0s);
    EXPECT_NE(a.digest_hash(), b.digest_hash());
}

TEST(link_state, a_peer_gets_what_it_lacks_or_has_older) {
    link_state_db db{id(0)};
    link(db, 0, 1, 3);
    db.apply(filter_of(0, 2, {}), 0s);
    db.apply(filter_of(1, 5, {}), 0s);
    const auto one = *db.find(id(1));
    EXPECT_EQ(db.newer_than({}),
              (std::vector<missing_records>{{0, true, true}, {one, true, true}}));
    const std::vector<digest_entry> theirs{{id(9), 1, 1}, {id(1), 4, 4}, {id(0), 3, 2}};
    EXPECT_EQ(db.newer_than(theirs), (std::vector<missing_records>{{one, false, true}}));
}

TEST(link_state, a_peer_learns_why_a_node_that_it_lists_is_out_of_reach) {
    link_state_db db{id(0)};
    link(db, 0, 1, 1);
    db.apply(links_of(1, 2, {}), 0s);  // Endpoint 1 gave the link up; endpoint 0 claims it still.
    const auto one = *db.find(id(1));
    ASSERT_FALSE(db.connected(one));
    const std::vector<digest_entry> theirs{{id(0), 1, 0}, {id(1), 1, 0}, {id(1), 1, 0}};
    EXPECT_EQ(db.newer_than(theirs), (std::vector<missing_records>{{one, true, false}}));
}

/// Sends from `from` what `to` lacks by its digest.
void send_missing(const link_state_db& from, link_state_db& to) {
    const auto digest = to.digest();
    for (const auto& missing : from.newer_than(digest)) {
        if (missing.topology) {
            to.apply(*from.topology(missing.node), 0s);
        }
        if (missing.filter) {
            to.apply(*from.filter(missing.node), 0s);
        }
    }
}

TEST(link_state, exchanging_digests_makes_two_databases_agree) {
    prng random{3};
    for (int round = 0; round < 200; ++round) {
        const auto nodes = 2 + random.below(20);
        link_state_db a{id(0)};
        link_state_db b{id(1)};
        for (int generation = 1; generation <= 3; ++generation) {
            auto graph = testing::random_graph(random, nodes, 3 * nodes, 3);
            graph.link(0, 1, 1);
            const auto sequence = static_cast<std::uint64_t>(generation);
            for (const auto origin : testing::origins_of(graph)) {
                const auto record = graph.record(origin, sequence);
                const auto filter =
                    filter_of(origin, sequence, testing::random_prefixes(random, 3, 3, 3));
                // Everybody knows himself; the rest may have missed some.
                if (origin == 0 || random.chance(1, 2)) {
                    a.apply(record, 0s);
                    a.apply(filter, 0s);
                }
                if (origin == 1 || random.chance(1, 2)) {
                    b.apply(record, 0s);
                    b.apply(filter, 0s);
                }
            }
        }
        // The two are linked: each has the other's own record from the hello.
        a.apply(*b.topology(0), 0s);
        b.apply(*a.topology(0), 0s);
        for (std::uint64_t turn = 0; turn <= 2 * nodes && a.digest_hash() != b.digest_hash();
             ++turn) {
            send_missing(a, b);
            send_missing(b, a);
        }
        ASSERT_EQ(a.digest(), b.digest());
        ASSERT_EQ(a.digest_hash(), b.digest_hash());
        for (const auto& entry : a.digest()) {
            const auto in_a = *a.find(entry.origin);
            const auto in_b = *b.find(entry.origin);
            ASSERT_EQ(a.topology(in_a), b.topology(in_b));
            ASSERT_EQ(a.filter(in_a), b.filter(in_b));
        }
    }
}

TEST(link_state, nodes_out_of_reach_are_forgotten_when_their_time_has_come) {
    link_state_db db{id(0)};
    link(db, 0, 1, 1, 10s);
    db.apply(filter_of(1, 1, {"a"}), 10s);
    EXPECT_EQ(db.next_expiry(60s), never);
    db.apply(links_of(0, 2, {}), 20s);
    EXPECT_EQ(db.next_expiry(60s), 80s);
    EXPECT_TRUE(db.forget_stale(79s, 60s).empty());
    const auto one = *db.find(id(1));
    const auto topology = db.topology_version();
    const auto filter = db.filter_version();
    EXPECT_EQ(db.forget_stale(80s, 60s), (std::vector<forgotten_node>{{id(1), one}}));
    EXPECT_NE(db.topology_version(), topology);
    EXPECT_NE(db.filter_version(), filter);
    EXPECT_FALSE(db.find(id(1)));
    EXPECT_FALSE(db.topology(one));
    EXPECT_FALSE(db.filter(one));
    EXPECT_EQ(db.next_expiry(60s), never);
}

TEST(link_state, a_node_that_comes_back_is_not_forgotten) {
    link_state_db db{id(0)};
    link(db, 0, 1, 1, 10s);
    EXPECT_TRUE(db.connected(*db.find(id(1))));
    db.apply(links_of(0, 2, {}), 20s);
    EXPECT_EQ(db.next_expiry(60s), 80s);
    db.apply(links_of(0, 3, {{1, 1}}), 50s);
    EXPECT_EQ(db.next_expiry(60s), never);
    EXPECT_TRUE(db.forget_stale(1000s, 60s).empty());
    db.apply(links_of(0, 4, {}), 2000s);
    EXPECT_EQ(db.next_expiry(60s), 2060s);
}

TEST(link_state, news_of_a_node_out_of_reach_starts_its_age_anew) {
    link_state_db db{id(0)};
    db.apply(links_of(1, 1, {{2, 1}}), 0s);  // Names endpoint 2, long before that is heard.
    db.apply(filter_of(2, 1, {"a"}), 100s);
    EXPECT_EQ(db.forget_stale(100s, 60s).size(), 1U);
    EXPECT_TRUE(db.filter(*db.find(id(2))));
    db.apply(links_of(2, 1, {}), 120s);
    EXPECT_EQ(db.next_expiry(60s), 180s);
    EXPECT_EQ(db.apply(links_of(2, 1, {}), 150s), freshness::same);
    EXPECT_EQ(db.next_expiry(60s), 180s);
}

TEST(link_state, self_is_never_forgotten) {
    link_state_db db{id(0)};
    EXPECT_EQ(db.next_expiry(1s), never);
    EXPECT_TRUE(db.forget_stale(1000s, 1s).empty());
    EXPECT_EQ(db.find(id(0)), 0U);
}

TEST(link_state, no_age_is_too_great) {
    link_state_db db{id(0)};
    db.apply(links_of(1, 1, {}), 10s);
    EXPECT_EQ(db.next_expiry(instant::max()), never);
    EXPECT_TRUE(db.forget_stale(1000s, instant::max()).empty());
}

TEST(link_state, an_index_stays_while_somebody_claims_a_link_to_it) {
    link_state_db db{id(0)};
    link(db, 0, 1, 1);
    db.apply(links_of(1, 2, {{0, 1}, {2, 1}}), 0s);
    db.apply(links_of(2, 1, {}), 0s);  // Gone from 1's point of view in a moment.
    const auto two = *db.find(id(2));
    EXPECT_EQ(db.forget_stale(60s, 60s), (std::vector<forgotten_node>{{id(2), two}}));
    EXPECT_EQ(db.find(id(2)), two);
    EXPECT_FALSE(db.topology(two));
    EXPECT_EQ(db.next_expiry(60s), never);
    db.apply(links_of(1, 3, {{0, 1}}), 70s);
    EXPECT_EQ(db.forget_stale(130s, 60s), (std::vector<forgotten_node>{{id(2), two}}));
    EXPECT_FALSE(db.find(id(2)));
}

TEST(link_state, nodes_that_claim_only_each_other_go_together) {
    link_state_db db{id(0)};
    link(db, 1, 2, 1);
    EXPECT_EQ(db.forget_stale(60s, 60s).size(), 2U);
    EXPECT_FALSE(db.find(id(1)));
    EXPECT_FALSE(db.find(id(2)));
}

TEST(link_state, indices_of_forgotten_nodes_are_used_again) {
    link_state_db db{id(0)};
    db.apply(links_of(1, 1, {}), 0s);
    const auto one = *db.find(id(1));
    db.forget_stale(60s, 60s);
    EXPECT_TRUE(db.id_of(one).is_nil());
    EXPECT_EQ(db.index_of(id(2)), one);
    EXPECT_EQ(db.id_of(one), id(2));
    EXPECT_EQ(db.slot_count(), 2U);
    EXPECT_FALSE(db.topology(one));
}

TEST(link_state, an_index_without_records_or_claims_ages_as_well) {
    link_state_db db{id(0)};
    db.apply(links_of(0, 1, {}), 5s);
    const auto one = db.index_of(id(1));
    EXPECT_EQ(db.next_expiry(60s), 65s);
    EXPECT_EQ(db.forget_stale(65s, 60s), (std::vector<forgotten_node>{{id(1), one}}));
    EXPECT_EQ(db.index_of(endpoint_id{}), no_node);
}

TEST(link_state, a_restarted_node_is_another_one_and_the_old_one_fades) {
    link_state_db db{id(0)};
    link(db, 0, 1, 7, 0s);
    // It comes back under a new id, counting from 1 again.
    db.apply(links_of(0, 8, {{2, 1}}), 10s);
    EXPECT_EQ(db.apply(links_of(2, 1, {{0, 1}}), 10s), freshness::newer);
    EXPECT_FALSE(db.connected(*db.find(id(1))));
    EXPECT_TRUE(db.connected(*db.find(id(2))));
    EXPECT_EQ(db.digest(), (std::vector<digest_entry>{{id(0), 8, 0}, {id(2), 1, 0}}));
    EXPECT_EQ(db.forget_stale(70s, 60s).size(), 1U);
    EXPECT_FALSE(db.find(id(1)));
    EXPECT_TRUE(db.connected(*db.find(id(2))));
}

TEST(link_state, churn_leaves_no_slots_behind) {
    prng random{4};
    link_state_db db{id(0)};
    std::uint64_t sequence = 0;
    std::uint64_t next = 1;
    for (int second = 0; second < 500; ++second) {
        const instant now = std::chrono::seconds{second};
        std::vector<std::pair<std::uint64_t, std::uint32_t>> links;
        for (int i = 0; i < 5; ++i) {
            links.emplace_back(next, 1);
            db.apply(links_of(next, 1, {{0, 1}, {next + 1 + random.below(4), 1}}), now);
            ++next;
        }
        db.apply(links_of(0, ++sequence, links), now);
        db.forget_stale(now, 10s);
        ASSERT_LE(db.slot_count(), 1U + 5 * 14 + 8);
    }
}

TEST(link_state, a_full_database_refuses_strangers_and_keeps_serving_friends) {
    link_state_db db{id(0)};
    for (std::uint64_t i = 1; i < nodes_max; ++i) {
        ASSERT_NE(db.index_of(id(i)), no_node);
    }
    EXPECT_EQ(db.index_of(id(nodes_max)), no_node);
    EXPECT_EQ(db.apply(filter_of(nodes_max, 1, {}), 0s), freshness::refused);
    EXPECT_EQ(db.apply(links_of(nodes_max, 1, {}), 0s), freshness::refused);
    EXPECT_EQ(db.apply(links_of(1, 1, {{nodes_max, 1}}), 0s), freshness::refused);
    EXPECT_EQ(db.apply(links_of(1, 1, {{0, 1}, {2, 1}}), 0s), freshness::newer);
}

TEST(link_state, what_exceeds_the_limits_is_not_valid) {
    EXPECT_TRUE(valid(links_of(1, 1, {{2, 1}})));
    EXPECT_FALSE(valid(links_of(1, 0, {})));
    EXPECT_FALSE(valid(topology_record{{}, 1, "", 0, {}}));
    auto topology = links_of(1, 1, {});
    topology.name.assign(name_bytes_max, 'x');
    topology.neighbours.resize(neighbours_max);
    EXPECT_TRUE(valid(topology));
    topology.neighbours.emplace_back();
    EXPECT_FALSE(valid(topology));
    topology.neighbours.clear();
    topology.name += 'x';
    EXPECT_FALSE(valid(topology));

    EXPECT_FALSE(valid(filter_of(1, 0, {})));
    EXPECT_TRUE(valid(filter_of(1, 1, {std::string(prefix_bytes_max, 'x')})));
    EXPECT_FALSE(valid(filter_of(1, 1, {std::string(prefix_bytes_max + 1, 'x')})));
    EXPECT_TRUE(valid(filter_of(1, 1, strings(prefixes_max))));
    EXPECT_FALSE(valid(filter_of(1, 1, strings(prefixes_max), {{"d", {"x"}}})));
    EXPECT_FALSE(valid(filter_of(
        1, 1,
        strings(filter_bytes_max / prefix_bytes_max + 1, std::string(prefix_bytes_max, 'x')))));
    EXPECT_FALSE(valid(filter_of(1, 1, {}, {{std::string(domain_tag_bytes_max + 1, 'x'), {}}})));
    EXPECT_FALSE(valid(filter_of(1, 1, {}, std::vector<bridge>(bridges_max + 1))));
}

}  // namespace
}  // namespace bzmq::overlay
