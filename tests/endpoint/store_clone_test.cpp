// What a clone promises while its master is away, and what reads show that look at all entries.
#include <algorithm>

#include "base/prng.hpp"
#include "endpoint/support.hpp"

namespace bzmq::testing {
namespace {

constexpr std::chrono::hours long_enough{1};

TEST(store_clone, goes_stale_after_the_stale_interval_and_is_fresh_when_its_master_is_back) {
    auto here = make("here");
    const auto port = here.listen("127.0.0.1", 0);
    clone_options how;
    how.stale_interval = 3s;  // More than a master's heartbeats are apart.
    auto statuses = here.make_status_subscriber(true);
    auto clone = *here.attach_clone("s", how);
    {
        auto there = make("there");
        ASSERT_TRUE(there.peer("127.0.0.1", port, 1s, patience));
        auto master = *there.attach_master("s");
        ASSERT_TRUE(master.put("x", 1).wait(patience));
        ASSERT_TRUE(clone.await_sync(patience));
        ASSERT_TRUE(master.await_idle(patience));
        EXPECT_EQ(clone.get("x"), data{1});
    }
    const auto since = std::chrono::steady_clock::now();
    ASSERT_TRUE(eventually([&] { return clone.get("x").error() == ec::stale_data; }));
    // Its last word may have come up to a heartbeat earlier.
    EXPECT_GE(std::chrono::steady_clock::now() - since, how.stale_interval - 1500ms);
    EXPECT_TRUE(clone.info()->stale);
    EXPECT_EQ(clone.exists("x").error(), ec::stale_data);
    EXPECT_EQ(clone.size().error(), ec::stale_data);
    EXPECT_EQ(clone.prefix("").error(), ec::stale_data);
    auto there = make("there");
    ASSERT_TRUE(there.peer("127.0.0.1", port, 1s, patience));
    auto master = *there.attach_master("s");
    ASSERT_TRUE(master.put("x", 2).wait(patience));
    ASSERT_TRUE(eventually([&] { return clone.get("x") == data{2}; }));
    EXPECT_FALSE(clone.info()->stale);
    // Both are told, each once, and of what is given up for the new master's state.
    EXPECT_EQ(codes(read_until(statuses, sc::store_stale, here.node_id())).back(), sc::store_stale);
    const auto given_up = get<error>(read_until(statuses, ec::stale_data).back());
    EXPECT_NE(given_up.message().find("given up"), std::string::npos);
    EXPECT_EQ(codes(read_until(statuses, sc::store_fresh, here.node_id())).back(), sc::store_fresh);
}

TEST(store_clone, is_not_stale_before_the_stale_interval) {
    auto here = make("here");
    const auto port = here.listen("127.0.0.1", 0);
    clone_options how;
    how.stale_interval = long_enough;
    auto clone = *here.attach_clone("s", how);
    {
        auto there = make("there");
        ASSERT_TRUE(there.peer("127.0.0.1", port, 1s, patience));
        auto master = *there.attach_master("s");
        ASSERT_TRUE(master.put("x", 1).wait(patience));
        ASSERT_TRUE(clone.await_sync(patience));
    }
    ASSERT_TRUE(eventually([&] { return !clone.info()->attached; }));
    EXPECT_EQ(clone.get("x"), data{1});
    EXPECT_FALSE(clone.info()->stale);
}

TEST(store_clone, gives_a_write_up_after_the_mutation_buffer_interval) {
    auto ep = make("one");
    clone_options how;
    how.mutation_buffer_interval = 50ms;
    auto clone = *ep.attach_clone("s", how);
    const auto write = clone.put("x", 1);
    const auto outcome = write.wait(patience);
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error(), ec::request_timeout);
    EXPECT_TRUE(write.done());  // Its own end, not that of the wait.
    // It does not come back with the master.
    auto master = *ep.attach_master("s");
    ASSERT_TRUE(clone.await_sync(patience));
    EXPECT_TRUE(master.put("y", 2).wait(patience));
    EXPECT_EQ(master.exists("x"), data{false});
}

TEST(store_clone, keeps_a_write_for_the_mutation_buffer_interval) {
    auto ep = make("one");
    clone_options how;
    how.mutation_buffer_interval = long_enough;
    auto clone = *ep.attach_clone("s", how);
    const auto write = clone.put("x", 1);
    EXPECT_EQ(write.wait(50ms).error(), ec::request_timeout);
    EXPECT_FALSE(write.done());
    auto master = *ep.attach_master("s");
    ASSERT_TRUE(write.wait(patience));
    EXPECT_EQ(master.get("x"), data{1});
}

TEST(store_clone, tells_what_never_fits_its_buffer_from_what_does_not_fit_now) {
    auto ep = make("one");
    clone_options how;
    how.mutation_buffer_bytes = 1'000;
    auto clone = *ep.attach_clone("s", how);
    const auto code = [](const store_write& write) {
        const auto outcome = write.wait(patience);
        return outcome ? ec::none : outcome.error().code();
    };
    EXPECT_EQ(code(clone.put("big", std::string(1'000, 'v'))), ec::message_too_big);
    const auto waits = clone.put("a", std::string(600, 'v'));
    EXPECT_EQ(code(clone.put("b", std::string(600, 'v'))), ec::queue_full);
    auto master = *ep.attach_master("s");
    ASSERT_TRUE(waits.wait(patience));
    EXPECT_EQ(code(clone.put("b", std::string(600, 'v'))), ec::none);
    EXPECT_EQ(code(clone.put("big", std::string(1'000, 'v'))), ec::message_too_big);
    EXPECT_EQ(master.size(), 2U);
}

TEST(store_clone, counts_no_entry_that_has_expired) {
    auto here = make("here");
    const auto port = here.listen("127.0.0.1", 0);
    auto clone = *here.attach_clone("s");
    {
        auto there = make("there");
        ASSERT_TRUE(there.peer("127.0.0.1", port, 1s, patience));
        auto master = *there.attach_master("s");
        ASSERT_TRUE(master.put("goes", 1, 1s).wait(patience));
        ASSERT_TRUE(master.put("stays", 1).wait(patience));
        ASSERT_TRUE(master.put("stays for long", 1, 1h).wait(patience));
        ASSERT_TRUE(clone.await_sync(patience));
        ASSERT_TRUE(master.await_idle(patience));
    }
    // Nobody is left who could sweep it.
    ASSERT_TRUE(eventually([&] { return clone.exists("goes") == data{false}; }));
    EXPECT_EQ(clone.size(), 2U);
    EXPECT_EQ(clone.info()->entries, 2U);
    EXPECT_EQ(get<set>(*clone.keys()).size(), 2U);
    EXPECT_EQ(clone.snapshot()->size(), 2U);
}

TEST(store_clone, gives_the_first_of_a_range_whatever_the_maximum) {
    auto ep = make("one");
    auto s = *ep.attach_master("s");
    prng random{7};
    for (int i = 0; i < 1'000; ++i) {
        s.put("k" + std::to_string(random.below(1'000'000)), i);
        s.put(count{random.below(1'000'000)}, i);
    }
    const auto keys_of = [](const auto& entries) {
        std::vector<data> out;
        for (const auto& [key, entry] : *entries) {
            out.push_back(key);
        }
        return out;
    };
    const auto all = keys_of(s.range({}, {}));
    const auto texts = keys_of(s.prefix("k"));
    EXPECT_TRUE(std::is_sorted(all.begin(), all.end()));
    EXPECT_TRUE(std::is_sorted(texts.begin(), texts.end()));
    const auto first = [](const std::vector<data>& of, std::size_t max) {
        const auto size = static_cast<std::ptrdiff_t>(std::min(max, of.size()));
        return std::vector<data>(of.begin(), of.begin() + size);
    };
    for (const auto max : {std::size_t{0}, std::size_t{1}, std::size_t{2}, std::size_t{10},
                           texts.size() - 1, texts.size(), texts.size() + 1, all.size(),
                           all.size() + 1}) {
        EXPECT_EQ(keys_of(s.range({}, {}, max)), first(all, max)) << max;
        EXPECT_EQ(keys_of(s.prefix("k", max)), first(texts, max)) << max;
    }
}

}  // namespace
}  // namespace bzmq::testing
