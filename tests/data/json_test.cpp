#include "bzmq/data.hpp"

#include <gtest/gtest.h>

#include "base/limits.hpp"
#include "data/base64.hpp"
#include "data/random_data.hpp"
#include <nlohmann/json.hpp>

#include <chrono>

namespace bzmq {
namespace {

using namespace std::chrono_literals;

void expect_refused(const std::string& text, const std::string& message) {
    const auto value = from_json(text);
    ASSERT_FALSE(value) << text;
    EXPECT_EQ(value.error(), ec::invalid_json);
    EXPECT_NE(value.error().message().find(message), std::string::npos) << text << '\n'
                                                                        << value.error().message();
}

TEST(json, writes_what_the_document_shows) {
    EXPECT_EQ(to_json(nil), R"({"@data-type":"none","data":{}})");
    EXPECT_EQ(to_json(true), R"({"@data-type":"boolean","data":true})");
    EXPECT_EQ(to_json(1U), R"({"@data-type":"count","data":1})");
    EXPECT_EQ(to_json(-1), R"({"@data-type":"integer","data":-1})");
    EXPECT_EQ(to_json(0.1), R"({"@data-type":"real","data":0.1})");
    EXPECT_EQ(to_json(-0.0), R"({"@data-type":"real","data":-0.0})");
    EXPECT_EQ(to_json(std::numeric_limits<real>::infinity()),
              R"({"@data-type":"real","data":"inf"})");
    EXPECT_EQ(to_json("a\"\n\x01ü"), "{\"@data-type\":\"string\",\"data\":\"a\\\"\\n\\u0001ü\"}");
    EXPECT_EQ(to_json("\xff\xfe"), R"({"@data-type":"string","encoding":"base64","data":"//4="})");
    EXPECT_EQ(to_json(*address::parse("192.0.2.1")),
              R"({"@data-type":"address","data":"192.0.2.1"})");
    EXPECT_EQ(to_json(*subnet::parse("10.0.0.0/8")),
              R"({"@data-type":"subnet","data":"10.0.0.0/8"})");
    EXPECT_EQ(to_json(*port::parse("80/tcp")), R"({"@data-type":"port","data":"80/tcp"})");
    EXPECT_EQ(to_json(timestamp{1ns}),
              R"({"@data-type":"timestamp","data":"1970-01-01T00:00:00.000000001Z"})");
    EXPECT_EQ(to_json(5s), R"({"@data-type":"timespan","data":"5s"})");
    EXPECT_EQ(to_json(enum_value{"a"}), R"({"@data-type":"enum-value","data":"a"})");
    EXPECT_EQ(to_json(set{1U}), R"({"@data-type":"set","data":[{"@data-type":"count","data":1}]})");
    EXPECT_EQ(to_json(table{{1U, true}}),
              R"({"@data-type":"table","data":[{"key":{"@data-type":"count","data":1},)"
              R"("value":{"@data-type":"boolean","data":true}}]})");
    EXPECT_EQ(to_json(vector{}), R"({"@data-type":"vector","data":[]})");
}

TEST(json, returns_every_value) {
    test::random_data source{4};
    for (int i = 0; i < 2000; ++i) {
        const auto value = source.next();
        const auto text = to_json(value);
        ASSERT_TRUE(nlohmann::json::accept(text)) << text;
        const auto again = from_json(text);
        ASSERT_TRUE(again) << text << '\n' << to_string(again.error());
        ASSERT_EQ(*again, value);
    }
}

TEST(json, takes_keys_in_any_order_and_space_anywhere) {
    EXPECT_EQ(*from_json(" { \"data\" : [ ] ,\n\"@data-type\":\"vector\" } "), data{vector{}});
    EXPECT_EQ(*from_json(R"({"@data-type":"real","data":1})"), data{1.0});
    EXPECT_EQ(*from_json(R"({"@data-type":"none","data":null})"), data{});
    EXPECT_EQ(*from_json(R"({"@data-type":"timestamp","data":"2022-04-10T16:07:00.000"})"),
              *parse_data("2022-04-10T16:07:00Z"));
}

TEST(json, tells_where_a_flaw_is) {
    expect_refused("", "at byte");
    expect_refused("{\"data\"", "at byte 7");
    expect_refused(R"({"data":1,"data":2})", "a key twice in an object at byte 16");
    expect_refused(R"({"nonsense":1})", "a key that no value has at byte 11");
    expect_refused(R"({"@data-type":"vector","data":[{"@data-type":"count","data":-1}]})",
                   "data that do not fit their @data-type at /data/0");
    expect_refused(R"({"@data-type":"table","data":[{"key":{"@data-type":"count","data":1}}]})",
                   "no object with key and value at /data/0");
    expect_refused("1", "at the root");
}

TEST(json, refuses_data_that_do_not_fit_their_type) {
    for (
        const auto* text : {
            R"({"@data-type":"count","data":18446744073709551616})",
            R"({"@data-type":"count","data":1.0})",
            R"({"@data-type":"count","data":"1"})",
            R"({"@data-type":"integer","data":9223372036854775808})",
            R"({"@data-type":"boolean","data":1})",
            R"({"@data-type":"real","data":"1.5"})",
            R"({"@data-type":"real","data":1e999})",
            R"({"@data-type":"address","data":"1.2.3"})",
            R"({"@data-type":"subnet","data":"1.2.3.4"})",
            R"({"@data-type":"port","data":"80"})",
            R"({"@data-type":"timespan","data":"5"})",
            R"({"@data-type":"timestamp","data":"yesterday"})",
            R"({"@data-type":"none","data":0})",
            R"({"@data-type":"none","data":{"key":1}})",
            R"({"@data-type":"string","data":1})",
            R"({"@data-type":"string","encoding":"base64","data":"a"})",
            R"({"@data-type":"string","encoding":"rot13","data":"a"})",
            R"({"@data-type":"count","encoding":"base64","data":"YQ=="})",
            R"({"@data-type":"set","data":{}})",
            R"({"@data-type":"list","data":[]})",
            R"({"@data-type":1,"data":[]})",
            R"({"data":[]})",
            R"({"@data-type":"count"})",
            R"({"@data-type":"count","data":1,"key":1})",
            R"({"@data-type":"set","data":[{"@data-type":"count","data":1},{"@data-type":"count","data":1}]})",
            "{\"@data-type\":\"string\",\"data\":\"\xff\"}",
            "[]",
            "null",
        }) {
        expect_refused(text, " at ");
    }
}

TEST(json, refuses_every_truncation) {
    test::random_data source{5};
    const auto text = to_json(vector{source.next(2), table{{"k", 1.5}}, set{1, 2U}});
    for (std::size_t size = 0; size < text.size(); ++size) {
        ASSERT_FALSE(from_json(std::string_view{text}.substr(0, size)));
    }
}

std::string nested_json(std::size_t depth) {
    std::string open;
    std::string close;
    for (std::size_t i = 0; i < depth; ++i) {
        open += R"({"@data-type":"vector","data":[)";
        close += "]}";
    }
    return open + close;
}

TEST(json, bounds_nesting) {
    EXPECT_TRUE(from_json(nested_json(data_depth_max)));
    expect_refused(nested_json(data_depth_max + 1), "nested too deep");
    expect_refused(nested_json(100'000), "nested too deep");
    expect_refused(std::string(5'000'000, '['), "nested too deep");
    data deepest = nil;
    for (std::size_t i = 0; i < data_depth_max; ++i) {
        deepest = i % 2 == 0 ? data{table{{deepest, nil}}} : data{table{{nil, deepest}}};
    }
    EXPECT_EQ(*from_json(to_json(deepest)), deepest);
}

TEST(json, bounds_size_and_number_of_values) {
    expect_refused(std::string(data_bytes_max + 1, ' '), "exceeds the limit");
    std::string many = R"({"@data-type":"vector","data":[0)";
    for (std::size_t i = 0; i < 6 * data_items_max; ++i) {
        many += ",0";
    }
    expect_refused(many + "]}", "too many values");
}

TEST(base64, follows_rfc_4648) {
    const std::pair<std::string_view, std::string_view> vectors[]{{"", ""},
                                                                  {"f", "Zg=="},
                                                                  {"fo", "Zm8="},
                                                                  {"foo", "Zm9v"},
                                                                  {"foob", "Zm9vYg=="},
                                                                  {"fooba", "Zm9vYmE="},
                                                                  {"foobar", "Zm9vYmFy"}};
    for (const auto& [bytes, text] : vectors) {
        EXPECT_EQ(to_base64(bytes), text);
        EXPECT_EQ(from_base64(text), bytes);
    }
    for (const auto* text :
         {"Z", "Zg", "Zg=", "Zh==", "Zm9=", "====", "Z===", "Zm=v", "Zm9v\n", "Zg==Zg==", "Zm 9"}) {
        EXPECT_FALSE(from_base64(text)) << text;
    }
}

}  // namespace
}  // namespace bzmq
