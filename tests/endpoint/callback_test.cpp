// What a callback on an endpoint's own thread may do: anything but wait for that thread.
#include <functional>
#include <future>
#include <memory>
#include <stdexcept>
#include <thread>

#include "endpoint/support.hpp"

namespace bzmq::testing {
namespace {

/// Writes until a callback runs on the endpoint's thread, and not at once on this one.
void on_the_endpoints_thread(store& s, const std::function<void()>& run) {
    const auto here = std::this_thread::get_id();
    for (bool there = false; !there;) {
        auto ran = std::make_shared<std::promise<bool>>();
        s.put("x", 1).then([ran, run, here](const auto&) {
            const bool elsewhere = std::this_thread::get_id() != here;
            ran->set_value(elsewhere);
            if (elsewhere) {
                run();
            }
        });
        there = ran->get_future().get();
    }
}

TEST(callback, what_it_would_wait_for_is_refused) {
    auto ep = make("one");
    auto s = *ep.attach_master("s");
    std::promise<std::vector<ec>> told;
    on_the_endpoints_thread(s, [&] {
        std::vector<ec> seen;
        const auto write = s.put("x", 2);
        const auto outcome = write.wait();
        seen.push_back(outcome ? ec::none : outcome.error().code());
        const auto own = s.get("x");  // Would have to wait for the write just above.
        seen.push_back(own ? ec::none : own.error().code());
        seen.push_back(s.info() ? ec::none : ec::unspecified);
        s.detach();
        told.set_value(seen);
    });
    EXPECT_EQ(told.get_future().get(),
              (std::vector{ec::request_timeout, ec::request_timeout, ec::none}));
    EXPECT_EQ(s.get("x").error(), ec::no_such_master);
}

TEST(callback, what_it_throws_is_reported_and_ends_nothing) {
    auto ep = make("one");
    auto statuses = ep.make_status_subscriber();
    auto s = *ep.attach_master("s");
    on_the_endpoints_thread(s, [] { throw std::runtime_error{"on purpose"}; });
    const auto seen = read_until(statuses, ec::unspecified);
    ASSERT_FALSE(seen.empty());
    EXPECT_NE(get<error>(seen.back()).message().find("on purpose"), std::string::npos);
    EXPECT_TRUE(s.put("x", 2).wait());
}

TEST(callback, takes_what_has_come_and_waits_for_no_more) {
    auto ep = make("one");
    auto statuses = ep.make_status_subscriber();
    auto sub = ep.make_subscriber({"t/"});
    auto s = *ep.attach_master("s");
    std::promise<std::vector<std::size_t>> told;
    std::promise<status_variant> status;
    on_the_endpoints_thread(s, [&] {
        told.set_value({sub.get(3).size(), sub.get(3, 1h).size(), statuses.get(3).size(),
                        statuses.get(3, 1h).size()});
        status.set_value(statuses.get());
    });
    EXPECT_EQ(told.get_future().get(), (std::vector<std::size_t>{0, 0, 0, 0}));
    const auto why = status.get_future().get();
    ASSERT_TRUE(is<error>(why));
    EXPECT_EQ(get<error>(why), ec::request_timeout);
}

TEST(callback, is_told_at_once_that_there_is_no_room_for_what_it_publishes) {
    configuration cfg;
    cfg.options().publish_queue_bytes = 64 * 1024;
    cfg.options().publish_timeout = {};  // For ever.
    cfg.options().peer_overflow = overflow_policy::block;
    endpoint ep{std::move(cfg)};
    auto s = *ep.attach_master("s");
    std::promise<ec> told;
    on_the_endpoints_thread(s, [&] {
        const std::string text(1000, 'x');
        auto result = ec::none;
        for (int i = 0; i < 1000 && result == ec::none; ++i) {
            result = ep.publish("t/x", text);
        }
        told.set_value(result);
    });
    EXPECT_EQ(told.get_future().get(), ec::queue_full);
    EXPECT_EQ(ep.publish("t/x", 1), ec::none);
}

TEST(callback, may_shut_its_endpoint_down) {
    auto ep = make("one");
    auto s = *ep.attach_master("s");
    on_the_endpoints_thread(s, [&] { ep.shutdown(); });
    ep.shutdown();  // Waits for the end of it.
    EXPECT_TRUE(ep.is_shutdown());
    EXPECT_EQ(s.put("x", 2).wait().error(), ec::shutting_down);
}

TEST(callback, may_destroy_its_endpoint) {
    auto ep = std::make_unique<endpoint>(make("one"));
    auto statuses = ep->make_status_subscriber();
    auto s = *ep->attach_master("s");
    on_the_endpoints_thread(s, [&] { ep.reset(); });
    while (!is<error>(statuses.get())) {  // Until there is nothing more to come.
    }
    EXPECT_EQ(s.put("x", 2).wait().error(), ec::shutting_down);
}

TEST(callback, may_hold_the_last_handle_of_its_endpoint) {
    auto ep = std::make_unique<endpoint>(make("one"));
    auto ran = std::make_shared<std::promise<void>>();
    auto done = ran->get_future();
    auto write = [&] {
        auto s = std::make_shared<store>(*ep->attach_master("s"));
        auto owner = std::make_shared<std::unique_ptr<endpoint>>(std::move(ep));
        on_the_endpoints_thread(*s, [owner] { owner->reset(); });
        s->put("x", 2).then([s, owner, ran](const auto&) { ran->set_value(); });
    };
    write();
    done.get();
}

}  // namespace
}  // namespace bzmq::testing
