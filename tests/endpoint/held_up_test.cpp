// What one receiver that is full costs those who wait for others.
#include <atomic>
#include <future>

#include "endpoint/support.hpp"

namespace bzmq::testing {
namespace {

/// An endpoint with little room, and two others, of which one has a subscriber to "/full" that does
/// not read until it is told to.
class held_up : public ::testing::Test {
  protected:
    static endpoint_options narrow(const std::string& name) {
        auto options = named(name);
        options.frame_bytes = 4096;
        options.link_window_bytes = 64 * 1024;
        options.reliable_window_bytes = 64 * 1024;
        options.publish_queue_bytes = 64 * 1024;
        return options;
    }
    static endpoint make_blocking(const std::string& name) {
        auto options = narrow(name);
        options.peer_queue_bytes = 64 * 1024;
        options.peer_overflow = overflow_policy::block;
        return endpoint{configuration{options}};
    }
    static endpoint make_narrow(const std::string& name) {
        return endpoint{configuration{narrow(name)}};
    }

    void SetUp() override {
        join(source, full);
        join(source, other);
        ASSERT_TRUE(source.wait_for_subscriber("/full", 1, patience));
    }
    void TearDown() override {
        stop = true;
        source.shutdown();
        if (flood.joinable()) {
            flood.join();
        }
    }

    /// Publishes numbers to "/full" on a thread, until `stop` or the end.
    void hold_up(delivery_mode mode = delivery_mode::reliable) {
        flood = std::thread{[this, mode] {
            const std::string text(100, 'x');
            while (!stop && source.publish("/full", vector{published.load(), text}, mode) == ec::none) {
                ++published;
            }
        }};
        ASSERT_TRUE(is_held_up());
    }
    bool is_held_up() {
        return eventually([&] {
            return reader.available() >= 10 && source.metrics().publish_queue_bytes > 60 * 1024;
        });
    }
    static expected<data> echo(const request& what) { return what.value; }
    void expect_answers(endpoint& from, count times = 10, std::string_view topic = "/echo") {
        for (count i = 0; i < times; ++i) {
            const auto got = from.request(topic, i, patience);
            ASSERT_TRUE(got) << i << ": " << to_string(got.error());
            ASSERT_EQ(*got, data{i});
        }
    }
    /// Lets the full one read all that was published, and sees that it is.
    void expect_all_in_order() {
        stop = true;
        auto ended = std::async(std::launch::async, [&] { flood.join(); });
        count next = 0;
        EXPECT_TRUE(eventually([&] {
            while (const auto got = reader.get(1ms)) {
                EXPECT_EQ(get<vector>(got->value()).at(0), data{next});
                ++next;
            }
            return ended.wait_for(0s) == std::future_status::ready && next == published;
        })) << next << " of " << published;
    }

    endpoint source = make_narrow("source");
    endpoint full = make("full");
    endpoint other = make("other");
    subscriber reader = full.make_subscriber({"/full"}, {10, {}, overflow_policy::block});
    std::atomic<bool> stop{false};
    std::atomic<count> published{0};
    std::thread flood;
};

TEST_F(held_up, a_request_is_answered_while_reliable_messages_for_another_endpoint_are_held_up) {
    const auto serves = other.serve("/echo", echo);
    ASSERT_TRUE(source.wait_for_server("/echo", 1, patience));
    hold_up();
    expect_answers(source);
    // Neither do others that wait, for this very endpoint, too.
    auto at_other = other.make_subscriber({"/other"});
    ASSERT_TRUE(source.wait_for_subscriber("/other", 1, patience));
    auto behind = std::async(std::launch::async, [&] {
        return source.publish("/other", "held up, too", delivery_mode::reliable);
    });
    expect_answers(source);
    expect_all_in_order();
    EXPECT_EQ(behind.get(), ec::none);
    EXPECT_EQ(at_other.get(patience)->text(), "held up, too");
}

TEST_F(held_up, several_servers_are_asked_while_messages_for_another_endpoint_are_held_up) {
    auto third = make("third");
    join(source, third);
    const auto first = other.serve("/echo", echo);
    const auto second = third.serve("/echo", echo);
    ASSERT_TRUE(source.wait_for_server("/echo", 2, patience));
    hold_up();
    request_options all;
    all.answers = 0;
    all.timeout = patience;
    for (count i = 0; i < 10; ++i) {
        const auto got = source.request("/echo", i, all);
        EXPECT_FALSE(got.why) << to_string(got.why);
        EXPECT_EQ(got.answers.size(), 2U);
    }
    expect_all_in_order();
}

TEST_F(held_up, answers_leave_while_reliable_messages_for_another_endpoint_are_held_up) {
    const auto serves = source.serve("/echo", echo);
    ASSERT_TRUE(other.wait_for_server("/echo", 1, patience));
    hold_up();
    expect_answers(other);
    expect_all_in_order();
}

TEST_F(held_up, messages_to_one_endpoint_arrive_while_those_for_another_are_held_up) {
    auto messages = other.make_subscriber({"/t"});
    hold_up();
    for (count i = 0; i < 10; ++i) {
        ASSERT_EQ(source.publish(other.node_id(), "/t", data{i}, delivery_mode::reliable),
                  ec::none);
        ASSERT_EQ(messages.get(patience)->value(), data{i});
    }
    expect_all_in_order();
}

TEST_F(held_up, a_message_to_the_full_one_stays_behind_those_that_are_held_up_for_it) {
    hold_up();
    auto last = std::async(std::launch::async, [&] {
        stop = true;
        flood.join();
        return source.publish(full.node_id(), "/full", vector{published.load()},
                              delivery_mode::reliable);
    });
    ASSERT_TRUE(eventually([&] { return stop.load(); }));
    count next = 0;
    for (bool end = false; !end; ++next) {
        const auto got = reader.get(patience);
        ASSERT_TRUE(got) << next;
        ASSERT_EQ(get<vector>(got->value()).at(0), data{next});
        end = get<vector>(got->value()).size() == 1;
    }
    EXPECT_EQ(last.get(), ec::none);
    EXPECT_EQ(next, published + 1);
}

TEST_F(held_up, a_request_is_not_kept_waiting_by_a_flood_for_the_same_slow_endpoint) {
    const auto serves = full.serve("/echo", echo);
    ASSERT_TRUE(source.wait_for_server("/echo", 1, patience));
    hold_up();
    std::atomic<bool> done{false};
    auto reading = std::async(std::launch::async, [&] {
        count next = 0;
        while (!done) {
            if (const auto got = reader.get(10ms)) {
                ASSERT_EQ(get<vector>(got->value()).at(0), data{next++});
            }
        }
    });
    expect_answers(source, 3);
    done = true;
    reading.get();
}

TEST_F(held_up, a_request_to_the_full_one_ends_in_time_and_holds_no_asker_up) {
    const auto serves = full.serve("/echo", echo);
    ASSERT_TRUE(source.wait_for_server("/echo", 1, patience));
    hold_up();
    request_options how;
    how.timeout = 300ms;
    std::vector<pending_request> asked;
    for (count i = 0; i < 100; ++i) {
        asked.push_back(source.request_async("/echo", i, how));
    }
    count answered = 0;  // While the last acknowledgements come there may be room.
    for (const auto& each : asked) {
        const auto why = each.wait().why;
        answered += why ? 0 : 1;
        EXPECT_TRUE(!why || why == ec::request_timeout) << to_string(why);
    }
    EXPECT_LT(answered, 100U);
    expect_all_in_order();
    expect_answers(source);
    EXPECT_EQ(serves.requests(), answered + 10);  // Those that were given up are not asked late.
}

TEST_F(held_up, a_full_subscriber_at_home_holds_no_request_up) {
    auto own = source.make_subscriber({"/own"}, {10, {}, overflow_policy::block});
    const auto serves = other.serve("/echo", echo);
    ASSERT_TRUE(source.wait_for_server("/echo", 1, patience));
    count some = 0;
    ASSERT_TRUE(eventually([&] {
        EXPECT_EQ(source.publish("/own", some++, delivery_mode::reliable), ec::none);
        return own.available() >= 10 && source.metrics().publish_queue_bytes > 0;
    }));
    expect_answers(source);
    const auto got = own.get(some, patience);
    ASSERT_EQ(got.size(), some);
    for (count i = 0; i < some; ++i) {
        ASSERT_EQ(got[i].value(), data{i});
    }
}

TEST_F(held_up, by_block_a_message_to_another_neighbour_goes_on) {
    source.shutdown();
    source = make_blocking("source");
    join(source, full);
    join(source, other);
    ASSERT_TRUE(source.wait_for_subscriber("/full", 1, patience));
    auto messages = other.make_subscriber({"/t"});
    hold_up(delivery_mode::best_effort);
    for (count i = 0; i < 10; ++i) {
        ASSERT_EQ(source.publish(other.node_id(), "/t", data{i}), ec::none);
        ASSERT_EQ(messages.get(patience)->value(), data{i});
    }
    expect_all_in_order();
}

}  // namespace
}  // namespace bzmq::testing
