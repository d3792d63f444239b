#include <gtest/gtest.h>

#include "support.hpp"
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <csignal>

/// What a store makes of files and systems that are not as they should be.
namespace bzmq::storage {
namespace {

using namespace test;
namespace fs = std::filesystem;

void expect_refused(const store_options& options, std::string_view why) {
    const auto store = lmdb_store::open(options);
    ASSERT_FALSE(store) << why;
    EXPECT_EQ(store.error(), ec::cannot_open_file);
    EXPECT_NE(store.error().message().find(why), std::string::npos) << store.error().message();
    EXPECT_NE(store.error().message().find(options.folder.string()), std::string::npos);
}

std::map<std::string, std::string> files_in(const fs::path& folder) {
    std::map<std::string, std::string> out;
    for (const auto& each : fs::directory_iterator{folder}) {
        if (each.is_regular_file()) {
            out[each.path().filename()] = file_text(each.path());
        }
    }
    return out;
}

/// A store with some of everything.
model fill(const fs::path& folder, int entries = 60) {
    model what;
    what.open_writer(1, endpoint_id{{1, 2, 3}}).entry();
    for (int i = 0; i < entries; ++i) {
        what.put("key" + std::to_string(i), std::string(static_cast<std::size_t>(i) * 100, 'v'),
                 i % 3 == 0 ? timestamp{std::chrono::seconds{i + 1}} : replica::no_expiry);
        what.entry({.writer = 1, .number = static_cast<std::uint64_t>(i) + 1});
    }
    auto store = lmdb_store::open({.folder = folder});
    EXPECT_TRUE(store);
    EXPECT_FALSE((*store)->commit(what.batch()));
    return what;
}

TEST(store_files, refuses_foreign_folders_and_leaves_them_alone) {
    const scratch_folder scratch;
    const auto folder = scratch.path();
    write_file(folder / "letter.txt", "Dear all");
    for (const bool read_only : {false, true}) {
        const store_options options{.folder = folder, .read_only = read_only};
        expect_refused(options, read_only ? "no data.mdb" : "other files");
        EXPECT_EQ(files_in(folder).size(), 1U);
    }
    expect_refused({.folder = folder / "letter.txt"}, "is a file");
    expect_refused({.folder = folder / "none" / "store"}, "cannot be made");
    expect_refused({.folder = folder / "none", .create = false}, "is not there");
}

TEST(store_files, refuses_files_that_are_not_of_lmdb_and_leaves_them_alone) {
    const std::pair<std::string, std::string_view> contents[]{
        {"", "empty"},
        {"a text, not a store", "too short"},
        {std::string(100'000, 't'), "not a file of LMDB"},
        {std::string(100'000, '\0'), "not a file of LMDB"},
    };
    for (const auto& [content, why] : contents) {
        const scratch_folder scratch;
        write_file(scratch.path() / "data.mdb", content);
        const auto before = files_in(scratch.path());
        for (const bool read_only : {false, true}) {
            expect_refused({.folder = scratch.path(), .read_only = read_only}, why);
        }
        EXPECT_EQ(files_in(scratch.path()), before);
    }
}

TEST(store_files, refuses_the_lmdb_files_of_other_programs) {
    const scratch_folder scratch;
    {
        auto env = open_env(scratch.path(), {.map_bytes_max = 1 << 24});
        ASSERT_TRUE(env);
        MDB_txn* txn = nullptr;
        MDB_dbi tree = 0;
        ASSERT_EQ(::mdb_txn_begin(env->get(), nullptr, 0, &txn), 0);
        ASSERT_EQ(::mdb_dbi_open(txn, "theirs", MDB_CREATE, &tree), 0);
        auto key = to_val(std::string_view{"a"});
        ASSERT_EQ(::mdb_put(txn, tree, &key, &key, 0), 0);
        ASSERT_EQ(::mdb_txn_commit(txn), 0);
    }
    const auto before = file_text(scratch.path() / "data.mdb");
    for (const bool read_only : {false, true}) {
        expect_refused({.folder = scratch.path(), .read_only = read_only}, "another program");
    }
    EXPECT_EQ(file_text(scratch.path() / "data.mdb"), before);
}

TEST(store_files, refuses_a_file_that_was_cut_off_wherever) {
    const scratch_folder scratch{memory_folder()};
    fill(scratch.store());
    const auto path = scratch.store() / "data.mdb";
    const auto whole = file_text(path);
    for (std::size_t size = 0; size < whole.size(); size += 1024) {
        fs::resize_file(path, size);
        auto store = lmdb_store::open({.folder = scratch.store(), .read_only = true});
        if (store) {  // Only pages that nobody needs were behind.
            EXPECT_FALSE((*store)->verify());
        } else {
            EXPECT_EQ(store.error(), ec::cannot_open_file);
        }
        EXPECT_EQ(fs::file_size(path), size);
        store = fail(ec::none);
        write_file(path, whole);
    }
    fs::resize_file(path, 40'000);
    expect_refused({.folder = scratch.store()}, "cut off");
}

TEST(store_files, finds_flipped_bytes_anywhere_or_is_not_hurt_by_them) {
    const scratch_folder scratch{memory_folder()};
    const auto wanted = fill(scratch.store());
    const auto path = scratch.store() / "data.mdb";
    const auto whole = file_text(path);
    prng random{4};
    int found = 0;
    for (int i = 0; i < 3'000; ++i) {
        auto damaged = whole;
        // Half of them in the heads of pages, where LMDB is hurt most.
        auto at = random.below(damaged.size());
        at = random.chance(1, 2) ? at : at / 4096 * 4096 + random.below(64);
        damaged[at] = static_cast<char>(random.below(256));
        write_file(path, damaged);
        auto store = lmdb_store::open({.folder = scratch.store(), .read_only = i % 2 == 0});
        if (!store) {
            ++found;
            EXPECT_EQ(file_text(path), damaged);
            continue;
        }
        if ((*store)->verify()) {
            ++found;
            continue;
        }
        if (i % 2 == 1) {  // Sound as far as it is used, so writing must work as well.
            auto more = wanted;
            more.put("more", std::string(20'000, 'm')).entry({.writer = 1, .number = 100});
            const auto problem = (*store)->commit(more.batch());
            EXPECT_TRUE(!problem || problem == ec::invalid_data || problem == ec::backend_failure);
            const auto again = (*store)->verify();
            EXPECT_FALSE(again) << to_string(again) << " after byte " << at;
        }
    }
    EXPECT_GT(found, 500);
}

TEST(store_files, names_the_key_whose_record_is_damaged) {
    const scratch_folder scratch;
    model what;
    what.put("the key", std::string(100, 'v')).entry().put("other", 1).entry();
    {
        auto store = lmdb_store::open({.folder = scratch.store(), .log_bytes_max = 0});
        ASSERT_FALSE((*store)->commit(what.batch()));
    }
    const auto path = scratch.store() / "data.mdb";
    auto content = file_text(path);
    content[content.find("vvvv") + 50] = 'w';
    // The log's copy has gone with its limit, but its page may be there still.
    for (auto at = content.find("vvvv"); at != std::string::npos;
         at = content.find("vvvv", at + 100)) {
        content[at + 1] = 'w';
    }
    write_file(path, content);
    const auto store = lmdb_store::open({.folder = scratch.store(), .read_only = true});
    ASSERT_TRUE(store) << to_string(store.error());
    for (const auto& problem :
         {(*store)->verify(), (*store)->for_each_value([](const auto&) { return true; })}) {
        EXPECT_EQ(problem, ec::backend_failure);
        EXPECT_NE(problem.message().find("\"the key\" is damaged"), std::string::npos)
            << problem.message();
    }
}

TEST(store_files, names_the_entry_of_the_log_that_is_damaged) {
    const scratch_folder scratch;
    model what;
    for (int i = 0; i < 9; ++i) {
        what.put("k", i == 4 ? "needle" : "straw").entry();
    }
    {
        auto store = lmdb_store::open({.folder = scratch.store()});
        ASSERT_FALSE((*store)->commit(what.batch()));
    }
    const auto path = scratch.store() / "data.mdb";
    auto content = file_text(path);
    content.replace(content.find("needle"), 1, "N");
    write_file(path, content);
    const auto store = lmdb_store::open({.folder = scratch.store(), .read_only = true});
    ASSERT_TRUE(store) << to_string(store.error());
    replica::sequence last = 0;
    const auto problem = (*store)->read_log(1, [&last](replica::sequence number, const auto&) {
        last = number;
        return true;
    });
    EXPECT_EQ(problem, ec::backend_failure);
    EXPECT_NE(problem.message().find("entry 5 of the log is damaged"), std::string::npos);
    EXPECT_EQ(last, 4U);
}

/// Writes the record of the format's version as another program version would.
void set_version(const fs::path& folder, std::uint32_t version) {
    auto env = open_env(folder, {.map_bytes_max = 1 << 24});
    ASSERT_TRUE(env);
    MDB_txn* txn = nullptr;
    MDB_dbi meta = 0;
    ASSERT_EQ(::mdb_txn_begin(env->get(), nullptr, 0, &txn), 0);
    ASSERT_EQ(::mdb_dbi_open(txn, "meta", 0, &meta), 0);
    const auto record = format_record(version);
    auto key = to_val(std::string_view{"format"});
    auto value = to_val(record);
    ASSERT_EQ(::mdb_put(txn, meta, &key, &value, 0), 0);
    ASSERT_EQ(::mdb_txn_commit(txn), 0);
}

TEST(store_files, refuses_a_newer_format_version_and_leaves_it_alone) {
    const scratch_folder scratch;
    fill(scratch.store());
    set_version(scratch.store(), 7);
    const auto before = file_text(scratch.store() / "data.mdb");
    for (const bool read_only : {false, true}) {
        expect_refused({.folder = scratch.store(), .read_only = read_only}, "format version 7");
    }
    EXPECT_EQ(file_text(scratch.store() / "data.mdb"), before);
}

/// Version 0, if there had been one, kept a note that version 1 does not know.
int drop_relic(MDB_txn* txn) {
    MDB_dbi meta = 0;
    auto key = to_val(std::string_view{"relic"});
    const int code = ::mdb_dbi_open(txn, "meta", 0, &meta);
    return code != MDB_SUCCESS ? code : ::mdb_del(txn, meta, &key, nullptr);
}

TEST(store_files, brings_older_versions_up_to_date_in_one_step_or_not_at_all) {
    const scratch_folder scratch;
    const auto wanted = fill(scratch.store());
    set_version(scratch.store(), 0);
    const auto before = file_text(scratch.store() / "data.mdb");
    expect_refused({.folder = scratch.store()}, "no way to version 1");
    expect_refused({.folder = scratch.store(), .read_only = true}, "older format version 0");
    const migration steps[]{{.from = 0, .run = drop_relic}};
    {
        const auto store = lmdb_store::open({.folder = scratch.store(), .migrations = steps});
        ASSERT_FALSE(store);  // The relic is missing, so the step fails.
        EXPECT_EQ(store.error(), ec::backend_failure);
    }
    EXPECT_EQ(file_text(scratch.store() / "data.mdb"), before);
    {
        auto env = open_env(scratch.store(), {.map_bytes_max = 1 << 24});
        MDB_txn* txn = nullptr;
        MDB_dbi meta = 0;
        ASSERT_EQ(::mdb_txn_begin(env->get(), nullptr, 0, &txn), 0);
        ASSERT_EQ(::mdb_dbi_open(txn, "meta", 0, &meta), 0);
        auto key = to_val(std::string_view{"relic"});
        ASSERT_EQ(::mdb_put(txn, meta, &key, &key, 0), 0);
        ASSERT_EQ(::mdb_txn_commit(txn), 0);
    }
    ASSERT_TRUE(lmdb_store::open({.folder = scratch.store(), .migrations = steps}));
    const auto store = lmdb_store::open({.folder = scratch.store()});
    ASSERT_TRUE(store) << to_string(store.error());
    error problem;
    EXPECT_EQ(values_in(**store, problem), wanted.values());
    EXPECT_FALSE((*store)->verify());
}

TEST(store_files, lets_one_process_write_and_names_it_to_the_others) {
    const scratch_folder scratch;
    fill(scratch.store());
    int ready[2];
    int end[2];
    ASSERT_EQ(::pipe(ready), 0);
    ASSERT_EQ(::pipe(end), 0);
    const auto child = ::fork();
    ASSERT_GE(child, 0);
    char byte = 0;
    if (child == 0) {
        const auto held = lmdb_store::open({.folder = scratch.store()});
        byte = held ? 'y' : 'n';
        const bool told = ::write(ready[1], &byte, 1) == 1;
        ::close(end[1]);
        ::_exit(told && ::read(end[0], &byte, 1) == 0 ? 0 : 1);
    }
    ASSERT_EQ(::read(ready[0], &byte, 1), 1);
    ASSERT_EQ(byte, 'y');
    expect_refused({.folder = scratch.store()}, "process " + std::to_string(child));
    {
        const auto reader = lmdb_store::open({.folder = scratch.store(), .read_only = true});
        ASSERT_TRUE(reader) << to_string(reader.error());
        EXPECT_FALSE((*reader)->verify());
    }
    for (const int fd : {end[0], end[1], ready[0], ready[1]}) {
        ::close(fd);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
    EXPECT_TRUE(lmdb_store::open({.folder = scratch.store()}));
}

TEST(store_files, goes_on_reading_and_writing_after_the_map_reached_its_limit) {
    const scratch_folder scratch;
    auto wanted = fill(scratch.store());
    const auto opened =
        lmdb_store::open({.folder = scratch.store(), .map_bytes_max = std::uint64_t{4} << 20});
    ASSERT_TRUE(opened) << to_string(opened.error());
    auto& store = **opened;
    auto too_much = wanted;
    too_much.put("big", std::string(std::size_t{5} << 20, 'b')).entry();
    for (int i = 0; i < 2; ++i) {
        auto copy = too_much;
        const auto problem = store.commit(copy.batch());
        EXPECT_EQ(problem, ec::backend_failure);
        EXPECT_NE(problem.message().find("limit of 4194304"), std::string::npos);
    }
    error problem;
    EXPECT_EQ(values_in(store, problem), wanted.values());
    wanted.put("small", 1).entry();
    EXPECT_FALSE(store.commit(wanted.batch()));
    EXPECT_EQ(values_in(store, problem), wanted.values());
    EXPECT_FALSE(store.verify());
}

/// A file system of its own, where we may.
class small_disk {
  public:
    explicit small_disk(const char* options) {
        mounted_ =
            ::geteuid() == 0 && ::mount("none", scratch_.path().c_str(), "tmpfs", 0, options) == 0;
    }
    ~small_disk() {
        if (mounted_) {
            ::umount2(scratch_.path().c_str(), MNT_DETACH);
        }
    }
    [[nodiscard]] bool mounted() const { return mounted_; }
    [[nodiscard]] fs::path store() const { return scratch_.store(); }
    bool make_read_only() {
        return ::mount("none", scratch_.path().c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, "") == 0;
    }

  private:
    scratch_folder scratch_;
    bool mounted_ = false;
};

TEST(store_files, goes_on_reading_when_the_disk_is_full_and_writing_when_it_is_not) {
    const small_disk disk{"size=8m"};
    if (!disk.mounted()) {
        GTEST_SKIP() << "needs the right to mount a tmpfs";
    }
    auto wanted = fill(disk.store());
    const auto opened = lmdb_store::open({.folder = disk.store()});
    ASSERT_TRUE(opened) << to_string(opened.error());
    auto& store = **opened;
    error problem;
    int fitted = 0;
    for (; fitted < 20; ++fitted) {
        auto more = wanted;
        more.put("big" + std::to_string(fitted), std::string(std::size_t{1} << 20, 'b')).entry();
        if (const auto why = store.commit(more.batch())) {
            EXPECT_EQ(why, ec::backend_failure);
            EXPECT_NE(why.message().find("No space left"), std::string::npos) << why.message();
            break;
        }
        wanted = more;
        wanted.batch();
    }
    ASSERT_LT(fitted, 20);
    EXPECT_EQ(values_in(store, problem), wanted.values());
    EXPECT_FALSE(store.verify());
    wanted.erase("big0").erase("big1").entry();
    EXPECT_FALSE(store.commit(wanted.batch()));
    EXPECT_EQ(values_in(store, problem), wanted.values());
    EXPECT_FALSE(store.verify());
}

TEST(store_files, cannot_be_made_on_a_full_disk) {
    const small_disk disk{"size=16k"};
    if (!disk.mounted()) {
        GTEST_SKIP() << "needs the right to mount a tmpfs";
    }
    expect_refused({.folder = disk.store()}, "No space left");
}

TEST(store_files, is_readable_in_a_read_only_folder_and_says_why_it_is_not_writable) {
    small_disk disk{"size=8m"};
    if (!disk.mounted()) {
        GTEST_SKIP() << "needs the right to mount a tmpfs";
    }
    const auto wanted = fill(disk.store());
    ASSERT_TRUE(disk.make_read_only());
    expect_refused({.folder = disk.store()}, "Read-only file system");
    const auto store = lmdb_store::open({.folder = disk.store(), .read_only = true});
    ASSERT_TRUE(store) << to_string(store.error());
    error problem;
    EXPECT_EQ(values_in(**store, problem), wanted.values());
    EXPECT_FALSE((*store)->verify());
}

TEST(store_files, tells_that_a_file_may_not_grow) {
    const scratch_folder scratch;
    auto wanted = fill(scratch.store());
    const auto opened = lmdb_store::open({.folder = scratch.store()});
    ASSERT_TRUE(opened);
    auto& store = **opened;
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
    auto* const handler = std::signal(SIGXFSZ, SIG_IGN);
    const rlimit tight{2 << 20, before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &tight), 0);
    auto more = wanted;
    more.put("big", std::string(std::size_t{4} << 20, 'b')).entry();
    auto again = more;
    const auto problem = store.commit(more.batch());
    ::setrlimit(RLIMIT_FSIZE, &before);
    std::signal(SIGXFSZ, handler);
    EXPECT_EQ(problem, ec::backend_failure);
    error ignored;
    EXPECT_EQ(values_in(store, ignored), wanted.values());
    EXPECT_FALSE(store.commit(again.batch()));
    EXPECT_EQ(values_in(store, ignored), again.values());
}

}  // namespace
}  // namespace bzmq::storage
