// Bounds: what happens when somebody is too slow.
#include "endpoint/support.hpp"

namespace bzmq::testing {
namespace {

/// Publishes `count` numbers to a local subscriber that does not read, and lets the core take them.
void flood(endpoint& a, unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
        ASSERT_EQ(a.publish("/t", i), ec::none);
    }
    ASSERT_TRUE(eventually([&] { return a.metrics().delivered == count; }));
}

TEST(overflow, drop_newest_keeps_the_first_and_counts_the_rest) {
    auto a = make("a");
    auto messages = a.make_subscriber({"/t"}, {100, {}, overflow_policy::drop_newest});
    flood(a, 1000);
    EXPECT_EQ(messages.available(), 100U);
    EXPECT_EQ(messages.dropped(), 900U);
    const auto got = messages.poll();
    ASSERT_EQ(got.size(), 100U);
    EXPECT_EQ(got.front().value(), data{0U});
    EXPECT_EQ(got.back().value(), data{99U});
    EXPECT_EQ(a.metrics().dropped_by_subscribers, 900U);
}

TEST(overflow, drop_oldest_keeps_the_last_and_counts_the_rest) {
    auto a = make("a");
    auto messages = a.make_subscriber({"/t"}, {100, {}, overflow_policy::drop_oldest});
    flood(a, 1000);
    EXPECT_EQ(messages.dropped(), 900U);
    const auto got = messages.poll();
    ASSERT_EQ(got.size(), 100U);
    EXPECT_EQ(got.front().value(), data{900U});
    EXPECT_EQ(got.back().value(), data{999U});
}

TEST(overflow, the_bound_in_bytes_holds_too) {
    for (const auto policy : {overflow_policy::drop_newest, overflow_policy::drop_oldest}) {
        auto a = make("a");
        auto messages = a.make_subscriber({"/t"}, {{}, 10'000, policy});
        const std::string text(1000, 'x');
        for (int i = 0; i < 100; ++i) {
            ASSERT_EQ(a.publish("/t", text), ec::none);
        }
        ASSERT_TRUE(eventually([&] { return a.metrics().delivered == 100; }));
        EXPECT_LE(a.metrics().subscribers.at(0).queue_bytes, 10'000U);
        EXPECT_EQ(messages.available() + messages.dropped(), 100U);
        EXPECT_EQ(messages.available(), 9U);
    }
}

TEST(overflow, disconnect_ends_the_subscriber_and_says_why) {
    auto a = make("a");
    auto errors = a.make_status_subscriber();
    auto messages = a.make_subscriber({"/t"}, {100, {}, overflow_policy::disconnect});
    auto other = a.make_subscriber({"/t"});
    for (unsigned i = 0; i < 1000; ++i) {
        ASSERT_EQ(a.publish("/t", i), ec::none);
    }
    read_until(errors, ec::queue_full);
    EXPECT_TRUE(messages.ended());
    EXPECT_EQ(messages.last_error(), ec::queue_full);
    EXPECT_LE(messages.poll().size(), 100U);
    EXPECT_FALSE(messages.get().valid());
    EXPECT_EQ(other.get(1000, patience).size(), 1000U);
}

TEST(overflow, block_holds_a_local_publisher_up_and_loses_nothing) {
    auto options = named("a");
    options.publish_queue_bytes = 64 * 1024;
    endpoint a{configuration{options}};
    auto messages = a.make_subscriber({"/t"}, {100, {}, overflow_policy::block});
    constexpr unsigned count = 50'000;
    std::atomic<unsigned> published{0};
    std::thread publisher{[&] {
        for (unsigned i = 0; i < count; ++i) {
            ASSERT_EQ(a.publish("/t", i), ec::none);
            ++published;
        }
    }};
    EXPECT_TRUE(eventually([&] { return a.metrics().publish_queue_bytes > 60 * 1024; }));
    EXPECT_LT(published, count);
    const auto got = messages.get(count, patience);
    ASSERT_EQ(got.size(), count);
    for (unsigned i = 0; i < count; ++i) {
        ASSERT_EQ(got[i].value(), data{i});
    }
    publisher.join();
    EXPECT_EQ(messages.dropped(), 0U);
}

TEST(overflow, block_holds_a_far_publisher_up_and_loses_nothing) {
    auto options = named("a");
    options.publish_queue_bytes = 64 * 1024;
    options.peer_overflow = overflow_policy::block;
    options.peer_queue_bytes = 128 * 1024;
    options.frame_bytes = 16 * 1024;
    options.link_window_bytes = 64 * 1024;
    endpoint a{configuration{options}};
    options.name = "b";
    endpoint b{configuration{options}};
    auto messages = b.make_subscriber({"/t"}, {{}, 64 * 1024, overflow_policy::block});
    join(a, b);
    ASSERT_TRUE(a.wait_for_subscriber("/t"));
    constexpr unsigned count = 20'000;
    const std::string text(100, 'x');
    std::thread publisher{[&] {
        for (unsigned i = 0; i < count; ++i) {
            ASSERT_EQ(a.publish("/t", vector{i, text}), ec::none);
        }
    }};
    EXPECT_TRUE(eventually([&] { return a.metrics().publish_queue_bytes > 60 * 1024; }));
    EXPECT_LT(a.metrics().buffered_bytes, 512U * 1024);
    EXPECT_LT(b.metrics().subscribers.at(0).queue_bytes, 512U * 1024);
    std::vector<message> got;
    for (unsigned i = 0; i < count;) {
        got.clear();
        ASSERT_GT(messages.take(got, 500, patience), 0U) << i;
        for (const auto& each : got) {
            ASSERT_EQ(get<vector>(each.value()).at(0), data{i++});
        }
    }
    publisher.join();
}

TEST(overflow, a_limit_ends_the_wait_of_a_unicast) {
    auto options = named("a");
    options.publish_queue_bytes = 4096;
    endpoint a{configuration{options}};
    auto messages = a.make_subscriber({"/t"}, {10, {}, overflow_policy::block});
    publish_limit limit{0ms};
    unsigned accepted = 0;
    auto problem = ec::none;
    while ((problem = a.publish(a.node_id(), "/t", data{accepted})) == ec::none) {
        ASSERT_LT(++accepted, 100'000U);
    }
    EXPECT_EQ(problem, ec::queue_full);
    EXPECT_TRUE(limit.ran_out());
    limit.set(20ms);
    const auto began = std::chrono::steady_clock::now();
    EXPECT_EQ(a.publish(a.node_id(), "/t", data{accepted}), ec::queue_full);
    EXPECT_GE(std::chrono::steady_clock::now() - began, 20ms);
    EXPECT_TRUE(limit.ran_out());
    EXPECT_EQ(a.publish(endpoint_id{}, "/t", data{accepted}), ec::no_path_to_peer);
    // What was accepted arrives, and there is room again.
    EXPECT_EQ(messages.get(accepted, patience).size(), accepted);
    limit.set(patience);
    EXPECT_EQ(a.publish(a.node_id(), "/t", data{accepted}), ec::none);
    EXPECT_FALSE(limit.ran_out());
    EXPECT_TRUE(messages.get(patience));
}

TEST(overflow, a_unicasts_limit_leaves_the_endpoints_own_timeout) {
    auto options = named("a");
    options.publish_queue_bytes = 4096;
    options.publish_timeout = 500ms;
    endpoint a{configuration{options}};
    auto messages = a.make_subscriber({"/t"}, {10, {}, overflow_policy::block});
    publish_limit limit{10ms};
    // Refused by the limit, again and again, until the endpoint's own timeout ends the same wait.
    unsigned refused = 0;
    do {
        const auto why = a.publish(a.node_id(), "/t", data{1U});
        ASSERT_TRUE(why == ec::none || why == ec::queue_full) << to_string(why);
        refused = why == ec::none ? 0 : refused + 1;  // None: the core has made room meanwhile.
    } while (refused == 0 || limit.ran_out());
    EXPECT_GT(refused, 2U);
}

TEST(overflow, publish_gives_up_after_its_timeout) {
    auto options = named("a");
    options.publish_queue_bytes = 4096;
    options.publish_timeout = 20ms;
    endpoint a{configuration{options}};
    auto messages = a.make_subscriber({"/t"}, {10, {}, overflow_policy::block});
    unsigned accepted = 0;
    while (a.publish("/t", accepted) == ec::none) {
        ASSERT_LT(++accepted, 1'000'000U);
    }
    EXPECT_GE(a.metrics().publish_refused, 1U);
    // What was accepted arrives.
    EXPECT_EQ(messages.get(accepted, patience).size(), accepted);
}

TEST(overflow, one_slow_subscriber_does_not_stall_another) {
    auto a = make("a");
    auto slow = a.make_subscriber({"/t"}, {10, {}, overflow_policy::drop_newest});
    auto fast = a.make_subscriber({"/t"});
    for (unsigned i = 0; i < 10'000; ++i) {
        ASSERT_EQ(a.publish("/t", i), ec::none);
    }
    EXPECT_EQ(fast.get(10'000, patience).size(), 10'000U);
    EXPECT_EQ(slow.available(), 10U);
    EXPECT_EQ(slow.dropped(), 9'990U);
}

TEST(overflow, the_policy_of_one_peering_holds_for_that_peer_alone) {
    auto options = named("b");
    options.frame_bytes = 16 * 1024;
    options.link_window_bytes = 64 * 1024;
    endpoint patient{configuration{options}};
    endpoint full{configuration{options}};
    options.name = "a";
    options.publish_queue_bytes = 64 * 1024;
    endpoint a{configuration{options}};
    auto kept = patient.make_subscriber({"/kept"}, {{}, 64 * 1024, overflow_policy::block});
    auto lost = full.make_subscriber({"/lost"}, {{}, 64 * 1024, overflow_policy::block});
    const auto join_with = [&](endpoint& to, const peering_limits& limits) {
        const auto url = "tcp://127.0.0.1:" + std::to_string(to.listen("127.0.0.1", 0));
        const auto done = a.peer_url(url, {{}, {}, patience, limits});
        ASSERT_TRUE(done) << to_string(done.error());
    };
    join_with(patient, {overflow_policy::block, 128 * 1024, {}, {}});
    join_with(full, {{}, 128 * 1024, {}, {}});
    ASSERT_TRUE(a.wait_for_subscriber("/kept"));
    ASSERT_TRUE(a.wait_for_subscriber("/lost"));
    const std::string text(1000, 'x');
    constexpr unsigned count = 2'000;
    for (unsigned i = 0; i < count; ++i) {
        ASSERT_EQ(a.publish("/lost", text), ec::none);
    }
    ASSERT_TRUE(eventually([&] { return a.metrics().dropped_overflow > 0; }));
    std::thread publisher{[&] {
        for (unsigned i = 0; i < count; ++i) {
            ASSERT_EQ(a.publish("/kept", text), ec::none);
        }
    }};
    EXPECT_EQ(kept.get(count, patience).size(), count);
    publisher.join();
    EXPECT_FALSE(lost.poll().empty());
}

TEST(overflow, a_limit_out_of_range_is_refused_before_anybody_is_dialled) {
    auto a = make("a");
    const auto done = a.peer_url_nosync("tcp://127.0.0.1:1", {{}, {}, {}, {{}, 1, {}, {}}});
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error(), ec::invalid_configuration);
    EXPECT_NE(done.error().message().find("queue_bytes: expected a size from 4KiB"),
              std::string::npos)
        << done.error().message();
    EXPECT_TRUE(a.peers().empty());
}

}  // namespace
}  // namespace bzmq::testing
