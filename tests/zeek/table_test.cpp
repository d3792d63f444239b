// Tables that follow stores, and pools, over links.
#include "bzmq/table.hpp"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <map>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "bzmq/pool.hpp"
#include "endpoint/scratch.hpp"
#include "endpoint/support.hpp"

namespace bzmq::testing {
namespace {

using hosts = zeek::table<std::string, count>;

struct tables : ::testing::Test {
    endpoint a = make("worker-1");
    endpoint b = make("worker-2");
    store master;
    store clone;
    tables() {
        join(a, b);
        master = *a.attach_master("hosts");
        clone = *b.attach_clone("hosts");
        EXPECT_TRUE(clone.await_sync(patience));
    }
    static std::string name(hosts::change what) {
        constexpr const char* names[] = {"created", "changed", "expired", "removed"};
        return names[static_cast<int>(what)];
    }
};

TEST_F(tables, what_one_side_writes_the_other_reads) {
    hosts here{master};
    hosts there{clone};
    ASSERT_TRUE(there.put("ann", 3).wait(patience));
    EXPECT_EQ(*here.find("ann"), std::optional<count>{3});
    EXPECT_EQ(there.get_or("ann", 0), 3U);
    EXPECT_EQ(*there.find("bob"), std::optional<count>{});
    ASSERT_TRUE(here.put("bob", 4).wait(patience));
    EXPECT_TRUE(eventually([&] { return there.contains("bob"); }));
    EXPECT_EQ(*there.snapshot(), (std::map<std::string, count>{{"ann", 3}, {"bob", 4}}));
    ASSERT_TRUE(there.erase("ann").wait(patience));
    EXPECT_EQ(there.size(), 1U);
    ASSERT_TRUE(there.clear().wait(patience));
    EXPECT_TRUE(there.empty());
}

TEST_F(tables, an_entry_of_another_type_is_an_error_and_no_entry) {
    hosts here{master};
    ASSERT_TRUE(master.put("text", "no count").wait(patience));
    EXPECT_EQ(here.find("text").error(), ec::invalid_data);
    EXPECT_EQ(here.get_or("text", 9), 9U);
    EXPECT_TRUE(here.snapshot()->empty());
}

TEST_F(tables, changes_are_told_wherever_they_were_made) {
    hosts here{master};
    hosts there{clone, {{}, 50ms, {}}};
    std::mutex mutex;
    std::vector<std::string> told;
    here.on_change([&](hosts::change what, const std::string& key, const auto& before,
                       const auto& after) {
        const std::lock_guard lock{mutex};
        told.push_back(name(what) + " " + key + " " + (before ? std::to_string(*before) : "-") + " "
                       + (after ? std::to_string(*after) : "-"));
        throw 1;  // It is counted, and the next one is told.
    });
    ASSERT_TRUE(here.put("ann", 3).wait(patience));
    ASSERT_TRUE(here.put("ann", 4).wait(patience));
    ASSERT_TRUE(here.erase("ann").wait(patience));
    ASSERT_TRUE(there.put("bob", 5).wait(patience));
    EXPECT_TRUE(eventually([&] { return here.failed() == 5; }));
    const std::lock_guard lock{mutex};
    EXPECT_EQ(told, (std::vector<std::string>{"created ann - 3", "changed ann 3 4", "removed ann 4 -",
                                              "created bob - 5", "expired bob 5 -"}));
}

TEST_F(tables, what_counts_for_expiry_is_the_creation_the_write_or_the_read) {
    const auto expiry = [&](const char* key) { return master.get_entry(key)->expiry; };
    hosts created{master, {1h, {}, {}}};
    ASSERT_TRUE(created.put("c", 1).wait(patience));
    const auto first = *expiry("c");
    ASSERT_TRUE(created.put("c", 2).wait(patience));
    EXPECT_LT(*expiry("c") - first, 1s) << "a write does not renew it";
    hosts written{master, {{}, 1h, {}}};
    ASSERT_TRUE(written.put("c", 3).wait(patience));
    EXPECT_GT(*expiry("c"), first);
    // An entry whose time is nearly over is renewed by a read here, and by no other.
    hosts read{master, {{}, {}, 1h}};
    ASSERT_TRUE(master.put("r", 1U, 10min).wait(patience));
    const auto soon = *expiry("r");
    EXPECT_EQ(*created.find("r"), std::optional<count>{1});
    EXPECT_EQ(*expiry("r"), soon);
    EXPECT_EQ(*read.find("r"), std::optional<count>{1});
    EXPECT_GT(*expiry("r") - soon, 40min);
    const auto revision = master.get_entry("r")->revision;
    EXPECT_EQ(*read.find("r"), std::optional<count>{1});
    EXPECT_EQ(master.get_entry("r")->revision, revision) << "not every read is a write";
}

TEST_F(tables, a_hot_entry_costs_one_word_per_quarter_of_its_time) {
    const auto words = [&, before = master.info()->revision] {
        return master.info()->revision - before;
    };
    hosts there{clone, {{}, {}, 4s}};
    const auto begun = std::chrono::steady_clock::now();
    ASSERT_TRUE(there.put("hot", 1).wait(patience));
    // Reads until the master has heard of two of them.
    std::size_t reads = 0;
    while (words() < 3) {
        for (int i = 0; i < 1000; ++i, ++reads) {
            ASSERT_EQ(there.get_or("hot", 0), 1U);
        }
        ASSERT_LT(std::chrono::steady_clock::now() - begun, patience);
    }
    EXPECT_GE(std::chrono::steady_clock::now() - begun, 1900ms) << reads << " reads";
}

TEST_F(tables, reads_of_an_entry_that_is_running_out_are_told_once) {
    ASSERT_TRUE(master.put("hot", 1U, 10min).wait(patience));
    EXPECT_TRUE(eventually([&] { return clone.exists("hot") == data{true}; }));
    const auto before = master.info()->revision;
    hosts there{clone, {{}, {}, 1h}};
    for (int i = 0; i < 5000; ++i) {
        ASSERT_EQ(there.get_or("hot", 0), 1U);
    }
    EXPECT_TRUE(eventually([&] { return master.info()->revision > before; }));
    EXPECT_TRUE(clone.await_idle(patience));
    EXPECT_EQ(master.info()->revision, before + 1);
}

TEST(touches, are_on_their_way_once_and_bounded) {
    zeek::detail::touches all;
    EXPECT_TRUE(all.begin("key", 1));
    EXPECT_FALSE(all.begin("key", 1));
    EXPECT_TRUE(all.begin("key", 2)) << "written meanwhile: another entry";
    all.end("key", 1);
    EXPECT_TRUE(all.begin("key", 1));
    for (count i = 0; i + 2 < zeek::detail::touches::under_way_max; ++i) {
        ASSERT_TRUE(all.begin(i, 1));
    }
    EXPECT_FALSE(all.begin("one more", 1));
    all.end("key", 1);
    EXPECT_TRUE(all.begin("one more", 1));
}

TEST_F(tables, a_write_just_after_the_end_of_an_entry_makes_a_new_one) {
    hosts created{master, {1h, {}, {}}};
    for (count i = 1; i <= 200; ++i) {
        // Gone when the next write comes, whether or not anybody has cleared it away.
        master.put("x", 0U, timespan{1});
        ASSERT_TRUE(created.put("x", i).wait(patience));
        const auto entry = master.get_entry("x");
        ASSERT_TRUE(entry) << i;
        EXPECT_EQ(entry->value, data{i});
        ASSERT_GT(*entry->expiry - std::chrono::system_clock::now(), 50min);
    }
}

TEST_F(tables, a_table_has_one_expiry_at_most) {
    EXPECT_THROW((hosts{master, {1h, 1h, {}}}), std::invalid_argument);
    EXPECT_THROW((hosts{master, {{}, 1h, 1h}}), std::invalid_argument);
    EXPECT_NO_THROW((hosts{master, {{}, {}, 1h}}));
}

TEST_F(tables, an_expiry_is_above_0) {
    EXPECT_THROW((hosts{master, {0s, {}, {}}}), std::invalid_argument);
    EXPECT_THROW((hosts{master, {{}, -1s, {}}}), std::invalid_argument);
    EXPECT_THROW((hosts{master, {{}, {}, timespan::min()}}), std::invalid_argument);
}

TEST_F(tables, a_change_of_the_type_is_a_change) {
    zeek::table<std::string, data> here{master};
    std::mutex mutex;
    std::vector<data> told;
    here.on_change([&](auto, const std::string&, const auto&, const auto& after) {
        const std::lock_guard lock{mutex};
        told.push_back(*after);
    });
    const std::vector<data> values{data{0U}, data{false}, data{0.0}, data{0}, data{vector{1U}},
                                   data{vector{true}}};
    for (const auto& each : values) {
        ASSERT_TRUE(here.put("x", each).wait(patience));
    }
    EXPECT_TRUE(eventually([&] {
        const std::lock_guard lock{mutex};
        return told == values;
    }));
}

std::atomic<int> signals_seen{0};

TEST_F(tables, no_signal_lands_on_the_thread_that_tells_of_changes) {
    // With this thread's blocked, all threads but bzmq's own have it blocked: it waits for us.
    struct sigaction told = {};
    struct sigaction before = {};
    told.sa_handler = [](int) { ++signals_seen; };
    ASSERT_EQ(::sigaction(SIGUSR1, &told, &before), 0);
    hosts here{master};
    std::atomic<int> changes{0};
    here.on_change([&](auto&&...) { ++changes; });
    sigset_t one;
    sigset_t mask;
    ::sigemptyset(&one);
    ::sigaddset(&one, SIGUSR1);
    ASSERT_EQ(::pthread_sigmask(SIG_BLOCK, &one, &mask), 0);
    ASSERT_TRUE(here.put("a", 1).wait(patience));
    EXPECT_TRUE(eventually([&] { return changes == 1; }));
    ASSERT_EQ(::kill(::getpid(), SIGUSR1), 0);
    const timespec limit{20, 0};
    EXPECT_EQ(::sigtimedwait(&one, nullptr, &limit), SIGUSR1);
    EXPECT_EQ(signals_seen, 0);
    ASSERT_TRUE(here.put("a", 2).wait(patience));
    EXPECT_TRUE(eventually([&] { return changes == 2; })) << "they are told as before";
    EXPECT_EQ(here.dropped(), 0U);
    ::pthread_sigmask(SIG_SETMASK, &mask, nullptr);
    ::sigaction(SIGUSR1, &before, nullptr);
}

TEST_F(tables, changes_that_were_not_told_are_counted) {
    hosts here{master};
    EXPECT_EQ(here.dropped(), 0U);
    std::promise<void> go_on;
    std::atomic<count> told{0};
    here.on_change(
        [&, gate = go_on.get_future().share()](auto&&...) {
            gate.wait();
            ++told;
        },
        10);
    constexpr count changes = 100;
    for (count i = 0; i < changes; ++i) {
        ASSERT_TRUE(here.put("hot", i).wait(patience));
    }
    // Some were taken before the others came; ten wait.
    EXPECT_TRUE(eventually([&] { return here.dropped() >= changes / 2; }));
    go_on.set_value();
    EXPECT_TRUE(eventually([&] { return told + here.dropped() == changes; }));
}

/// A master in memory or on disk, and a clone of it at another endpoint.
struct backends : ::testing::TestWithParam<backend> {
    scratch folder;
    endpoint other = make("other");
    std::optional<endpoint> home = make("home");
    store master;
    store clone;
    backends() {
        begin();
        clone = *other.attach_clone("hosts");
        EXPECT_TRUE(clone.await_sync(patience));
    }
    void begin() {
        join(*home, other);
        master_options options;
        options.path = GetParam() == backend::lmdb ? folder.path : std::string{};
        master = *home->attach_master("hosts", GetParam(), options);
    }
};

TEST_P(backends, hold_a_table_and_let_its_entries_expire) {
    hosts created{clone, {500ms, {}, {}}};
    hosts read{clone, {{}, {}, 1s}};
    std::atomic<int> expired{0};
    created.on_change([&](hosts::change what, const std::string& key, const auto&, const auto&) {
        expired += what == hosts::change::expired && key == "written" ? 1 : 0;
    });
    const auto begun = std::chrono::steady_clock::now();
    ASSERT_TRUE(read.put("read", 1).wait(patience));
    ASSERT_TRUE(created.put("written", 1).wait(patience));
    ASSERT_TRUE(created.put("written", 2).wait(patience));
    // What is read lives on; that it was written again saves the other not.
    while (std::chrono::steady_clock::now() - begun < 1500ms) {
        ASSERT_EQ(read.get_or("read", 0), 1U);
        std::this_thread::yield();
    }
    EXPECT_TRUE(eventually([&] { return expired == 1; }));
    EXPECT_FALSE(created.contains("written"));
    EXPECT_TRUE(eventually([&] { return !read.contains("read"); })) << "nobody reads it any more";
    EXPECT_TRUE(eventually([&] { return hosts{master}.empty(); }));
}

TEST_P(backends, keep_a_table_over_a_restart_on_disk) {
    hosts there{clone, {{}, 1h, {}}};
    ASSERT_TRUE(there.put("ann", 3).wait(patience));
    ASSERT_TRUE(hosts{clone}.put("bob", 4).wait(patience));
    const auto expiry = master.get_entry("ann")->expiry;
    master = {};
    home.reset();
    home = make("home again");
    begin();
    hosts here{master};
    if (GetParam() == backend::memory) {
        EXPECT_TRUE(here.empty());
        return;
    }
    EXPECT_EQ(*here.snapshot(), (std::map<std::string, count>{{"ann", 3}, {"bob", 4}}));
    EXPECT_EQ(master.get_entry("ann")->expiry, expiry);
    ASSERT_TRUE(there.put("ann", 5).wait(patience)) << "the clone's table goes on with it";
    EXPECT_EQ(here.get_or("ann", 0), 5U);
}

INSTANTIATE_TEST_SUITE_P(tables, backends, ::testing::Values(backend::memory, backend::lmdb),
                         [](const auto& each) {
                             return each.param == backend::memory ? "memory" : "lmdb";
                         });

TEST_F(tables, a_table_may_outlive_its_endpoint) {
    hosts here{master};
    here.on_change([](auto&&...) {});
    a.shutdown();
    EXPECT_EQ(here.find("x").error(), ec::shutting_down);
}

/// Endpoints in a star around the first. Names tell nothing.
struct pools : ::testing::Test {
    endpoint manager = make("manager");
    endpoint sniffer = make("sniffer-a");
    endpoint one = make("worker-1");
    endpoint ten = make("worker-10");
    pools() {
        for (auto* each : {&sniffer, &one, &ten}) {
            join(*each, manager);
        }
    }
    static subscriber work(endpoint& at) {
        return at.make_subscriber({zeek::role_topic("worker"), zeek::node_topic(at.name())});
    }
    static std::vector<std::string> names(zeek::pool& of) {
        std::vector<std::string> out;
        for (const auto& each : of.members()) {
            out.push_back(each.name);
        }
        return out;
    }
    using strings = std::vector<std::string>;
};

TEST_F(pools, are_those_that_subscribe_to_their_role_whatever_their_names) {
    zeek::pool workers{manager, "worker"};
    EXPECT_EQ(names(workers), strings{});
    EXPECT_FALSE(workers.next() || workers.for_key("x"));
    EXPECT_FALSE(workers.wait_for(1, 1ms));
    const auto first = work(sniffer);
    auto second = std::make_optional(work(one));
    ASSERT_TRUE(workers.wait_for(2, patience));
    EXPECT_EQ(names(workers), (strings{"sniffer-a", "worker-1"}));
    EXPECT_EQ(workers.next()->name, "sniffer-a");
    EXPECT_EQ(workers.next()->topic, "/zeek/node/worker-1/");
    EXPECT_EQ(workers.next()->name, "sniffer-a");
    // Who watches everything, or another role, is none of them; the endpoint itself may be.
    const auto watches = ten.make_subscriber({"/"});
    const auto other_role = ten.make_subscriber({zeek::role_topic("workers")});
    const auto own = work(manager);
    EXPECT_EQ(names(workers), (strings{"manager", "sniffer-a", "worker-1"}));
    second.reset();
    EXPECT_TRUE(eventually([&] { return names(workers) == strings{"manager", "sniffer-a"}; }));
    EXPECT_EQ(names(workers), (strings{"manager", "sniffer-a"}));
}

TEST_F(pools, move_only_the_keys_of_who_leaves) {
    zeek::pool workers{manager, "worker"};
    auto third = std::make_optional(make("a third"));
    join(*third, manager);
    const subscriber all[] = {work(sniffer), work(one), work(*third)};
    ASSERT_TRUE(workers.wait_for(3, patience));
    std::map<std::string, std::string> before;
    for (int i = 0; i < 100; ++i) {
        const auto key = std::to_string(i);
        before[key] = workers.for_key(key)->name;
    }
    third.reset();
    ASSERT_TRUE(eventually([&] { return workers.members().size() == 2; }));
    for (const auto& [key, owner] : before) {
        if (owner != "a third") {
            EXPECT_EQ(workers.for_key(key)->name, owner);
        }
    }
}

TEST_F(pools, a_role_reaches_all_of_it_and_a_name_only_its_node) {
    subscriber all[] = {work(sniffer), work(one), work(ten)};
    for (auto& each : all) {
        ASSERT_TRUE(each.wait_ready(patience));
    }
    const auto mode = delivery_mode::reliable;
    manager.publish(zeek::node_topic("worker-10") + "job", 10U, mode);
    manager.publish(zeek::node_topic("worker-1") + "job", 1U, mode);
    manager.publish(zeek::role_topic("worker") + "job", "for all", mode);
    const std::vector<std::vector<data>> wanted{{"for all"}, {1U, "for all"}, {10U, "for all"}};
    for (std::size_t i = 0; i < 3; ++i) {
        std::vector<data> got;
        for (const auto& each : all[i].get(wanted[i].size(), patience)) {
            got.push_back(each.value());
        }
        EXPECT_EQ(got, wanted[i]);
        EXPECT_EQ(all[i].available(), 0U);
    }
}

TEST_F(pools, a_callback_on_the_endpoints_thread_may_ask_while_others_do) {
    zeek::pool workers{manager, "worker"};
    const auto own = work(manager);
    std::atomic<bool> done{false};
    auto asks = manager.subscribe_direct({"t/"}, {}, [&](const message&) {
        // Often enough for the other thread to be at it meanwhile.
        for (int i = 0; i < 1000; ++i) {
            const auto news = manager.make_subscriber({"u/" + std::to_string(i)});
            EXPECT_TRUE(workers.next());
        }
        done = true;
    });
    ASSERT_EQ(manager.publish("t/x", 1), ec::none);
    while (!done) {
        EXPECT_EQ(workers.members().size(), 1U);
    }
}

TEST(owners, keys_spread_evenly_and_move_only_with_their_owner) {
    std::vector<std::string> names;
    for (int i = 1; i <= 5; ++i) {
        names.push_back("worker-" + std::to_string(i));
    }
    const std::vector<std::string> fewer{names.begin(), names.end() - 1};
    std::map<std::string_view, int> share;
    for (int i = 0; i < 10'000; ++i) {
        const auto key = "10.0.0." + std::to_string(i);
        const auto owner = zeek::owner_of(key, names);
        ++share[owner];
        if (owner != "worker-5") {
            EXPECT_EQ(zeek::owner_of(key, fewer), owner);
        }
    }
    for (const auto& [name, count] : share) {
        EXPECT_NEAR(count, 2000, 200) << name;
    }
    EXPECT_EQ(zeek::owner_of("x", {}), "");
}

TEST(owners, are_the_same_as_in_python) {
    // The same in tests/python/test_tables.py.
    const std::vector<std::string> workers{"worker-1", "worker-2", "worker-3", "worker-4", "worker-5"};
    const std::vector<std::string> others{"sniffer-a", "worker-10", "", "worker-1", "\u00e9dge"};
    const std::tuple<const char*, const char*, const char*> owners[] = {
        {"", "worker-5", "\u00e9dge"},
        {"a", "worker-5", "\u00e9dge"},
        {"b", "worker-4", "sniffer-a"},
        {"192.0.2.1", "worker-4", "worker-10"},
        {"192.0.2.2", "worker-4", ""},
        {"192.0.2.7", "worker-4", "sniffer-a"},
        {"2001:db8::1", "worker-2", "worker-10"},
        {"2001:db8::2", "worker-3", "\u00e9dge"},
        {"CHhAvVGS1DHFjwGM9", "worker-3", "worker-10"},
        {"\u043a\u043b\u044e\u0447", "worker-5", "\u00e9dge"},
    };
    for (const auto& [key, worker, other] : owners) {
        EXPECT_EQ(zeek::owner_of(key, workers), worker) << key;
        EXPECT_EQ(zeek::owner_of(key, others), other) << key;
    }
}

}  // namespace
}  // namespace bzmq::testing
