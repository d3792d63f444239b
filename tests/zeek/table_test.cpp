// Tables that follow stores, and pools, over links.
#include "bzmq/table.hpp"

#include <mutex>

#include "bzmq/pool.hpp"
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
        throw 1;
    });
    ASSERT_TRUE(here.put("ann", 3).wait(patience));
    ASSERT_TRUE(here.put("ann", 4).wait(patience));
    ASSERT_TRUE(here.erase("ann").wait(patience));
    ASSERT_TRUE(there.put("bob", 5).wait(patience));
    EXPECT_TRUE(eventually([&] {
        const std::lock_guard lock{mutex};
        return told.size() == 5;
    }));
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

TEST_F(tables, a_table_may_outlive_its_endpoint) {
    hosts here{master};
    here.on_change([](auto&&...) {});
    a.shutdown();
    EXPECT_EQ(here.find("x").error(), ec::shutting_down);
}

TEST_F(tables, a_pool_follows_the_endpoints_of_its_role) {
    zeek::pool workers{a, "worker"};
    ASSERT_TRUE(workers.wait_for(2, patience));
    EXPECT_EQ(workers.next()->name, "worker-1");
    EXPECT_EQ(workers.next()->topic, "/zeek/node/worker-2/");
    EXPECT_EQ(workers.next()->name, "worker-1");
    auto third = std::make_optional(make("worker-3"));
    auto other = make("workers");
    join(*third, a);
    join(other, a);
    ASSERT_TRUE(workers.wait_for(3, patience));
    std::map<std::string, std::string> before;
    for (int i = 0; i < 100; ++i) {
        const auto key = std::to_string(i);
        before[key] = workers.for_key(key)->name;
    }
    third.reset();
    ASSERT_TRUE(eventually([&] { return workers.members().size() == 2; }));
    for (const auto& [key, owner] : before) {
        if (owner != "worker-3") {
            EXPECT_EQ(workers.for_key(key)->name, owner);
        }
    }
    zeek::pool nobody{a, "proxy"};
    EXPECT_FALSE(nobody.next() || nobody.for_key("x"));
    EXPECT_FALSE(nobody.wait_for(1, 1ms));
}

TEST(pools, keys_spread_evenly_and_move_only_with_their_owner) {
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
    // The same in tests/python/test_tables.py.
    EXPECT_EQ(zeek::owner_of("192.0.2.1", names), "worker-4");
}

}  // namespace
}  // namespace bzmq::testing
