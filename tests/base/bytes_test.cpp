#include "base/bytes.hpp"

#include <limits>

#include <gtest/gtest.h>

namespace bzmq {
namespace {

std::vector<std::byte> raw(std::initializer_list<int> values) {
    std::vector<std::byte> out;
    for (const auto value : values) {
        out.push_back(static_cast<std::byte>(value));
    }
    return out;
}

TEST(bytes, varints_take_as_many_bytes_as_their_size_says_and_come_back) {
    for (unsigned bit = 0; bit < 64; ++bit) {
        for (const std::uint64_t value : {(std::uint64_t{1} << bit) - 1, std::uint64_t{1} << bit,
                                          (std::uint64_t{1} << bit) + 1}) {
            std::byte buffer[varint_bytes_max];
            const auto* end = put_varint(buffer, value);
            EXPECT_EQ(static_cast<std::size_t>(end - buffer), varint_size(value)) << value;
            byte_reader in{{buffer, end}};
            EXPECT_EQ(in.varint(), value);
            EXPECT_TRUE(in.done());
            EXPECT_FALSE(in.failed());
        }
    }
    EXPECT_EQ(varint_size(0), 1U);
    EXPECT_EQ(varint_size(127), 1U);
    EXPECT_EQ(varint_size(128), 2U);
    EXPECT_EQ(varint_size(std::numeric_limits<std::uint64_t>::max()), varint_bytes_max);
}

TEST(bytes, a_varint_of_more_than_64_bits_fails) {
    const auto largest = raw({0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01});
    byte_reader good{largest};
    EXPECT_EQ(good.varint(), std::numeric_limits<std::uint64_t>::max());
    EXPECT_FALSE(good.failed());
    for (const auto& bytes : {raw({0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02}),
                              raw({0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00}),
                              raw({0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x81})}) {
        byte_reader in{bytes};
        EXPECT_EQ(in.varint(), 0U);
        EXPECT_TRUE(in.failed());
        EXPECT_TRUE(in.done());
    }
}

TEST(bytes, a_varint_that_the_end_cuts_off_fails) {
    byte_reader empty{std::span<const std::byte>{}};
    EXPECT_EQ(empty.varint(), 0U);
    EXPECT_TRUE(empty.failed());
    const auto cut = raw({0x80, 0xff});
    byte_reader in{cut};
    EXPECT_EQ(in.varint(), 0U);
    EXPECT_TRUE(in.failed());
}

TEST(bytes, a_varint_longer_than_need_be_is_read_all_the_same) {
    const auto padded = raw({0x81, 0x80, 0x00});
    byte_reader in{padded};
    EXPECT_EQ(in.varint(), 1U);
    EXPECT_TRUE(in.done());
    EXPECT_FALSE(in.failed());
}

TEST(bytes, a_bounded_varint_fails_above_its_bound) {
    const auto bytes = raw({5, 6});
    byte_reader in{bytes};
    EXPECT_EQ(in.varint_up_to(5), 5U);
    EXPECT_EQ(in.varint_up_to(5), 0U);
    EXPECT_TRUE(in.failed());
}

TEST(bytes, a_reader_that_failed_stays_failed_and_gives_zeros) {
    const auto bytes = raw({1, 2, 3});
    byte_reader in{bytes};
    EXPECT_EQ(in.fixed<std::uint32_t>(), 0U);
    EXPECT_TRUE(in.failed());
    EXPECT_EQ(in.u8(), 0U);
    EXPECT_TRUE(in.bytes(1).empty());
    EXPECT_TRUE(in.id().is_nil());
    EXPECT_EQ(in.remaining(), 0U);
}

TEST(bytes, lengths_beyond_the_end_fail_without_wrapping) {
    const auto bytes = raw({1, 2, 3});
    byte_reader in{bytes};
    EXPECT_TRUE(in.bytes(std::numeric_limits<std::size_t>::max()).empty());
    EXPECT_TRUE(in.failed());
}

TEST(bytes, what_the_writer_writes_the_reader_reads) {
    std::vector<std::byte> bytes;
    byte_writer out{bytes};
    const endpoint_id id{{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};
    out.u8(200);
    out.fixed(std::uint16_t{0x1234});
    out.varint(300);
    out.string("text");
    out.id(id);
    EXPECT_EQ(bytes[1], std::byte{0x34}) << "little-endian";
    byte_reader in{bytes};
    EXPECT_EQ(in.u8(), 200U);
    EXPECT_EQ(in.fixed<std::uint16_t>(), 0x1234U);
    EXPECT_EQ(in.varint(), 300U);
    EXPECT_EQ(in.string_up_to(4), "text");
    EXPECT_EQ(in.id(), id);
    EXPECT_TRUE(in.done());
    EXPECT_FALSE(in.failed());
}

}  // namespace
}  // namespace bzmq
