// Events as functions, over a link.
#include "bzmq/event_bus.hpp"

#include <algorithm>
#include <atomic>
#include <future>
#include <memory>
#include <numeric>

#include "endpoint/support.hpp"

namespace bzmq::testing {
namespace {

using zeek::event_bus;

struct buses : ::testing::Test {
    endpoint a = make("a");
    endpoint b = make("b");
    std::promise<std::string> told;
    buses() { join(a, b); }
};

TEST_F(buses, an_event_calls_the_function_at_the_other_side) {
    event_bus here{a, {"/events/"}};
    event_bus there{b, {"/events/"}};
    std::promise<std::pair<std::string, count>> got;
    there.on("ping", [&](const std::string& text, count number) { got.set_value({text, number}); });
    here.on("ping", [](const std::string&, count) { ADD_FAILURE() << "publish is for others"; });
    ASSERT_TRUE(a.wait_for_subscriber("/events/", 1, patience));
    EXPECT_EQ(here.publish("/events/ping", "ping", "hello", 7U), ec::none);
    auto future = got.get_future();
    ASSERT_EQ(future.wait_for(patience), std::future_status::ready);
    EXPECT_EQ(future.get(), (std::pair<std::string, count>{"hello", 7U}));
}

TEST_F(buses, raising_calls_both_sides_once_where_it_is_published) {
    event_bus here{a, {"/events/"}};
    event_bus there{b, {"/events/"}};
    std::atomic<int> calls_here{0};
    std::atomic<int> calls_there{0};
    here.on("tick", [&](integer) { ++calls_here; });
    there.on("tick", [&](integer) { ++calls_there; });
    ASSERT_TRUE(a.wait_for_subscriber("/events/", 1, patience));
    here.raise("tick", 1);
    EXPECT_EQ(calls_here, 1);
    here.auto_publish("/events/tick", "tick");
    here.auto_publish("/events/tick", "tick");
    EXPECT_EQ(here.raise("tick", 2), ec::none);
    EXPECT_TRUE(eventually([&] { return calls_there == 1; }));
    here.auto_unpublish("/events/tick", "tick");
    here.raise("tick", 3);
    here.publish("/events/other", "other");
    EXPECT_TRUE(eventually([&] { return there.unhandled() == 1; }));
    EXPECT_EQ(calls_here, 3);
    EXPECT_EQ(calls_there, 1);
}

TEST_F(buses, what_does_not_fit_is_reported_and_the_next_is_handled) {
    std::mutex mutex;
    std::vector<std::string> errors;
    event_bus there{b, {"/events/"}, [&](std::string_view name, const error& why) {
                        const std::lock_guard lock{mutex};
                        errors.push_back(std::string{name} + ": " + why.message());
                        throw 1;  // Not even that does harm.
                    }};
    std::atomic<int> calls{0};
    there.on("f", [&](std::uint8_t, const std::vector<std::string>&, std::optional<address>) { ++calls; });
    there.on("throws", [] { throw std::runtime_error{"oops"}; });
    event_bus here{a, {}};
    ASSERT_TRUE(a.wait_for_subscriber("/events/", 1, patience));
    here.publish("/events/x", "f", 1U);
    here.publish("/events/x", "f", "text", vector{}, nil);
    here.publish("/events/x", "f", 256U, vector{}, nil);
    here.publish("/events/x", "f", 1U, vector{"a", 5U}, nil);
    here.publish("/events/x", "throws");
    a.publish("/events/x", "no event", delivery_mode::reliable);
    here.publish("/events/x", "f", 255U, vector{"a"}, nil);
    EXPECT_TRUE(eventually([&] { return calls == 1; }));
    const std::lock_guard lock{mutex};
    EXPECT_EQ(errors, (std::vector<std::string>{
                          "f: expected 3 arguments, got 1",
                          "f: argument 0: expected count, got string",
                          "f: argument 0: 256 is out of range",
                          "f: argument 1: expected string, got count", "throws: oops",
                          ": expected one of Zeek's messages, (1, type 1 to 5, (fields...))"}));
    EXPECT_EQ(there.failed(), 6U);
}

TEST_F(buses, a_batch_is_its_events) {
    event_bus there{b, {"/events/"}};
    std::atomic<int> sum{0};
    there.on("add", [&](int by) { sum += by; });
    ASSERT_TRUE(a.wait_for_subscriber("/events/", 1, patience));
    a.publish("/events/x", to_data(zeek::batch{{{zeek::event{"add", {1}}}, {zeek::event{"add", {2}}}}}));
    EXPECT_TRUE(eventually([&] { return sum == 3; }));
}

/// The second one's subscribers have room for a hundred messages.
struct small_queue : ::testing::Test {
    endpoint a = make("a");
    endpoint b = make_small();
    small_queue() { join(a, b); }
    static endpoint make_small() {
        auto options = named("b");
        options.subscriber_queue_messages = 100;
        return endpoint{configuration{std::move(options)}};
    }
    /// Is a subscriber's queue at its bound?
    bool full() {
        const auto now = b.metrics().subscribers;
        return std::any_of(now.begin(), now.end(),
                           [](const auto& each) { return each.queue_messages >= 100; });
    }
};

TEST_F(small_queue, a_slow_handler_loses_no_event) {
    constexpr count events = 5000;
    std::vector<count> got;
    std::promise<void> go_on;
    std::promise<void> done;
    event_bus there{b, {"/events/"}};
    there.on("x", [&, gate = go_on.get_future().share()](count number) {
        gate.wait();
        got.push_back(number);
        if (number + 1 == events) {
            done.set_value();
        }
    });
    event_bus here{a, {}};
    ASSERT_TRUE(a.wait_for_subscriber("/events/", 1, patience));
    auto publishing = std::async(std::launch::async, [&] {
        for (count i = 0; i < events; ++i) {
            EXPECT_EQ(here.publish("/events/x", "x", i), ec::none);
        }
    });
    EXPECT_TRUE(eventually([&] { return full(); }));
    go_on.set_value();
    publishing.get();
    ASSERT_EQ(done.get_future().wait_for(patience), std::future_status::ready);
    std::vector<count> all(events);
    std::iota(all.begin(), all.end(), 0U);
    EXPECT_EQ(got, all);
    EXPECT_EQ(there.dropped(), 0U);
}

TEST_F(buses, a_handler_may_end_its_bus) {
    std::promise<void> ended;
    int later = 0;
    auto there = std::make_unique<event_bus>(b, std::vector<std::string>{"/events/"});
    there->on("bye", [&] {
        there.reset();
        ended.set_value();
    });
    there->on("bye", [&] { ++later; });
    ASSERT_TRUE(a.wait_for_subscriber("/events/", 1, patience));
    a.publish("/events/x", to_data(zeek::batch{{{zeek::event{"bye", {}}}, {zeek::event{"bye", {}}}}}));
    ASSERT_EQ(ended.get_future().wait_for(patience), std::future_status::ready);
    b.shutdown();  // Joins the thread of the bus.
    EXPECT_EQ(later, 0) << "no handler runs after the bus is gone";
    // The same on the thread of whoever raises it.
    auto here = std::make_unique<event_bus>(a, std::vector<std::string>{});
    here->on("bye", [&] { here.reset(); });
    here->on("bye", [&] { ++later; });
    here->auto_publish("/events/x", "bye");
    EXPECT_EQ(here->raise("bye"), ec::none);
    EXPECT_EQ(later, 0);
}

TEST_F(buses, what_was_queued_is_handled_before_the_bus_ends) {
    std::promise<void> go_on;
    std::promise<void> begun;
    int calls = 0;
    auto there = std::make_unique<event_bus>(b, std::vector<std::string>{"/events/"});
    there->on("x", [&, gate = go_on.get_future().share()](count number) {
        if (number == 0) {
            begun.set_value();
            gate.wait();
        }
        ++calls;
    });
    event_bus here{a, {}};
    ASSERT_TRUE(a.wait_for_subscriber("/events/", 1, patience));
    here.publish("/events/x", "x", 0U);
    begun.get_future().wait();
    for (count i = 1; i <= 10; ++i) {
        here.publish("/events/x", "x", i);
    }
    EXPECT_TRUE(eventually([&] {
        const auto now = b.metrics().subscribers;
        return now.size() == 1 && now[0].queue_messages == 10;
    }));
    auto ending = std::async(std::launch::async, [&] { there.reset(); });
    EXPECT_TRUE(eventually([&] { return b.metrics().subscribers.empty(); }));
    go_on.set_value();
    ending.get();
    EXPECT_EQ(calls, 11);
}

TEST_F(buses, handlers_may_be_noexcept) {
    struct counter {
        std::atomic<count>& sum;
        void operator()(count by) noexcept { sum += by; }
    };
    std::atomic<count> sum{0};
    static std::atomic<count> in_function;
    in_function = 0;
    event_bus bus{a, {}};
    bus.on("add", [&](count by) noexcept { sum += by; });
    bus.on("add", counter{sum});
    bus.on("add", +[](count by) noexcept { in_function += by; });
    bus.raise("add", 2U);
    EXPECT_EQ(sum, 4U);
    EXPECT_EQ(in_function, 2U);
}

TEST_F(buses, an_event_without_a_name_goes_nowhere) {
    event_bus here{a, {}};
    event_bus there{b, {"/events/"}};
    ASSERT_TRUE(a.wait_for_subscriber("/events/", 1, patience));
    here.auto_publish("/events/x", "");
    EXPECT_EQ(here.publish("/events/x", "", 1U), ec::invalid_data);
    EXPECT_EQ(here.raise("", 1U), ec::invalid_data);
    EXPECT_EQ(here.publish("/events/x", "named"), ec::none);
    EXPECT_TRUE(eventually([&] { return there.unhandled() == 1; }));
    EXPECT_EQ(there.failed(), 0U) << "what has no name was not sent";
    EXPECT_EQ(here.unhandled(), 0U);
}

TEST_F(buses, raising_goes_on_to_the_other_topics_where_one_fails) {
    event_bus here{a, {}};
    event_bus there{b, {"/events/"}};
    std::atomic<int> calls{0};
    there.on("tick", [&] { ++calls; });
    ASSERT_TRUE(a.wait_for_subscriber("/events/", 1, patience));
    here.auto_publish(std::string(70'000, 'x'), "tick");
    here.auto_publish("/events/tick", "tick");
    EXPECT_EQ(here.raise("tick"), ec::invalid_topic);
    EXPECT_TRUE(eventually([&] { return calls == 1; }));
}

}  // namespace
}  // namespace bzmq::testing
