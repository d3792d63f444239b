#include <gtest/gtest.h>
#include <msgpack.hpp>

#include "base/limits.hpp"
#include "data/msgpack_codec.hpp"
#include "data/hex.hpp"
#include "data/random_data.hpp"
#include "data/time_text.hpp"

#include <algorithm>
#include <chrono>

namespace bzmq {
namespace {

using namespace std::chrono_literals;

using bytes = std::vector<std::byte>;

bytes encoded(const data& value) {
    bytes out;
    EXPECT_TRUE(encode(value, out));
    return out;
}

using test::from_hex;
using test::hex;

void expect_refused(std::string_view text, std::string_view why) {
    const auto value = decode(from_hex(text));
    ASSERT_FALSE(value) << text << " gave " << to_text(*value);
    EXPECT_EQ(value.error(), ec::deserialization_failed);
    EXPECT_NE(value.error().message().find(why), std::string::npos)
        << text << ": " << value.error().message();
}

// The vectors of docs/data-model.md.
TEST(msgpack, writes_the_documented_bytes) {
    const std::pair<data, std::string_view> vectors[]{
        {nil, "c0"},
        {false, "c2"},
        {true, "c3"},
        {0U, "00"},
        {127U, "7f"},
        {128U, "cc80"},
        {256U, "cd0100"},
        {65536U, "ce00010000"},
        {std::uint64_t{1} << 32, "cf0000000100000000"},
        {0, "d40100"},
        {255, "d401ff"},
        {256, "d5010100"},
        {65536, "d60100010000"},
        {std::int64_t{1} << 32, "d7010000000100000000"},
        {-1, "ff"},
        {-32, "e0"},
        {-33, "d0df"},
        {-128, "d080"},
        {-129, "d1ff7f"},
        {-32769, "d2ffff7fff"},
        {-2147483649LL, "d3ffffffff7fffffff"},
        {1.5, "cb3ff8000000000000"},
        {-0.0, "cb8000000000000000"},
        {std::numeric_limits<real>::quiet_NaN(), "cb7ff8000000000000"},
        {"", "c400"},
        {"abc", "c403616263"},
        {std::string(256, 'a'), "c50100"},
        {std::string(65536, 'a'), "c600010000"},
        {*address::parse("192.0.2.1"), "d602c0000201"},
        {*address::parse("2001:db8::1"), "d80220010db8000000000000000000000001"},
        {*subnet::parse("10.0.0.0/8"), "c705030a00000008"},
        {*subnet::parse("2001:db8::/32"), "c7110320010db800000000000000000000000020"},
        {*port::parse("80/tcp"), "c70304005001"},
        {timestamp{1s}, "d6ff00000001"},
        {timestamp{1s + 1ns}, "d7ff0000000400000001"},
        {timestamp{-1ns}, "c70cff3b9ac9ffffffffffffffffff"},
        {5s, "d705000000012a05f200"},
        {enum_value{"ab"}, "d5066162"},
        {enum_value{"abc"}, "c70306616263"},
        {enum_value{""}, "c70006"},
        {set{}, "91c70007"},
        {set{1U, 2U}, "93c700070102"},
        {table{}, "80"},
        {table{{"k", 1U}}, "81c4016b01"},
        {vector{}, "90"},
        {vector{1U, -1, vector{nil}}, "9301ff91c0"},
    };
    for (const auto& [value, text] : vectors) {
        EXPECT_EQ(hex(encoded(value)).substr(0, text.size()), text) << to_text(value);
        EXPECT_EQ(encoded(value).size(), encoded_size(value));
        EXPECT_EQ(*decode(encoded(value)), value);
    }
}

TEST(msgpack, returns_every_value_from_its_one_encoding) {
    test::random_data source{6};
    for (int i = 0; i < 3000; ++i) {
        const auto value = source.next();
        const auto raw = encoded(value);
        ASSERT_EQ(raw.size(), encoded_size(value));
        const auto again = decode(raw);
        ASSERT_TRUE(again) << to_string(again.error()) << '\n' << to_text(value);
        ASSERT_EQ(*again, value);
        ASSERT_EQ(encoded(*again), raw);
    }
}

TEST(msgpack, encodes_exactly_equal_values_as_equal_bytes) {
    test::random_data source{7};
    std::vector<std::pair<data, bytes>> all;
    for (int i = 0; i < 300; ++i) {
        auto value = source.next(1);
        auto raw = encoded(value);
        all.emplace_back(std::move(value), std::move(raw));
    }
    for (const auto& a : all) {
        for (const auto& b : all) {
            ASSERT_EQ(a.first == b.first, a.second == b.second);
        }
    }
}

TEST(msgpack, refuses_every_truncation) {
    test::random_data source{8};
    for (int i = 0; i < 100; ++i) {
        const auto raw = encoded(source.next(2));
        for (std::size_t size = 0; size < raw.size(); ++size) {
            // A heap copy of exactly this size, so that a sanitizer sees any read behind it.
            const bytes cut(raw.begin(), raw.begin() + static_cast<std::ptrdiff_t>(size));
            ASSERT_FALSE(decode(cut));
        }
    }
}

TEST(msgpack, survives_damage_and_accepts_only_canonical_bytes) {
    test::random_data source{9};
    for (int i = 0; i < 20'000; ++i) {
        auto raw = encoded(source.next(2));
        auto& random = source.random();
        for (auto n = 1 + random.below(3); n > 0; --n) {
            raw[random.below(raw.size())] = static_cast<std::byte>(random.next());
        }
        if (const auto value = decode(raw)) {
            ASSERT_EQ(encoded(*value), raw) << to_text(*value);
        }
    }
}

TEST(msgpack, refuses_forms_that_are_not_canonical) {
    for (const auto* text : {"cc7f",
                             "cd00ff",
                             "ce0000ffff",
                             "cf00000000ffffffff",
                             "d0e0",
                             "d001",
                             "d1ff80",
                             "d10001",
                             "d2ffff8000",
                             "d3ffffffff80000000",
                             "d3"
                             "0000000000000001",
                             "d5010001",
                             "d60100000001",
                             "d7018000000000000000",
                             "c70101"
                             "05",
                             "cb7ff8000000000001",
                             "cbfff8000000000000",
                             "c5000161",
                             "c60000000161",
                             "dc000101",
                             "dd0000000101",
                             "de000101"
                             "01",
                             "d80200000000000000000000ffff01020304",
                             "c705030a00000108",
                             "c705030a00000021",
                             "c7110300000000000000000000ffff0000000060",
                             "d7ff0000000000000001",
                             "c70cff000000000000000000000001"}) {
        expect_refused(text, "canonical");
    }
}

TEST(msgpack, refuses_what_no_value_is) {
    for (const auto* text : {"a161", "d90161", "ca3f800000", "c1"}) {
        expect_refused(text, "a msgpack type that no value has");
    }
    expect_refused("d40900", "an unknown extension type");
    expect_refused("c70007", "the mark of a set where a value belongs");
    expect_refused("9201c70007", "the mark of a set where a value belongs");
    expect_refused("c70304005004", "an unknown protocol of a port");
    expect_refused("d7ffee6b280000000001", "a timestamp out of range");
    expect_refused("c70cff000000007fffffffffffffff", "a timestamp out of range");
    expect_refused("d40500", "a timespan of the wrong length");
    expect_refused("0101", "bytes behind the value");
    expect_refused("", "cut off at byte 0 of 0");
}

TEST(msgpack, refuses_repeated_or_unordered_elements) {
    expect_refused("93c700070101", "the elements of a set are repeated or out of order");
    expect_refused("93c700070201", "the elements of a set are repeated or out of order");
    expect_refused("8201c001c0", "the keys of a table are repeated or out of order");
    expect_refused("8202c001c0", "the keys of a table are repeated or out of order");
}

TEST(msgpack, trusts_no_length) {
    for (const auto* text : {"c6ffffffff", "c9ffffffff06", "ddffffffff", "ddffffffffc70007",
                             "dfffffffff", "dfffffffffc0", "c8ffff06", "dcffffc0c0", "9f"}) {
        expect_refused(text, "cut off");
    }
    // Each list claims all that follows, so that a reserve by claim would multiply.
    bytes lists;
    for (int i = 0; i < 60; ++i) {
        const auto header = from_hex("dd00100000");
        lists.insert(lists.end(), header.begin(), header.end());
    }
    lists.resize(lists.size() + 0x200000, std::byte{0xc0});
    EXPECT_FALSE(decode(lists));
}

data nested_vector(std::size_t depth) {
    data value = vector{};
    for (std::size_t i = 1; i < depth; ++i) {
        vector outer;
        outer.push_back(std::move(value));
        value = std::move(outer);
    }
    return value;
}

TEST(msgpack, bounds_nesting_on_both_sides) {
    EXPECT_EQ(*decode(encoded(nested_vector(data_depth_max))), nested_vector(data_depth_max));
    EXPECT_EQ(encoded_size(nested_vector(data_depth_max + 1)), 0U);
    bytes out;
    EXPECT_FALSE(encode(nested_vector(data_depth_max + 1), out));
    EXPECT_TRUE(out.empty());
    const std::byte bombs[]{std::byte{0x91}, std::byte{0x81}};
    for (const auto bomb : bombs) {
        const auto value = decode(bytes(1'000'000, bomb));
        ASSERT_FALSE(value);
        EXPECT_NE(value.error().message().find("nested too deep at byte 65"), std::string::npos)
            << value.error().message();
    }
    std::string sets;
    for (std::size_t i = 0; i < data_depth_max + 1; ++i) {
        sets += "92c70007";
    }
    expect_refused(sets + "c0", "nested too deep");
}

TEST(msgpack, bounds_the_number_of_values_on_both_sides) {
    const data most = vector(data_items_max - 1);
    EXPECT_EQ(*decode(encoded(most)), most);
    const data more = vector(data_items_max);
    EXPECT_EQ(encoded_size(more), 0U);
    auto raw = from_hex("dd00100000");
    raw.resize(raw.size() + 0x100000, std::byte{0xc0});
    EXPECT_NE(decode(raw).error().message().find("too many values"), std::string::npos);
}

TEST(msgpack, bounds_the_size_on_both_sides) {
    const data most = std::string(data_bytes_max - 5, 'a');
    EXPECT_EQ(encoded_size(most), data_bytes_max);
    EXPECT_TRUE(decode(encoded(most)));
    EXPECT_EQ(encoded_size(std::string(data_bytes_max - 4, 'a')), 0U);
    EXPECT_EQ(encoded_size(vector{most}), 0U);
    EXPECT_FALSE(decode(bytes(data_bytes_max + 1)));
}

TEST(msgpack, peeks_at_strings_in_place) {
    for (const std::size_t size : {0, 1, 255, 256, 65535, 65536}) {
        const std::string text(size, 'x');
        const auto raw = encoded(text);
        EXPECT_EQ(peek_string(raw), text);
        bytes direct(encoded_string_size(size));
        EXPECT_EQ(encode_string_to(direct.data(), text), direct.data() + direct.size());
        EXPECT_EQ(direct, raw);
        auto longer = raw;
        longer.push_back(std::byte{});
        EXPECT_FALSE(peek_string(longer));
        EXPECT_FALSE(peek_string(std::span{raw}.first(raw.size() - 1)));
    }
    EXPECT_FALSE(peek_string({}));
    EXPECT_FALSE(peek_string(encoded(1U)));
    EXPECT_FALSE(peek_string(from_hex("c5000161")));
}

/// Rebuilds a value from what msgpack-c makes of the bytes: an independent reader of the format.
data rebuilt(const msgpack::object& from);

std::uint64_t big_endian(const char* at, std::size_t width) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < width; ++i) {
        value = value << 8 | static_cast<std::uint8_t>(at[i]);
    }
    return value;
}

address address_of(const char* at, std::size_t size) {
    if (size == 4) {
        address::v4_bytes_type v4{};
        std::copy_n(at, 4, v4.begin());
        return address{v4};
    }
    address::bytes_type v6{};
    std::copy_n(at, 16, v6.begin());
    return address{v6};
}

data rebuilt_ext(const msgpack::object& from) {
    const auto& ext = from.via.ext;
    switch (ext.type()) {
        case 1:
            return static_cast<integer>(big_endian(ext.data(), ext.size));
        case 2:
            return address_of(ext.data(), ext.size);
        case 3:
            return subnet{address_of(ext.data(), ext.size - 1),
                          static_cast<std::uint8_t>(ext.data()[ext.size - 1])};
        case 4:
            return port{static_cast<std::uint16_t>(big_endian(ext.data(), 2)),
                        static_cast<port::protocol>(ext.data()[2])};
        case 5:
            return timespan{static_cast<std::int64_t>(big_endian(ext.data(), 8))};
        case 6:
            return enum_value{std::string{ext.data(), ext.size}};
        case -1: {
            const auto time = from.as<timespec>();
            return *join({time.tv_sec, static_cast<std::uint32_t>(time.tv_nsec)});
        }
        default:
            throw std::runtime_error{"unknown extension"};
    }
}

data rebuilt(const msgpack::object& from) {
    switch (from.type) {
        case msgpack::type::NIL:
            return nil;
        case msgpack::type::BOOLEAN:
            return from.via.boolean;
        case msgpack::type::POSITIVE_INTEGER:
            return from.via.u64;
        case msgpack::type::NEGATIVE_INTEGER:
            return from.via.i64;
        case msgpack::type::FLOAT64:
            return from.via.f64;
        case msgpack::type::BIN:
            return std::string{from.via.bin.ptr, from.via.bin.size};
        case msgpack::type::EXT:
            return rebuilt_ext(from);
        case msgpack::type::ARRAY: {
            const auto& list = from.via.array;
            vector values;
            std::uint32_t first = 0;
            const bool is_set = list.size > 0 && list.ptr[0].type == msgpack::type::EXT
                                && list.ptr[0].via.ext.type() == 7;
            for (first = is_set ? 1 : 0; first < list.size; ++first) {
                values.push_back(rebuilt(list.ptr[first]));
            }
            return is_set ? data{set(values.begin(), values.end())} : data{std::move(values)};
        }
        case msgpack::type::MAP: {
            table values;
            for (std::uint32_t i = 0; i < from.via.map.size; ++i) {
                const auto& pair = from.via.map.ptr[i];
                values.emplace(rebuilt(pair.key), rebuilt(pair.val));
            }
            return values;
        }
        default:
            throw std::runtime_error{"a type that no value has"};
    }
}

TEST(msgpack, is_read_by_msgpack_c) {
    test::random_data source{10};
    for (int i = 0; i < 2000; ++i) {
        const auto value = source.next();
        const auto raw = encoded(value);
        const auto handle = msgpack::unpack(reinterpret_cast<const char*>(raw.data()), raw.size());
        ASSERT_EQ(rebuilt(handle.get()), value);
    }
}

TEST(msgpack, reads_what_msgpack_c_writes) {
    msgpack::sbuffer buffer;
    msgpack::packer<msgpack::sbuffer> packer{buffer};
    packer.pack_array(9);
    packer.pack_nil();
    packer.pack(true);
    packer.pack(std::uint64_t{1} << 40);
    packer.pack(-70000);
    packer.pack(2.5);
    packer.pack_bin(3);
    packer.pack_bin_body("abc", 3);
    packer.pack_map(1);
    packer.pack(1U);
    packer.pack(2U);
    packer.pack_ext(4, 2);
    packer.pack_ext_body("\x7f\0\0\1", 4);
    packer.pack(timespec{1700000000, 123456789});
    const auto value = decode(std::as_bytes(std::span{buffer.data(), buffer.size()}));
    ASSERT_TRUE(value) << to_string(value.error());
    EXPECT_EQ(*value,
              (data{vector{nil, true, std::uint64_t{1} << 40, -70000, 2.5, "abc", table{{1U, 2U}},
                           *address::parse("127.0.0.1"), timestamp{1700000000123456789ns}}}));
}

}  // namespace
}  // namespace bzmq
