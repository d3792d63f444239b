// Epochs, ranks and what two logs have in common.
#include <gtest/gtest.h>

#include <set>

#include "replica/durable.hpp"

namespace bzmq::replica {
namespace {

endpoint_id id_of(std::uint8_t number) { return endpoint_id{endpoint_id::bytes_type{number, 7}}; }

const identity log_of_three{id_of(1), {{10, 1}, {20, 5}, {30, 9}}};

TEST(identity, epochs_rise_and_nobody_begins_the_same_one_as_another) {
    std::uint64_t epoch = 0;
    std::set<std::uint64_t> seen;
    for (std::uint8_t start = 0; start < 200; ++start) {
        const auto next = epoch_after_start(epoch, id_of(start));
        EXPECT_GT(next, epoch);
        seen.insert(next & 0xfffff);
        EXPECT_EQ(next >> epoch_start_bit, (epoch >> epoch_start_bit) + 1);
        epoch = next;
    }
    EXPECT_GT(seen.size(), 190U) << "the same twice, but by chance";
    EXPECT_NE(epoch_after_promotion(epoch, id_of(1)), epoch_after_promotion(epoch, id_of(2)));
}

TEST(identity, a_promotion_beats_any_number_of_starts) {
    const auto before = epoch_after_start(0, id_of(1));
    const auto heir = epoch_after_promotion(before, id_of(2));
    auto former = before;
    for (int starts = 0; starts < 1'000; ++starts) {
        former = epoch_after_start(former, id_of(3));
        EXPECT_LT(former, heir);
    }
    EXPECT_GT(epoch_after_promotion(heir, id_of(4)), heir);
    EXPECT_GT(epoch_after_start(heir, id_of(4)), heir);
}

TEST(identity, a_log_is_worth_the_epoch_of_its_newest_entry) {
    EXPECT_EQ(rank_of(log_of_three, 0), (log_rank{0, 0}));
    EXPECT_EQ(rank_of(log_of_three, 4), (log_rank{10, 4}));
    EXPECT_EQ(rank_of(log_of_three, 8), (log_rank{20, 8}));
    EXPECT_EQ(rank_of(log_of_three, 9), (log_rank{30, 9}));
    EXPECT_LT((log_rank{20, 800}), (log_rank{30, 9}));
    EXPECT_LT((log_rank{30, 8}), (log_rank{30, 9}));
}

TEST(identity, logs_agree_up_to_the_end_of_the_last_epoch_that_both_know) {
    EXPECT_EQ(common_prefix(log_of_three, 12, log_of_three.epochs), 12U);
    EXPECT_EQ(common_prefix(log_of_three, 12, {{10, 1}, {20, 5}, {40, 11}}), 8U);
    EXPECT_EQ(common_prefix(log_of_three, 12, {{10, 1}, {20, 5}, {40, 7}}), 6U);
    EXPECT_EQ(common_prefix(log_of_three, 12, {{10, 1}, {50, 3}}), 2U);
    EXPECT_EQ(common_prefix(log_of_three, 12, {{10, 1}, {20, 5}, {30, 9}, {40, 11}}), 10U);
    // An epoch that we only heard of says nothing about what we have.
    EXPECT_EQ(common_prefix(log_of_three, 6, {{10, 1}, {20, 5}, {40, 6}}), 5U);
    EXPECT_EQ(common_prefix(log_of_three, 12, {{60, 1}}), std::nullopt);
    EXPECT_EQ(common_prefix({}, 0, {{60, 1}}), 0U);
}

TEST(identity, epochs_that_are_not_in_the_log_are_forgotten) {
    auto who = log_of_three;
    prune_epochs(who, 8);
    EXPECT_EQ(who.epochs, (std::vector<epoch_start>{{10, 1}, {20, 5}}));
    for (std::uint64_t epoch = 100; epoch < 1'000; ++epoch) {
        who.epochs.push_back({epoch, epoch});
    }
    prune_epochs(who, 2'000);
    EXPECT_EQ(who.epochs.size(), epochs_max);
    EXPECT_EQ(who.epoch(), 999U);
}

}  // namespace
}  // namespace bzmq::replica
