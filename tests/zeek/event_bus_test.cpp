// Events as functions, over a link.
#include "bzmq/event_bus.hpp"

#include <atomic>
#include <future>

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

}  // namespace
}  // namespace bzmq::testing
