// What goes wrong on the core's thread, or in starting one: an end in order, never the program's.
#include <dlfcn.h>
#include <pthread.h>

#include <cerrno>
#include <cstring>
#include <future>
#include <new>
#include <stdexcept>

#include "bzmq/gateway.hpp"
#include "endpoint/clock.hpp"
#include "endpoint/core.hpp"
#include "endpoint/support.hpp"

namespace bzmq::testing {
namespace {

/// An endpoint's core whose thread can be made to meet an exception.
struct core : ::testing::Test {
    std::shared_ptr<endpoint_core> one = std::make_shared<endpoint_core>(named("a"));

    void break_it() {
        EXPECT_EQ(one->ask([](const node::hub&) -> int { throw std::bad_alloc{}; }), 0);
    }
};

TEST_F(core, an_exception_on_its_thread_ends_the_endpoint_and_is_told) {
    auto statuses = one->subscribe_status(false);
    auto [id, queue] = one->subscribe({"/t"}, {});
    ASSERT_EQ(one->publish_text("/t", "before", delivery_mode::best_effort), ec::none);
    std::vector<message> got;
    ASSERT_EQ(queue->take(got, 1, 1, deadline_in(patience)).count, 1U);
    break_it();
    // What waited is woken, with the reason where there is one.
    EXPECT_TRUE(queue->take(got, 1, 1, subscriber_queue::clock::time_point::max()).ended);
    EXPECT_EQ(queue->reason(), ec::unspecified);
    EXPECT_NE(queue->reason().message().find("bad_alloc"), std::string::npos);
    const auto told = statuses->take(2, 2, status_queue::clock::time_point::max());
    ASSERT_EQ(told.size(), 1U);
    EXPECT_NE(get<error>(told[0]).message().find("the endpoint has stopped: std::bad_alloc"),
              std::string::npos);
    // Nothing hangs afterwards.
    EXPECT_TRUE(eventually([&] { return one->is_shutdown(); }));
    EXPECT_EQ(one->publish_text("/t", "x", delivery_mode::best_effort), ec::shutting_down);
    EXPECT_EQ(one->publish(one->self(), "/t", data{1}, delivery_mode::reliable), ec::shutting_down);
    EXPECT_EQ(one->listen("tcp://127.0.0.1:0").error(), ec::shutting_down);
    EXPECT_EQ(one->peer("tcp://127.0.0.1:9", {}, true).error(), ec::shutting_down);
    EXPECT_FALSE(one->await([](const node::hub&) { return true; }, patience));
    EXPECT_FALSE(one->confirm_filter(patience));
    EXPECT_EQ(one->ping(one->self(), patience).error(), ec::shutting_down);
    EXPECT_TRUE(one->peers().empty());
    EXPECT_EQ(one->metrics().published, 0U);
    EXPECT_TRUE(one->subscribe({"/t"}, {}).second->ended());
    one->unsubscribe(id);
    one->shutdown();
}

TEST_F(core, an_exception_on_its_thread_wakes_all_calls_that_wait) {
    auto peer = std::async(std::launch::async,
                           [&] { return one->peer("tcp://127.0.0.1:9", {}, true); });
    auto await = std::async(std::launch::async, [&] {
        return one->await([](const node::hub&) { return false; }, timespan::max());
    });
    std::promise<void> reached;
    // Commands behind the one that fails, and the one that fails.
    auto before = std::async(std::launch::async, [&] {
        return one->ask([&](const node::hub&) -> int {
            reached.set_value();
            std::this_thread::sleep_for(50ms);
            throw std::runtime_error{"on purpose"};
        });
    });
    reached.get_future().wait();
    auto behind = std::async(std::launch::async,
                             [&] { return one->ask([](const node::hub&) { return 1; }); });
    EXPECT_EQ(peer.get().error(), ec::shutting_down);
    EXPECT_FALSE(await.get());
    EXPECT_EQ(before.get(), 0);
    EXPECT_EQ(behind.get(), 0);
}

TEST_F(core, a_pending_condition_that_throws_ends_it_as_well) {
    EXPECT_FALSE(one->await([](const node::hub&) -> bool { throw 1; }, timespan::max()));
    EXPECT_TRUE(eventually([&] { return one->is_shutdown(); }));
}

TEST_F(core, publishers_that_wait_are_woken_by_an_exception) {
    auto options = named("b");
    options.publish_queue_bytes = options.subscriber_queue_bytes = 64 * 1024;
    options.subscriber_overflow = options.peer_overflow = overflow_policy::block;
    one = std::make_shared<endpoint_core>(options);
    auto full = one->subscribe({"/t"}, {});
    auto last = std::async(std::launch::async, [&] {
        auto result = ec::none;
        while (result == ec::none) {
            result = one->publish_text("/t", std::string(1000, 'x'), delivery_mode::best_effort);
        }
        return result;
    });
    EXPECT_TRUE(eventually([&] {
        return one->metrics().publish_queue_bytes > options.publish_queue_bytes / 2;
    }));
    break_it();
    EXPECT_EQ(last.get(), ec::shutting_down);
}

TEST_F(core, its_peers_see_an_endpoint_that_broke_as_lost) {
    auto other = make("b");
    auto statuses = other.make_status_subscriber(true);
    const auto port = other.listen("127.0.0.1", 0);
    ASSERT_TRUE(one->peer("tcp://127.0.0.1:" + std::to_string(port), {}, true));
    read_until(statuses, sc::peer_added, one->self());
    break_it();
    read_until(statuses, sc::peer_lost, one->self());
    read_until(statuses, sc::endpoint_unreachable, one->self());
}

#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)  // They have one of their own.

/// Of the threads that this one makes by way of std::thread, so many more may start; below 0: all.
thread_local int threads_left = -1;

TEST(threads, that_do_not_start_end_the_constructor_only) {
    const auto in_domain = [](const char* domain) {
        auto options = named("gate");
        options.domain = domain;
        return configuration{std::move(options)};
    };
    int failed = 0;
    for (bool good = false; !good; ++failed) {
        ASSERT_LT(failed, 20);
        threads_left = failed;
        try {
            gateway gate{{in_domain("east"), in_domain("west")}};
            good = true;
        } catch (const endpoint_error&) {
        }
        threads_left = -1;
    }
    EXPECT_EQ(failed, 1 + 2 + 4) << "two cores, and for each side a pump and a watch";
}

#endif

}  // namespace
}  // namespace bzmq::testing

#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)

/// Stands before the C library's. libzmq ends the program where a thread does not start: its threads
/// always do.
extern "C" __attribute__((visibility("default"))) int pthread_create(
    pthread_t* thread, const pthread_attr_t* how, void* (*run)(void*), void* with) {
    Dl_info caller{};
    auto& left = bzmq::testing::threads_left;
    if (left >= 0 && ::dladdr(__builtin_return_address(0), &caller) != 0
        && std::strstr(caller.dli_fname, "libstdc++") != nullptr && --left < 0) {
        left = 0;
        return EAGAIN;
    }
    static const auto real =
        reinterpret_cast<decltype(&pthread_create)>(::dlsym(RTLD_NEXT, "pthread_create"));
    return real(thread, how, run, with);
}

#endif
