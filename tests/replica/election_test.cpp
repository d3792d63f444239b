#include <gtest/gtest.h>

#include "replica/election.hpp"

namespace bzmq::replica {
namespace {

using namespace std::chrono_literals;

endpoint_id id_of(std::uint8_t number) { return endpoint_id{endpoint_id::bytes_type{number}}; }

const endpoint_id store = id_of(99);
constexpr log_rank ours{10, 50};

class elector : public testing::Test {
  protected:
    election make(const std::string& name, vote_record promised = {}) {
        return election{{name, {"a", "b", "c"}, 10s, 1}, std::move(promised), id_of(1), now};
    }
    ask_vote_message question(std::uint64_t epoch, bool trial = false, log_rank rank = ours) {
        return {store, trial, "b", epoch, rank};
    }
    static vote_message yes(const std::string& voter, std::uint64_t epoch, bool trial) {
        return {store, trial, true, voter, epoch, 0};
    }
    /// Until it asks on trial.
    std::uint64_t stand(election& who) {
        now += 20s;
        const auto step = who.tick(now, true);
        const auto* asks = std::get_if<election::question>(&step);
        EXPECT_TRUE(asks != nullptr && asks->trial);
        return asks != nullptr ? asks->epoch : 0;
    }
    instant now{1h};
};

TEST_F(elector, stands_only_when_the_master_is_gone_for_long_enough) {
    auto a = make("a");
    for (int i = 0; i < 100; ++i) {
        now += 1s;
        a.heard_master(now);
        EXPECT_TRUE(std::holds_alternative<election::nothing>(a.tick(now, true)));
    }
    now += 9s;
    EXPECT_TRUE(std::holds_alternative<election::nothing>(a.tick(now, true)));
    now += 7s;
    EXPECT_TRUE(std::holds_alternative<election::question>(a.tick(now, true)));
}

TEST_F(elector, never_stands_where_no_time_is_long_enough) {
    election a{{"a", {"a", "b", "c"}, std::chrono::nanoseconds::max(), 1}, {}, id_of(1), now};
    for (int i = 0; i < 100; ++i) {
        EXPECT_EQ(a.next_deadline(), never);
        EXPECT_TRUE(std::holds_alternative<election::nothing>(a.tick(now, true)));
        const auto answer = a.asked(now, id_of(2), question(100, true), ours);
        EXPECT_TRUE(answer && !answer->granted);
        now += 24h;
    }
    a.heard_master(now);
    a.end(now);
    EXPECT_EQ(a.next_deadline(), never);
}

TEST_F(elector, wins_with_a_trial_a_promise_of_its_own_and_a_majority) {
    auto a = make("a");
    const auto epoch = stand(a);
    EXPECT_TRUE(std::holds_alternative<election::nothing>(a.tick(now, true)));
    a.answered(yes("c", epoch, true));
    auto step = a.tick(now, true);
    ASSERT_TRUE(std::holds_alternative<election::record>(step));
    EXPECT_EQ(std::get<election::record>(step).what, (vote_record{epoch, "a"}));
    a.answered(yes("c", epoch, false));  // Nobody was asked yet.
    EXPECT_TRUE(std::holds_alternative<election::nothing>(a.tick(now, true)));
    EXPECT_FALSE(a.recorded(now, true));
    step = a.tick(now, true);
    ASSERT_TRUE(std::holds_alternative<election::question>(step));
    EXPECT_FALSE(std::get<election::question>(step).trial);
    EXPECT_TRUE(std::holds_alternative<election::nothing>(a.tick(now, true)));
    a.answered(yes("b", epoch, false));
    step = a.tick(now, true);
    ASSERT_TRUE(std::holds_alternative<election::victory>(step));
    EXPECT_EQ(std::get<election::victory>(step).epoch, epoch);
}

TEST_F(elector, counts_only_electors_and_each_once) {
    auto a = make("a");
    const auto epoch = stand(a);
    a.answered(yes("stranger", epoch, true));
    a.answered(yes("a", epoch, true));
    a.answered(yes("c", epoch + 1, true));
    a.answered(yes("c", epoch, false));
    EXPECT_TRUE(std::holds_alternative<election::nothing>(a.tick(now, true)));
}

TEST_F(elector, gives_up_when_nobody_answers_and_stands_again_in_a_newer_epoch) {
    auto a = make("a");
    const auto epoch = stand(a);
    vote_message no{store, true, false, "c", epoch, epoch_after_promotion(epoch, id_of(3))};
    a.answered(no);
    now += 6s;
    EXPECT_TRUE(std::holds_alternative<election::nothing>(a.tick(now, true)));
    EXPECT_GT(stand(a), no.promised);
}

TEST_F(elector, answers_when_its_promise_is_on_disk_and_not_before) {
    auto a = make("a");
    now += 20s;
    EXPECT_FALSE(a.asked(now, id_of(2), question(100), ours));
    auto step = a.tick(now, true);
    ASSERT_TRUE(std::holds_alternative<election::record>(step));
    EXPECT_EQ(std::get<election::record>(step).what, (vote_record{100, "b"}));
    EXPECT_EQ(a.promised(), 100U) << "it must not follow an older one meanwhile";
    const auto reply = a.recorded(now, true);
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->to, id_of(2));
    EXPECT_TRUE(reply->what.granted);
    // It says so again, as the answer may have got lost.
    const auto again = a.asked(now, id_of(2), question(100), ours);
    ASSERT_TRUE(again);
    EXPECT_TRUE(again->granted);
}

TEST_F(elector, keeps_a_promise_that_the_disk_did_not_take_to_itself) {
    auto a = make("a");
    now += 20s;
    EXPECT_FALSE(a.asked(now, id_of(2), question(100), ours));
    EXPECT_TRUE(std::holds_alternative<election::record>(a.tick(now, true)));
    EXPECT_FALSE(a.recorded(now, false));
    const auto again = a.asked(now, id_of(2), question(100), ours);
    ASSERT_TRUE(again);
    EXPECT_FALSE(again->granted);
}

TEST_F(elector, promises_one_epoch_to_one_candidate_also_when_it_starts_again) {
    auto a = make("a", {100, "b"});
    now += 20s;
    auto other = question(100);
    other.candidate = "c";
    const auto to_other = a.asked(now, id_of(3), other, ours);
    ASSERT_TRUE(to_other);
    EXPECT_FALSE(to_other->granted);
    EXPECT_EQ(to_other->promised, 100U);
    const auto older = a.asked(now, id_of(2), question(99), ours);
    ASSERT_TRUE(older);
    EXPECT_FALSE(older->granted);
    EXPECT_TRUE(a.asked(now, id_of(2), question(100), ours)->granted);
}

TEST_F(elector, promises_nothing_to_a_log_that_is_worth_less_nor_while_the_master_lives) {
    auto a = make("a");
    now += 5s;
    EXPECT_FALSE(a.asked(now, id_of(2), question(100, true), ours)->granted) << "the master lives";
    now += 15s;
    EXPECT_FALSE(a.asked(now, id_of(2), question(100, true, {10, 49}), ours)->granted);
    EXPECT_FALSE(a.asked(now, id_of(2), question(100, true, {9, 1'000}), ours)->granted);
    EXPECT_TRUE(a.asked(now, id_of(2), question(100, true), ours)->granted);
    EXPECT_TRUE(a.asked(now, id_of(2), question(100, true, {11, 1}), ours)->granted);
    auto stranger = question(100, true);
    stranger.candidate = "x";
    EXPECT_FALSE(a.asked(now, id_of(2), stranger, ours)->granted);
}

TEST_F(elector, that_promises_another_one_stands_no_longer) {
    auto a = make("a");
    const auto epoch = stand(a);
    a.answered(yes("c", epoch, true));
    const auto newer = epoch_after_promotion(epoch, id_of(2));
    EXPECT_FALSE(a.asked(now, id_of(2), question(newer), ours));
    auto step = a.tick(now, true);
    ASSERT_TRUE(std::holds_alternative<election::record>(step));
    EXPECT_EQ(std::get<election::record>(step).what.candidate, "b");
    EXPECT_TRUE(a.recorded(now, true));
    EXPECT_TRUE(std::holds_alternative<election::nothing>(a.tick(now, true)));
}

TEST_F(elector, whose_copy_is_not_whole_does_not_stand) {
    auto a = make("a");
    now += 60s;
    EXPECT_TRUE(std::holds_alternative<election::nothing>(a.tick(now, false)));
    EXPECT_GT(a.next_deadline(), now);
}

TEST_F(elector, neither_wants_nor_grants_an_epoch_older_than_one_that_exists) {
    const auto exists = epoch_after_promotion(epoch_after_promotion(0, id_of(7)), id_of(7));
    auto a = make("a");
    a.heard_epoch(exists);
    now += 20s;
    const auto answer = a.asked(now, id_of(2), question(exists - 1, true), ours);
    ASSERT_TRUE(answer.has_value());
    EXPECT_FALSE(answer->granted);
    EXPECT_EQ(answer->promised, exists) << "so that it can ask for a newer one";
    EXPECT_GT(stand(a), exists);
}

TEST_F(elector, alone_needs_nobody) {
    election a{{"a", {"a"}, 10s, 1}, {}, id_of(1), now};
    now += 20s;
    auto step = a.tick(now, true);
    ASSERT_TRUE(std::holds_alternative<election::record>(step));
    a.recorded(now, true);
    EXPECT_TRUE(std::holds_alternative<election::victory>(a.tick(now, true)));
}

}  // namespace
}  // namespace bzmq::replica
