// A master on a disk that is full, through the public API.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <thread>

#include "endpoint/scratch.hpp"
#include "endpoint/support.hpp"

namespace bzmq::testing {
namespace {

master_options at(const std::string& path) {
    master_options out;
    out.path = path;
    return out;
}

/// Larger than what a store has free in its file.
const std::string large(512 * 1024, 'v');

void expect_disk_error(const store_write& write, std::string_view text) {
    const auto outcome = write.wait(patience);
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error(), ec::backend_failure);
    EXPECT_NE(outcome.error().message().find(text), std::string::npos)
        << to_string(outcome.error());
}

/// Writes until nothing more goes in.
void fill_up(const std::string& path) {
    const int file = ::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    ASSERT_GE(file, 0);
    for (std::string block(64 * 1024, 'x'); !block.empty();) {
        if (::write(file, block.data(), block.size()) < 0) {
            block.resize(block.size() / 2);
        }
    }
    ::close(file);
}

void a_master_goes_on_reading_when_its_disk_is_full(const std::string& folder) {
    auto first = make("first");
    auto second = make("second");
    auto statuses = first.make_status_subscriber();
    join(second, first);
    auto attached = first.attach_master("s", backend::lmdb, at(folder + "/s"));
    ASSERT_TRUE(attached) << to_string(attached.error());
    auto& master = *attached;
    auto clone = *second.attach_clone("s");
    ASSERT_TRUE(master.put("kept", 1).wait(patience));
    ASSERT_TRUE(clone.await_sync(patience));
    auto events = master.events();

    fill_up(folder + "/filler");
    const std::string no_space = std::strerror(ENOSPC);
    expect_disk_error(master.put("big", large), no_space);
    expect_disk_error(master.apply(store_batch{}.put("kept", 2).put("big", large)), no_space);
    const auto told = read_until(statuses, ec::backend_failure);
    ASSERT_FALSE(told.empty());
    EXPECT_NE(get<error>(told.back()).message().find(no_space), std::string::npos);
    // A clone's writer learns what, though not the words.
    const auto from_afar = clone.put("big", large).wait(patience);
    ASSERT_FALSE(from_afar);
    EXPECT_EQ(from_afar.error(), ec::backend_failure);
    for (const auto& each : {master, clone}) {
        EXPECT_EQ(each.get("kept"), data{1});
        EXPECT_EQ(each.exists("big"), data{false});
        EXPECT_EQ(each.size(), 1U);
    }
    EXPECT_EQ(events.available(), 0U);

    ASSERT_EQ(::unlink((folder + "/filler").c_str()), 0);
    const auto again = master.put("big", large).wait(patience);
    ASSERT_TRUE(again) << to_string(again.error());
    EXPECT_TRUE(clone.put("small", 3).wait(patience));
    EXPECT_TRUE(master.await_idle(patience));
    EXPECT_EQ(clone.get("big"), data{large});
    EXPECT_EQ(master.info()->hash, clone.info()->hash);
    EXPECT_EQ(events.available(), 2U);
    // And after a restart.
    master.detach();
    attached = first.attach_master("s", backend::lmdb, at(folder + "/s"));
    ASSERT_TRUE(attached) << to_string(attached.error());
    EXPECT_EQ(attached->size(), 3U);
}

TEST(store_disk, a_master_goes_on_reading_when_its_file_system_is_full) {
    const scratch folder;
    std::string why;
    // A file system of its own, that goes with the thread: nobody else ever sees it.
    std::thread{[&] {
        const auto refused = [&why](const char* what) {
            why = std::string{what} + ": " + std::strerror(errno);
        };
        if (::unshare(CLONE_NEWNS) != 0) {
            return refused("unshare");
        }
        if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0
            || ::mount("none", folder.path.c_str(), "tmpfs", 0, "size=4m") != 0) {
            return refused("mount");
        }
        a_master_goes_on_reading_when_its_disk_is_full(folder.path);
    }}.join();
    if (!why.empty()) {
        GTEST_SKIP() << "no file system to fill up, " << why;
    }
}

TEST(store_disk, a_write_that_the_disk_refuses_says_what_the_system_said) {
    const scratch folder;
    auto ep = make("one");
    auto master = ep.attach_master("s", backend::lmdb, at(folder.path + "/s"));
    ASSERT_TRUE(master) << to_string(master.error());
    ASSERT_TRUE(master->put("kept", 1).wait(patience));
    ::signal(SIGXFSZ, SIG_IGN);
    ::rlimit before{};
    ::getrlimit(RLIMIT_FSIZE, &before);
    auto none = before;
    none.rlim_cur = 1;
    ::setrlimit(RLIMIT_FSIZE, &none);
    const auto write = master->put("big", large);
    expect_disk_error(write, std::strerror(EFBIG));
    ::setrlimit(RLIMIT_FSIZE, &before);
    EXPECT_EQ(master->get("kept"), data{1});
    EXPECT_EQ(master->exists("big"), data{false});
    EXPECT_TRUE(master->put("big", large).wait(patience));
}

TEST(store_disk, a_write_that_exceeds_the_map_says_so) {
    const scratch folder;
    auto ep = make("one");
    auto options = at(folder.path + "/s");
    options.map_bytes_max = std::uint64_t{4} << 20;
    auto master = ep.attach_master("s", backend::lmdb, options);
    ASSERT_TRUE(master) << to_string(master.error());
    ASSERT_TRUE(master->put("kept", 1).wait(patience));
    const auto outcome = master->put("big", std::string(std::size_t{5} << 20, 'v')).wait(patience);
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error(), ec::backend_failure);
    EXPECT_FALSE(outcome.error().message().empty());
    EXPECT_EQ(master->get("kept"), data{1});
    EXPECT_TRUE(master->put("small", 2).wait(patience));
}

TEST(store_disk, a_large_value_behind_many_small_ones_waits_for_the_disk_with_them) {
    const scratch folder;
    auto ep = make("one");
    auto master = *ep.attach_master("s", backend::lmdb, at(folder.path + "/s"));
    std::vector<store_write> writes;
    const data some{std::string(512 * 1024, 's')};
    for (int i = 0; i < 30; ++i) {
        writes.push_back(master.put(i, some));
    }
    writes.push_back(master.put("large", data{std::string(60 << 20, 'l')}));
    for (const auto& each : writes) {
        // ThreadSanitizer alone takes half a minute for so many bytes.
        const auto outcome = each.wait(6 * patience);
        EXPECT_TRUE(outcome) << to_string(outcome.error());
    }
    EXPECT_EQ(master.size(), 31U);
}

TEST(store_disk, writes_that_wait_at_the_same_time_share_a_commit) {
    const scratch folder;
    auto ep = make("one");
    auto master = *ep.attach_master("s", backend::lmdb, at(folder.path + "/s"));
    std::vector<store_write> writes;
    for (int i = 0; i < 1'000; ++i) {
        writes.push_back(master.put(i, i));
    }
    for (const auto& each : writes) {
        ASSERT_TRUE(each.wait(patience));
    }
    EXPECT_GE(master.info()->commits, 1U);
    EXPECT_LT(master.info()->commits, writes.size());
    auto memory = *ep.attach_master("t");
    ASSERT_TRUE(memory.put("x", 1).wait(patience));
    EXPECT_EQ(memory.info()->commits, 0U);
}

}  // namespace
}  // namespace bzmq::testing
