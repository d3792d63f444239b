// Standbys with real disks and sockets: promotion, fencing, elections.
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>

#include "bzmq/bzmq.hpp"
#include "endpoint/full_disk.hpp"
#include "endpoint/scratch.hpp"
#include "endpoint/support.hpp"

namespace bzmq::testing {
namespace {

namespace fs = std::filesystem;

struct failover : ::testing::Test {
    scratch folder;

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
    static std::string text_of(const fs::path& file) {
        std::ifstream in{file};
        return {std::istreambuf_iterator<char>{in}, {}};
    }
    static bool attached(const store& s) { return s.info() && s.info()->attached; }
    static bool on_disk(const store& master, std::size_t standbys) {
        const auto info = master.info();
        return info && info->revision > 0
               && static_cast<std::size_t>(std::count_if(
                      info->clones.begin(), info->clones.end(),
                      [&](const auto& each) {
                          return each.standby && each.stored >= info->revision;
                      }))
                      == standbys;
    }
};

TEST_F(failover, a_standby_takes_over_and_clones_follow) {
    auto first = make("first");
    auto second = make("second");
    auto third = make("third");
    auto options = at("a");
    options.sync_replicas = 1;
    auto master = *first.attach_master("s", backend::lmdb, options);
    join(second, first);
    auto heir = *second.attach_clone("s", standby("b"));
    join(third, second);
    auto copy = *third.attach_clone("s");
    ASSERT_TRUE(heir.await_sync());
    EXPECT_TRUE(heir.info()->standby);
    for (int i = 0; i < 100; ++i) {
        ASSERT_TRUE(master.put(count(i), "before").wait(patience));
    }
    EXPECT_EQ(copy.promote().error(), ec::invalid_configuration);
    first.shutdown();
    auto statuses = second.make_status_subscriber(true);
    const auto promoted = heir.promote(patience);
    ASSERT_TRUE(promoted) << to_string(promoted.error());
    EXPECT_TRUE(heir.is_master());
    const auto told = get<status>(read_until(statuses, sc::store_promoted, second.node_id()).back());
    EXPECT_NE(told.message().find("store s: "), std::string::npos);
    EXPECT_NE(told.message().find(std::to_string(heir.info()->epoch)), std::string::npos);
    EXPECT_EQ(heir.size(), 100U);
    ASSERT_TRUE(heir.put("x", "after").wait(patience));
    EXPECT_TRUE(eventually([&] { return copy.get("x") == data{"after"}; }));
    EXPECT_TRUE(copy.increment("n").wait(patience));
    EXPECT_EQ(heir.get("n"), data{count{1}});
    // What it became is on its disk: as a master it comes back.
    second.shutdown();
    auto again = make("again");
    auto back = again.attach_master("s", backend::lmdb, at("b"));
    ASSERT_TRUE(back) << to_string(back.error());
    EXPECT_EQ(back->size(), 102U);
}

TEST_F(failover, a_standby_has_its_copy_after_a_restart) {
    auto first = make("first");
    auto master = *first.attach_master("s", backend::lmdb, at("a"));
    ASSERT_TRUE(master.put("x", 1).wait(patience));
    const auto port = first.listen("127.0.0.1", 0);
    {
        auto second = make("second");
        ASSERT_TRUE(second.peer("127.0.0.1", port));
        auto heir = *second.attach_clone("s", standby("b"));
        ASSERT_TRUE(heir.await_sync());
        ASSERT_TRUE(master.put("y", 2).wait(patience));
        ASSERT_TRUE(eventually([&] { return on_disk(master, 1); }));
    }
    first.shutdown();
    auto third = make("third");
    auto heir = *third.attach_clone("s", standby("b"));
    const auto promoted = heir.promote(patience);
    ASSERT_TRUE(promoted) << to_string(promoted.error());
    EXPECT_EQ(heir.get("x"), data{1});
    EXPECT_EQ(heir.get("y"), data{2});
}

TEST_F(failover, a_fresh_standby_cannot_be_promoted) {
    auto ep = make("one");
    auto heir = *ep.attach_clone("s", standby("b"));
    EXPECT_EQ(heir.promote().error(), ec::stale_data);
    // Nor can its folder be anybody else's meanwhile.
    EXPECT_EQ(ep.attach_clone("t", standby("b")).error(), ec::cannot_open_file);
}

TEST_F(failover, the_old_master_becomes_a_clone_and_keeps_what_only_it_had) {
    auto first = make("first");
    auto second = make("second");
    auto statuses = first.make_status_subscriber();
    auto master = *first.attach_master("s", backend::lmdb, at("a"));
    const auto port = join(second, first);
    auto heir = *second.attach_clone("s", standby("b"));
    ASSERT_TRUE(heir.await_sync());
    ASSERT_TRUE(master.put("shared", 1).wait(patience));
    ASSERT_TRUE(eventually([&] { return on_disk(master, 1); }));
    ASSERT_TRUE(eventually([&] { return heir.get("shared") == data{1}; }));
    ASSERT_TRUE(second.unpeer("127.0.0.1", port));
    ASSERT_TRUE(eventually([&] { return !attached(heir); }));
    ASSERT_TRUE(master.put("lonely", "kept").wait(patience));
    ASSERT_TRUE(heir.promote(patience));
    ASSERT_TRUE(heir.put("new", 2).wait(patience));
    ASSERT_TRUE(second.peer("127.0.0.1", port));
    EXPECT_TRUE(eventually([&] { return !master.is_master(); }));
    EXPECT_TRUE(eventually([&] { return master.get("new") == data{2}; }));
    EXPECT_EQ(master.get("lonely").error(), ec::no_such_key);
    EXPECT_TRUE(heir.is_master());
    // Told at once, and again when the file is there.
    const auto told = read_until(statuses, ec::stale_data);
    ASSERT_FALSE(told.empty());
    EXPECT_NE(get<error>(told.back()).message().find("were only here"), std::string::npos);
    const auto file = read_until(statuses, ec::stale_data);
    ASSERT_FALSE(file.empty());
    EXPECT_NE(get<error>(file.back()).message().find("orphaned-"), std::string::npos);
    std::string kept;
    for (const auto& each : fs::directory_iterator{folder.path + "/a"}) {
        if (each.path().extension() == ".jsonl") {
            kept += text_of(each.path());
        }
    }
    EXPECT_NE(kept.find("\"change\":\"put\",\"key\":"), std::string::npos) << kept;
    EXPECT_NE(kept.find("lonely"), std::string::npos) << kept;
    EXPECT_EQ(kept.find("shared"), std::string::npos) << kept;
    // And it is a standby of the new one: it can be promoted in its turn.
    ASSERT_TRUE(heir.put("last", 3).wait(patience));
    ASSERT_TRUE(eventually([&] { return on_disk(heir, 1); }));
    ASSERT_TRUE(eventually([&] { return master.get("last") == data{3}; }));
    second.shutdown();
    const auto back = master.promote(patience);
    ASSERT_TRUE(back) << to_string(back.error());
    EXPECT_EQ(master.get("last"), data{3});
}

TEST_F(failover, both_sides_hear_of_a_second_master_that_was_refused) {
    auto first = make("first");
    auto second = make("second");
    auto statuses = first.make_status_subscriber();
    auto master = *first.attach_master("s");
    join(second, first);
    ASSERT_TRUE(second.attach_clone("s")->await_sync()) << "it knows where the master is";
    const auto refused = second.attach_master("s").error();
    EXPECT_EQ(refused, ec::master_exists);
    EXPECT_NE(refused.message().find(to_string(first.node_id())), std::string::npos);
    const auto told = read_until(statuses, ec::master_exists);
    ASSERT_FALSE(told.empty());
    EXPECT_NE(get<error>(told.back()).message().find(to_string(second.node_id())), std::string::npos);
    EXPECT_TRUE(master.put("x", 1).wait(patience)) << "it goes on";
}

TEST_F(failover, a_promotion_that_its_disk_holds_up_ends_with_an_error) {
    auto first = make("first");
    auto second = make("second");
    auto master = *first.attach_master("s");
    join(second, first);
    auto heir = *second.attach_clone("s", standby("b"));
    ASSERT_TRUE(heir.await_sync());
    ASSERT_TRUE(master.put("x", 1).wait(patience));
    ASSERT_TRUE(eventually([&] { return on_disk(master, 1); }));
    {
        const full_disk full;
        ASSERT_TRUE(master.put("y", 2).wait(patience));
        ASSERT_TRUE(eventually([&] { return heir.get("y") == data{2}; }));
        const auto promoted = heir.promote(1s);
        ASSERT_FALSE(promoted);
        EXPECT_EQ(promoted.error(), ec::request_timeout);
        EXPECT_FALSE(heir.is_master());
    }
    // It is a standby as before, and may be promoted when its disk does again.
    ASSERT_TRUE(master.put("z", 3).wait(patience));
    EXPECT_TRUE(eventually([&] { return heir.get("z") == data{3}; }));
    ASSERT_TRUE(eventually([&] { return on_disk(master, 1); }));
    EXPECT_TRUE(master.is_master());
    const auto again = heir.promote(patience);
    EXPECT_TRUE(again) << to_string(again.error());
    EXPECT_EQ(heir.get("z"), data{3});
}

TEST_F(failover, a_promotion_goes_on_as_long_as_the_most_patient_of_its_callers) {
    auto first = make("first");
    auto second = make("second");
    auto master = *first.attach_master("s");
    join(second, first);
    auto heir = *second.attach_clone("s", standby("b"));
    ASSERT_TRUE(heir.await_sync());
    ASSERT_TRUE(master.put("x", 1).wait(patience));
    ASSERT_TRUE(eventually([&] { return on_disk(master, 1); }));
    const full_disk full;
    ASSERT_TRUE(master.put("y", 2).wait(patience));
    ASSERT_TRUE(eventually([&] { return heir.get("y") == data{2}; }));
    auto patient = std::async(std::launch::async, [&] { return heir.promote(1h); });
    // Until the patient one is there.
    EXPECT_TRUE(eventually([&] {
        const auto hasty = heir.promote(1ms);
        EXPECT_EQ(hasty.error(), ec::request_timeout);
        return hasty.error().message().find("goes on") != std::string::npos;
    }));
    EXPECT_EQ(patient.wait_for(100ms), std::future_status::timeout);
    second.shutdown();
    const auto outcome = patient.get();
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error(), ec::shutting_down) << to_string(outcome.error());
}

TEST_F(failover, with_sync_replicas_a_write_waits_for_a_standby) {
    auto first = make("first");
    auto second = make("second");
    auto options = at("a");
    options.sync_replicas = 1;
    auto master = *first.attach_master("s", backend::lmdb, options);
    const auto write = master.put("x", 1);
    EXPECT_EQ(write.wait(50ms).error(), ec::request_timeout);
    join(second, first);
    auto heir = *second.attach_clone("s", standby("b"));
    EXPECT_TRUE(write.wait(patience));
    EXPECT_TRUE(heir.await_sync());
}

TEST_F(failover, electors_choose_a_master_by_themselves) {
    const std::vector<std::string> names{"a", "b", "c"};
    const auto elector = [&](const std::string& name) {
        auto out = at(name);
        out.sync_replicas = 1;
        out.failover = {names, name, 500ms};
        return out;
    };
    auto first = make("first");
    auto second = make("second");
    auto third = make("third");
    join(second, first);
    join(third, first);
    join(third, second);
    auto master = first.attach_master("s", backend::lmdb, elector("a"));
    ASSERT_TRUE(master) << to_string(master.error());
    clone_options how;
    how.standby = elector("b");
    auto b = *second.attach_clone("s", how);
    how.standby = elector("c");
    auto c = *third.attach_clone("s", how);
    for (int i = 0; i < 50; ++i) {
        ASSERT_TRUE(master->put(count(i), i).wait(patience));
    }
    ASSERT_TRUE(eventually([&] { return on_disk(*master, 2); }));
    first.shutdown();
    ASSERT_TRUE(eventually([&] { return b.is_master() != c.is_master(); }));
    auto& heir = b.is_master() ? b : c;
    auto& other = b.is_master() ? c : b;
    EXPECT_EQ(heir.size(), 50U);
    EXPECT_TRUE(heir.put("x", 1).wait(patience));
    EXPECT_TRUE(eventually([&] { return other.get("x") == data{1}; }));
    // Who was an elector comes back as one: a start as master is refused and leaves its disk alone.
    first = make("first again");
    EXPECT_EQ(first.attach_master("s", backend::lmdb, elector("a")).error(),
              ec::invalid_configuration);
    how.standby = elector("a");
    auto back = first.attach_clone("s", how);
    ASSERT_TRUE(back) << to_string(back.error());
    join(first, second);
    EXPECT_TRUE(eventually([&] { return back->get("x") == data{1}; }));
    EXPECT_TRUE(heir.is_master());
    auto bad = elector("d");
    how.standby = bad;
    EXPECT_EQ(third.attach_clone("t", how).error(), ec::invalid_configuration);
}

}  // namespace
}  // namespace bzmq::testing
