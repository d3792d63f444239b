#include <gtest/gtest.h>

#include "base/limits.hpp"
#include "data/ordered_codec.hpp"
#include "data/hex.hpp"
#include "data/random_data.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

namespace bzmq {
namespace {

using namespace std::chrono_literals;

using bytes = std::vector<std::byte>;

bytes encoded(const data& value) {
    bytes out;
    EXPECT_TRUE(encode_ordered(value, out)) << to_text(value);
    return out;
}

using test::from_hex;
using test::hex;

std::strong_ordering compare(const bytes& a, const bytes& b) {
    const auto common = std::min(a.size(), b.size());
    const auto order = common == 0 ? 0 : std::memcmp(a.data(), b.data(), common);
    return order != 0 ? order <=> 0 : a.size() <=> b.size();
}

void expect_refused(std::string_view text, std::string_view why) {
    const auto value = decode_ordered(from_hex(text));
    ASSERT_FALSE(value) << text << " gave " << to_text(*value);
    EXPECT_EQ(value.error(), ec::deserialization_failed);
    EXPECT_NE(value.error().message().find(why), std::string::npos)
        << text << ": " << value.error().message();
}

/// `value` with one small thing changed: the neighbours between which an order goes wrong.
data nudged(const data& value, test::random_data& source) {
    auto& random = source.random();
    return visit(
        [&]<class T>(const T& held) -> data {
            if constexpr (std::same_as<T, std::string>) {
                auto text = held;
                constexpr std::string_view tails[]{{"\0", 1},   {"\xff", 1}, {"\0\xff", 2},
                                                   {"\x01", 1}, {"\0\0", 2}, {"\x0f", 1}};
                if (!text.empty() && random.chance(1, 3)) {
                    text.pop_back();
                } else {
                    text += tails[random.below(std::size(tails))];
                }
                return text;
            } else if constexpr (std::same_as<T, enum_value>) {
                return enum_value{held.name() + (random.chance(1, 2) ? std::string(1, '\0') : "a")};
            } else if constexpr (std::same_as<T, count> || std::same_as<T, integer>) {
                using bits = std::uint64_t;
                return static_cast<T>(static_cast<bits>(held) + random.below(3) - 1);
            } else if constexpr (std::same_as<T, real>) {
                return random.chance(1, 2) ? -held : std::nextafter(held, 0.5);
            } else if constexpr (std::same_as<T, vector>) {
                auto values = held;
                if (values.empty() || random.chance(1, 3)) {
                    values.push_back(source.next(0));
                } else if (random.chance(1, 3)) {
                    values.pop_back();
                } else {
                    auto& one = values[random.below(values.size())];
                    one = nudged(one, source);
                }
                return values;
            } else if constexpr (std::same_as<T, set>) {
                auto values = held;
                if (values.empty() || random.chance(1, 3)) {
                    values.insert(source.next(0));
                } else {
                    auto one = values.extract(std::prev(values.end()));
                    values.insert(nudged(one.value(), source));
                }
                return values;
            } else if constexpr (std::same_as<T, table>) {
                auto values = held;
                if (values.empty() || random.chance(1, 3)) {
                    values.emplace(source.next(0), source.next(0));
                } else {
                    auto& one = *std::prev(values.end());
                    one.second = nudged(one.second, source);
                }
                return values;
            } else {
                return source.next(0);
            }
        },
        value);
}

// The vectors of docs/data-model.md.
TEST(ordered, writes_the_documented_bytes) {
    const std::pair<data, std::string_view> vectors[]{
        {nil, "01"},
        {false, "0200"},
        {true, "0201"},
        {0U, "030000000000000000"},
        {258U, "030000000000000102"},
        {-1, "047fffffffffffffff"},
        {1, "048000000000000001"},
        {-1.5, "054007ffffffffffff"},
        {-0.0, "057fffffffffffffff"},
        {0.0, "058000000000000000"},
        {1.5, "05bff8000000000000"},
        {std::numeric_limits<real>::quiet_NaN(), "05ffffffffffffffff"},
        {"", "0600"},
        {"abc", "0661626300"},
        {std::string{"a\0b", 3}, "066100ff6200"},
        {*address::parse("192.0.2.1"), "0700000000000000000000ffffc0000201"},
        {*subnet::parse("10.0.0.0/8"), "0800000000000000000000ffff0a00000068"},
        {*port::parse("80/tcp"), "09005001"},
        {timestamp{1s}, "0a800000003b9aca00"},
        {-1ns, "0b7fffffffffffffff"},
        {enum_value{"ab"}, "0c616200"},
        {set{}, "0d00"},
        {set{1U, 2U}, "0d03000000000000000103000000000000000200"},
        {table{}, "0e00"},
        {table{{"k", true}}, "0e066b00020100"},
        {vector{}, "0f00"},
        {vector{"a", vector{nil}}, "0f0661000f010000"},
    };
    for (const auto& [value, text] : vectors) {
        EXPECT_EQ(hex(encoded(value)), text) << to_text(value);
        EXPECT_EQ(*decode_ordered(from_hex(text)), value);
    }
}

TEST(ordered, returns_every_value_from_its_one_encoding) {
    test::random_data source{26};
    for (int i = 0; i < 3000; ++i) {
        const auto value = source.next();
        const auto raw = encoded(value);
        const auto again = decode_ordered(raw);
        ASSERT_TRUE(again) << to_string(again.error()) << '\n' << to_text(value);
        ASSERT_EQ(*again, value);
        ASSERT_EQ(encoded(*again), raw);
    }
}

TEST(ordered, compares_as_bytes_like_the_values) {
    test::random_data source{27};
    std::vector<std::pair<data, bytes>> all;
    for (int i = 0; i < 500; ++i) {
        auto value = source.next(2);
        for (int twin = 0; twin < 2; ++twin) {
            auto raw = encoded(value);
            auto near = nudged(value, source);
            all.emplace_back(std::move(value), std::move(raw));
            value = std::move(near);
        }
    }
    for (const auto& a : all) {
        for (const auto& b : all) {
            ASSERT_EQ(a.first <=> b.first, compare(a.second, b.second)) << to_text(a.first) << "\n"
                                                                        << to_text(b.first);
        }
    }
}

TEST(ordered, compares_neighbours_within_lists_like_the_values) {
    test::random_data source{28};
    for (int i = 0; i < 20'000; ++i) {
        const auto a = source.next(2);
        const auto b = nudged(a, source);
        ASSERT_EQ(a <=> b, compare(encoded(a), encoded(b))) << to_text(a) << "\n" << to_text(b);
        const data in_a = vector{a, source.next(0)};
        const data in_b = vector{b, source.next(0)};
        ASSERT_EQ(in_a <=> in_b, compare(encoded(in_a), encoded(in_b))) << to_text(in_a) << "\n"
                                                                        << to_text(in_b);
    }
}

TEST(ordered, begins_a_string_with_the_bytes_of_every_string_that_begins_it) {
    const auto begins = [](const bytes& with, const bytes& what) {
        return what.size() >= with.size() && std::equal(with.begin(), with.end(), what.begin());
    };
    std::vector<std::string> texts{""};
    for (std::size_t i = 0; i < 341; ++i) {
        for (const auto c : {'\0', '\x01', 'a', '\xff'}) {
            texts.push_back(texts[i] + c);
        }
    }
    for (std::size_t i = 0; i < texts.size(); i += 3) {
        bytes prefix;
        ASSERT_TRUE(encode_ordered_prefix(texts[i], prefix));
        for (const auto& text : texts) {
            ASSERT_EQ(begins(prefix, encoded(text)), text.starts_with(texts[i]));
        }
    }
}

TEST(ordered, writes_a_bare_string_as_the_value) {
    for (const auto& text : {std::string{}, std::string{"abc"}, std::string(40, '\0')}) {
        bytes out;
        ASSERT_TRUE(encode_ordered_string(text, out));
        EXPECT_EQ(out, encoded(text));
        bytes prefix;
        ASSERT_TRUE(encode_ordered_prefix(text, prefix));
        out.pop_back();
        EXPECT_EQ(out, prefix);
    }
}

TEST(ordered, refuses_every_truncation) {
    test::random_data source{29};
    for (int i = 0; i < 100; ++i) {
        const auto raw = encoded(source.next(2));
        for (std::size_t size = 0; size < raw.size(); ++size) {
            // A heap copy of exactly this size, so that a sanitizer sees any read behind it.
            const bytes cut(raw.begin(), raw.begin() + static_cast<std::ptrdiff_t>(size));
            const auto value = decode_ordered(cut);
            // What remains of a string with a zero in it may be a shorter string.
            ASSERT_TRUE(!value || encoded(*value) == cut);
        }
    }
}

TEST(ordered, survives_damage_and_accepts_only_canonical_bytes) {
    test::random_data source{30};
    auto& random = source.random();
    for (int i = 0; i < 20'000; ++i) {
        auto raw = encoded(source.next(2));
        for (auto n = random.below(4); n > 0; --n) {
            raw[random.below(raw.size())] = static_cast<std::byte>(random.below(256));
        }
        if (const auto value = decode_ordered(raw)) {
            ASSERT_EQ(encoded(*value), raw);
        }
        bytes noise(random.below(40));
        for (auto& byte : noise) {
            byte = static_cast<std::byte>(random.below(random.chance(1, 2) ? 18 : 256));
        }
        if (const auto value = decode_ordered(noise)) {
            ASSERT_EQ(encoded(*value), noise);
        }
    }
}

TEST(ordered, says_why_it_refuses) {
    expect_refused("", "cut off at byte 0 of 0");
    expect_refused("00", "a type that no value has");
    expect_refused("10", "a type that no value has");
    expect_refused("0202", "neither true nor false");
    expect_refused("0300", "cut off");
    expect_refused("05ffffffffffffffee", "NaN");
    expect_refused("050000000000000000", "NaN");
    expect_refused("0661", "without an end");
    expect_refused("066100ff", "without an end");
    expect_refused("0800000000000000000000ffff0a00000168", "bits behind its prefix");
    expect_refused("080000000000000000000000000000000081", "bits behind its prefix");
    expect_refused("09005004", "protocol");
    expect_refused("0d0201", "cut off");
    expect_refused("0d0201020000", "out of order");
    expect_refused("0d0201020100", "repeated");
    expect_refused("0e020101020100", "repeated");
    expect_refused("0f01", "cut off");
    expect_refused("0101", "bytes behind the value at byte 1 of 2");
}

TEST(ordered, refuses_what_exceeds_the_limits_and_appends_nothing) {
    data nested = nil;
    for (std::size_t i = 0; i < data_depth_max; ++i) {
        nested = vector{std::move(nested)};
    }
    auto raw = encoded(nested);
    EXPECT_TRUE(decode_ordered(raw));
    raw.insert(raw.begin(), std::byte{0x0f});
    raw.push_back(std::byte{0});
    EXPECT_FALSE(decode_ordered(raw));

    const std::pair<std::string_view, data> too_much[]{
        {"deep", vector{nested}},
        {"many", vector(data_items_max, nil)},
        {"long", std::string(data_bytes_max - 1, 'a')},
        {"escaped", std::string(data_bytes_max / 2, '\0')},
        {"sum", vector{std::string(data_bytes_max / 2, 'a'), std::string(data_bytes_max / 2, 'b')}},
    };
    for (const auto& [what, value] : too_much) {
        bytes out{std::byte{7}};
        EXPECT_FALSE(encode_ordered(value, out)) << what;
        EXPECT_EQ(out.size(), 1U) << what;
    }
    bytes out;
    EXPECT_TRUE(encode_ordered(std::string(data_bytes_max - 2, 'a'), out));
    EXPECT_TRUE(decode_ordered(out));
    bytes many(data_items_max + 2, std::byte{1});
    many.front() = std::byte{0x0f};
    many.back() = std::byte{0};
    EXPECT_FALSE(decode_ordered(many));
    many.erase(many.begin() + 1);
    EXPECT_TRUE(decode_ordered(many));
}

}  // namespace
}  // namespace bzmq
