#include <gtest/gtest.h>
#include <poll.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "bzmq/bzmq.hpp"
#include "endpoint/scratch.hpp"
#include "endpoint/store_event_queue.hpp"
#include "endpoint/support.hpp"

namespace bzmq {
namespace {

using namespace std::chrono_literals;

using testing::eventually;
using testing::scratch;

struct pair_of_endpoints {
    endpoint first = testing::make("first");
    endpoint second = testing::make("second");
    pair_of_endpoints() {
        testing::join(second, first);
    }
};

TEST(store, a_master_reads_what_it_wrote) {
    auto ep = testing::make("one");
    auto s = ep.attach_master("s");
    ASSERT_TRUE(s) << to_string(s.error());
    s->put("x", count{1});
    EXPECT_EQ(s->get("x"), data{count{1}});
    EXPECT_EQ(s->exists("x"), data{true});
    EXPECT_EQ(s->exists("y"), data{false});
    EXPECT_EQ(s->get("y").error(), ec::no_such_key);
    s->increment("x", count{4});
    EXPECT_EQ(s->get("x"), data{count{5}});
    EXPECT_EQ(s->append("x", "text").wait().error(), ec::type_clash);
    EXPECT_EQ(s->get("x"), data{count{5}});
    EXPECT_EQ(s->increment("x", count{1}).wait()->value, data{count{6}});
    EXPECT_EQ(s->put_unique("x", nil), data{false});
    EXPECT_EQ(s->put_unique("z", nil), data{true});
    EXPECT_EQ(s->keys(), (data{set{"x", "z"}}));
    EXPECT_EQ(s->size(), 2U);
    s->clear();
    EXPECT_EQ(s->size(), 0U);
}

TEST(store, values_of_all_kinds_are_changed_in_place) {
    auto ep = testing::make("one");
    auto s = *ep.attach_master("s");
    s.insert_into("set", count{1});
    s.insert_into("set", count{2});
    s.remove_from("set", count{1});
    EXPECT_EQ(s.get("set"), (data{set{count{2}}}));
    EXPECT_EQ(s.get_index_from_value("set", count{2}), data{true});
    s.insert_into("table", "k", count{7});
    EXPECT_EQ(s.get_index_from_value("table", "k"), data{count{7}});
    EXPECT_EQ(s.get_index_from_value("table", "no").error(), ec::no_such_key);
    s.push("vector", "a");
    s.push("vector", "b");
    EXPECT_EQ(s.get_index_from_value("vector", count{1}), data{"b"});
    s.pop("vector");
    EXPECT_EQ(s.get("vector"), (data{vector{"a"}}));
    EXPECT_EQ(s.get_index_from_value("vector", "a").error(), ec::type_clash);
    EXPECT_EQ(s.decrement("real", 1.5).wait().error(), ec::no_such_key);
    EXPECT_EQ(s.exists("real"), data{false});
    s.increment("real", 1.5);
    s.decrement("real", 1.0);
    EXPECT_EQ(s.get("real"), data{0.5});
    s.append("text", "ab");
    s.append("text", "cd");
    EXPECT_EQ(s.get("text"), data{"abcd"});
}

TEST(store, revisions_guard_an_entry) {
    auto ep = testing::make("one");
    auto s = *ep.attach_master("s");
    const auto first = s.compare_and_put("x", 0, count{1}).wait();
    ASSERT_TRUE(first);
    EXPECT_EQ(s.get_entry("x")->revision, first->revision);
    EXPECT_EQ(s.compare_and_put("x", 0, count{2}).wait().error(), ec::revision_mismatch);
    EXPECT_TRUE(s.compare_and_put("x", first->revision, count{3}).wait());
    EXPECT_EQ(s.get("x"), data{count{3}});
}

TEST(store, a_batch_takes_effect_as_a_whole) {
    auto ep = testing::make("one");
    auto s = *ep.attach_master("s");
    EXPECT_TRUE(s.apply(store_batch{}.put("a", count{1}).put("b", count{2}).increment("a")).wait());
    EXPECT_EQ(s.get("a"), data{count{2}});
    EXPECT_EQ(s.apply(store_batch{}.erase("a").append("b", "x")).wait().error(), ec::type_clash);
    EXPECT_EQ(s.get("a"), data{count{2}});
}

TEST(store, ranges_and_prefixes_come_in_the_order_of_keys) {
    auto ep = testing::make("one");
    auto s = *ep.attach_master("s");
    for (const auto* each : {"b", "ab", "a", "abc", "ac"}) {
        s.put(each, each);
    }
    s.put(count{1}, nil);
    const auto keys_of = [](const auto& entries) {
        std::vector<data> out;
        for (const auto& [key, entry] : *entries) {
            out.push_back(key);
        }
        return out;
    };
    EXPECT_EQ(keys_of(s.prefix("ab")), (std::vector<data>{"ab", "abc"}));
    EXPECT_EQ(keys_of(s.prefix("")), (std::vector<data>{"a", "ab", "abc", "ac", "b"}));
    EXPECT_EQ(keys_of(s.range(data{"ab"}, data{"b"})), (std::vector<data>{"ab", "abc", "ac"}));
    EXPECT_EQ(keys_of(s.range({}, {}, 2)), (std::vector<data>{count{1}, "a"}));
    EXPECT_EQ(s.snapshot()->size(), 6U);
}

TEST(store, a_clone_follows_and_writes_through) {
    pair_of_endpoints both;
    auto master = *both.first.attach_master("s");
    master.put("x", count{1});
    auto clone = *both.second.attach_clone("s");
    EXPECT_EQ(clone.get("x"), data{count{1}});
    EXPECT_TRUE(clone.put("y", count{2}).wait());
    EXPECT_EQ(clone.get("y"), data{count{2}});
    EXPECT_EQ(master.get("y"), data{count{2}});
    EXPECT_EQ(clone.put_unique("y", nil), data{false});
    master.put("z", nil);
    EXPECT_TRUE(master.await_idle());
    EXPECT_EQ(clone.exists("z"), data{true});
    EXPECT_EQ(clone.info()->hash, master.info()->hash);
    EXPECT_EQ(master.info()->clones.size(), 1U);
    EXPECT_FALSE(clone.is_master());
}

TEST(store, a_clone_beside_its_master_works) {
    auto ep = testing::make("one");
    auto clone = *ep.attach_clone("s");
    auto master = *ep.attach_master("s");
    EXPECT_TRUE(clone.put("x", nil).wait(10s));
    EXPECT_EQ(clone.get("x"), data{});
    EXPECT_EQ(master.get("x"), data{});
}

TEST(store, a_second_master_is_refused) {
    pair_of_endpoints both;
    auto first = *both.first.attach_master("s");
    first.put("x", nil);
    ASSERT_TRUE(eventually([&] { return !both.second.attach_master("s").has_value(); }));
    EXPECT_EQ(both.second.attach_master("s").error(), ec::master_exists);
    EXPECT_TRUE(both.first.attach_master("s"));
}

TEST(store, a_clone_without_state_says_so_and_recovers) {
    auto ep = testing::make("one");
    clone_options hasty;
    hasty.get_delay = 50ms;
    auto clone = *ep.attach_clone("s", hasty);
    EXPECT_EQ(clone.get("x").error(), ec::stale_data);
    EXPECT_FALSE(clone.await_sync(10ms));
    auto master = *ep.attach_master("s");
    master.put("x", count{1});
    EXPECT_TRUE(clone.await_sync());
    ASSERT_TRUE(master.await_idle());
    EXPECT_EQ(clone.get("x"), data{count{1}});
}

TEST(store, events_tell_what_happens) {
    pair_of_endpoints both;
    auto master = *both.first.attach_master("s");
    auto clone = *both.second.attach_clone("s");
    ASSERT_TRUE(clone.await_sync());
    auto events = clone.events();
    master.put("x", count{1});
    master.put("x", count{2}, 50ms);
    auto event = events.get(10s);
    ASSERT_TRUE(event);
    EXPECT_EQ(event->what, store_event::kind::insert);
    EXPECT_EQ(event->key, data{"x"});
    EXPECT_EQ(event->new_value, data{count{1}});
    event = events.get(10s);
    ASSERT_TRUE(event);
    EXPECT_EQ(event->what, store_event::kind::update);
    EXPECT_EQ(event->old_value, data{count{1}});
    event = events.get(10s);
    ASSERT_TRUE(event);
    EXPECT_EQ(event->what, store_event::kind::expire);
    EXPECT_EQ(event->old_value, data{count{2}});
    EXPECT_EQ(clone.exists("x"), data{false});
}

TEST(store, events_that_nobody_reads_any_more_keep_no_descriptor) {
    auto only = testing::make("only");
    auto quiet = *only.attach_master("s");
    const auto descriptors = [] {
        return std::distance(std::filesystem::directory_iterator{"/proc/self/fd"}, {});
    };
    const auto before = descriptors();
    for (int i = 0; i < 20; ++i) {
        EXPECT_GE(quiet.events().fd(), 0);
    }
    EXPECT_EQ(descriptors(), before);
}

TEST(store, events_that_wait_are_bounded_in_bytes_too) {
    const auto item_of = [](std::size_t size) {
        const std::string value(size, 'v');
        const auto bytes = std::as_bytes(std::span{value});
        return replica::item_ptr::make(bytes.first(1), bytes, replica::no_expiry, 1);
    };
    const auto taken = [](store_event_queue& from) {
        return from.take(100, 0, store_event_queue::clock::time_point::max()).size();
    };
    store_event_queue queue{100, 10'000};
    const auto large = item_of(3'000);
    for (int i = 0; i < 5; ++i) {
        queue.push({replica::change_kind::put, large, {}});
    }
    EXPECT_EQ(queue.available(), 3U);
    EXPECT_EQ(queue.dropped(), 2U);
    queue.push({replica::change_kind::put, large, large});  // Both values count.
    EXPECT_EQ(queue.available(), 2U);
    EXPECT_EQ(queue.dropped(), 4U);
    queue.push({replica::change_kind::put, item_of(50'000), {}});
    EXPECT_EQ(queue.available(), 1U) << "the newest is kept, whatever its size";
    EXPECT_EQ(taken(queue), 1U);
    // What was taken is not counted any more.
    for (int i = 0; i < 3; ++i) {
        queue.push({replica::change_kind::put, large, {}});
    }
    EXPECT_EQ(taken(queue), 3U);
    EXPECT_EQ(queue.dropped(), 6U);
    const auto small = item_of(1);
    for (int i = 0; i < 150; ++i) {
        queue.push({replica::change_kind::put, small, {}});
    }
    EXPECT_EQ(taken(queue), 100U) << "and their number counts as well";
}

TEST(store, a_large_store_counts_what_can_be_read) {
    auto ep = testing::make("one");
    auto master = *ep.attach_master("s");
    for (int n = 0; n < 12'000; ++n) {
        if (n % 3 == 0) {
            master.put(n, n, 1h);
        } else {
            master.put(n, n);
        }
    }
    EXPECT_EQ(master.size(), 12'000U);
    EXPECT_EQ(master.info()->entries, 12'000U);
    // While somebody counts all the time, writes go on.
    std::atomic<bool> over{false};
    std::thread counter{[&] {
        while (!over) {
            EXPECT_GE(master.size().value_or(0), 12'000U);
        }
    }};
    for (int n = 0; n < 200; ++n) {
        EXPECT_TRUE(master.put(-n - 1, n, 1h).wait(10s));
    }
    over = true;
    counter.join();
    EXPECT_EQ(master.size(), 12'200U);
}

TEST(store, a_proxy_answers_through_its_descriptor) {
    pair_of_endpoints both;
    auto master = *both.first.attach_master("s");
    auto clone = *both.second.attach_clone("s");
    ASSERT_TRUE(clone.await_sync());
    store::proxy proxy{clone};
    pollfd ready{proxy.fd(), POLLIN, 0};
    EXPECT_EQ(::poll(&ready, 1, 0), 0);
    const auto id = proxy.put_unique("x", count{1});
    ASSERT_EQ(::poll(&ready, 1, 20'000), 1);
    const auto answer = proxy.receive();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->id, id);
    EXPECT_EQ(answer->answer, data{true});
    EXPECT_EQ(::poll(&ready, 1, 0), 0);
    proxy.get("x");
    proxy.exists("nothing");
    const auto two = proxy.receive(2, 10s);
    ASSERT_EQ(two.size(), 2U);
    EXPECT_EQ(two[0].answer, data{count{1}});
    EXPECT_EQ(two[1].answer, data{false});
}

TEST(store, a_durable_master_has_its_data_after_a_restart_and_its_clones_go_on) {
    const scratch folder;
    auto reader = testing::make("reader");
    const auto port = reader.listen("127.0.0.1", 0);
    auto clone = *reader.attach_clone("s");
    master_options options;
    options.path = folder.path + "/s";
    std::uint64_t first_epoch = 0;
    {
        auto ep = testing::make("one");
        ASSERT_TRUE(ep.peer("127.0.0.1", port));
        auto master = ep.attach_master("s", backend::lmdb, options);
        ASSERT_TRUE(master) << to_string(master.error());
        first_epoch = master->info()->epoch;
        EXPECT_TRUE(master->put("x", count{1}).wait());
        EXPECT_TRUE(master->increment("n").wait());
        EXPECT_TRUE(clone.increment("n").wait());
        EXPECT_EQ(clone.get("n"), data{count{2}});
        EXPECT_EQ(ep.attach_master("t", backend::lmdb, options).error(), ec::cannot_open_file);
    }
    auto ep = testing::make("one");
    ASSERT_TRUE(ep.peer("127.0.0.1", port));
    auto master = ep.attach_master("s", backend::lmdb, options);
    ASSERT_TRUE(master) << to_string(master.error());
    EXPECT_EQ(master->get("x"), data{count{1}});
    EXPECT_EQ(master->get("n"), data{count{2}});
    EXPECT_TRUE(clone.increment("n").wait(20s));
    EXPECT_EQ(master->get("n"), data{count{3}});
    EXPECT_EQ(clone.info()->hash, master->info()->hash);
    EXPECT_GT(master->info()->epoch, first_epoch);
}

TEST(store, readers_on_other_threads_see_whole_batches) {
    auto ep = testing::make("one");
    auto s = *ep.attach_master("s");
    s.apply(store_batch{}.put("a", count{0}).put("b", count{0}));
    std::atomic<bool> stop{false};
    std::atomic<int> torn{0};
    std::thread reader{[&] {
        while (!stop) {
            const auto all = s.snapshot();
            if (all && all->size() == 2 && all->at("a") != all->at("b")) {
                ++torn;
            }
        }
    }};
    for (int i = 0; i < 5'000; ++i) {
        s.apply(store_batch{}.increment("a").increment("b"));
    }
    s.await_idle();
    stop = true;
    reader.join();
    EXPECT_EQ(torn, 0);
    EXPECT_EQ(s.get("b"), data{count{5'000}});
}

TEST(store, handles_outlive_their_endpoint) {
    store s;
    EXPECT_EQ(s.get("x").error(), ec::no_such_master);
    EXPECT_EQ(s.put("x", nil).wait().error(), ec::no_such_master);
    {
        auto ep = testing::make("one");
        s = *ep.attach_master("s");
        s.put("x", nil);
    }
    EXPECT_EQ(s.get("x").error(), ec::shutting_down);
    EXPECT_EQ(s.put("x", nil).wait().error(), ec::shutting_down);
    EXPECT_FALSE(s.await_idle());
}

TEST(store, many_writers_count_once_each_over_a_clone) {
    pair_of_endpoints both;
    auto master = *both.first.attach_master("s");
    auto clone = *both.second.attach_clone("s");
    std::vector<std::thread> writers;
    for (int t = 0; t < 4; ++t) {
        writers.emplace_back([&, t] {
            for (int i = 0; i < 2'000; ++i) {
                (t % 2 == 0 ? clone : master).increment("n");
            }
        });
    }
    for (auto& each : writers) {
        each.join();
    }
    EXPECT_TRUE(clone.await_idle());
    EXPECT_TRUE(master.await_idle());
    EXPECT_EQ(master.get("n"), data{count{8'000}});
    EXPECT_EQ(clone.get("n"), data{count{8'000}});
}

}  // namespace
}  // namespace bzmq
