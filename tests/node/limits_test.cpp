// What does not fit a peer: it is not sent, it breaks no link, and it holds nothing up.
#include <algorithm>

#include "node/lone_hub.hpp"

namespace bzmq::node {
namespace {

constexpr std::size_t mib = 1 << 20;
// What is large goes in parts of this size; the first one shows that it was not dropped.
constexpr std::size_t part = std::size_t{128} << 10;
constexpr delivery_mode both[] = {delivery_mode::best_effort, delivery_mode::reliable};

std::size_t told(const lone_hub& here) {
    return static_cast<std::size_t>(
        std::count_if(here.notices.begin(), here.notices.end(), [](const std::string& text) {
            return text.find("message_too_big") != std::string::npos;
        }));
}

TEST(limits, what_a_peer_does_not_take_is_dropped_counted_and_told_and_the_rest_goes_on) {
    for (const auto mode : both) {
        lone_hub here;
        const auto link = here.peer(2, 1000);
        here.publish("t", "before", mode);
        here.publish("t", std::string(mib, 'x'), mode);
        here.publish("t", "after", mode);
        EXPECT_TRUE(here.has_sent(link, "before"));
        EXPECT_TRUE(here.has_sent(link, "after"));
        EXPECT_LT(here.largest_frame(link), 10'000U);
        EXPECT_EQ(here.machine->counters().dropped_too_big, 1U);
        EXPECT_EQ(here.machine->peers().front().dropped_messages, 1U);
        ASSERT_EQ(told(here), 1U);
        const auto& text = here.notices.back();
        EXPECT_NE(text.find("1048581 bytes with its topic"), std::string::npos) << text;
        EXPECT_NE(text.find("\"peer\""), std::string::npos) << text;
        EXPECT_NE(text.find("messages of up to 1000 bytes"), std::string::npos) << text;
        EXPECT_TRUE(here.closed.empty());
    }
}

TEST(limits, many_that_do_not_fit_are_told_of_once_a_second) {
    lone_hub here;
    here.peer(2, 1000);
    for (int i = 0; i < 200; ++i) {  // 4 s.
        here.publish("t", std::string(mib, 'x'), delivery_mode::best_effort);
        here.say(here.last_link, wire::encode_echo(0));
    }
    EXPECT_EQ(here.machine->counters().dropped_too_big, 200U);
    EXPECT_GE(told(here), 4U);
    EXPECT_LE(told(here), 5U);
}

TEST(limits, a_batch_of_small_messages_goes_to_everybody) {
    lone_hub here;
    const auto link = here.peer(2, 1000);
    std::vector<std::byte> batch;
    for (int i = 0; i < 2000; ++i) {
        const auto one = one_message("t", std::string(900, 'x'));
        batch.insert(batch.end(), one.span().begin(), one.span().end());
    }
    const auto bytes = shared_bytes::copy_of(batch);
    EXPECT_EQ(here.machine->publish(here.now, timestamp{}, delivery_mode::best_effort, bytes, 0),
              bytes.size());
    here.turn();
    EXPECT_GT(here.largest_frame(link), part);
    EXPECT_EQ(here.machine->counters().dropped_too_big, 0U);
}

TEST(limits, what_fits_one_peer_is_not_dropped_for_it_because_of_another) {
    lone_hub here;
    const auto small = here.peer(2, 1000);
    const auto large = here.peer(3, 2 * mib);
    here.publish("t", std::string(mib, 'x'), delivery_mode::reliable);
    EXPECT_LT(here.largest_frame(small), 10'000U);
    EXPECT_GT(here.largest_frame(large), part);
    EXPECT_EQ(here.machine->counters().dropped_too_big, 1U);
}

TEST(limits, a_large_message_with_which_links_break_again_and_again_is_given_up) {
    for (const auto mode : both) {
        lone_hub here;
        auto link = here.peer(2);
        here.publish("t", "before", mode);
        here.publish("t", std::string(2 * mib, 'x'), mode);
        here.publish("t", "after", mode);
        for (int broken = 1; broken <= 3; ++broken) {
            here.turn_until(link, part);
            EXPECT_GT(here.largest_frame(link), part) << broken;
            here.cut(link);
            link = here.peer(2);
        }
        for (int i = 0; i < 50; ++i) {
            here.turn();
        }
        EXPECT_LT(here.largest_frame(link), 10'000U);
        EXPECT_TRUE(here.has_sent(link, "before"));
        // A reliable stream goes on once the heads of what was given up are acknowledged.
        EXPECT_TRUE(mode == delivery_mode::reliable || here.has_sent(link, "after"));
        EXPECT_GE(here.machine->counters().dropped_too_big, 1U);
        ASSERT_EQ(told(here), 1U);
        EXPECT_TRUE(std::any_of(here.notices.begin(), here.notices.end(), [](const auto& text) {
            return text.find("with which 3 links in a row to \"peer\"") != std::string::npos;
        }));
    }
}

TEST(limits, what_is_small_goes_out_again_however_often_links_break) {
    for (const auto mode : both) {
        lone_hub here;
        auto link = here.peer(2);
        here.publish("t", std::string(10'000, 'x'), mode);
        for (int broken = 1; broken <= 10; ++broken) {
            here.cut(link);
            link = here.peer(2);
            here.turn_until(link, 10'000);
            EXPECT_GT(here.largest_frame(link), 10'000U) << broken;
        }
        EXPECT_EQ(here.machine->counters().dropped_too_big, 0U);
    }
}

}  // namespace
}  // namespace bzmq::node
