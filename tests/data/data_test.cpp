#include "bzmq/data.hpp"

#include <gtest/gtest.h>

#include "data/random_data.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <unordered_set>

namespace bzmq {
namespace {

using namespace std::chrono_literals;

constexpr real infinity = std::numeric_limits<real>::infinity();
const real not_a_number = std::numeric_limits<real>::quiet_NaN();

TEST(data, takes_each_cpp_type_for_what_it_is) {
    EXPECT_EQ(data{}.get_type(), data_type::none);
    EXPECT_EQ(data{nil}.get_type(), data_type::none);
    EXPECT_EQ(data{true}.get_type(), data_type::boolean);
    EXPECT_EQ(data{1}.get_type(), data_type::integer);
    EXPECT_EQ(data{1L}.get_type(), data_type::integer);
    EXPECT_EQ(data{std::int8_t{1}}.get_type(), data_type::integer);
    EXPECT_EQ(data{1U}.get_type(), data_type::count);
    EXPECT_EQ(data{std::size_t{1}}.get_type(), data_type::count);
    EXPECT_EQ(data{std::uint8_t{1}}.get_type(), data_type::count);
    EXPECT_EQ(data{1.5}.get_type(), data_type::real);
    EXPECT_EQ(data{1.5F}.get_type(), data_type::real);
    EXPECT_EQ(data{"text"}.get_type(), data_type::string);
    EXPECT_EQ(data{std::string_view{"text"}}.get_type(), data_type::string);
    EXPECT_EQ(data{std::string{"text"}}.get_type(), data_type::string);
    EXPECT_EQ(data{address{}}.get_type(), data_type::address);
    EXPECT_EQ(data{subnet{}}.get_type(), data_type::subnet);
    EXPECT_EQ(data{port{}}.get_type(), data_type::port);
    EXPECT_EQ(data{timestamp{}}.get_type(), data_type::timestamp);
    EXPECT_EQ(data{std::chrono::system_clock::now()}.get_type(), data_type::timestamp);
    EXPECT_EQ(data{5ns}.get_type(), data_type::timespan);
    EXPECT_EQ(get<timespan>(data{5s}), 5s);
    EXPECT_EQ(data{enum_value{"x"}}.get_type(), data_type::enum_value);
    EXPECT_EQ(data{set{}}.get_type(), data_type::set);
    EXPECT_EQ(data{table{}}.get_type(), data_type::table);
    EXPECT_EQ(data{vector{}}.get_type(), data_type::vector);
    static_assert(!std::is_constructible_v<data, char>);
    static_assert(!std::is_constructible_v<data, const int*>);
    static_assert(!std::is_convertible_v<std::chrono::duration<double>, data>);
}

TEST(data, gives_what_it_holds_and_nothing_else) {
    data value = "text";
    EXPECT_TRUE(is<std::string>(value));
    EXPECT_EQ(get<std::string>(value), "text");
    EXPECT_EQ(get_if<count>(&value), nullptr);
    EXPECT_THROW(static_cast<void>(get<count>(value)), std::bad_variant_access);
    get<std::string>(value) += "!";
    EXPECT_EQ(*get_if<std::string>(&value), "text!");
    EXPECT_EQ(visit([](const auto& held) { return sizeof held; }, value), sizeof(std::string));
}

TEST(data, orders_the_types_by_their_numbers) {
    const vector ascending{nil,        false,          0U,       -1,      -1.0,
                           "",         address{},      subnet{}, port{},  timestamp{},
                           timespan{}, enum_value{""}, set{},    table{}, vector{}};
    for (std::size_t i = 0; i < ascending.size(); ++i) {
        EXPECT_EQ(static_cast<std::size_t>(ascending[i].get_type()), i);
        for (std::size_t k = 0; k < ascending.size(); ++k) {
            EXPECT_EQ(ascending[i] <=> ascending[k], i <=> k);
        }
    }
}

TEST(data, orders_reals_totally) {
    const vector ascending{-infinity, -1e308, -1.0,  -5e-324,  -0.0,        0.0,
                           5e-324,    1.0,    1e308, infinity, not_a_number};
    for (std::size_t i = 0; i < ascending.size(); ++i) {
        for (std::size_t k = 0; k < ascending.size(); ++k) {
            EXPECT_EQ(ascending[i] <=> ascending[k], i <=> k) << i << ' ' << k;
        }
    }
}

TEST(data, holds_every_nan_for_the_same_value) {
    const data a = not_a_number;
    const data b = -not_a_number;
    const data c = std::bit_cast<real>(0x7ff0000000000001);
    EXPECT_EQ(a, b);
    EXPECT_EQ(a, c);
    EXPECT_EQ(std::hash<data>{}(a), std::hash<data>{}(b));
    EXPECT_EQ((set{a, b, c}).size(), 1U);
}

TEST(data, obeys_the_laws_of_order_and_hash) {
    test::random_data source{1};
    vector values;
    for (int i = 0; i < 250; ++i) {
        values.push_back(source.next(2));
    }
    for (const auto& a : values) {
        EXPECT_EQ(a, data{a});
        EXPECT_EQ(std::hash<data>{}(a), std::hash<data>{}(data{a}));
        for (const auto& b : values) {
            EXPECT_EQ(a <=> b == 0, a == b);
            EXPECT_EQ(a <=> b<0, b <=> a> 0);
            if (a == b) {
                EXPECT_EQ(std::hash<data>{}(a), std::hash<data>{}(b));
            }
        }
    }
    // Sorted by a lawful order, each value lies before all that follow it: transitivity.
    std::sort(values.begin(), values.end());
    for (std::size_t i = 0; i < values.size(); ++i) {
        for (std::size_t k = i; k < values.size(); ++k) {
            ASSERT_FALSE(values[k] < values[i]);
        }
    }
}

TEST(data, spreads_hashes) {
    std::unordered_set<std::size_t> hashes;
    for (count i = 0; i < 1000; ++i) {
        hashes.insert(std::hash<data>{}(i));
        hashes.insert(std::hash<data>{}(static_cast<integer>(i)));
        hashes.insert(std::hash<data>{}(vector{i}));
        hashes.insert(std::hash<data>{}(vector{i, i}));
    }
    EXPECT_GT(hashes.size(), 3990U);
}

TEST(address, parses_and_writes_both_families) {
    for (const auto* text :
         {"192.0.2.1", "0.0.0.0", "255.255.255.255", "::", "::1", "2001:db8::1", "fe80::1:2:3:4"}) {
        const auto parsed = address::parse(text);
        ASSERT_TRUE(parsed) << text;
        EXPECT_EQ(to_string(*parsed), text);
    }
    EXPECT_EQ(address::parse("::ffff:192.0.2.1"), address::parse("192.0.2.1"));
    EXPECT_TRUE(address::parse("192.0.2.1")->is_v4());
    EXPECT_FALSE(address::parse("::1")->is_v4());
}

TEST(address, refuses_what_is_none) {
    for (const auto* text : {"", "1", "1.2.3", "1.2.3.4.5", "256.1.1.1", "1.2.3.4 ", ":::", "[::1]",
                             "fe80::1%eth0", "1.2.3.4/8", "12345::", "g::"}) {
        EXPECT_FALSE(address::parse(text)) << text;
    }
    EXPECT_FALSE(address::parse(std::string_view{"1.2.3.4\0", 8}));
    EXPECT_FALSE(address::parse(std::string(1000, ':')));
}

TEST(subnet, clears_the_bits_behind_its_prefix) {
    EXPECT_EQ(to_string(*subnet::parse("10.1.2.3/8")), "10.0.0.0/8");
    EXPECT_EQ(to_string(*subnet::parse("10.1.2.255/31")), "10.1.2.254/31");
    EXPECT_EQ(to_string(*subnet::parse("1.2.3.4/0")), "0.0.0.0/0");
    EXPECT_EQ(to_string(*subnet::parse("2001:db8:1::/32")), "2001:db8::/32");
    EXPECT_EQ(to_string(*subnet::parse("::ffff:10.1.2.3/104")), "10.0.0.0/8");
    EXPECT_EQ(to_string(*subnet::parse("::ffff:10.1.2.3/95")), "::fffe:0:0/95");
    EXPECT_EQ(to_string(subnet{*address::parse("10.1.2.3"), 16}), "10.1.0.0/16");
}

TEST(subnet, refuses_prefixes_that_are_too_long) {
    for (const auto* text : {"10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0", "10.0.0.0/8x",
                             "10.0.0.0/-1", "/8", "10.0.0.0/4294967295"}) {
        EXPECT_FALSE(subnet::parse(text)) << text;
    }
    EXPECT_THROW(subnet(*address::parse("10.0.0.0"), 33), std::invalid_argument);
    EXPECT_THROW(subnet(address{}, 129), std::invalid_argument);
    EXPECT_THROW(subnet(*address::parse("10.0.0.0"), 0U - 96), std::invalid_argument);
}

TEST(subnet, contains_its_addresses_and_narrower_subnets) {
    const auto net = *subnet::parse("10.0.0.0/8");
    EXPECT_TRUE(net.contains(*address::parse("10.255.0.1")));
    EXPECT_FALSE(net.contains(*address::parse("11.0.0.1")));
    EXPECT_FALSE(net.contains(*address::parse("::1")));
    EXPECT_TRUE(net.contains(*subnet::parse("10.1.0.0/16")));
    EXPECT_TRUE(net.contains(net));
    EXPECT_FALSE(net.contains(*subnet::parse("8.0.0.0/6")));
    EXPECT_TRUE(subnet{}.contains(*address::parse("1.2.3.4")));
}

TEST(port, parses_and_writes_every_protocol) {
    for (const auto* text : {"80/tcp", "53/udp", "8/icmp", "0/?", "65535/tcp"}) {
        const auto parsed = port::parse(text);
        ASSERT_TRUE(parsed) << text;
        EXPECT_EQ(to_string(*parsed), text);
    }
    EXPECT_EQ(port::parse("7/unknown"), (port{7, port::protocol::unknown}));
    for (const auto* text :
         {"", "80", "80/", "80/sctp", "65536/tcp", "-1/tcp", "80/tcp ", "/tcp"}) {
        EXPECT_FALSE(port::parse(text)) << text;
    }
}

}  // namespace
}  // namespace bzmq
