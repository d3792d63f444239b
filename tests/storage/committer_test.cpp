#include "storage/committer.hpp"

#include <gtest/gtest.h>

#include "support.hpp"

#include <condition_variable>
#include <mutex>
#include <thread>

namespace bzmq::storage {
namespace {

using namespace std::chrono_literals;
using namespace test;

/// What a committer has told.
class listener {
  public:
    committer::done_fn fn() {
        return [this](replica::sequence last, const error& problem) {
            const std::lock_guard lock{mutex_};
            ++calls_;
            (problem ? failed_ : done_) = last;
            problem_ = problem;
            changed_.notify_all();
        };
    }
    bool wait_done(replica::sequence last) {
        std::unique_lock lock{mutex_};
        return changed_.wait_for(lock, 30s, [&] { return done_ >= last; });
    }
    bool wait_failed(replica::sequence last) {
        std::unique_lock lock{mutex_};
        return changed_.wait_for(lock, 30s, [&] { return failed_ >= last; });
    }
    int calls() {
        const std::lock_guard lock{mutex_};
        return calls_;
    }
    replica::sequence done() {
        const std::lock_guard lock{mutex_};
        return done_;
    }
    error problem() {
        const std::lock_guard lock{mutex_};
        return problem_;
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    int calls_ = 0;
    replica::sequence done_ = 0;
    replica::sequence failed_ = 0;
    error problem_;
};

class committing : public testing::TestWithParam<durability> {
  protected:
    void open(std::uint64_t map_bytes_max = std::uint64_t{1} << 40) {
        store_.reset();
        auto store = lmdb_store::open(
            {.folder = scratch_.store(), .mode = GetParam(), .map_bytes_max = map_bytes_max});
        ASSERT_TRUE(store) << to_string(store.error());
        store_ = std::move(*store);
    }
    replica::persist_batch next(std::size_t bytes = 100) {
        wanted_.put(wanted_.last(), std::string(bytes, 'v')).entry();
        return wanted_.batch();
    }
    void expect_kept() {
        error problem;
        EXPECT_EQ(values_in(*store_, problem), wanted_.values());
        EXPECT_FALSE(store_->verify());
    }

    scratch_folder scratch_;
    std::unique_ptr<lmdb_store> store_;
    model wanted_;
    listener heard_;
};

TEST_P(committing, tells_of_all_that_it_was_given) {
    open();
    committer writer{*store_, {}, heard_.fn()};
    for (int i = 0; i < 500; ++i) {
        ASSERT_TRUE(writer.submit(next()));
    }
    EXPECT_TRUE(heard_.wait_done(500));
    EXPECT_EQ(writer.waiting_bytes(), 0U);
    if (GetParam() == durability::sync) {
        EXPECT_EQ(heard_.calls(), 500);
    } else {
        EXPECT_LE(heard_.calls(), 500);
    }
    writer.close();
    expect_kept();
}

TEST_P(committing, commits_what_waits_before_it_closes) {
    open();
    {
        committer writer{*store_, {}, heard_.fn()};
        for (int i = 0; i < 100; ++i) {
            ASSERT_TRUE(writer.submit(next()));
        }
        writer.close();
        EXPECT_EQ(heard_.done(), 100U);
        auto late = wanted_;
        EXPECT_FALSE(writer.submit(late.put("late", 1).entry().batch()));
    }
    open();
    expect_kept();
}

TEST_P(committing, bounds_what_waits_but_takes_any_single_batch) {
    open();
    committer writer{*store_, {.queue_bytes_max = 10'000}, heard_.fn()};
    ASSERT_TRUE(writer.submit(next(50'000)));
    int refusals = 0;
    for (int i = 0; i < 200; ++i) {
        auto batch = next(6'000);
        while (!writer.submit(std::move(batch))) {
            ++refusals;
            EXPECT_EQ(batch.entries.size(), 1U);
            ASSERT_TRUE(heard_.wait_done(batch.first - 1));
        }
    }
    EXPECT_TRUE(heard_.wait_done(201));
    EXPECT_GT(refusals, 0);
    expect_kept();
}

TEST_P(committing, leaves_no_hole_behind_a_failure) {
    open(std::uint64_t{4} << 20);
    committer writer{*store_, {}, heard_.fn()};
    ASSERT_TRUE(writer.submit(next()));
    ASSERT_TRUE(heard_.wait_done(1));
    auto good = wanted_;
    auto big = next(std::size_t{5} << 20);
    ASSERT_TRUE(writer.submit(std::move(big)));
    ASSERT_TRUE(writer.submit(next()));
    ASSERT_TRUE(heard_.wait_failed(3));
    ASSERT_TRUE(writer.submit(next()));
    ASSERT_TRUE(heard_.wait_failed(4));
    EXPECT_EQ(heard_.problem(), ec::backend_failure);
    EXPECT_EQ(store_->last(), 1U);
    writer.resume();
    wanted_ = good;
    for (int i = 0; i < 10; ++i) {
        ASSERT_TRUE(writer.submit(next()));
    }
    EXPECT_TRUE(heard_.wait_done(11));
    writer.close();
    expect_kept();
}

TEST_P(committing, lets_others_read_meanwhile) {
    open();
    committer writer{*store_, {}, heard_.fn()};
    std::jthread reader{[this](std::stop_token stop) {
        while (!stop.stop_requested()) {
            replica::sequence newest = 0;
            const auto problem = store_->for_each_value([&newest](const auto& each) {
                newest = std::max(newest, each.revision);
                return true;
            });
            EXPECT_FALSE(problem) << to_string(problem);
            EXPECT_FALSE(store_->read_log(1, [&newest](replica::sequence number, const auto&) {
                newest = std::max(newest, number);
                return true;
            }));
            EXPECT_LE(newest, store_->last() + 1'000);
        }
    }};
    for (int i = 0; i < 300; ++i) {
        ASSERT_TRUE(writer.submit(next(20'000)));  // Over the map's first 16 MiB, so that it grows.
    }
    EXPECT_TRUE(heard_.wait_done(300));
    reader.request_stop();
    reader.join();
    writer.close();
    expect_kept();
}

std::string name_of(const testing::TestParamInfo<durability>& mode) {
    return mode.param == durability::sync    ? "sync"
           : mode.param == durability::group ? "group"
                                             : "async";
}

INSTANTIATE_TEST_SUITE_P(modes, committing,
                         testing::Values(durability::sync, durability::group, durability::async),
                         name_of);

}  // namespace
}  // namespace bzmq::storage
