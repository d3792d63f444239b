// Requests over real links.
#include <algorithm>
#include <atomic>
#include <future>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "endpoint/support.hpp"

namespace bzmq::testing {
namespace {

expected<data> add(const request& what) {
    const auto* numbers = get_if<vector>(&what.value);
    if (numbers == nullptr) {
        return fail(ec::type_clash, "expected a vector");
    }
    count sum = 0;
    for (const auto& each : *numbers) {
        sum += get<count>(each);
    }
    return data{sum};
}

/// Three endpoints in a row.
struct row : ::testing::Test {
    endpoint asker = make("asker");
    endpoint relay = make("relay");
    endpoint server = make("server");
    row() {
        join(asker, relay);
        join(server, relay);
    }
    void ready(std::string_view topic, std::size_t servers = 1) {
        ASSERT_TRUE(asker.wait_for_server(topic, servers, patience));
    }
    request_options all() {
        request_options how;
        how.answers = 0;
        how.timeout = patience;
        return how;
    }
};
using requests = row;

TEST_F(requests, an_answer_comes_back_over_several_hops) {
    const auto adding = server.serve("/calc/add", add);
    ready("/calc/add");
    for (count i = 0; i < 100; ++i) {
        const auto sum = asker.request("/calc/add", vector{i, 2U}, patience);
        ASSERT_TRUE(sum) << to_string(sum.error());
        EXPECT_EQ(*sum, data{i + 2});
    }
    EXPECT_EQ(adding.requests(), 100U);
    EXPECT_TRUE(eventually([&] { return adding.open() == 0; }));
}

TEST_F(requests, what_a_handler_returns_or_throws_as_an_error_reaches_the_asker) {
    const auto adding = server.serve("/calc/", add);
    ready("/calc/add");
    const auto refused = asker.request("/calc/add", "text", patience);
    ASSERT_FALSE(refused);
    EXPECT_EQ(to_string(refused.error()), "type_clash: expected a vector");
    const auto thrown = asker.request("/calc/add", vector{"text"}, patience);
    ASSERT_FALSE(thrown);
    EXPECT_EQ(thrown.error(), ec::unspecified);
    EXPECT_FALSE(thrown.error().message().empty());
    EXPECT_TRUE(asker.request("/calc/add", vector{1U}, patience)) << "the service goes on";
}

TEST_F(requests, nobody_there_is_told_at_once) {
    const auto got = asker.request("/nobody", 1U, patience);
    ASSERT_FALSE(got);
    EXPECT_EQ(to_string(got.error()), "no_path_to_peer: nobody serves /nobody");
    request_options how = all();
    how.to = endpoint_id{{9, 9}};
    EXPECT_EQ(asker.request("/nobody", 1U, how).why, ec::no_path_to_peer);
}

TEST_F(requests, neighbours_in_name_are_not_asked) {
    std::atomic<int> calls{0};
    const auto ten = server.serve("/node/10", [&](const request&) -> expected<data> {
        ++calls;
        return data{};
    });
    ready("/node/10");
    EXPECT_EQ(asker.request("/node/1", nil, patience).error(), ec::no_path_to_peer);
    EXPECT_TRUE(asker.request("/node/10/below", nil, patience));
    EXPECT_EQ(calls, 1);
}

TEST_F(requests, all_servers_answer_several_times_and_in_order) {
    const auto counting = [](const request&, responder to) {
        to.answer(1U);
        to.answer(2U);
        to.finish(3U);
    };
    const auto here = asker.serve("/count", counting);
    const auto there = server.serve("/count", counting);
    const auto empty = relay.serve("/count", [](const request&, responder to) { to.finish(); });
    ready("/count", 2);
    std::vector<answer> seen;
    const auto got = asker.request_async("/count", nil, all(), [&](const answer& each) {
        seen.push_back(each);
    }).wait();
    EXPECT_FALSE(got.why) << to_string(got.why);
    EXPECT_TRUE(got.answers.empty()) << "what was told is not kept: there may be any number";
    ASSERT_EQ(seen.size(), 6U);
    EXPECT_EQ(asker.request("/count", nil, all()).answers.size(), 6U);
    for (const auto& from : {asker.node_id(), server.node_id()}) {
        vector values;
        for (const auto& each : seen) {
            if (each.from == from) {
                values.push_back(*each.value);
            }
        }
        EXPECT_EQ(values, (vector{1U, 2U, 3U}));
    }
}

TEST_F(requests, one_endpoint_can_be_asked_alone) {
    const auto tell_name = [](const endpoint& who) {
        return [name = who.name()](const request&) -> expected<data> { return data{name}; };
    };
    const auto one = relay.serve("/who", tell_name(relay));
    const auto two = server.serve("/who", tell_name(server));
    ready("/who", 2);
    auto how = all();
    for (const auto* each : {&relay, &server}) {
        how.to = each->node_id();
        const auto got = asker.request("/who", nil, how);
        ASSERT_EQ(got.answers.size(), 1U);
        EXPECT_EQ(*got.first(), data{each->name()});
    }
}

/// Keeps the responders of requests.
struct keeper {
    std::mutex mutex;
    std::vector<responder> kept;
    auto handler() {
        return [this](const request&, responder to) {
            const std::lock_guard lock{mutex};
            kept.push_back(std::move(to));
        };
    }
    std::size_t size() {
        const std::lock_guard lock{mutex};
        return kept.size();
    }
};

TEST_F(requests, a_silent_server_is_waited_for_until_the_timeout) {
    keeper silent;
    const auto never_answers = server.serve("/slow", silent.handler());
    ready("/slow");
    EXPECT_EQ(asker.request("/slow", nil, 50ms).error(), ec::request_timeout);
    ASSERT_TRUE(eventually([&] { return silent.size() == 1; }));
    EXPECT_TRUE(eventually([&] { return !silent.kept[0].wanted(); }));
    EXPECT_EQ(silent.kept[0].finish(1U), ec::cancelled);
}

TEST_F(requests, cancelling_ends_it_here_and_tells_the_server) {
    keeper silent;
    const auto never_answers = server.serve("/slow", silent.handler());
    ready("/slow");
    const auto asked = asker.request_async("/slow", nil, all());
    ASSERT_TRUE(eventually([&] { return silent.size() == 1; }));
    EXPECT_TRUE(silent.kept[0].wanted());
    EXPECT_FALSE(asked.done());
    asked.cancel();
    EXPECT_EQ(asked.wait().why, ec::cancelled);
    EXPECT_TRUE(eventually([&] { return !silent.kept[0].wanted(); }));
}

TEST_F(requests, cancelling_what_one_endpoint_was_asked_tells_no_other) {
    keeper asked_one;
    const auto serves = server.serve("/slow", asked_one.handler());
    auto other = relay.make_subscriber({request_topic("/slow")});
    ready("/slow", 2);
    auto how = all();
    how.to = server.node_id();
    const auto asked = asker.request_async("/slow", nil, how);
    ASSERT_TRUE(eventually([&] { return asked_one.size() == 1; }));
    asked.cancel();
    EXPECT_TRUE(eventually([&] { return !asked_one.kept[0].wanted(); }));
    asker.publish(request_topic("/slow"), "what comes after it");
    const auto next = other.get(patience);
    ASSERT_TRUE(next);
    EXPECT_EQ(next->value(), data{"what comes after it"});
}

TEST_F(requests, a_slow_server_loses_no_request) {
    constexpr count requests = 1000;
    auto options = named("slow");
    options.subscriber_queue_messages = 100;
    endpoint slow{configuration{std::move(options)}};
    join(slow, relay);
    std::promise<void> go_on;
    const auto echo = slow.serve("/echo", [gate = go_on.get_future().share()](
                                              const request& what) -> expected<data> {
        gate.wait();
        return what.value;
    });
    ready("/echo");
    auto asking = std::async(std::launch::async, [&] {
        std::vector<pending_request> out;
        auto how = all();
        how.answers = 1;
        for (count i = 0; i < requests; ++i) {
            out.push_back(asker.request_async("/echo", i, how));
        }
        return out;
    });
    EXPECT_TRUE(eventually([&] {
        const auto now = slow.metrics().subscribers;
        return std::any_of(now.begin(), now.end(),
                           [](const auto& each) { return each.queue_messages >= 100; });
    }));
    go_on.set_value();
    const auto asked = asking.get();
    for (count i = 0; i < requests; ++i) {
        const auto got = asked[i].wait().first();
        ASSERT_TRUE(got) << i << ": " << to_string(got.error());
        EXPECT_EQ(*got, data{i});
    }
    EXPECT_EQ(echo.requests(), requests);
    EXPECT_EQ(echo.dropped(), 0U);
}

TEST_F(requests, those_that_wait_are_told_when_the_service_stops) {
    std::promise<void> go_on;
    auto serves = server.serve("/slow", [gate = go_on.get_future().share()](
                                            const request& what) -> expected<data> {
        gate.wait();
        return what.value;
    });
    ready("/slow");
    const auto first = asker.request_async("/slow", 1U, all());
    ASSERT_TRUE(eventually([&] { return serves.requests() == 1; }));
    std::vector<pending_request> waiting;
    for (int i = 0; i < 10; ++i) {
        waiting.push_back(asker.request_async("/slow", 2U, all()));
    }
    EXPECT_TRUE(eventually([&] {
        const auto now = server.metrics().subscribers;
        return now.size() == 1 && now[0].queue_messages == 10;
    }));
    auto stopping = std::async(std::launch::async, [&] { serves.stop(); });
    EXPECT_TRUE(eventually([&] { return server.metrics().subscribers.empty(); }));
    go_on.set_value();
    stopping.get();
    EXPECT_EQ(first.wait().first(), data{1U});
    for (const auto& each : waiting) {
        const auto got = each.wait();
        EXPECT_FALSE(got.why);
        ASSERT_FALSE(got.first());
        EXPECT_EQ(to_string(got.first().error()), "cancelled: the service has stopped");
    }
}

TEST_F(requests, a_service_that_stops_waits_for_no_asker_that_reads_nothing) {
    auto options = named("deaf");
    options.subscriber_queue_bytes = 4096;
    endpoint deaf{configuration{std::move(options)}};
    options = named("narrow");
    options.reliable_window_bytes = 4096;
    endpoint narrow{configuration{std::move(options)}};
    join(deaf, narrow);
    keeper responders;
    std::promise<void> full;
    std::promise<void> go_on;
    auto serves = narrow.serve("/t", [&, gate = go_on.get_future().share(), first = true](
                                         const request&, responder to) mutable {
        if (!std::exchange(first, false)) {
            return;
        }
        const publish_limit limit{200ms};  // Full for good, and not for a moment.
        while (to.answer(std::string(1000, 'x')) == ec::none) {
        }
        const std::lock_guard lock{responders.mutex};
        responders.kept.push_back(std::move(to));
        full.set_value();
        gate.wait();
    });
    ASSERT_TRUE(deaf.wait_for_server("/t", 1, patience));
    std::promise<void> read_on;
    std::vector<pending_request> asked;
    asked.push_back(deaf.request_async(
        "/t", nil, all(), [gate = read_on.get_future().share()](const answer&) { gate.wait(); }));
    full.get_future().get();
    for (int i = 0; i < 3; ++i) {
        asked.push_back(deaf.request_async("/t", nil, all()));
    }
    ASSERT_TRUE(eventually([&] {
        const auto now = narrow.metrics().subscribers;
        return std::any_of(now.begin(), now.end(),
                           [](const auto& each) { return each.queue_messages >= 3; });
    }));
    auto stopping = std::async(std::launch::async, [&] { serves.stop(); });
    ASSERT_TRUE(eventually([&] { return narrow.metrics().subscribers.empty(); }));
    go_on.set_value();
    EXPECT_EQ(stopping.wait_for(patience), std::future_status::ready);
    read_on.set_value();
}

TEST_F(requests, a_dropped_request_is_told) {
    keeper silent;
    const auto drops = server.serve("/drop", silent.handler());
    ready("/drop");
    const auto asked = asker.request_async("/drop", nil, all());
    ASSERT_TRUE(eventually([&] { return silent.size() == 1; }));
    silent.kept.clear();
    EXPECT_EQ(asked.wait().first().error(), ec::cancelled);
}

TEST_F(requests, a_server_that_dies_ends_the_wait) {
    keeper silent;
    auto mortal = std::make_optional(make("mortal"));
    join(*mortal, relay);
    const auto never_answers = mortal->serve("/slow", silent.handler());
    ready("/slow");
    const auto asked = asker.request_async("/slow", nil, all());
    ASSERT_TRUE(eventually([&] { return silent.size() == 1; }));
    mortal.reset();
    const auto got = asked.wait();
    EXPECT_FALSE(got.why);
    EXPECT_EQ(got.first().error(), ec::no_path_to_peer);
    EXPECT_EQ(silent.kept[0].finish(1U), ec::shutting_down);
}

TEST_F(requests, callbacks_are_called_once_and_cannot_wait) {
    const auto adding = server.serve("/calc", add);
    ready("/calc");
    std::promise<replies> outer;
    std::promise<error> inner;
    asker.request_async("/calc", vector{1U}, all()).then([&](const replies& got) {
        inner.set_value(asker.request("/calc", vector{2U}, patience).error());
        outer.set_value(got);
    });
    EXPECT_EQ(inner.get_future().get(), ec::request_timeout);
    EXPECT_EQ(*outer.get_future().get().first(), data{1U});
    const auto asked = asker.request_async("/calc", vector{3U}, all());
    ASSERT_TRUE(asked.wait_for(patience));
    bool called = false;
    asked.then([&](const replies& got) { called = got.first() == data{3U}; });
    EXPECT_TRUE(called) << "it was done already";
}

TEST_F(requests, a_callback_that_throws_is_reported_and_ends_nothing_else) {
    const auto adding = server.serve("/calc", add);
    ready("/calc");
    auto news = asker.make_status_subscriber();
    asker.request_async("/calc", vector{1U}, all()).then([](const replies&) {
        throw std::runtime_error{"oops"};
    });
    const auto told = read_until(news, ec::unspecified);
    EXPECT_EQ(get<error>(told.back()).message(), "a request's callback threw: oops");
    EXPECT_TRUE(asker.request("/calc", vector{1U}, patience));
}

TEST_F(requests, the_askers_end_ends_its_requests) {
    keeper silent;
    const auto never_answers = server.serve("/slow", silent.handler());
    ready("/slow");
    const auto asked = asker.request_async("/slow", nil, all());
    ASSERT_TRUE(eventually([&] { return silent.size() == 1; }));
    asker.shutdown();
    EXPECT_EQ(asked.wait().why, ec::shutting_down);
    EXPECT_EQ(asker.request("/slow", nil, patience).error(), ec::shutting_down);
    EXPECT_TRUE(eventually([&] { return silent.kept[0].finish(1U) != ec::none; }));
}

TEST_F(requests, a_callback_may_end_the_endpoint) {
    const auto adding = server.serve("/calc", add);
    ready("/calc");
    std::promise<void> ended;
    asker.request_async("/calc", vector{1U}, all()).then([&](const replies&) {
        asker.shutdown();
        ended.set_value();
    });
    EXPECT_EQ(ended.get_future().wait_for(patience), std::future_status::ready);
}

TEST_F(requests, a_service_ends_with_its_handle) {
    {
        const auto adding = server.serve("/calc", add);
        ready("/calc");
        EXPECT_FALSE(adding.last_error());
    }
    EXPECT_TRUE(eventually([&] {
        // One that comes just after the end is not answered.
        return asker.request("/calc", vector{1U}, 100ms).error() == ec::no_path_to_peer;
    }));
    auto ended = server.serve("/calc", add);
    ended.stop();
    EXPECT_EQ(ended.last_error(), ec::cancelled);
    ended.wait();
}

TEST_F(requests, an_endpoint_answers_each_request_once) {
    auto general = server.serve("/calc", add);
    for (const auto* topic : {"/calc", "calc/", "/calc/add", "/", ""}) {
        const auto refused = server.serve(topic, add);
        EXPECT_EQ(refused.last_error(), ec::invalid_topic) << topic;
        EXPECT_FALSE(general.last_error()) << topic;
    }
    EXPECT_EQ(to_string(server.serve("/calc/add", add).last_error()),
              "invalid_topic: /calc/add: this endpoint serves /calc already");
    const auto neighbour = server.serve("/calculate", add);
    EXPECT_FALSE(neighbour.last_error());
    const auto elsewhere = relay.serve("/calc/add", add);
    EXPECT_FALSE(elsewhere.last_error());
    general.stop();
    const auto special = server.serve("/calc/add", add);
    EXPECT_FALSE(special.last_error()) << "the topic of what has stopped is free";
    ASSERT_TRUE(asker.await_peer(server.node_id(), patience));
    auto how = all();
    how.to = server.node_id();
    EXPECT_EQ(asker.request("/calc/add", vector{1U, 2U}, how).answers.size(), 1U);
}

TEST_F(requests, many_threads_ask_at_once_and_each_gets_its_own) {
    const auto echo = server.serve("/echo", [](const request& what) -> expected<data> {
        return what.value;
    });
    ready("/echo");
    std::vector<std::thread> threads;
    std::atomic<int> wrong{0};
    for (count thread = 0; thread < 4; ++thread) {
        threads.emplace_back([&, thread] {
            for (count i = 0; i < 50; ++i) {
                const data mine = vector{thread, i};
                const auto got = asker.request("/echo", mine, patience);
                wrong += !got || *got != mine ? 1 : 0;
            }
        });
    }
    for (auto& each : threads) {
        each.join();
    }
    EXPECT_EQ(wrong, 0);
}

TEST_F(requests, what_is_no_request_is_counted) {
    const auto adding = server.serve("/calc", add);
    ready("/calc");
    asker.publish(request_topic("/calc"), "nonsense");
    EXPECT_TRUE(eventually([&] { return adding.malformed() == 1; }));
    EXPECT_TRUE(asker.request("/calc", vector{1U}, patience));
}

}  // namespace
}  // namespace bzmq::testing
