// Callbacks on an endpoint's own thread.
#include <atomic>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <thread>

#include "endpoint/support.hpp"

namespace bzmq::testing {
namespace {

TEST(direct, messages_come_in_order_and_on_the_endpoints_thread) {
    auto a = make("a");
    auto b = make("b");
    join(a, b);
    std::vector<count> seen;
    std::set<std::thread::id> threads;
    std::promise<void> all;
    auto worker = b.subscribe_direct({"t/"}, {}, [&](const message& each) {
        seen.push_back(get<count>(each.value()));
        threads.insert(std::this_thread::get_id());
        if (seen.size() == 10'000) {
            all.set_value();
        }
    });
    ASSERT_TRUE(a.wait_for_subscriber("t/x", 1, patience));
    for (count i = 0; i < 10'000; ++i) {
        ASSERT_EQ(a.publish("t/x", i), ec::none);
    }
    ASSERT_EQ(all.get_future().wait_for(patience), std::future_status::ready);
    worker.stop();
    ASSERT_TRUE(worker.wait_for(patience));
    for (count i = 0; i < 10'000; ++i) {
        ASSERT_EQ(seen[i], i);
    }
    EXPECT_EQ(threads.size(), 1U);
    EXPECT_FALSE(threads.contains(std::this_thread::get_id()));
}

TEST(direct, an_answer_leaves_from_within_the_callback) {
    auto a = make("a");
    auto b = make("b");
    join(a, b);
    auto echo = b.subscribe_direct({"ping"}, {}, [&](const message& each) {
        EXPECT_EQ(b.publish_raw("pong", each.payload()), ec::none);
    });
    auto answers = a.make_subscriber({"pong"});
    ASSERT_TRUE(a.wait_for_subscriber("ping", 1, patience));
    ASSERT_TRUE(b.wait_for_subscriber("pong", 1, patience));
    for (count i = 0; i < 1000; ++i) {
        ASSERT_EQ(a.publish("ping", i), ec::none);
        const auto answer = answers.get(patience);
        ASSERT_TRUE(answer);
        ASSERT_EQ(get<count>(answer->value()), i);
    }
}

TEST(direct, what_an_endpoint_publishes_reaches_its_own) {
    auto ep = make("one");
    std::promise<std::string> got;
    auto worker = ep.subscribe_direct(
        {"t/"}, {}, [&](const message& each) { got.set_value(get<std::string>(each.value())); });
    ASSERT_EQ(ep.publish("t/x", std::string{"text"}), ec::none);
    auto text = got.get_future();
    ASSERT_EQ(text.wait_for(patience), std::future_status::ready);
    EXPECT_EQ(text.get(), "text");
}

TEST(direct, begins_with_on_init_and_ends_with_the_reason) {
    auto ep = make("one");
    std::vector<std::string> told;
    auto worker = ep.subscribe_direct(
        {"t/"}, [&] { told.emplace_back("init"); }, [&](const message&) { told.emplace_back("next"); },
        [&](const error& why) { told.emplace_back(to_string(why.code())); });
    ep.publish("t/x", 1);
    ep.shutdown();
    ASSERT_TRUE(worker.wait_for(patience));
    EXPECT_EQ(told, (std::vector<std::string>{"init", "next", std::string{to_string(ec::shutting_down)}}));
}

TEST(direct, who_subscribes_again_as_it_ends_is_told_that_all_has_ended) {
    auto ep = make("one");
    std::optional<subscriber> sub;
    std::optional<status_subscriber> statuses;
    std::optional<worker> more;
    auto worker = ep.subscribe_direct({"t/"}, {}, {}, [&](const error&) {
        sub.emplace(ep.make_subscriber({"t/"}));
        statuses.emplace(ep.make_status_subscriber());
        more.emplace(ep.subscribe_direct({"t/"}, {}, {}));
    });
    ep.shutdown();
    ASSERT_TRUE(worker.wait_for(patience));
    EXPECT_TRUE(sub->ended());
    EXPECT_EQ(sub->last_error(), ec::shutting_down);
    EXPECT_TRUE(is<error>(statuses->get()));
    EXPECT_TRUE(more->wait_for(patience));
}

TEST(direct, a_callback_that_throws_ends_its_subscription_only) {
    auto ep = make("one");
    auto statuses = ep.make_status_subscriber();
    std::promise<error> ended;
    auto bad = ep.subscribe_direct(
        {"t/"}, {}, [](const message&) { throw std::runtime_error{"on purpose"}; },
        [&](const error& why) { ended.set_value(why); });
    std::promise<void> got;
    auto good = ep.subscribe_direct({"u/"}, {}, [&](const message&) { got.set_value(); });
    ep.publish("t/x", 1);
    auto why = ended.get_future();
    ASSERT_EQ(why.wait_for(patience), std::future_status::ready);
    EXPECT_EQ(why.get(), (error{ec::unspecified, "on purpose"}));
    EXPECT_FALSE(read_until(statuses, ec::unspecified).empty());
    ep.publish("u/x", 1);
    EXPECT_EQ(got.get_future().wait_for(patience), std::future_status::ready);
}

TEST(direct, a_callback_may_call_anything) {
    auto ep = make("one");
    auto other = make("two");
    const auto port = other.listen("127.0.0.1", 0);
    std::promise<void> done;
    std::vector<worker> more;
    auto worker = ep.subscribe_direct({"t/"}, {}, [&](const message&) {
        ep.peer_nosync("127.0.0.1", port);
        EXPECT_EQ(ep.peers().size(), 1U);
        auto sub = ep.make_subscriber({"v/"});
        EXPECT_FALSE(sub.get(1h)) << "it cannot wait, and does not";
        more.push_back(ep.subscribe_direct({"w/"}, {}, [&](const message&) { done.set_value(); }));
        EXPECT_FALSE(more.back().wait_for(1h));
        EXPECT_EQ(ep.publish("w/x", 1), ec::none);
        EXPECT_GT(ep.metrics().published, 0U);
    });
    ep.publish("t/x", 1);
    EXPECT_EQ(done.get_future().wait_for(patience), std::future_status::ready);
}

TEST(direct, a_callback_may_end_its_own_subscription) {
    auto ep = make("one");
    std::promise<worker> handle;
    auto shared = handle.get_future().share();
    int count = 0;
    auto own = ep.subscribe_direct({"t/"}, {}, [&](const message&) {
        ++count;
        auto me = shared.get();
        me.stop();
    });
    handle.set_value(own);
    ep.publish("t/x", 1);
    ASSERT_TRUE(own.wait_for(patience));
    ep.publish("t/x", 1);
    auto after = ep.make_subscriber({"u/"});
    ep.publish("u/x", 1);
    ASSERT_TRUE(after.get(patience));
    EXPECT_EQ(count, 1);
}

TEST(direct, after_the_end_it_begins_and_ends_at_once) {
    auto ep = make("one");
    ep.shutdown();
    bool ended = false;
    auto worker = ep.subscribe_direct({"t/"}, {}, {}, [&](const error& why) {
        EXPECT_EQ(why, ec::shutting_down);
        ended = true;
    });
    EXPECT_TRUE(worker.wait_for(patience));
    EXPECT_TRUE(ended);
}

TEST(direct, a_full_queue_under_block_goes_on_once_it_is_read) {
    auto a = make("a");
    auto b = make("b");
    join(a, b);
    std::atomic<std::size_t> got{0};
    queue_options small;
    small.messages = 100;
    small.overflow = overflow_policy::block;
    auto worker = b.subscribe_direct({"t/"}, {}, [&](const message&) { ++got; }, {}, small);
    ASSERT_TRUE(a.wait_for_subscriber("t/x", 1, patience));
    for (int i = 0; i < 20'000; ++i) {
        ASSERT_EQ(a.publish("t/x", i, delivery_mode::reliable), ec::none);
    }
    EXPECT_TRUE(eventually([&] { return got == 20'000; })) << got;
}

// -- Publishing on the calling thread, while the endpoint's sleeps --------------------------------

TEST(publishing, now_and_then_from_several_threads_keeps_each_ones_order) {
    auto a = make("a");
    auto b = make("b");
    join(a, b);
    auto reader = b.make_subscriber({"t/"});
    ASSERT_TRUE(a.wait_for_subscriber("t/", 1, patience));
    constexpr count each_publishes = 200;
    std::vector<std::thread> publishers;
    for (int who = 0; who < 3; ++who) {
        publishers.emplace_back([&a, who] {
            auto own = a.make_subscriber({"t/" + std::to_string(who)});
            for (count i = 0; i < each_publishes; ++i) {
                ASSERT_EQ(a.publish("t/" + std::to_string(who), i), ec::none);
                const auto echo = own.get(patience);  // So that the endpoint comes to rest.
                ASSERT_TRUE(echo);
                ASSERT_EQ(get<count>(echo->value()), i);
            }
        });
    }
    for (auto& each : publishers) {
        each.join();
    }
    std::map<std::string, count> next;
    for (count i = 0; i < 3 * each_publishes; ++i) {
        const auto got = reader.get(patience);
        ASSERT_TRUE(got);
        EXPECT_EQ(get<count>(got->value()), next[std::string{got->topic()}]++);
    }
}

}  // namespace
}  // namespace bzmq::testing
