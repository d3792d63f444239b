#include "bzmq/data.hpp"

#include <gtest/gtest.h>

#include "base/limits.hpp"
#include "data/random_data.hpp"

#include <chrono>

namespace bzmq {
namespace {

using namespace std::chrono_literals;

std::string read_as(std::string_view text) {
    const auto value = parse_data(text);
    return value ? std::string{to_string(value->get_type())} + ' ' + to_string(*value)
                 : to_string(value.error());
}

TEST(text, shows_values_to_people) {
    EXPECT_EQ(to_string(data{}), "nil");
    EXPECT_EQ(to_string(data{true}), "T");
    EXPECT_EQ(to_string(data{-3}), "-3");
    EXPECT_EQ(to_string(data{3.0}), "3.0");
    EXPECT_EQ(to_string(data{0.1}), "0.1");
    EXPECT_EQ(to_string(data{1e300}), "1e+300");
    EXPECT_EQ(to_string(data{"a \"b\""}), "a \"b\"");
    EXPECT_EQ(to_string(data{1500ms}), "1500ms");
    EXPECT_EQ(to_string(data{timestamp{}}), "1970-01-01T00:00:00Z");
    EXPECT_EQ(to_string(data{timestamp{-1ns}}), "1969-12-31T23:59:59.999999999Z");
    EXPECT_EQ(to_string(data{set{"b", "a"}}), "{a, b}");
    EXPECT_EQ(to_string(data{table{{"k", 1}, {"l", set{}}}}), "{k -> 1, l -> {}}");
    EXPECT_EQ(to_string(data{vector{"a", vector{}, nil}}), "(a, (), nil)");
}

TEST(text, reads_what_has_the_form_of_a_type) {
    EXPECT_EQ(read_as("nil"), "none nil");
    EXPECT_EQ(read_as("T"), "boolean T");
    EXPECT_EQ(read_as("3"), "count 3");
    EXPECT_EQ(read_as("+3"), "count 3");
    EXPECT_EQ(read_as("18446744073709551615"), "count 18446744073709551615");
    EXPECT_EQ(read_as("-3"), "integer -3");
    EXPECT_EQ(read_as("int(3)"), "integer 3");
    EXPECT_EQ(read_as("-9223372036854775808"), "integer -9223372036854775808");
    EXPECT_EQ(read_as("3.5"), "real 3.5");
    EXPECT_EQ(read_as("+3.5"), "real 3.5");
    EXPECT_EQ(read_as("-1e9"), "real -1e+09");
    EXPECT_EQ(read_as("-inf"), "real -inf");
    EXPECT_EQ(read_as("nan"), "real nan");
    EXPECT_EQ(read_as("\"80/tcp\""), "string 80/tcp");
    EXPECT_EQ(read_as(R"("a\"\\\n\x41")"), "string a\"\\\nA");
    EXPECT_EQ(read_as("192.168.0.1"), "address 192.168.0.1");
    EXPECT_EQ(read_as("2001:db8::1"), "address 2001:db8::1");
    EXPECT_EQ(read_as("10.0.0.0/8"), "subnet 10.0.0.0/8");
    EXPECT_EQ(read_as("80/tcp"), "port 80/tcp");
    EXPECT_EQ(read_as("5s"), "timespan 5s");
    EXPECT_EQ(read_as("-1.5ms"), "timespan -1500us");
    EXPECT_EQ(read_as("2d"), "timespan 172800s");
    EXPECT_EQ(read_as("2026-01-31T08:30:00.250Z"), "timestamp 2026-01-31T08:30:00.25Z");
    EXPECT_EQ(read_as("2026-01-31T08:30:00"), "timestamp 2026-01-31T08:30:00Z");
    EXPECT_EQ(read_as("enum(Notice::LOG)"), "enum-value Notice::LOG");
    EXPECT_EQ(read_as("enum(\"a b\")"), "enum-value a b");
    EXPECT_EQ(read_as("{b, a, b}"), "set {a, b}");
    EXPECT_EQ(read_as("{}"), "set {}");
    EXPECT_EQ(read_as("{->}"), "table {}");
    EXPECT_EQ(read_as("{a->1, b -> (x, 80/tcp)}"), "table {a -> 1, b -> (x, 80/tcp)}");
    EXPECT_EQ(read_as("( 1 , hello world,\"\" )"), "vector (1, hello world, )");
    EXPECT_EQ(read_as("()"), "vector ()");
}

TEST(text, takes_anything_else_for_a_string) {
    for (const auto* text : {"",
                             "hello world",
                             " 5",
                             "5 ",
                             "t",
                             "true",
                             "+-3",
                             "--3",
                             "+",
                             "-",
                             "1.2.3",
                             "3x",
                             "1e999",
                             "18446744073709551616",
                             "-9223372036854775809",
                             "infinity",
                             "nan(1)",
                             "256.0.0.1",
                             "10.0.0.0/33",
                             "80/sctp",
                             "5 s",
                             "0.5ns",
                             "9223372037s",
                             "2026-02-30T00:00:00Z",
                             "2026-01-31",
                             "2026-01-31T24:00:00Z",
                             "1600-01-01T00:00:00Z",
                             "\"open",
                             "\"a\" b",
                             "\"\\q\"",
                             "\"\\x4\"",
                             "{a, b",
                             "(a,)",
                             "(,)",
                             "{a -> 1, b}",
                             "{a, b -> 1}",
                             "{->",
                             "(a) b",
                             "int()",
                             "int(x)",
                             "int(9223372036854775808)",
                             "enum(a b)",
                             "{\"a\": 1}",
                             "(a \"b\")"}) {
        EXPECT_EQ(read_as(text), std::string{"string "} + text);
    }
}

TEST(text, refuses_a_table_with_a_repeated_key) {
    EXPECT_EQ(parse_data("{a -> 1, a -> 2}").error(), ec::invalid_data);
}

TEST(text, bounds_nesting) {
    const auto nested = [](std::size_t depth) {
        return std::string(depth, '(') + std::string(depth, ')');
    };
    EXPECT_TRUE(is<vector>(*parse_data(nested(data_depth_max))));
    EXPECT_EQ(parse_data(nested(data_depth_max + 1)).error(), ec::invalid_data);
    EXPECT_EQ(parse_data(std::string(1'000'000, '(')).error(), ec::invalid_data);
    EXPECT_EQ(parse_data(std::string(1'000'000, '{')).error(), ec::invalid_data);
}

TEST(text, bounds_size_and_number_of_values) {
    EXPECT_EQ(parse_data(std::string(data_bytes_max + 1, 'a')).error(), ec::invalid_data);
    std::string many = "(1";
    for (std::size_t i = 0; i < data_items_max; ++i) {
        many += ",1";
    }
    many += ')';
    EXPECT_EQ(parse_data(many).error(), ec::invalid_data);
}

TEST(text, returns_every_value_from_its_program_form) {
    test::random_data source{2};
    for (int i = 0; i < 3000; ++i) {
        const auto value = source.next();
        const auto again = parse_data(to_text(value));
        ASSERT_TRUE(again) << to_text(value) << '\n' << to_string(again.error());
        ASSERT_EQ(*again, value);
    }
}

TEST(text, survives_damaged_texts) {
    test::random_data source{3};
    for (int i = 0; i < 3000; ++i) {
        auto text = to_text(source.next(2));
        auto& random = source.random();
        text[random.below(text.size())] = "(){}\",->/: "[random.below(11)];
        const auto value = parse_data(text);
        if (value) {
            ASSERT_EQ(*parse_data(to_text(*value)), *value) << text;
        }
    }
}

TEST(time_text, covers_the_whole_range) {
    EXPECT_EQ(to_string(timestamp::max()), "2262-04-11T23:47:16.854775807Z");
    EXPECT_EQ(to_string(timestamp::min()), "1677-09-21T00:12:43.145224192Z");
    EXPECT_EQ(*parse_data("1677-09-21T00:12:43.145224192Z"), data{timestamp::min()});
    EXPECT_EQ(*parse_data("2262-04-11T23:47:16.854775807Z"), data{timestamp::max()});
    EXPECT_TRUE(is<std::string>(*parse_data("2262-04-11T23:47:16.854775808Z")));
    EXPECT_TRUE(is<std::string>(*parse_data("1677-09-21T00:12:43.145224191Z")));
    EXPECT_EQ(*parse_data(to_text(data{timespan::min()})), data{timespan::min()});
    EXPECT_EQ(*parse_data(to_text(data{timespan::max()})), data{timespan::max()});
}

}  // namespace
}  // namespace bzmq
