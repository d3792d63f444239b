// A disk that answers EIO, by standing before the C library's calls that LMDB makes.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "storage/support.hpp"

#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)  // They have some of their own.

namespace bzmq::storage {
namespace {

using namespace test;

enum class broken : int { nothing, writes, syncs };
std::atomic<broken> disk{broken::nothing};

class io_error : public ::testing::TestWithParam<broken> {
  protected:
    ~io_error() override { disk = broken::nothing; }
    std::unique_ptr<lmdb_store> opened() {
        auto out = lmdb_store::open({.folder = scratch_.store()});
        EXPECT_TRUE(out) << to_string(out.error());
        return out ? std::move(*out) : nullptr;
    }
    scratch_folder scratch_;
};

TEST_P(io_error, fails_a_commit_and_nothing_else) {
    auto store = opened();
    ASSERT_TRUE(store);
    model held;
    held.put("before", 1).entry();
    ASSERT_FALSE(store->commit(held.batch()));
    const auto values = held.values();
    auto next = held;
    next.put("next", std::string(100'000, 'x')).entry();
    const auto batch = next.batch();

    disk = GetParam();
    for (int attempt = 0; attempt < 3; ++attempt) {
        const auto problem = store->commit(batch);
        ASSERT_EQ(problem, ec::backend_failure);
        EXPECT_NE(problem.message().find("Input/output error"), std::string::npos)
            << problem.message();
        EXPECT_EQ(store->last(), 1U);
        error reading;
        EXPECT_EQ(values_in(*store, reading), values);
        EXPECT_FALSE(reading) << to_string(reading);
    }
    disk = broken::nothing;

    ASSERT_FALSE(store->commit(batch));
    for (int run = 0; run < 2; ++run) {
        error reading;
        EXPECT_EQ(values_in(*store, reading), next.values());
        EXPECT_FALSE(store->verify());
        store.reset();
        store = opened();
        ASSERT_TRUE(store);
    }
}

TEST_P(io_error, in_opening_is_told_and_leaves_the_store_as_it_was) {
    model held;
    held.put("before", 1).entry();
    {
        auto store = opened();
        ASSERT_TRUE(store);
        ASSERT_FALSE(store->commit(held.batch()));
    }
    auto who = opened()->identity();
    who.epochs.push_back({who.epoch() + 1, 2});
    {
        auto store = opened();
        disk = GetParam();
        EXPECT_EQ(store->begin_epoch(who), ec::backend_failure);
        EXPECT_EQ(store->put_note("vote", key_of("x")), ec::backend_failure);
        disk = broken::nothing;
    }
    auto store = opened();
    EXPECT_NE(store->identity().epoch(), who.epoch());
    EXPECT_TRUE(store->note("vote")->empty());
    error reading;
    EXPECT_EQ(values_in(*store, reading), held.values());
}

INSTANTIATE_TEST_SUITE_P(disks, io_error, ::testing::Values(broken::writes, broken::syncs),
                         [](const auto& of) {
                             return of.param == broken::writes ? "that_write_nothing"
                                                               : "that_sync_nothing";
                         });

template <class F>
F* real(const char* name) {
    return reinterpret_cast<F*>(::dlsym(RTLD_NEXT, name));
}

bool fails(broken what) {
    if (disk != what) {
        return false;
    }
    errno = EIO;
    return true;
}

}  // namespace
}  // namespace bzmq::storage

using bzmq::storage::broken;
using bzmq::storage::fails;
using bzmq::storage::real;

#define BZMQ_BEFORE extern "C" __attribute__((visibility("default")))
BZMQ_BEFORE ssize_t pwrite(int file, const void* from, size_t size, off_t at) {
    static auto* const next = real<decltype(pwrite)>("pwrite");
    return fails(broken::writes) ? -1 : next(file, from, size, at);
}
BZMQ_BEFORE ssize_t writev(int file, const iovec* parts, int count) {
    static auto* const next = real<decltype(writev)>("writev");
    return fails(broken::writes) ? -1 : next(file, parts, count);
}
BZMQ_BEFORE int fdatasync(int file) {
    static auto* const next = real<decltype(fdatasync)>("fdatasync");
    return fails(broken::syncs) ? -1 : next(file);
}
BZMQ_BEFORE int fsync(int file) {
    static auto* const next = real<decltype(fsync)>("fsync");
    return fails(broken::syncs) ? -1 : next(file);
}

#endif
