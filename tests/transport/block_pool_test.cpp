#include "transport/block_pool.hpp"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace bzmq::transport {
namespace {

TEST(block_pool, blocks_are_used_again) {
    block_pool pool{8192, 4};
    const auto* first = pool.take(8000).get();
    EXPECT_EQ(pool.idle(), 1U);
    const auto again = pool.take(8192);
    EXPECT_EQ(again.get(), first);
    EXPECT_EQ(pool.fresh(), 1U);
}

TEST(block_pool, keeps_no_more_than_its_bound) {
    block_pool pool{8192, 4};
    std::vector<block_ptr> held;
    for (int i = 0; i < 10; ++i) {
        held.push_back(pool.take(8192));
    }
    held.clear();
    EXPECT_EQ(pool.idle(), 4U);
}

TEST(block_pool, other_sizes_come_from_the_heap) {
    block_pool pool{8192, 4};
    EXPECT_GE(pool.take(100'000)->capacity, 100'000U);
    EXPECT_GE(pool.take(10)->capacity, 10U);
    EXPECT_EQ(pool.fresh(), 0U);
}

TEST(block_pool, blocks_outlive_the_pool) {
    block_ptr kept;
    {
        block_pool pool{8192, 4};
        kept = pool.take(8192);
    }
    kept->data[8191] = std::byte{1};
}

TEST(block_pool, threads_share_it) {
    block_pool pool{8192, 16};
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&pool] {
            for (int i = 0; i < 20'000; ++i) {
                auto block = pool.take(8192);
                block->data[0] = std::byte{1};
                auto copy = block;
            }
        });
    }
    threads.clear();
    EXPECT_LE(pool.idle(), 16U);
}

}  // namespace
}  // namespace bzmq::transport
