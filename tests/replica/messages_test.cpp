#include <gtest/gtest.h>

#include <set>

#include "base/prng.hpp"
#include "replica/message_samples.hpp"

namespace bzmq::replica::testing {
namespace {

TEST(messages, there_is_a_sample_of_each_type) {
    std::set<message_type> types;
    for (const auto& [name, bytes] : sample_messages()) {
        byte_reader in{bytes};
        const auto head = read_head(in);
        ASSERT_TRUE(head) << name;
        EXPECT_EQ(head->store, "s");
        types.insert(head->type);
    }
    EXPECT_EQ(types.size(), static_cast<std::size_t>(message_type::promote));
}

TEST(messages, come_back_as_they_were_written) {
    for (const auto& [name, bytes] : sample_messages()) {
        EXPECT_EQ(encode_again(bytes), bytes) << name;
    }
}

TEST(messages, keep_the_meaning_of_each_field) {
    const auto body = [](const std::vector<std::byte>& bytes) {
        byte_reader in{bytes};
        EXPECT_TRUE(read_head(in));
        return in;
    };
    auto bytes = sample_messages();
    auto attach_in = body(bytes["store-attach"]);
    const auto attach = read_attach(attach_in);
    ASSERT_TRUE(attach);
    EXPECT_EQ(attach->attempt, 2U);
    EXPECT_EQ(attach->last, 300U);
    EXPECT_EQ(attach->stored, 299U);
    EXPECT_EQ(attach->elector, "e1");
    EXPECT_TRUE(attach->standby);
    auto welcome_in = body(bytes["store-welcome"]);
    const auto welcome = read_welcome(welcome_in);
    ASSERT_TRUE(welcome);
    EXPECT_EQ(welcome->committed, 299U);
    EXPECT_EQ(welcome->writers.at(0).number, 5U);
    EXPECT_EQ(welcome->failures, (std::vector<failed_commands>{{3, 4, ec::type_clash}}));
    EXPECT_EQ(welcome->epochs, (std::vector<epoch_start>{{sample_epoch, 1}}));
    auto chunk_in = body(bytes["store-chunk"]);
    const auto chunk = read_chunk(chunk_in);
    ASSERT_TRUE(chunk);
    EXPECT_EQ(chunk->values.at(0).expiry, no_expiry);
    EXPECT_EQ(chunk->values.at(1).expiry, timestamp{timespan{sample_wall}});
    auto ack_in = body(bytes["store-ack"]);
    const auto ack = read_ack(ack_in);
    ASSERT_TRUE(ack);
    EXPECT_EQ(ack->received, 300U);
    EXPECT_EQ(ack->stored, 299U);
    EXPECT_EQ(ack->applied, 298U);
    auto ask_in = body(bytes["store-ask-vote"]);
    const auto ask = read_ask_vote(ask_in);
    ASSERT_TRUE(ask);
    EXPECT_EQ(ask->rank, (log_rank{sample_epoch, 300}));
}

TEST(messages, cut_off_or_drawn_out_are_malformed) {
    for (const auto& [name, bytes] : sample_messages()) {
        for (std::size_t size = 0; size < bytes.size(); ++size) {
            EXPECT_FALSE(encode_again({bytes.data(), size})) << name << " at " << size;
        }
        auto longer = bytes;
        longer.push_back(std::byte{0});
        EXPECT_FALSE(encode_again(longer)) << name;
    }
}

TEST(messages, changed_anywhere_are_malformed_or_mean_something) {
    prng random{1};
    for (const auto& [name, bytes] : sample_messages()) {
        for (int run = 0; run < 2'000; ++run) {
            auto changed = bytes;
            for (auto more = random.below(4) + 1; more > 0; --more) {
                changed[random.below(changed.size())] = static_cast<std::byte>(random.next());
            }
            if (const auto again = encode_again(changed)) {
                EXPECT_EQ(encode_again(*again), again) << name;
            }
        }
    }
}

TEST(messages, of_noise_are_refused_without_harm) {
    prng random{2};
    for (int run = 0; run < 50'000; ++run) {
        std::vector<std::byte> noise(random.below(120));
        for (auto& each : noise) {
            each = static_cast<std::byte>(random.chance(1, 4) ? random.next() : random.below(4));
        }
        if (!noise.empty()) {
            noise[0] = static_cast<std::byte>(random.below(17));
        }
        [[maybe_unused]] const auto verdict = encode_again(noise);
    }
}

TEST(messages, that_count_more_than_they_hold_are_refused_before_memory_is_taken) {
    std::vector<std::byte> bytes;
    byte_writer out{bytes};
    out.u8(static_cast<std::uint8_t>(message_type::log));
    out.string("s");
    out.varint(1);
    out.varint(1);
    out.varint(0);
    out.fixed<std::int64_t>(0);
    out.varint(~std::uint64_t{0} >> 1);
    EXPECT_FALSE(encode_again(bytes));
}

}  // namespace
}  // namespace bzmq::replica::testing
