// What an endpoint refuses because others could not be told of it, and messages that are too large
// for others.
#include <future>

#include "endpoint/support.hpp"
#include "overlay/limits.hpp"
namespace bzmq::testing {
namespace {

std::vector<std::string> distinct_topics(std::size_t count) {
    std::vector<std::string> out;
    for (std::size_t i = 0; i < count; ++i) {
        out.push_back("/" + std::to_string(i) + "/");
    }
    return out;
}

TEST(limits, a_subscriber_that_fits_no_record_has_ended_from_the_start) {
    auto ep = make("full");
    auto most = ep.make_subscriber(distinct_topics(overlay::prefixes_max));
    EXPECT_FALSE(most.ended());
    auto covered = ep.make_subscriber({"/1/sub", "/2/sub"});
    EXPECT_FALSE(covered.ended()) << "others learn of nothing new";
    auto more = ep.make_subscriber({"/more"});
    EXPECT_TRUE(more.ended());
    EXPECT_EQ(more.last_error(), ec::invalid_topic);
    EXPECT_NE(more.last_error().message().find("65537 topic prefixes"), std::string::npos);
    EXPECT_EQ(ep.forward({"/more"}).error(), ec::invalid_topic);
    most.close();
    EXPECT_TRUE(eventually([&] { return !ep.make_subscriber({"/more"}).ended(); }));
    EXPECT_TRUE(ep.forward({"/more"}));
}

TEST(limits, a_topic_that_does_not_fit_changes_nothing) {
    auto publisher = make("publisher");
    auto ep = make("full");
    join(ep, publisher);
    auto most = ep.make_subscriber(distinct_topics(overlay::prefixes_max));
    error why;
    EXPECT_FALSE(most.add_topic("/more", &why));
    EXPECT_EQ(why, ec::invalid_topic);
    EXPECT_FALSE(most.add_topic("/1/", &why));
    EXPECT_FALSE(why) << "it has that one";
    EXPECT_EQ(most.topics().size(), overlay::prefixes_max);
    ASSERT_TRUE(publisher.wait_for_subscriber("/65535/x", 1, patience));
    EXPECT_FALSE(publisher.wait_for_subscriber("/more", 1, 0s));
    publisher.publish("/65535/x", 1, delivery_mode::reliable);
    EXPECT_TRUE(most.get(patience));
    ASSERT_TRUE(most.remove_topic("/1/"));
    EXPECT_TRUE(most.add_topic("/more", &why)) << to_string(why);
    EXPECT_TRUE(publisher.wait_for_subscriber("/more", 1, patience));
}

TEST(limits, a_topic_too_long_for_any_message_is_refused) {
    auto ep = make("long");
    EXPECT_FALSE(ep.make_subscriber({std::string(65'535, 't')}).ended());
    EXPECT_EQ(ep.make_subscriber({std::string(65'536, 't')}).last_error(), ec::invalid_topic);
    error reason;
    std::promise<void> ended;
    auto worker = ep.subscribe(
        {std::string(65'536, 't')}, {}, {}, [&](const error& why) {
            reason = why;
            ended.set_value();
        });
    ASSERT_EQ(ended.get_future().wait_for(patience), std::future_status::ready);
    EXPECT_EQ(reason, ec::invalid_topic);
}

endpoint make_with_limit(const std::string& name, std::size_t bytes) {
    auto options = named(name);
    options.max_message_bytes = bytes;
    return endpoint{configuration{options}};
}

/// Nothing of the kind has come, of all that came so far.
void expect_nobody_was_lost(status_subscriber& news) {
    while (const auto each = news.get(0s)) {
        const auto* what = get_if<status>(&*each);
        EXPECT_FALSE(what != nullptr && what->code() == sc::peer_lost) << to_string(*each);
    }
}

/// A reliable one may be sent, and dropped, again before its acknowledgement is back.
void expect_dropped(const endpoint& at, std::uint64_t count, delivery_mode mode) {
    const auto dropped = at.metrics().dropped_too_big;
    EXPECT_GE(dropped, count);
    EXPECT_TRUE(dropped == count || mode == delivery_mode::reliable) << dropped;
}

constexpr std::size_t mib = std::size_t{1} << 20;

TEST(limits, a_message_larger_than_a_neighbour_takes_is_told_of_and_holds_nothing_up) {
    for (const auto mode : {delivery_mode::best_effort, delivery_mode::reliable}) {
        auto publisher = make("publisher");
        auto small = make_with_limit("small", mib);
        auto news = publisher.make_status_subscriber();
        auto messages = small.make_subscriber({"/t"});
        join(small, publisher);
        ASSERT_TRUE(publisher.wait_for_subscriber("/t", 1, patience));
        EXPECT_EQ(publisher.publish("/t", "before", mode), ec::none);
        EXPECT_EQ(publisher.publish("/t", std::string(8 * mib, 'x'), mode), ec::none);
        EXPECT_EQ(publisher.publish("/t", "after", mode), ec::none);
        EXPECT_EQ(messages.get(patience).value().text(), "before");
        EXPECT_EQ(messages.get(patience).value().text(), "after");
        const auto told = get<error>(read_until(news, ec::message_too_big).back());
        EXPECT_NE(told.message().find("\"small\" (" + to_string(small.node_id())),
                  std::string::npos)
            << told.message();
        EXPECT_NE(told.message().find("messages of up to 1048576 bytes"), std::string::npos)
            << told.message();
        expect_dropped(publisher, 1, mode);
        EXPECT_GE(publisher.metrics().peers.front().dropped_messages, 1U);
        EXPECT_EQ(small.metrics().gaps, 1U);
        expect_nobody_was_lost(news);
        // Nobody tries again: it is settled.
        EXPECT_TRUE(eventually([&] { return publisher.metrics().buffered_bytes < mib; }));
    }
}

TEST(limits, a_relay_drops_what_the_next_one_does_not_take_and_passes_on_the_rest) {
    for (const auto mode : {delivery_mode::best_effort, delivery_mode::reliable}) {
        auto publisher = make("publisher");
        auto relay = make("relay");
        auto small = make_with_limit("small", mib);
        auto large = make("large");
        auto news = relay.make_status_subscriber();
        auto in_small = small.make_subscriber({"/t"});
        auto in_large = large.make_subscriber({"/t"});
        join(publisher, relay);
        join(small, relay);
        join(large, relay);
        ASSERT_TRUE(publisher.wait_for_subscriber("/t", 2, patience));
        for (int round = 0; round < 3; ++round) {
            EXPECT_EQ(publisher.publish("/t", std::string(2 * mib, 'x'), mode), ec::none);
            EXPECT_EQ(publisher.publish("/t", "then", mode), ec::none);
            EXPECT_EQ(in_small.get(patience).value().text(), "then");
            EXPECT_EQ(in_large.get(patience).value().text().size(), 2 * mib);
            EXPECT_EQ(in_large.get(patience).value().text(), "then");
        }
        read_until(news, ec::message_too_big);
        expect_dropped(relay, 3, mode);
        EXPECT_EQ(publisher.metrics().dropped_too_big, 0U);
        expect_nobody_was_lost(news);
        EXPECT_TRUE(eventually([&] { return publisher.metrics().buffered_bytes < mib; }));
    }
}

TEST(limits, an_endpoint_takes_exactly_as_much_as_it_says) {
    for (const auto mode : {delivery_mode::best_effort, delivery_mode::reliable}) {
        auto publisher = make("publisher");
        auto small = make_with_limit("small", 10'000);
        auto news = small.make_status_subscriber();
        auto messages = small.make_subscriber({"/"});
        join(small, publisher);
        ASSERT_TRUE(publisher.wait_for_subscriber("/t", 1, patience));
        const auto raw = [](std::size_t size) {
            return std::string(size - 3, 'x');  // Its msgpack form has three bytes more.
        };
        // In one batch, and with topics that are not repeated.
        const std::vector<outgoing_message> batch{{"/a", raw(10'000)},
                                                  {"/b", raw(10'001)},
                                                  {"/b", "small"},
                                                  {"/b", raw(60'000)},
                                                  {"/b", "last"}};
        ASSERT_EQ(publisher.publish_batch(batch, mode), ec::none);
        const auto first = messages.get(patience).value();
        EXPECT_EQ(first.topic(), "/a");
        EXPECT_EQ(first.payload().size(), 10'000U);
        for (const auto* text : {"small", "last"}) {
            const auto next = messages.get(patience).value();
            EXPECT_EQ(next.topic(), "/b");
            EXPECT_EQ(next.text(), text);
        }
        const auto told = get<error>(read_until(news, ec::message_too_big).back());
        EXPECT_NE(told.message().find("10001 bytes"), std::string::npos) << told.message();
        EXPECT_NE(told.message().find(to_string(publisher.node_id())), std::string::npos);
        expect_dropped(small, 2, delivery_mode::best_effort);
        EXPECT_EQ(small.metrics().malformed, 0U);
        expect_nobody_was_lost(news);
    }
}

TEST(limits, large_frames_of_small_messages_reach_who_takes_small_messages_only) {
    auto options = named("publisher");
    options.frame_bytes = 16 * mib;
    options.link_window_bytes = 32 * mib;
    options.publish_queue_bytes = 64 * mib;
    endpoint publisher{configuration{options}};
    auto small = make_with_limit("small", 1024);
    queue_options lossless;
    lossless.overflow = overflow_policy::block;
    auto messages = small.make_subscriber({"/t"}, lossless);
    join(small, publisher);
    ASSERT_TRUE(publisher.wait_for_subscriber("/t", 1, patience));
    const std::string text(900, 'x');
    constexpr std::size_t count = 40'000;
    for (std::size_t i = 0; i < count; ++i) {
        ASSERT_EQ(publisher.publish("/t", text, delivery_mode::reliable), ec::none);
    }
    for (std::size_t i = 0; i < count; ++i) {
        ASSERT_TRUE(messages.get(patience)) << i;
    }
    EXPECT_EQ(publisher.metrics().dropped_too_big, 0U);
}

}  // namespace
}  // namespace bzmq::testing
