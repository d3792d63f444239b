#include "overlay/receivers.hpp"

#include <gtest/gtest.h>

#include "overlay/filter.hpp"
#include "overlay/graphs.hpp"

#include <algorithm>
#include <map>

namespace bzmq::overlay {
namespace {

using indices = std::vector<node_index>;
using matches_of_bridges = std::vector<bridge_match>;

/// A record as the database keeps it.
filter_record kept(std::vector<std::string> prefixes, std::vector<bridge> bridges = {}) {
    filter_record out = testing::filter_of(1, 1, minimise(std::move(prefixes)), std::move(bridges));
    for (auto& each : out.bridges) {
        each.prefixes = minimise(std::move(each.prefixes));
    }
    return out;
}

indices match(const receiver_table& table, std::string_view topic) {
    indices out{99};
    table.match(topic, out);
    return out;
}

matches_of_bridges match_bridges(const receiver_table& table, std::string_view topic) {
    matches_of_bridges out{{99, "old"}};
    table.match_bridges(topic, out);
    return out;
}

TEST(receivers, prefixes_of_all_lengths_are_found_and_sorted) {
    receiver_table table;
    table.set(5, kept({"news"}));
    table.set(2, kept({"news/sport", "alerts"}));
    table.set(9, kept({""}));
    table.set(3, kept({"news/sport"}));
    table.set(4, kept({"news/sports"}));
    EXPECT_EQ(match(table, "news/sport/ski"), (indices{2, 3, 5, 9}));
    EXPECT_EQ(match(table, "news/"), (indices{5, 9}));
    EXPECT_EQ(match(table, "new"), (indices{9}));
    EXPECT_EQ(match(table, ""), (indices{9}));
    EXPECT_EQ(match(table, "alerts"), (indices{2, 9}));
}

TEST(receivers, an_empty_table_matches_nothing) {
    receiver_table table;
    table.remove(7);
    EXPECT_TRUE(match(table, "a").empty());
    EXPECT_TRUE(match_bridges(table, "a").empty());
}

TEST(receivers, a_bridge_is_found_by_its_domain) {
    receiver_table table;
    table.set(2, kept({}, {{"east", {"a", "b"}}, {"west", {"ab"}}}));
    table.set(1, kept({"a"}, {{"west", {""}}}));
    EXPECT_EQ(match_bridges(table, "abc"),
              (matches_of_bridges{{1, "west"}, {2, "east"}, {2, "west"}}));
    EXPECT_EQ(match_bridges(table, "b"), (matches_of_bridges{{1, "west"}, {2, "east"}}));
    EXPECT_EQ(match(table, "abc"), (indices{1}));
    table.set(2, kept({}, {{"west", {"c"}}}));
    EXPECT_EQ(match_bridges(table, "abc"), (matches_of_bridges{{1, "west"}}));
    EXPECT_EQ(match_bridges(table, "c"), (matches_of_bridges{{1, "west"}, {2, "west"}}));
    table.remove(1);
    EXPECT_EQ(match_bridges(table, "c"), (matches_of_bridges{{2, "west"}}));
}

TEST(receivers, match_as_a_scan_over_all_filters_does) {
    prng random{6};
    for (int round = 0; round < 60; ++round) {
        receiver_table table;
        std::map<node_index, filter_record> slow;
        const auto letters = static_cast<unsigned>(1 + random.below(4));
        for (int step = 0; step < 100; ++step) {
            const auto node = static_cast<node_index>(random.below(20));
            if (random.chance(1, 4)) {
                table.remove(node);
                slow.erase(node);
            } else {
                std::vector<bridge> bridges;
                for (const char* domain : {"x", "y", "z"}) {
                    if (random.chance(1, 3)) {
                        bridges.push_back(
                            {domain, testing::random_prefixes(random, 3, 4, letters)});
                    }
                }
                slow[node] = kept(testing::random_prefixes(random, 6, 6, letters), bridges);
                table.set(node, slow[node]);
            }
            for (int i = 0; i < 5; ++i) {
                const auto topic = testing::random_text(random, 9, letters);
                indices expected;
                matches_of_bridges expected_bridges;
                for (const auto& [index, record] : slow) {
                    if (testing::slowly_matches(record.prefixes, topic)) {
                        expected.push_back(index);
                    }
                    for (const auto& each : record.bridges) {
                        if (testing::slowly_matches(each.prefixes, topic)) {
                            expected_bridges.push_back({index, each.domain_tag});
                        }
                    }
                }
                ASSERT_EQ(match(table, topic), expected);
                ASSERT_EQ(match_bridges(table, topic), expected_bridges);
            }
        }
    }
}

TEST(prefix_trie, what_is_removed_leaves_nothing_behind) {
    prng random{7};
    prefix_trie trie;
    std::vector<std::pair<prefix_trie::place, std::string>> held;
    for (int step = 0; step < 3000; ++step) {
        if (!held.empty() && random.chance(1, 2)) {
            const auto which = random.below(held.size());
            trie.remove(held[which].first, 1);
            held.erase(held.begin() + static_cast<std::ptrdiff_t>(which));
        } else {
            auto text = testing::random_text(random, 8, 3);
            const auto at = trie.locate(text);
            if (std::none_of(held.begin(), held.end(), [&](auto& h) { return h.second == text; })) {
                trie.add(at, 1);
                held.emplace_back(at, std::move(text));
            }
        }
        for (const auto& [at, text] : held) {
            ASSERT_EQ(trie.locate(text), at);
        }
        // A radix tree: no more places that only tell others apart than places with values.
        ASSERT_LE(trie.place_count(), 2 * held.size() + 1);
    }
    for (const auto& [at, text] : held) {
        trie.remove(at, 1);
    }
    EXPECT_EQ(trie.place_count(), 1U);
}

TEST(prefix_trie, removing_what_is_not_there_changes_nothing) {
    prefix_trie trie;
    const auto at = trie.locate("abc");
    trie.add(at, 1);
    trie.add(at, 1);
    trie.remove(at, 2);
    std::vector<prefix_trie::value> out{7};
    trie.collect("abcd", out);
    EXPECT_EQ(out, (std::vector<prefix_trie::value>{7, 1}));
}

}  // namespace
}  // namespace bzmq::overlay
