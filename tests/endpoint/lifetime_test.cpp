// Beginnings and ends: many endpoints, shutdown in full flow, handles that outlive, fork.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>

#include "endpoint/support.hpp"

namespace bzmq::testing {
namespace {

TEST(lifetime, fifty_endpoints_live_in_one_process) {
    std::vector<endpoint> all;
    for (int i = 0; i < 50; ++i) {
        all.push_back(make("n" + std::to_string(i)));
    }
    const auto port = all[0].listen("127.0.0.1", 0);
    std::vector<subscriber> subscribers;
    for (std::size_t i = 1; i < all.size(); ++i) {
        subscribers.push_back(all[i].make_subscriber({"/t"}));
        all[i].peer_nosync("127.0.0.1", port);
    }
    ASSERT_TRUE(all[0].wait_for_subscriber("/t", 49, 60s));
    all[0].publish("/t", "hello");
    for (auto& each : subscribers) {
        const auto got = each.get(patience);
        ASSERT_TRUE(got);
        EXPECT_EQ(got->text(), "hello");
    }
}

TEST(lifetime, shutdown_in_full_flow_ends_in_time) {
    auto b = make("b");
    auto messages = b.make_subscriber({"/t"});
    auto a = std::make_unique<endpoint>(make("a"));
    join(*a, b);
    ASSERT_TRUE(a->wait_for_subscriber("/t"));
    std::atomic<bool> refused{false};
    std::thread publisher{[&] {
        while (a->publish("/t", std::string(1000, 'x')) != ec::shutting_down) {
        }
        refused = true;
    }};
    ASSERT_EQ(messages.get(1000, patience).size(), 1000U);
    const auto began = std::chrono::steady_clock::now();
    a->shutdown();
    EXPECT_LT(std::chrono::steady_clock::now() - began, 10s);
    publisher.join();
    EXPECT_TRUE(refused);
    EXPECT_TRUE(a->is_shutdown());
    a->shutdown();
}

TEST(lifetime, what_was_published_before_the_goodbye_arrives) {
    auto b = make("b");
    auto messages = b.make_subscriber({"/t"});
    {
        auto a = make("a");
        join(a, b);
        ASSERT_TRUE(a.wait_for_subscriber("/t"));
        for (unsigned i = 0; i < 10'000; ++i) {
            ASSERT_EQ(a.publish("/t", i), ec::none);
        }
    }
    EXPECT_EQ(messages.get(10'000, patience).size(), 10'000U);
}

TEST(lifetime, handles_outlive_their_endpoint) {
    auto a = std::make_unique<endpoint>(make("a"));
    auto messages = a->make_subscriber({"/t"});
    auto statuses = a->make_status_subscriber(true);
    auto out = a->make_publisher("/t");
    auto worker = a->subscribe({"/t"}, {}, [](const message&) {});
    EXPECT_EQ(out.publish("left"), ec::none);
    EXPECT_TRUE(eventually([&] { return messages.available() == 1; }));
    a.reset();
    EXPECT_EQ(messages.get().text(), "left");
    EXPECT_FALSE(messages.get().valid());
    EXPECT_FALSE(messages.get(1s));
    EXPECT_EQ(messages.last_error(), ec::shutting_down);
    EXPECT_FALSE(messages.add_topic("/u"));
    EXPECT_FALSE(messages.wait_ready());
    EXPECT_EQ(get<error>(statuses.get()), ec::shutting_down);
    EXPECT_EQ(out.publish("late"), ec::shutting_down);
    EXPECT_TRUE(worker.wait_for(patience));
}

TEST(lifetime, shutdown_wakes_all_who_wait) {
    auto a = make("a");
    auto other = make("other");
    join(other, a);  // It is to be said goodbye to, which takes a moment.
    auto messages = a.make_subscriber({"/t"});
    auto statuses = a.make_status_subscriber(true);
    std::uint16_t port = 0;
    {
        auto gone = make("gone");
        port = gone.listen("127.0.0.1", 0);
    }
    std::vector<std::thread> waiting;
    waiting.emplace_back([&] { EXPECT_FALSE(messages.get().valid()); });
    waiting.emplace_back([&] {
        while (get_if<error>(&static_cast<const status_variant&>(statuses.get())) == nullptr) {
        }
    });
    waiting.emplace_back([&] {
        error why;
        EXPECT_FALSE(a.peer("127.0.0.1", port, {}, &why));
        EXPECT_EQ(why, ec::shutting_down);
    });
    waiting.emplace_back([&] { EXPECT_FALSE(a.wait_for_subscriber("/t", 1, 1h)); });
    EXPECT_TRUE(eventually([&] { return a.peers().size() == 2; }));
    a.shutdown();
    for (auto& each : waiting) {
        each.join();
    }
    EXPECT_TRUE(a.peers().empty());
    EXPECT_EQ(a.listen("127.0.0.1", 0), 0);
    EXPECT_TRUE(a.subscribe({"/t"}, {}, {}).wait_for(patience));
}

TEST(lifetime, an_endpoint_may_be_destroyed_in_its_own_callback) {
    auto a = std::make_shared<endpoint>(make("a"));
    std::atomic<bool> done{false};
    a->subscribe({"/t"}, {}, [&](const message&) {
        a.reset();
        done = true;
    });
    a->publish("/t", 1U);
    EXPECT_TRUE(eventually([&] { return done.load(); }));
}

TEST(lifetime, endpoints_move) {
    auto a = make("a");
    const auto id = a.node_id();
    endpoint b{std::move(a)};
    EXPECT_EQ(b.node_id(), id);
    b = make("b");
    EXPECT_NE(b.node_id(), id);
    EXPECT_NE(b.listen("127.0.0.1", 0), 0);
}

#if !defined(__SANITIZE_THREAD__)
TEST(lifetime, a_forked_child_is_refused_clearly) {
#ifdef __SANITIZE_THREAD__
    GTEST_SKIP() << "ThreadSanitizer allows no new thread in a child of a process with threads";
#endif
    auto a = std::make_unique<endpoint>(make("a"));
    auto messages = std::make_unique<subscriber>(a->make_subscriber({"/t"}));
    const auto child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        error why;
        const bool refused = a->publish("/t", 1U) == ec::shutting_down
                             && a->listen("127.0.0.1", 0, &why) == 0 && why == ec::shutting_down
                             && !a->peer("127.0.0.1", 1, 0s, &why) && !messages->get().valid()
                             && a->peers().empty()
                             && why.message().find("fork") != std::string::npos;
        messages.reset();
        a.reset();
        endpoint fresh{configuration{named("child")}};
        ::_exit(refused && fresh.listen("127.0.0.1", 0) != 0 ? 0 : 1);
    }
    int result = -1;
    ASSERT_EQ(::waitpid(child, &result, 0), child);
    EXPECT_TRUE(WIFEXITED(result) && WEXITSTATUS(result) == 0);
    a->publish("/t", "still here");
    EXPECT_EQ(messages->get().text(), "still here");
}
#endif

TEST(topic, joins_splits_and_ends_with_its_separator) {
    using namespace bzmq::literals;
    EXPECT_EQ(("/a"_t / "b" / "/c").string(), "/a/b/c");
    EXPECT_EQ(("/a/"_t / "b").string(), "/a/b");
    EXPECT_EQ("/a//b/"_t.split(), (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(topic::join({"a", "b"}).string(), "a/b");
    EXPECT_EQ("/node/1"_t.as_prefix().string(), "/node/1/");
    EXPECT_TRUE("/node/1"_t.prefix_of("/node/10"));
    EXPECT_FALSE("/node/1"_t.as_prefix().prefix_of("/node/10"));
}

}  // namespace
}  // namespace bzmq::testing
