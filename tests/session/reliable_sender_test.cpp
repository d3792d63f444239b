// What a publisher owes one receiver of a reliable stream: every section until that has it, and no
// more copies than the way there carries.
#include "session/reliable_sender.hpp"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace bzmq::session {
namespace {

using namespace std::chrono_literals;
using step = reliable_sender::step;

class reliable_senders : public testing::Test {
  protected:
    void push(std::uint64_t first, std::uint64_t last, std::size_t bytes = 1000) {
        for (auto number = first; number <= last; ++number) {
            auto body = std::make_shared<section_body>();
            body->number = number;
            body->records = 3;
            body->payload = shared_bytes::copy_of(std::string(bytes, 'x'));
            sender.push(now, number, 1, std::move(body));
        }
    }
    step acknowledged(std::uint64_t received, bool gap = false) {
        return sender.acknowledged(now, received, received, gap);
    }
    std::vector<std::uint64_t> burst() {
        std::vector<std::uint64_t> numbers;
        sender.send_burst(now, [&](const reliable_sender::retained& item) {
            numbers.push_back(item.number);
            return true;
        });
        return numbers;
    }
    /// Lets time pass until the machine wants something.
    step wait() {
        EXPECT_NE(sender.next_deadline(), never);
        now = std::max(now, sender.next_deadline());
        return sender.tick(now);
    }

    instant now = 10s;
    reliable_sender sender;
};

TEST_F(reliable_senders, keeps_what_is_unacknowledged_and_rests_once_all_is_consumed) {
    EXPECT_TRUE(sender.settled());
    push(1, 3);
    EXPECT_EQ(sender.unacknowledged_bytes(), 3000U);
    EXPECT_EQ(sender.acknowledged(now, 2, 1, false), step::none);
    EXPECT_EQ(sender.unacknowledged_messages(), 3U);
    EXPECT_EQ(sender.unconsumed_bytes(), 2000U);
    EXPECT_EQ(acknowledged(3), step::none);
    EXPECT_TRUE(sender.settled());
    EXPECT_EQ(sender.next_deadline(), never);
}

TEST_F(reliable_senders, asks_for_a_lost_acknowledgement_of_what_subscribers_hold_up) {
    push(1, 3);
    EXPECT_EQ(sender.acknowledged(now, 3, 0, false), step::none);
    EXPECT_EQ(wait(), step::ask);
    EXPECT_EQ(wait(), step::ask);
    EXPECT_TRUE(burst().empty());
}

TEST_F(reliable_senders, sends_again_ever_more_slowly_and_less_without_an_answer) {
    push(1, 2000);
    auto before = now;
    auto pause = 0ns;
    auto size = std::size_t{2000};
    for (int i = 0; i < 8; ++i) {
        ASSERT_EQ(wait(), step::send_again);
        const auto sent = burst();
        ASSERT_FALSE(sent.empty());
        EXPECT_EQ(sent.front(), 1U);
        EXPECT_LE(sent.size(), size);
        EXPECT_GE(now - before, pause);
        size = sent.size();
        pause = now - before;
        before = now;
    }
    EXPECT_LE(size, 5U);
    EXPECT_EQ(pause, 15s);
}

TEST_F(reliable_senders, a_burst_that_gets_through_is_followed_by_a_larger_one_at_once) {
    push(1, 2000);
    for (int i = 0; i < 8; ++i) {
        wait();
    }
    auto sent = burst();
    for (int i = 0; i < 3; ++i) {
        now += 10ms;
        ASSERT_EQ(acknowledged(sent.back()), step::send_again);
        const auto next = burst();
        EXPECT_EQ(next.front(), sent.back() + 1);
        EXPECT_GT(next.size(), sent.size());
        sent = next;
    }
}

TEST_F(reliable_senders, a_gap_told_again_and_again_is_answered_once) {
    push(1, 10);
    now += 10ms;
    EXPECT_EQ(acknowledged(3, true), step::send_again);
    EXPECT_EQ(burst().front(), 4U);
    for (int i = 0; i < 5; ++i) {
        now += 20ms;
        EXPECT_EQ(acknowledged(3, true), step::none);
    }
    now += 300ms;
    EXPECT_EQ(acknowledged(3, true), step::send_again);
}

TEST_F(reliable_senders, an_outage_does_not_count_as_the_round_trip_of_the_way) {
    push(1, 1);
    now += 60s;
    EXPECT_EQ(acknowledged(1), step::none);
    push(2, 2);
    EXPECT_LE(sender.next_deadline() - now, 2s);
}

TEST_F(reliable_senders, sends_at_once_when_the_path_has_changed) {
    push(1, 2);
    sender.path_changed(now);
    EXPECT_EQ(sender.next_deadline(), now);
    EXPECT_EQ(wait(), step::send_again);
    acknowledged(2);
    sender.path_changed(now);
    EXPECT_EQ(sender.next_deadline(), never);
}

}  // namespace
}  // namespace bzmq::session
