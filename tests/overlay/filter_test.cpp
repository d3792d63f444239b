#include "overlay/filter.hpp"

#include <gtest/gtest.h>

#include "overlay/graphs.hpp"

namespace bzmq::overlay {
namespace {

using testing::random_prefixes;
using testing::random_text;
using testing::slowly_matches;
using strings = std::vector<std::string>;

TEST(filter, minimising_drops_what_a_shorter_prefix_covers) {
    EXPECT_EQ(minimise({"news/sport", "news/", "alerts", "news/", "new"}),
              (strings{"alerts", "new"}));
}

TEST(filter, the_empty_prefix_covers_everything) {
    EXPECT_EQ(minimise({"b", "", "a"}), strings{""});
    EXPECT_TRUE(matches(strings{""}, ""));
    EXPECT_TRUE(matches(strings{""}, "anything"));
}

TEST(filter, an_empty_filter_lets_nothing_pass) {
    EXPECT_EQ(minimise({}), strings{});
    EXPECT_FALSE(matches(strings{}, ""));
    EXPECT_FALSE(matches(strings{}, "a"));
}

TEST(filter, a_topic_shorter_than_the_prefix_does_not_match) {
    EXPECT_FALSE(matches(strings{"news/"}, "news"));
    EXPECT_TRUE(matches(strings{"news/"}, "news/"));
}

TEST(filter, bytes_are_compared_unsigned) {
    const strings filter = minimise({"\xff", "a", std::string("\0x", 2)});
    EXPECT_TRUE(is_minimised(filter));
    EXPECT_TRUE(matches(filter, "\xff\xff"));
    EXPECT_TRUE(matches(filter, std::string_view("\0xy", 3)));
    EXPECT_FALSE(matches(filter, std::string_view("\0y", 2)));
}

TEST(filter, minimised_filters_match_what_the_original_does) {
    prng random{1};
    for (int round = 0; round < 2000; ++round) {
        const auto original = random_prefixes(random, 20, 6, 3);
        const auto filter = minimise(original);
        ASSERT_TRUE(is_minimised(filter));
        ASSERT_EQ(minimise(filter), filter);
        for (const auto& a : filter) {
            for (const auto& b : filter) {
                ASSERT_TRUE(&a == &b || !a.starts_with(b));
            }
        }
        for (int i = 0; i < 20; ++i) {
            const auto topic = random_text(random, 8, 3);
            ASSERT_EQ(matches(filter, topic), slowly_matches(original, topic));
        }
    }
}

}  // namespace
}  // namespace bzmq::overlay
