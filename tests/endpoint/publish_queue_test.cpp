// The queue between publishers and the core: what it makes of records, and when the core hears of it.
#include "endpoint/publish_queue.hpp"

#include <future>
#include <string>

#include <gtest/gtest.h>

#include "transport/test_hub.hpp"

namespace bzmq {
namespace {

using namespace std::chrono_literals;

class publish_queues : public ::testing::Test {
  protected:
    /// True where the publisher got the core's turn.
    bool push(std::string_view topic, std::string_view payload = "payload") {
        std::unique_lock turn{cores_turn, std::defer_lock};
        EXPECT_EQ(queue.push(topic, payload.size(),
                             [&](std::byte* to) {
                                 std::memcpy(to, payload.data(), payload.size());
                             },
                             turn),
                  ec::none);
        return turn.owns_lock();
    }
    std::vector<publish_queue::chunk> take(bool all = false) {
        std::vector<publish_queue::chunk> out;
        queue.take(out, now, all);
        return out;
    }
    static std::vector<std::string> topics(const publish_queue::chunk& from) {
        std::vector<std::string> out;
        wire::record_cursor cursor{from.records.span()};
        for (wire::record each; cursor.next(each);) {
            out.emplace_back(each.topic);
        }
        return out;
    }
    /// So many at once that the core paces itself.
    void crowd() {
        for (int i = 0; i < 100; ++i) {
            push("/a");
        }
        ASSERT_EQ(take().size(), 1U);
    }

    instant now = 1s;
    std::mutex cores_turn;
    transport::test_hub core;
    transport::block_pool pool;
    publish_queue queue{{}, pool, core.hub};
};

TEST_F(publish_queues, records_come_out_as_they_went_in) {
    push("/a");
    push("/a");
    push("/b");
    const auto chunks = take();
    ASSERT_EQ(chunks.size(), 1U);
    EXPECT_EQ(topics(chunks[0]), (std::vector<std::string>{"/a", "/a", "/b"}));
    EXPECT_TRUE(take().empty());
}

TEST_F(publish_queues, a_chunk_tells_how_many_records_it_has_only_where_all_have_one_topic) {
    push("/a");
    push("/a");
    push("/a");
    auto chunks = take();
    ASSERT_EQ(chunks.size(), 1U);
    EXPECT_EQ(chunks[0].facts.of_one_topic, 3U);
    push("/a");
    push("/b");
    push("/b");
    chunks = take();
    ASSERT_EQ(chunks.size(), 1U);
    EXPECT_EQ(chunks[0].facts.of_one_topic, 0U);
    push("/b");
    EXPECT_EQ(take().at(0).facts.of_one_topic, 1U);
}

TEST_F(publish_queues, nothing_else_lies_in_the_room_ahead_of_a_chunk) {
    std::vector<publish_queue::chunk> chunks;
    for (int i = 0; i < 50; ++i) {
        push("/a", std::string(20'000, 'x'));
        queue.take(chunks, now, true);
    }
    ASSERT_EQ(chunks.size(), 50U);
    for (const auto& each : chunks) {
        ASSERT_GE(each.facts.headroom, 128U);
        auto* ahead = const_cast<std::byte*>(each.records.data()) - each.facts.headroom;
        ASSERT_GE(ahead, each.records.block()->data);
        std::memset(ahead, 0x55, each.facts.headroom);
    }
    for (const auto& each : chunks) {
        EXPECT_EQ(topics(each), std::vector<std::string>{"/a"});
    }
}

TEST_F(publish_queues, after_a_crowd_the_core_waits_for_a_full_chunk_or_the_pace) {
    crowd();
    EXPECT_EQ(queue.take_due(), now + publish_queue::pace);
    push("/a");
    EXPECT_TRUE(take().empty());
    now = queue.take_due();
    EXPECT_EQ(take().size(), 1U);
    // A single one was no crowd: the next comes out at once.
    EXPECT_EQ(queue.take_due(), never);
    push("/a");
    EXPECT_EQ(take().size(), 1U);
}

TEST_F(publish_queues, a_full_chunk_need_not_wait) {
    crowd();
    for (int i = 0; i < 3; ++i) {
        push("/a", std::string(40'000, 'x'));
    }
    EXPECT_FALSE(take().empty());
}

TEST_F(publish_queues, who_asks_for_all_gets_all) {
    crowd();
    push("/a");
    EXPECT_EQ(take(true).size(), 1U);
}

TEST_F(publish_queues, what_came_before_the_end_is_still_there) {
    crowd();
    push("/a");
    queue.close();
    EXPECT_EQ(take().size(), 1U);
    std::unique_lock turn{cores_turn, std::defer_lock};
    EXPECT_EQ(queue.push("/a", 0, [](std::byte*) {}, turn), ec::shutting_down);
    EXPECT_FALSE(turn.owns_lock());
}

TEST_F(publish_queues, who_publishes_after_a_pause_gets_the_cores_turn) {
    EXPECT_TRUE(push("/a"));
    EXPECT_FALSE(push("/a")) << "the first was told to do it";
    now = monotonic_now() + 1h;  // So that `pace` does not pass, however slow this machine is.
    EXPECT_EQ(take().size(), 1U);
    EXPECT_FALSE(push("/a")) << "something was taken a moment ago: the core goes on";
}

TEST_F(publish_queues, the_core_is_woken_where_it_has_its_turn) {
    const std::lock_guard busy{cores_turn};
    EXPECT_FALSE(std::async(std::launch::async, [&] { return push("/a"); }).get());
    core.hub.poll(1h);  // Returns at once.
}

// -- Limits of a thread ---------------------------------------------------------------------------

class full_publish_queue : public ::testing::Test {
  protected:
    void SetUp() override { ASSERT_EQ(push(), ec::none); }
    ec push() { return push_to(queue); }
    ec push_to(publish_queue& to) {
        std::unique_lock turn{cores_turn, std::defer_lock};
        return to.push("/a", 1000, [](std::byte*) {}, turn);
    }
    static publish_queue::settings small(timespan timeout) {
        publish_queue::settings how;
        how.bytes_max = 1500;
        how.timeout = timeout;
        how.always_wait = true;
        return how;
    }

    std::mutex cores_turn;
    transport::test_hub core;
    transport::block_pool pool;
    publish_queue queue{small(0s), pool, core.hub};
};

TEST_F(full_publish_queue, a_limit_ends_a_wait_without_end) {
    publish_limit none{0ms};
    EXPECT_EQ(push(), ec::queue_full);
    EXPECT_TRUE(none.ran_out());
    {
        const publish_limit inner{20ms};
        const auto began = std::chrono::steady_clock::now();
        EXPECT_EQ(push(), ec::queue_full);
        EXPECT_GE(std::chrono::steady_clock::now() - began, 20ms);
        EXPECT_TRUE(inner.ran_out());
    }
    EXPECT_EQ(push(), ec::queue_full) << "the outer limit holds again";
    EXPECT_EQ(queue.refused(), 0U);
}

TEST_F(full_publish_queue, the_endpoints_own_timeout_counts_from_the_first_attempt) {
    publish_queue bounded{small(50ms), pool, core.hub};
    const auto try_it = [&] { return push_to(bounded); };
    ASSERT_EQ(try_it(), ec::none);
    publish_limit slice{10ms};
    const auto began = std::chrono::steady_clock::now();
    int attempts = 0;
    do {
        EXPECT_EQ(try_it(), ec::queue_full);
        ++attempts;
    } while (slice.ran_out());
    const auto took = std::chrono::steady_clock::now() - began;
    EXPECT_GE(took, 50ms);
    EXPECT_GT(attempts, 1);
    EXPECT_EQ(bounded.refused(), 1U);
}

}  // namespace
}  // namespace bzmq
