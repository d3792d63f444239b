#include "bzmq/store_file.hpp"

#include <gtest/gtest.h>

#include "support.hpp"
#include <sys/wait.h>

namespace bzmq::store_file {
namespace {

using namespace storage;
using namespace storage::test;
namespace fs = std::filesystem;

class store_file : public testing::Test {
  protected:
    void SetUp() override {
        auto store = lmdb_store::open({.folder = store_});
        ASSERT_TRUE(store) << to_string(store.error());
        auto who = (*store)->identity();
        who.epochs = {{1, 1}, {2, 1}};
        ASSERT_FALSE((*store)->begin_epoch(who));
        id_ = who.store;
        for (int i = 0; i < 2'000; ++i) {
            wanted_.put(i, std::string(500, 'v')).entry();
        }
        for (int i = 100; i < 2'000; ++i) {
            wanted_.erase(i).entry();
        }
        wanted_.put("expiring", 1, timestamp{std::chrono::hours{1}}).entry();
        ASSERT_FALSE((*store)->commit(wanted_.batch()));
    }
    void expect_same_values(const fs::path& folder) {
        const auto store = lmdb_store::open({.folder = folder, .create = false});
        ASSERT_TRUE(store) << to_string(store.error());
        error problem;
        EXPECT_EQ(values_in(**store, problem), wanted_.values());
        EXPECT_FALSE((*store)->verify());
        EXPECT_EQ((*store)->chain(), wanted_.chain());
        auto more = wanted_;
        more.put("more", 1).entry();
        EXPECT_FALSE((*store)->commit(more.batch()));
    }

    scratch_folder scratch_;
    fs::path store_ = scratch_.store();
    fs::path other_ = scratch_.path() / "other";
    endpoint_id id_;
    model wanted_;
};

/// Somebody else's handle on a store, in a process of its own.
class holder {
  public:
    holder(const fs::path& folder, bool read_only) {
        int ready[2];
        int end[2];
        if (::pipe(ready) != 0 || ::pipe(end) != 0 || (child_ = ::fork()) < 0) {
            std::abort();
        }
        char byte = 0;
        if (child_ == 0) {
            const auto held = lmdb_store::open({.folder = folder, .read_only = read_only});
            byte = held ? 'y' : 'n';
            const bool told = ::write(ready[1], &byte, 1) == 1;
            ::close(end[1]);
            ::_exit(told && ::read(end[0], &byte, 1) == 0 ? 0 : 1);
        }
        if (::read(ready[0], &byte, 1) != 1 || byte != 'y') {
            std::abort();
        }
        for (const int fd : {ready[0], ready[1], end[0]}) {
            ::close(fd);
        }
        end_ = end[1];
    }
    ~holder() {
        ::close(end_);
        ::waitpid(child_, nullptr, 0);
    }

  private:
    pid_t child_ = -1;
    int end_ = -1;
};

TEST_F(store_file, check_tells_what_a_store_holds) {
    const auto told = check(store_);
    ASSERT_TRUE(told) << to_string(told.error());
    EXPECT_EQ(told->store, id_);
    EXPECT_EQ(told->epoch, 2U);
    EXPECT_EQ(told->last, wanted_.last());
    EXPECT_EQ(told->log_first, 1U);
    EXPECT_EQ(told->values, 101U);
    EXPECT_EQ(told->expiring, 1U);
    EXPECT_GT(told->bytes_used, 50'000U);
    EXPECT_GE(told->bytes_of_file, told->bytes_used);
}

TEST_F(store_file, dump_gives_every_value_in_order_as_json) {
    std::vector<std::string> lines;
    const auto told = dump(store_, [&lines](std::string_view line) {
        lines.emplace_back(line);
        return true;
    });
    ASSERT_TRUE(told) << to_string(told.error());
    ASSERT_EQ(lines.size(), 101U);
    EXPECT_TRUE(lines.front().starts_with(
        R"({"key":{"@data-type":"integer","data":0},"value":{"@data-type":"string","data":"vvv)"));
    EXPECT_TRUE(lines.front().ends_with(R"("},"revision":1})"));
    EXPECT_EQ(lines.back(), R"({"key":{"@data-type":"string","data":"expiring"},)"
                            R"("value":{"@data-type":"integer","data":1},"revision":3901,)"
                            R"("expiry":"1970-01-01T01:00:00Z"})");
    int count = 0;
    const auto stopped = dump(store_, [&count](std::string_view) { return ++count < 10; });
    EXPECT_EQ(stopped.error(), ec::cancelled);
    EXPECT_EQ(count, 10);
}

TEST_F(store_file, compact_keeps_everything_in_fewer_bytes) {
    {
        auto store = lmdb_store::open({.folder = store_, .log_bytes_max = 1'000});
        ASSERT_FALSE((*store)->commit(wanted_.put("x", 1).entry().batch()));
    }
    const auto before = fs::file_size(store_ / "data.mdb");
    const auto told = compact(store_);
    ASSERT_TRUE(told) << to_string(told.error());
    EXPECT_EQ(told->store, id_);
    EXPECT_LT(told->bytes_of_file, before / 4);
    EXPECT_FALSE(fs::exists(store_ / "bzmq.making"));
    expect_same_values(store_);
}

TEST_F(store_file, compact_needs_the_store_for_itself) {
    const auto before = file_text(store_ / "data.mdb");
    for (const bool reader : {false, true}) {
        const holder somebody{store_, reader};
        const auto told = compact(store_);
        ASSERT_FALSE(told);
        EXPECT_EQ(told.error(), ec::cannot_open_file);
        EXPECT_NE(told.error().message().find(reader ? "being read" : "in use by process"),
                  std::string::npos)
            << told.error().message();
    }
    EXPECT_EQ(file_text(store_ / "data.mdb"), before);
    EXPECT_TRUE(compact(store_));
}

TEST_F(store_file, backup_beside_a_master_is_a_store_of_its_own) {
    {
        const holder master{store_, false};
        const auto told = backup(store_, other_);
        ASSERT_TRUE(told) << to_string(told.error());
        EXPECT_EQ(told->values, 101U);
        EXPECT_EQ(told->store, id_);
    }
    expect_same_values(other_);
    expect_same_values(store_);
}

TEST_F(store_file, backup_touches_nothing_that_is_there) {
    fs::create_directory(other_);
    write_file(other_ / "letter.txt", "Dear all");
    EXPECT_EQ(backup(store_, other_).error(), ec::cannot_write_file);
    EXPECT_EQ(backup(store_, store_).error(), ec::cannot_write_file);
    EXPECT_EQ(backup(store_, scratch_.path() / "no" / "such").error(), ec::cannot_write_file);
    EXPECT_EQ(backup(other_, scratch_.path() / "new").error(), ec::cannot_open_file);
    EXPECT_FALSE(fs::exists(scratch_.path() / "new"));
}

TEST_F(store_file, backup_that_is_stopped_leaves_nothing) {
    const auto told =
        backup(store_, other_, [](std::string_view what, auto, auto) { return what != "copy"; });
    EXPECT_EQ(told.error(), ec::cancelled);
    EXPECT_FALSE(fs::exists(other_));
}

TEST_F(store_file, restore_makes_a_store_that_no_clone_takes_for_the_old_one) {
    ASSERT_TRUE(backup(store_, other_));
    const auto fresh = scratch_.path() / "fresh";
    const auto told = restore(fresh, other_);
    ASSERT_TRUE(told) << to_string(told.error());
    EXPECT_NE(told->store, id_);
    EXPECT_EQ(told->epoch, 2U);
    expect_same_values(fresh);
}

TEST_F(store_file, restore_overwrites_only_when_told) {
    ASSERT_TRUE(backup(store_, other_));
    {
        auto store = lmdb_store::open({.folder = store_});
        auto later = wanted_;
        ASSERT_FALSE((*store)->commit(later.put("later", 1).entry().batch()));
    }
    EXPECT_EQ(restore(store_, other_).error(), ec::cannot_write_file);
    EXPECT_EQ(check(store_)->values, 102U);
    {
        const holder master{store_, false};
        EXPECT_EQ(restore(store_, other_, true).error(), ec::cannot_open_file);
    }
    ASSERT_TRUE(restore(store_, other_, true));
    expect_same_values(store_);
}

TEST_F(store_file, restore_mends_a_damaged_store_but_takes_no_damaged_one) {
    ASSERT_TRUE(backup(store_, other_));
    write_file(store_ / "data.mdb", "no store");
    EXPECT_EQ(check(store_).error(), ec::cannot_open_file);
    EXPECT_EQ(restore(other_, store_, true).error(), ec::cannot_open_file);
    EXPECT_TRUE(check(other_));
    ASSERT_TRUE(restore(store_, other_, true));
    expect_same_values(store_);
}

TEST_F(store_file, tells_progress) {
    std::map<std::string, std::uint64_t> steps;
    const auto told = [&steps](std::string_view what, std::uint64_t done, std::uint64_t total) {
        EXPECT_LE(done, total);
        ++steps[std::string{what}];
        return true;
    };
    ASSERT_TRUE(backup(store_, other_, told));
    EXPECT_GT(steps["copy"], 0U);
    EXPECT_GT(steps["records"], 0U);
}

}  // namespace
}  // namespace bzmq::store_file
