// Frames: they come back as they went, and nothing but whole frames within their limits is taken.
#include "wire/frames.hpp"

#include <functional>

#include <gtest/gtest.h>

namespace bzmq::wire {
namespace {

const endpoint_id someone{{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

hello_frame full_hello() {
    hello_frame frame;
    frame.id = someone;
    frame.domain = "west";
    frame.name = "worker-1";
    frame.capabilities = 0x1234;
    frame.topology = {std::byte{1}, std::byte{2}};
    frame.filter = {std::byte{3}};
    return frame;
}

std::span<const std::byte> body_of(const std::vector<std::byte>& frame) {
    return std::span{frame}.subspan(1);
}

template <class Decode>
auto decoded(std::span<const std::byte> body, Decode&& decode) {
    byte_reader in{body};
    return decode(in);
}

TEST(frames, hello_and_welcome_come_back) {
    for (const auto type : {frame_type::hello, frame_type::welcome}) {
        const auto bytes = encode(type, full_hello());
        EXPECT_EQ(bytes[0], static_cast<std::byte>(type));
        const auto frame = decoded(body_of(bytes), decode_hello);
        ASSERT_TRUE(frame);
        EXPECT_EQ(frame->version_lowest, version_min);
        EXPECT_EQ(frame->version_highest, version_max);
        EXPECT_EQ(frame->id, someone);
        EXPECT_EQ(frame->domain, "west");
        EXPECT_EQ(frame->name, "worker-1");
        EXPECT_EQ(frame->capabilities, 0x1234U);
        EXPECT_EQ(frame->topology, full_hello().topology);
        EXPECT_EQ(frame->filter, full_hello().filter);
    }
}

TEST(frames, a_hello_may_tell_the_longest_message_and_more_may_follow) {
    auto frame = full_hello();
    const auto without = encode(frame_type::hello, frame);
    EXPECT_EQ(decoded(body_of(without), decode_hello)->message_bytes_max, 0U);
    frame.message_bytes_max = 1'000'000;
    auto with = encode(frame_type::hello, frame);
    EXPECT_EQ(with.size(), without.size() + 3);
    EXPECT_EQ(decoded(body_of(with), decode_hello)->message_bytes_max, 1'000'000U);
    with.insert(with.end(), 20, std::byte{0xff});
    EXPECT_EQ(decoded(body_of(with), decode_hello)->message_bytes_max, 1'000'000U);
    with.resize(without.size() + 1);
    EXPECT_FALSE(decoded(body_of(with), decode_hello));
}

TEST(frames, goodbye_heartbeat_echo_ack_and_batch_head_come_back) {
    const auto goodbye = encode(goodbye_frame{ec::shutting_down, "bye"});
    ASSERT_TRUE(decoded(body_of(goodbye), decode_goodbye));
    EXPECT_EQ(decoded(body_of(goodbye), decode_goodbye)->code, ec::shutting_down);
    EXPECT_EQ(decoded(body_of(goodbye), decode_goodbye)->text, "bye");

    const auto beat = encode(heartbeat_frame{{300, 200}, 400, 5, ~std::uint64_t{0}});
    const auto back = decoded(body_of(beat), decode_heartbeat);
    ASSERT_TRUE(back);
    EXPECT_EQ(back->at.received, 300U);
    EXPECT_EQ(back->at.consumed, 200U);
    EXPECT_EQ(back->last_sent, 400U);
    EXPECT_EQ(back->clock, 5U);
    EXPECT_EQ(back->view_hash, ~std::uint64_t{0});

    EXPECT_EQ(decoded(body_of(encode_echo(77)), decode_echo), 77U);

    const auto ack = encode(ack_frame{{9, 8}, true});
    const auto ack_back = decoded(body_of(ack), decode_ack);
    ASSERT_TRUE(ack_back);
    EXPECT_EQ(ack_back->at.received, 9U);
    EXPECT_EQ(ack_back->at.consumed, 8U);
    EXPECT_TRUE(ack_back->gap);
    EXPECT_EQ(encode_ready(), std::vector<std::byte>{std::byte{3}});
}

TEST(frames, every_truncation_is_refused) {
    const auto check = [](const std::vector<std::byte>& frame, const auto& decode) {
        const auto body = body_of(frame);
        EXPECT_TRUE(decoded(body, decode));
        for (std::size_t length = 0; length < body.size(); ++length) {
            EXPECT_FALSE(decoded(body.first(length), decode)) << length << " of " << body.size();
        }
    };
    check(encode(frame_type::hello, full_hello()), decode_hello);
    check(encode(goodbye_frame{ec::none, "goodbye"}), decode_goodbye);
    check(encode(heartbeat_frame{{300, 200}, 400, 5, 6}), decode_heartbeat);
    check(encode(ack_frame{{300, 200}, false}), decode_ack);
    check(encode_echo(1), decode_echo);
}

TEST(frames, a_hello_of_other_versions_gives_its_versions_whatever_follows) {
    auto frame = full_hello();
    frame.version_lowest = 7;
    frame.version_highest = 9;
    auto bytes = encode(frame_type::hello, frame);
    bytes.resize(1 + magic.size() + 2);
    const auto back = decoded(body_of(bytes), decode_hello);
    ASSERT_TRUE(back);
    EXPECT_EQ(back->version_lowest, 7);
    EXPECT_EQ(back->version_highest, 9);
    EXPECT_TRUE(back->id.is_nil());
}

TEST(frames, a_hello_without_the_magic_or_with_a_nil_id_is_refused) {
    auto bytes = encode(frame_type::hello, full_hello());
    bytes[1] = std::byte{'B'};
    EXPECT_FALSE(decoded(body_of(bytes), decode_hello));
    auto nobody = full_hello();
    nobody.id = {};
    EXPECT_FALSE(decoded(body_of(encode(frame_type::hello, nobody)), decode_hello));
}

TEST(frames, names_over_their_limit_are_refused) {
    auto frame = full_hello();
    frame.name = std::string(name_bytes_max, 'n');
    frame.domain = std::string(name_bytes_max, 'd');
    EXPECT_TRUE(decoded(body_of(encode(frame_type::hello, frame)), decode_hello));
    frame.name += 'n';
    EXPECT_FALSE(decoded(body_of(encode(frame_type::hello, frame)), decode_hello));
    frame.name = "";
    frame.domain += 'd';
    EXPECT_FALSE(decoded(body_of(encode(frame_type::hello, frame)), decode_hello));
}

TEST(frames, a_long_goodbye_is_cut_by_its_sender_and_refused_from_others) {
    const auto cut = encode(goodbye_frame{ec::none, std::string(5000, 'x')});
    ASSERT_TRUE(decoded(body_of(cut), decode_goodbye));
    EXPECT_EQ(decoded(body_of(cut), decode_goodbye)->text.size(), goodbye_text_max);
    std::vector<std::byte> bytes;
    byte_writer out{bytes};
    out.u8(0);
    out.string(std::string(goodbye_text_max + 1, 'x'));
    EXPECT_FALSE(decoded(bytes, decode_goodbye));
}

TEST(frames, lengths_that_lie_allocate_nothing_and_are_refused) {
    for (const std::uint64_t length : {std::uint64_t{control_record_bytes_max} + 1,
                                       std::uint64_t{control_record_bytes_max}, std::uint64_t{1},
                                       ~std::uint64_t{0}}) {
        auto frame = full_hello();
        frame.topology.clear();
        frame.filter.clear();
        auto bytes = encode(frame_type::hello, frame);
        bytes.resize(bytes.size() - 2);
        byte_writer{bytes}.varint(length);
        EXPECT_FALSE(decoded(body_of(bytes), decode_hello)) << length;
    }
}

TEST(frames, consumed_beyond_received_is_refused) {
    EXPECT_FALSE(decoded(body_of(encode(ack_frame{{8, 9}, false})), decode_ack));
    EXPECT_FALSE(decoded(body_of(encode(heartbeat_frame{{8, 9}, 0, 0, 0})), decode_heartbeat));
}

TEST(frames, batches_count_from_one) {
    std::vector<std::byte> bytes;
    byte_writer out{bytes};
    out.varint(0);
    out.varint(0);
    out.varint(0);
    EXPECT_FALSE(decoded(bytes, decode_batch_head));
    bytes[0] = std::byte{1};
    ASSERT_TRUE(decoded(bytes, decode_batch_head));
    EXPECT_EQ(decoded(bytes, decode_batch_head)->sequence, 1U);
}

// -- Sections -------------------------------------------------------------------------------------

class sections : public testing::Test {
  protected:
    sections() {
        head.flags = 1;
        head.slot = 3;
        head.number = 1'000;
        head.distances = {1, 300, 0};
        head.sent_at = 0x0102030405060708;
        head.hops = 4;
        head.path_tag = 0xbeef;
        head.records = 2;
        bytes.resize(section_head_bytes_max(head.distances.size()) + payload.size());
        auto* to = put_section_head(bytes.data(), head, payload.size());
        std::memcpy(to, payload.data(), payload.size());
        bytes.resize(static_cast<std::size_t>(to - bytes.data()) + payload.size());
    }
    static std::optional<std::size_t> receivers_of(std::uint32_t slot) {
        return slot == 3 ? std::optional<std::size_t>{3} : std::nullopt;
    }
    static bool read(std::span<const std::byte> body, section_head& out) {
        byte_reader in{body};
        return read_section(in, out, receivers_of) && in.done();
    }

    section_head head;
    std::string payload = "payload";
    std::vector<std::byte> bytes;
};

TEST_F(sections, come_back) {
    section_head back;
    ASSERT_TRUE(read(body_of(bytes), back));
    EXPECT_EQ(bytes[0], static_cast<std::byte>(item_tag::section));
    EXPECT_EQ(back.flags, head.flags);
    EXPECT_EQ(back.slot, head.slot);
    EXPECT_EQ(back.number, head.number);
    EXPECT_EQ(back.distances, head.distances);
    EXPECT_EQ(back.sent_at, head.sent_at);
    EXPECT_EQ(back.hops, head.hops);
    EXPECT_EQ(back.path_tag, head.path_tag);
    EXPECT_EQ(back.records, head.records);
    EXPECT_EQ(back.payload.size(), payload.size());
}

TEST_F(sections, every_truncation_is_refused) {
    section_head back;
    for (std::size_t length = 0; length + 1 < bytes.size(); ++length) {
        EXPECT_FALSE(read(body_of(bytes).first(length), back)) << length;
    }
}

TEST_F(sections, of_an_unknown_slot_are_refused) {
    section_head back;
    bytes[2] = std::byte{4};
    EXPECT_FALSE(read(body_of(bytes), back));
}

TEST_F(sections, that_have_fewer_bytes_than_receivers_are_refused_before_anything_is_made) {
    byte_reader in{body_of(bytes)};
    section_head back;
    EXPECT_FALSE(read_section(in, back, [](std::uint32_t) -> std::optional<std::size_t> {
        return std::size_t{1} << 40;
    }));
    EXPECT_EQ(back.distances.capacity(), 0U);
}

TEST_F(sections, head_never_exceeds_its_bound) {
    head.flags = 0xff;
    head.slot = ~0U;
    head.number = ~std::uint64_t{0};
    head.distances.assign(5, ~std::uint64_t{0});
    head.records = ~0U;
    std::vector<std::byte> room(section_head_bytes_max(5) + 100);
    const auto* end = put_section_head(room.data(), head, ~std::size_t{0});
    EXPECT_LE(static_cast<std::size_t>(end - room.data()), section_head_bytes_max(5));
}

}  // namespace
}  // namespace bzmq::wire
