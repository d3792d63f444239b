// What options of stores are refused, with a reason: none is ignored silently. And why writes fail.
#include <filesystem>
#include <limits>

#include "bzmq/bzmq.hpp"
#include "endpoint/scratch.hpp"
#include "endpoint/support.hpp"

namespace bzmq::testing {
namespace {

bool says(const error& what, std::string_view text) {
    return what.message().find(text) != std::string::npos;
}

struct store_options : ::testing::Test {
    scratch folder;
    endpoint ep = make("one");

    master_options at(const std::string& name) const {
        master_options out;
        out.path = folder.path + "/" + name;
        return out;
    }
    clone_options standby(const std::string& name) const {
        clone_options out;
        out.standby = at(name);
        return out;
    }
};

TEST_F(store_options, a_master_in_memory_takes_nothing_that_needs_its_disk) {
    master_options how;
    how.sync_replicas = 1;
    const auto replicas = ep.attach_master("s", backend::memory, how);
    ASSERT_FALSE(replicas);
    EXPECT_EQ(replicas.error(), ec::invalid_configuration);
    EXPECT_TRUE(says(replicas.error(), "sync_replicas"));
    how.sync_replicas = 0;
    how.failover.electors = {"a"};
    how.failover.elector = "a";
    const auto electors = ep.attach_master("s", backend::memory, how);
    ASSERT_FALSE(electors);
    EXPECT_EQ(electors.error(), ec::invalid_configuration);
    EXPECT_TRUE(ep.attach_master("s"));
}

TEST_F(store_options, a_master_that_is_there_is_not_taken_for_one_with_another_place) {
    ASSERT_TRUE(ep.attach_master("memory"));
    const auto durable = ep.attach_master("memory", backend::lmdb, at("a"));
    ASSERT_FALSE(durable);
    EXPECT_EQ(durable.error(), ec::invalid_configuration);
    EXPECT_TRUE(says(durable.error(), "in memory"));
    EXPECT_FALSE(std::filesystem::exists(at("a").path));
    EXPECT_TRUE(ep.attach_master("memory"));
    ASSERT_TRUE(ep.attach_master("disk", backend::lmdb, at("b")));
    EXPECT_TRUE(ep.attach_master("disk", backend::lmdb, at("b")));
    EXPECT_TRUE(ep.attach_master("disk", backend::lmdb, at("./b/")));
    const auto elsewhere = ep.attach_master("disk", backend::lmdb, at("c"));
    ASSERT_FALSE(elsewhere);
    EXPECT_EQ(elsewhere.error(), ec::invalid_configuration);
    EXPECT_TRUE(says(elsewhere.error(), at("b").path));
    EXPECT_EQ(ep.attach_master("disk").error(), ec::invalid_configuration);
}

TEST_F(store_options, a_clone_that_is_there_is_not_taken_for_a_standby) {
    ASSERT_TRUE(ep.attach_clone("s"));
    EXPECT_EQ(ep.attach_clone("s", standby("a")).error(), ec::invalid_configuration);
    EXPECT_TRUE(ep.attach_clone("s"));
    ASSERT_TRUE(ep.attach_clone("t", standby("b")));
    EXPECT_TRUE(ep.attach_clone("t", standby("b")));
    EXPECT_TRUE(ep.attach_clone("t")) << "it is one";
    EXPECT_EQ(ep.attach_clone("t", standby("c")).error(), ec::invalid_configuration);
    ASSERT_TRUE(ep.attach_master("u"));
    EXPECT_EQ(ep.attach_clone("u", standby("d")).error(), ec::invalid_configuration);
}

TEST_F(store_options, a_clone_s_times_and_its_buffer_are_above_zero) {
    const auto refused = [this](std::string_view what, const auto& set) {
        for (const auto time : {timespan{0}, timespan{-500ms}, timespan::min()}) {
            clone_options how;
            set(how, time);
            const auto made = ep.attach_clone("s", how);
            ASSERT_FALSE(made) << what;
            EXPECT_EQ(made.error(), ec::invalid_configuration);
            EXPECT_TRUE(says(made.error(), what)) << to_string(made.error());
        }
    };
    refused("resync_interval", [](auto& how, auto time) { how.resync_interval = time; });
    refused("stale_interval", [](auto& how, auto time) { how.stale_interval = time; });
    refused("mutation_buffer_interval",
            [](auto& how, auto time) { how.mutation_buffer_interval = time; });
    clone_options none;
    none.mutation_buffer_bytes = 0;
    EXPECT_EQ(ep.attach_clone("s", none).error(), ec::invalid_configuration);
    EXPECT_TRUE(ep.attach_clone("s"));
}

TEST_F(store_options, all_of_a_master_s_can_be_given_by_name) {
    const auto path = at("a").path;
    const auto electors = data{vector{"a", "b", "c"}};
    backend_options how{{"path", path},         {"durability", "sync"},
                        {"log_bytes", count{1 << 20}}, {"map_bytes_max", count{1} << 30},
                        {"sync_replicas", count{1}},   {"electors", electors},
                        {"elector", "a"},              {"failover_timeout", timespan{5s}}};
    auto made = ep.attach_master("s", backend::lmdb, how);
    ASSERT_TRUE(made) << to_string(made.error());
    EXPECT_TRUE(made->put("x", 1).wait(50ms).error() == ec::request_timeout)
        << "no standby has it yet";
    // Each of them takes effect: with fewer replicas failover would lose acknowledged writes.
    how["path"] = at("b").path;
    how["sync_replicas"] = count{0};
    EXPECT_EQ(ep.attach_master("t", backend::lmdb, how).error(), ec::invalid_configuration);
    how["sync_replicas"] = count{1};
    how["failover_timeout"] = timespan{0};
    EXPECT_EQ(ep.attach_master("t", backend::lmdb, how).error(), ec::invalid_configuration);
    for (const auto& [key, value] : std::vector<std::pair<std::string, data>>{
             {"path", count{1}}, {"durability", "often"}, {"log_bytes", "1"},
             {"sync_replicas", std::numeric_limits<count>::max()}, {"electors", vector{count{1}}},
             {"elector", count{1}}, {"failover_timeout", count{5}}, {"colour", "red"}}) {
        const auto wrong = ep.attach_master("t", backend::lmdb, backend_options{{key, value}});
        ASSERT_FALSE(wrong) << key;
        EXPECT_EQ(wrong.error(), ec::invalid_configuration);
        EXPECT_TRUE(says(wrong.error(), key)) << to_string(wrong.error());
    }
}

TEST_F(store_options, who_wrote_is_told_why_nothing_changed) {
    auto s = *ep.attach_master("s");
    s.put("count", count{1});
    s.put("vector", vector{});
    for (const auto& write :
         {s.decrement("count", count{2}), s.pop("vector"), s.remove_from("vector", count{0}),
          s.append("count", "text"), s.put_unique_nosync("count", 1), s.decrement("none"),
          s.compare_and_put("count", 99, 1)}) {
        const auto outcome = write.wait(patience);
        ASSERT_FALSE(outcome);
        EXPECT_FALSE(outcome.error().message().empty()) << to_string(outcome.error());
    }
    EXPECT_TRUE(says(s.pop("vector").wait(patience).error(), "no such element"));
}

TEST_F(store_options, a_master_is_at_its_own_endpoint) {
    auto s = *ep.attach_master("s");
    EXPECT_EQ(s.info()->master_at, ep.node_id());
}

}  // namespace
}  // namespace bzmq::testing
