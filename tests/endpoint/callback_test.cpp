// What a callback on an endpoint's own thread may do: anything but wait for that thread.
#include <functional>
#include <future>
#include <memory>
#include <stdexcept>
#include <thread>

#include "bzmq/gateway.hpp"
#include "endpoint/core.hpp"
#include "endpoint/request_room.hpp"
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

gateway_options between_domains() {
    const auto of = [](const char* domain) {
        auto options = named(domain);
        options.domain = domain;
        return configuration{std::move(options)};
    };
    return {of("d1"), of("d2")};
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

TEST(callback, takes_the_answers_that_a_proxy_has_and_waits_for_no_more) {
    auto ep = make("one");
    auto s = *ep.attach_master("s");
    store::proxy proxy{s};
    std::promise<std::vector<std::size_t>> told;
    on_the_endpoints_thread(s, [&] {
        std::vector<std::size_t> got{proxy.receive().has_value(), proxy.receive(1h).has_value(),
                                     proxy.receive(3).size(), proxy.receive(3, 1h).size()};
        proxy.increment("n");  // Only this very thread could answer it.
        got.push_back(proxy.receive().has_value());
        told.set_value(got);
    });
    EXPECT_EQ(told.get_future().get(), (std::vector<std::size_t>{0, 0, 0, 0, 0}));
    const auto answer = proxy.receive(patience);
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->answer, data{count{1}});
}

TEST(callback, writes_without_holding_up_what_others_read_by_a_proxy) {
    auto ep = make("one");
    auto s = *ep.attach_master("s");
    store::proxy proxy{s};
    on_the_endpoints_thread(s, [&] {
        // Another thread's read waits for its own write.
        std::async(std::launch::async, [&] {
            static_cast<void>(s.put("y", 7));
            proxy.get("y");
        }).get();
        // In the turn that settles it, this thread has a write that is not settled.
        s.put("x", 2).then([&](const auto&) { static_cast<void>(s.put("x", 3)); });
    });
    const auto got = proxy.receive(patience);
    ASSERT_TRUE(got);
    EXPECT_EQ(got->answer, data{7}) << to_string(got->answer.error());
}

TEST(callback, takes_the_events_that_have_come_and_waits_for_no_more) {
    auto ep = make("one");
    auto s = *ep.attach_master("s");
    auto events = s.events();
    std::promise<std::vector<bool>> told;
    on_the_endpoints_thread(s, [&] {
        bool any = false;
        while (events.get()) {  // Ends as soon as none is left.
            any = true;
        }
        told.set_value({any, events.get(1h).has_value()});
    });
    EXPECT_EQ(told.get_future().get(), (std::vector{true, false}));
    ASSERT_TRUE(s.put("y", 1).wait());
    EXPECT_TRUE(events.get(patience));
}

TEST(callback, waits_for_no_clone_no_standby_and_no_idle_store) {
    auto ep = make("one");
    auto s = *ep.attach_master("s");
    auto copy = *ep.attach_clone("nowhere");
    std::promise<std::vector<bool>> told;
    on_the_endpoints_thread(s, [&] {
        static_cast<void>(copy.put("x", 1));
        told.set_value({copy.await_sync(1h), copy.await_idle(1h), copy.promote(1h).has_value(),
                        copy.get("x").has_value(), copy.put_unique("x", 1).has_value(),
                        ep.promote_store("nowhere", {}, 1h).has_value()});
    });
    EXPECT_EQ(told.get_future().get(), std::vector<bool>(6, false));
}

TEST(callback, waits_for_no_peer_no_server_and_no_subscription) {
    auto ep = make("one");
    auto s = *ep.attach_master("s");
    auto reads = ep.subscribe({"t/"}, {}, [](const message&) {});
    auto serves = ep.serve("t", [](const request& what) { return expected<data>{what.value}; });
    std::promise<std::vector<bool>> told;
    on_the_endpoints_thread(s, [&] {
        reads.wait();
        serves.wait();
        told.set_value({ep.wait_for_subscriber("u/", 1, 1h), ep.wait_for_server("u", 1, 1h),
                        reads.wait_for(1h), ep.request("t", 1, 1h).has_value(),
                        ep.await_filter_entry("u/", 1h),
                        ep.peer("127.0.0.1", 1, 1s, 1h),
                        ep.ping(endpoint_id{}, 1h).has_value()});
    });
    EXPECT_EQ(told.get_future().get(), std::vector<bool>(7, false));
    reads.stop();
    reads.wait();
    serves.stop();
}

TEST(callback, may_change_topics_while_another_thread_does) {
    auto ep = make("one");
    auto sub = ep.make_subscriber({"first/"});
    std::promise<void> in_callback;
    std::promise<error> told;
    std::promise<std::size_t> topics;
    auto worker = ep.subscribe_direct({"t/"}, {}, [&](const message&) {
        in_callback.set_value();
        error why;
        // Until the other thread is at it.
        EXPECT_TRUE(eventually([&] {
            if (sub.add_topic("from/here", &why)) {
                sub.remove_topic("from/here");
            }
            return why == ec::request_timeout;
        }));
        told.set_value(why);
        EXPECT_FALSE(sub.remove_topic("first/"));
        topics.set_value(sub.topics().size());
    });
    ASSERT_EQ(ep.publish("t/x", 1), ec::none);
    in_callback.get_future().get();
    EXPECT_TRUE(sub.add_topic("second/"));
    EXPECT_EQ(told.get_future().get(), ec::request_timeout);
    EXPECT_EQ(topics.get_future().get(), 1U);
    EXPECT_EQ(sub.topics(), (std::vector<std::string>{"first/", "second/"}));
}

TEST(callback, asks_nothing_while_another_thread_makes_the_first_request) {
    const auto core = std::make_shared<endpoint_core>(named("one"));
    using made_room = expected<std::shared_ptr<request_room>>;
    std::promise<void> on_the_core;
    std::promise<void> making;
    auto other = std::async(std::launch::async, [&] {
        on_the_core.get_future().get();
        return core->requests([&]() -> made_room {
            making.set_value();
            return fail(core->ask([](const node::hub&) { return ec::cannot_open_file; }));
        });
    });
    const auto here = core->ask([&](const node::hub&) {
        on_the_core.set_value();
        making.get_future().get();
        return core->requests([]() -> made_room { return fail(ec::unspecified); }).error().code();
    });
    EXPECT_EQ(here, ec::request_timeout);
    EXPECT_EQ(other.get().error(), ec::cannot_open_file);
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

TEST(callback, publishes_to_one_endpoint_behind_what_it_published_before) {
    auto ep = make("one");
    auto other = make("other");
    auto sub = other.make_subscriber({"t/"});
    join(other, ep);
    ASSERT_TRUE(ep.wait_for_subscriber("t/", 1, patience));
    auto s = *ep.attach_master("s");
    std::promise<std::vector<ec>> told;
    on_the_endpoints_thread(s, [&] {
        told.set_value({ep.publish("t/a", 1), ep.publish(other.node_id(), "t/b", 2),
                        ep.publish(ep.node_id(), "t/c", 3)});
    });
    EXPECT_EQ(told.get_future().get(), std::vector<ec>(3, ec::none));
    const auto got = sub.get(2, patience);
    ASSERT_EQ(got.size(), 2U);
    EXPECT_EQ(got[0].topic(), "t/a");
    EXPECT_EQ(got[1].topic(), "t/b");
}

TEST(callback, may_answer_a_request) {
    auto ep = make("one");
    auto other = make("other");
    auto s = *ep.attach_master("s");
    auto serves = ep.serve("put", [&](const request& what, responder to) {
        s.put("x", what.value).then([to](const auto& outcome) {
            to.finish(data{outcome.has_value()});
        });
    });
    join(other, ep);
    ASSERT_TRUE(other.wait_for_server("put", 1, patience));
    for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(other.request("put", i, patience), data{true});
    }
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

TEST(callback, that_destroys_its_endpoint_leaves_no_worker_behind) {
    auto ep = std::make_unique<endpoint>(make("one"));
    auto held = std::make_shared<int>(0);
    const std::weak_ptr<int> left{held};
    ep->subscribe({"t/"}, {}, [held = std::move(held)](const message&) {});
    auto s = *ep->attach_master("s");
    on_the_endpoints_thread(s, [&] { ep.reset(); });
    EXPECT_TRUE(eventually([&] { return left.expired(); }));
}

TEST(callback, that_ends_its_endpoint_leaves_no_room_of_requests_behind) {
    const auto core = std::make_shared<endpoint_core>(named("one"));
    std::weak_ptr<request_room> left;
    {
        auto room = core->requests([&]() -> expected<std::shared_ptr<request_room>> {
            return std::make_shared<request_room>(core, subscriber{}, status_subscriber{});
        });
        left = *room;
    }
    core->ask([&](const node::hub&) {
        core->shutdown();
        return 0;
    });
    EXPECT_TRUE(eventually([&] { return left.expired(); }));
}

TEST(callback, may_shut_its_gateway_down) {
    auto both = std::make_unique<gateway>(between_domains());
    auto s = *both->one().attach_master("s");
    std::promise<void> done;
    on_the_endpoints_thread(s, [&] {
        both->shutdown();
        done.set_value();
    });
    done.get_future().get();
    both->shutdown();  // Waits for the end of it.
    EXPECT_TRUE(both->one().is_shutdown());
    EXPECT_TRUE(both->other().is_shutdown());
}

TEST(callback, may_destroy_its_gateway) {
    auto both = std::make_unique<gateway>(between_domains());
    auto statuses = both->one().make_status_subscriber();
    auto s = *both->one().attach_master("s");
    on_the_endpoints_thread(s, [&] { both.reset(); });
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
