// Messages from publishers to subscribers, over one link and over several.
#include <poll.h>

#include <set>

#include "endpoint/support.hpp"

namespace bzmq::testing {
namespace {

TEST(messages, subscribing_before_and_after_the_peering_both_work) {
    auto a = make("a");
    auto b = make("b");
    auto before = b.make_subscriber({"/before"});
    join(a, b);
    auto after = b.make_subscriber({"/after"});
    ASSERT_TRUE(after.wait_ready(patience));
    a.publish("/before", 1U);
    a.publish("/after", 2U);
    const auto first = before.get(patience);
    const auto second = after.get(patience);
    ASSERT_TRUE(first && second);
    EXPECT_EQ(first->value(), data{1U});
    EXPECT_EQ(second->value(), data{2U});
    EXPECT_EQ(second->topic(), "/after");
    EXPECT_EQ(second->origin(), a.node_id());
    EXPECT_EQ(second->hops(), 1U);
}

TEST(messages, local_subscribers_get_what_was_published_after_they_subscribed) {
    auto a = make("a");
    for (unsigned i = 0; i < 50; ++i) {
        auto messages = a.make_subscriber({"/t"});
        ASSERT_EQ(a.publish("/t", i), ec::none);
        const auto got = messages.get(patience);
        ASSERT_TRUE(got);
        EXPECT_EQ(got->value(), data{i});
        EXPECT_EQ(got->hops(), 0U);
    }
    auto options = named("quiet");
    options.local_delivery = false;
    endpoint quiet{configuration{options}};
    auto nothing = quiet.make_subscriber({"/t"});
    quiet.publish("/t", 1U);
    EXPECT_TRUE(eventually([&] { return quiet.metrics().published == 1; }));
    EXPECT_EQ(nothing.available(), 0U);
}

TEST(messages, every_value_arrives_as_it_was) {
    auto a = make("a");
    auto messages = a.make_subscriber({""});
    const std::vector<data> values{none{}, true, 1U, -1, 2.5, "text", *address::parse("::1"),
                                   timespan{5}, enum_value{"e"}, set{1U, 2U}, vector{1U, "x"},
                                   table{{"k", 1U}}, std::string(300'000, 'x')};
    for (const auto& each : values) {
        ASSERT_EQ(a.publish("/v", each), ec::none);
    }
    const auto got = messages.get(values.size(), patience);
    ASSERT_EQ(got.size(), values.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
        EXPECT_EQ(got[i].value(), values[i]) << i;
    }
    EXPECT_EQ(got[5].text(), "text");
    // A relay passes on what it never looked into.
    EXPECT_EQ(a.publish_raw("/again", got[10].payload()), ec::none);
    EXPECT_EQ(messages.get().value(), values[10]);
}

TEST(messages, publish_says_what_it_refuses) {
    auto options = named("a");
    options.max_message_bytes = 100'000;
    endpoint a{configuration{options}};
    EXPECT_EQ(a.publish("", 1U), ec::invalid_topic);
    EXPECT_EQ(a.publish(std::string(topic_bytes_max + 1, 't'), 1U), ec::invalid_topic);
    EXPECT_EQ(a.publish("/t", std::string(200'000, 'x')), ec::message_too_big);
    data deep;
    for (int i = 0; i < 100; ++i) {
        deep = vector{deep};
    }
    EXPECT_EQ(a.publish("/t", deep), ec::invalid_data);
    a.shutdown();
    EXPECT_EQ(a.publish("/t", 1U), ec::shutting_down);
    EXPECT_EQ(a.publish(a.node_id(), "/t", data{1U}), ec::shutting_down);
}

TEST(messages, batches_and_publishers_keep_the_order) {
    auto a = make("a");
    auto b = make("b");
    auto messages = b.make_subscriber({"/x", "/y"});
    join(a, b);
    ASSERT_TRUE(a.wait_for_subscriber("/x"));
    std::vector<outgoing_message> batch;
    for (unsigned i = 0; i < 1000; ++i) {
        batch.push_back({i % 3 == 0 ? "/x" : i % 3 == 1 ? "/y" : "/unwanted", i});
    }
    std::size_t accepted = 0;
    ASSERT_EQ(a.publish_batch(batch, delivery_mode::best_effort, &accepted), ec::none);
    EXPECT_EQ(accepted, batch.size());
    auto out = a.make_publisher("/x");
    EXPECT_EQ(out.publish("last"), ec::none);
    const auto got = messages.get(668, patience);
    ASSERT_EQ(got.size(), 668U);
    std::size_t at = 0;
    for (unsigned i = 0; i < 1000; ++i) {
        if (i % 3 != 2) {
            ASSERT_EQ(got[at].value(), data{i});
            ASSERT_EQ(got[at].topic(), batch[i].topic);
            ++at;
        }
    }
    EXPECT_EQ(got.back().text(), "last");
}

TEST(messages, a_publisher_takes_a_vector_as_one_value_and_a_batch_as_many) {
    auto a = make("a");
    auto messages = a.make_subscriber({"/t"});
    auto out = a.make_publisher("/t");
    const vector values{1, "two"};
    EXPECT_EQ(out.publish(values), ec::none);
    EXPECT_EQ(out.publish_batch(values), ec::none);
    const auto got = messages.get(3, patience);
    ASSERT_EQ(got.size(), 3U);
    EXPECT_EQ(got[0].value(), data{values});
    EXPECT_EQ(got[1].value(), values[0]);
    EXPECT_EQ(got[2].value(), values[1]);
}

TEST(messages, arrive_once_and_in_order_in_a_ring) {
    auto a = make("a");
    auto b = make("b");
    auto c = make("c");
    join(a, b);
    join(b, c);
    join(c, a);
    auto at_b = b.make_subscriber({"/t"});
    auto at_c = c.make_subscriber({"/t"});
    ASSERT_TRUE(a.wait_for_subscriber("/t", 2, patience));
    constexpr unsigned count = 20'000;
    for (unsigned i = 0; i < count; ++i) {
        ASSERT_EQ(a.publish("/t", i), ec::none);
    }
    a.publish("/t", "end");
    for (auto* each : {&at_b, &at_c}) {
        const auto got = each->get(count + 1, patience);
        ASSERT_EQ(got.size(), count + 1);
        for (unsigned i = 0; i < count; ++i) {
            ASSERT_EQ(got[i].value(), data{i});
        }
        EXPECT_EQ(got.back().text(), "end");
        EXPECT_EQ(each->available(), 0U);
    }
}

TEST(messages, reach_one_endpoint_over_hops_or_say_that_there_is_no_path) {
    auto a = make("a");
    auto b = make("b");
    auto c = make("c");
    join(a, b);
    join(b, c);
    auto at_b = b.make_subscriber({"/t"});
    auto at_c = c.make_subscriber({"/t"});
    ASSERT_TRUE(a.await_peer(c.node_id(), patience));
    ASSERT_EQ(a.publish(c.node_id(), "/t", data{"for c"}), ec::none);
    ASSERT_TRUE(a.wait_for_subscriber("/t", 2, patience));
    ASSERT_EQ(a.publish("/t", "for all"), ec::none);
    const auto got = at_c.get(2, patience);
    ASSERT_EQ(got.size(), 2U);
    EXPECT_EQ(got[0].text(), "for c");
    EXPECT_EQ(got[0].hops(), 2U);
    EXPECT_EQ(at_b.get().text(), "for all");
    EXPECT_EQ(a.publish(*endpoint_id::parse(std::string(32, 'f')), "/t", data{1U}),
              ec::no_path_to_peer);
}

TEST(messages, to_one_endpoint_keep_their_order_with_those_to_all) {
    auto a = make("a");
    auto b = make("b");
    auto messages = b.make_subscriber({"/t"});
    join(a, b);
    ASSERT_TRUE(a.wait_for_subscriber("/t"));
    for (unsigned i = 0; i < 400; ++i) {
        if (i % 4 == 0) {
            ASSERT_EQ(a.publish(b.node_id(), "/t", data{i}), ec::none);
        } else {
            ASSERT_EQ(a.publish("/t", i), ec::none);
        }
    }
    const auto got = messages.get(400, patience);
    ASSERT_EQ(got.size(), 400U);
    for (unsigned i = 0; i < 400; ++i) {
        ASSERT_EQ(got[i].value(), data{i});
    }
}

TEST(messages, reliable_ones_arrive_over_hops) {
    auto a = make("a");
    auto b = make("b");
    auto c = make("c");
    join(a, b);
    join(b, c);
    auto messages = c.make_subscriber({"/t"});
    ASSERT_TRUE(a.wait_for_subscriber("/t", 1, patience));
    auto out = a.make_publisher("/t", delivery_mode::reliable);
    for (unsigned i = 0; i < 5000; ++i) {
        ASSERT_EQ(out.publish(data{i}), ec::none);
    }
    const auto got = messages.get(5000, patience);
    ASSERT_EQ(got.size(), 5000U);
    EXPECT_EQ(got[4999].value(), data{4999U});
    EXPECT_EQ(got[0].mode(), delivery_mode::reliable);
}

TEST(messages, topics_come_and_go) {
    auto a = make("a");
    auto b = make("b");
    auto messages = b.make_subscriber({"/one/"});
    join(a, b);
    EXPECT_FALSE(messages.add_topic("/one/"));
    EXPECT_TRUE(messages.add_topic("/two/"));
    ASSERT_TRUE(messages.wait_ready(patience));
    a.publish("/two/x", 2U);
    a.publish("/three/x", 3U);
    a.publish("/one/x", 1U);
    const auto got = messages.get(2, patience);
    ASSERT_EQ(got.size(), 2U);
    EXPECT_EQ(got[0].topic(), "/two/x");
    EXPECT_EQ(got[1].topic(), "/one/x");
    EXPECT_TRUE(messages.remove_topic("/one/"));
    EXPECT_FALSE(messages.remove_topic("/one/"));
    ASSERT_TRUE(messages.wait_ready(patience));
    EXPECT_EQ(a.peer_subscriptions(), std::vector<std::string>{"/two/"});
    EXPECT_EQ(a.subscriptions_of(b.node_id()), std::vector<std::string>{"/two/"});
    messages.close();
    EXPECT_TRUE(eventually([&] { return a.peer_subscriptions().empty(); }));
}

TEST(messages, a_removed_topic_is_silent_at_once) {
    auto a = make("a");
    auto messages = a.make_subscriber({"/one", "/two"});
    for (unsigned i = 0; i < 100; ++i) {
        a.publish(i % 2 == 0 ? "/one" : "/two", i);
    }
    EXPECT_TRUE(eventually([&] { return messages.available() == 100; }));
    messages.remove_topic("/one");
    EXPECT_EQ(messages.available(), 50U);
    for (const auto& each : messages.poll()) {
        EXPECT_EQ(each.topic(), "/two");
    }
}

TEST(messages, waits_for_subscribers_filters_and_far_endpoints) {
    auto a = make("a");
    auto b = make("b");
    auto c = make("c");
    EXPECT_FALSE(a.wait_for_subscriber("/t", 1, 10ms));
    EXPECT_FALSE(a.await_peer(c.node_id(), 10ms));
    EXPECT_FALSE(c.await_filter_entry("/t", 10ms));
    join(a, b);
    join(b, c);
    EXPECT_TRUE(a.await_peer(c.node_id(), patience));
    auto messages = c.make_subscriber({"/t"});
    EXPECT_TRUE(c.await_filter_entry("/t/x", patience));
    EXPECT_TRUE(a.wait_for_subscriber("/t/x", 1, 10ms));
    EXPECT_FALSE(a.wait_for_subscriber("/t/x", 2, 10ms));
    EXPECT_EQ(a.topology().size(), 3U);
}

TEST(messages, ping_tells_the_path) {
    auto a = make("a");
    auto b = make("b");
    auto c = make("c");
    join(a, b);
    join(b, c);
    ASSERT_TRUE(a.await_peer(c.node_id(), patience));
    const auto answer = a.ping(c.node_id(), patience);
    ASSERT_TRUE(answer) << to_string(answer.error());
    EXPECT_EQ(answer->path, (std::vector<endpoint_id>{b.node_id(), c.node_id()}));
    EXPECT_GT(answer->round_trip, 0ns);
    EXPECT_EQ(a.ping(*endpoint_id::parse(std::string(32, 'f'))).error(), ec::no_path_to_peer);
}

TEST(messages, forwarding_draws_messages_without_a_subscriber) {
    auto a = make("a");
    auto b = make("b");
    b.forward({"/t"});
    join(a, b);
    EXPECT_TRUE(a.wait_for_subscriber("/t/x", 1, patience));
    EXPECT_EQ(a.peer_subscriptions(), std::vector<std::string>{"/t"});
}

TEST(messages, callbacks_see_everything_in_order_and_the_end) {
    auto a = make("a");
    int begun = 0;
    int ended = 0;
    error reason{ec::unspecified};
    std::vector<data> seen;
    auto worker = a.subscribe(
        {"/t"}, [&] { ++begun; }, [&](const message& each) { seen.push_back(each.value()); },
        [&](const error& why) {
            ++ended;
            reason = why;
        });
    for (unsigned i = 0; i < 1000; ++i) {
        a.publish("/t", i);
    }
    EXPECT_FALSE(worker.wait_for(10ms));
    EXPECT_TRUE(eventually([&] {
        const auto now = a.metrics();
        return now.delivered == 1000 && now.subscribers.at(0).queue_messages == 0;
    }));
    worker.stop();
    ASSERT_TRUE(worker.wait_for(patience));
    EXPECT_EQ(begun, 1);
    EXPECT_EQ(ended, 1);
    EXPECT_EQ(reason, ec::none);
    ASSERT_EQ(seen.size(), 1000U);
    EXPECT_EQ(seen[999], data{999U});
}

TEST(messages, a_callback_that_throws_ends_its_subscription_only) {
    auto a = make("a");
    auto statuses = a.make_status_subscriber();
    error reason;
    auto failing = a.subscribe(
        {"/t"}, {}, [](const message&) { throw std::runtime_error{"no good"}; },
        [&](const error& why) { reason = why; });
    auto other = a.make_subscriber({"/t"});
    a.publish("/t", 1U);
    ASSERT_TRUE(failing.wait_for(patience));
    EXPECT_EQ(reason, ec::unspecified);
    EXPECT_EQ(reason.message(), "no good");
    EXPECT_TRUE(other.get(patience));
    const auto told = statuses.get(patience);
    ASSERT_TRUE(told);
    EXPECT_EQ(get<error>(*told).message(), "a subscriber's callback threw: no good");
}

TEST(messages, what_the_last_callback_throws_is_told) {
    auto a = make("a");
    auto statuses = a.make_status_subscriber();
    auto failing = a.subscribe({"/t"}, {}, {}, [](const error&) { throw 7; });
    failing.stop();
    ASSERT_TRUE(failing.wait_for(patience));
    const auto told = statuses.get(patience);
    ASSERT_TRUE(told);
    EXPECT_EQ(get<error>(*told).message(),
              "a subscriber's on_end threw: something that is no exception");
}

bool readable(int fd, std::chrono::milliseconds timeout) {
    pollfd one{fd, POLLIN, 0};
    return ::poll(&one, 1, static_cast<int>(timeout.count())) == 1;
}

TEST(messages, the_descriptor_is_readable_exactly_while_messages_wait) {
    auto a = make("a");
    auto messages = a.make_subscriber({"/t"});
    const int fd = messages.fd();
    EXPECT_FALSE(readable(fd, 0ms));
    a.publish("/t", 1U);
    a.publish("/t", 2U);
    ASSERT_TRUE(readable(fd, patience));
    ASSERT_TRUE(messages.get().valid());
    EXPECT_TRUE(readable(fd, patience));
    ASSERT_TRUE(messages.get().valid());
    EXPECT_FALSE(readable(fd, 0ms));
    auto statuses = a.make_status_subscriber(true);
    EXPECT_FALSE(readable(statuses.fd(), 0ms));
    a.shutdown();
    EXPECT_TRUE(readable(fd, 0ms));
    EXPECT_TRUE(readable(statuses.fd(), 0ms));
}

TEST(messages, hundreds_of_thousands_pass_several_publishing_threads_in_order) {
    auto options = named("a");
    options.peer_overflow = overflow_policy::block;
    endpoint a{configuration{options}};
    auto b = make("b");
    auto messages = b.make_subscriber({"/t"}, {{}, {}, overflow_policy::block});
    join(a, b);
    ASSERT_TRUE(a.wait_for_subscriber("/t"));
    constexpr unsigned each = 50'000;
    constexpr unsigned threads = 4;
    std::vector<std::thread> publishers;
    for (unsigned t = 0; t < threads; ++t) {
        publishers.emplace_back([&a, t] {
            for (unsigned i = 0; i < each; ++i) {
                ASSERT_EQ(a.publish("/t/" + std::to_string(t), i), ec::none);
            }
        });
    }
    std::vector<unsigned> next(threads, 0);
    std::vector<message> batch;
    std::size_t total = 0;
    while (total < std::size_t{each} * threads) {
        batch.clear();
        const auto got = messages.take(batch, 1000, patience);
        ASSERT_GT(got, 0U) << "after " << total;
        total += got;
        for (const auto& one : batch) {
            const auto thread = static_cast<std::size_t>(one.topic().back() - '0');
            ASSERT_EQ(one.value(), data{next.at(thread)++});
        }
    }
    for (auto& one : publishers) {
        one.join();
    }
}

}  // namespace
}  // namespace bzmq::testing
