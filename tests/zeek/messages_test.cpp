// Zeek's messages: the vectors of docs/zeek.md, and what is refused.
#include "bzmq/zeek.hpp"

#include <map>
#include <ostream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "data/msgpack_codec.hpp"
#include "doc_vectors.hpp"

namespace bzmq::zeek {
namespace {

using namespace std::chrono_literals;

event ping() {
    event out{"ping", {"hello", 7U}};
    out.set_network_time(timestamp{1'700'000'000s + 250ms});
    out.metadata.emplace_back(user_metadata, "mine");
    return out;
}
log_create create() {
    return make_log_create("dns", {{"ts", "time"}, {"query", "string"}, {"answers", "vector[string]"}});
}
log_write write() {
    return make_log_write("dns", {timestamp{1'700'000'000s}, "example.com", nil});
}

const std::map<std::string, any_message>& samples() {
    static const std::map<std::string, any_message> all{
        {"event", {event{"ping", {"hello", 7U}}}},
        {"event_with_metadata", {ping()}},
        {"log_create", {create()}},
        {"log_write", {write()}},
        {"log_write_serialised",
         {log_write{enum_value{"DNS::LOG"}, enum_value{"Log::WRITER_ASCII"}, "dns",
                    std::string{"\x01\xff", 2}}}},
        {"identifier_update", {identifier_update{"Site::local_nets", set{1U, 2U}}}},
        {"batch", {batch{{{event{"a", {}}}, {batch{{{event{"b", {nil}}}}}}}}}},
    };
    return all;
}

TEST(zeek_messages, the_document_shows_the_bytes_of_each) {
    auto documented = testing::read_vectors("zeek.md");
    for (const auto& [name, message] : samples()) {
        std::vector<std::byte> bytes;
        ASSERT_TRUE(encode(to_data(message), bytes));
        EXPECT_EQ(testing::hex(documented[name]), testing::hex(bytes))
            << "docs/zeek.md, vector " << name << ", should read:\n" << to_text(to_data(message))
            << "\n" << testing::hex(bytes);
        const auto back = decode(documented[name]).and_then([](data&& value) {
            return parse(std::move(value));
        });
        if (!back) {
            ADD_FAILURE() << to_string(back.error());
            continue;
        }
        EXPECT_EQ(*back, message);
    }
    EXPECT_EQ(documented.size(), samples().size());
}

TEST(zeek_messages, each_visits_as_what_it_is) {
    struct {
        std::string operator()(const event& what) const { return "event " + what.name; }
        std::string operator()(const log_create& what) const { return "create " + what.stream.name(); }
        std::string operator()(const log_write& what) const { return "write " + what.path; }
        std::string operator()(const identifier_update& what) const { return "update " + what.id; }
        std::string operator()(const batch& what) const {
            return "batch of " + std::to_string(what.messages.size());
        }
    } name;
    EXPECT_EQ(visit(name, samples().at("event")), "event ping");
    EXPECT_EQ(visit(name, samples().at("log_create")), "create dns::LOG");
    EXPECT_EQ(visit(name, samples().at("log_write")), "write dns");
    EXPECT_EQ(visit(name, samples().at("identifier_update")), "update Site::local_nets");
    EXPECT_EQ(visit(name, samples().at("batch")), "batch of 2");
}

TEST(zeek_messages, an_events_metadata_is_found_by_key) {
    const auto what = ping();
    EXPECT_EQ(what.network_time(), timestamp{1'700'000'000s + 250ms});
    EXPECT_EQ(*what.find_metadata(user_metadata), data{"mine"});
    EXPECT_EQ(what.find_metadata(201), nullptr);
    EXPECT_FALSE((event{"x"}.network_time()));
}

TEST(zeek_messages, the_fields_of_our_logs_come_back) {
    const auto fields = log_fields(create());
    ASSERT_TRUE(fields);
    EXPECT_EQ(fields->at(2), (log_field{"answers", "vector[string]"}));
    auto twice = create();
    get<vector>(twice.fields).push_back(vector{"ts", "time"});
    EXPECT_EQ(log_fields(twice).error().message(), "log_create: the field ts comes twice");
    twice.fields = "opaque";
    EXPECT_EQ(log_fields(twice).error(), ec::invalid_data);
}

struct refusal {
    std::string text;
    std::string why;
    friend void PrintTo(const refusal& what, std::ostream* out) { *out << what.text; }
};

class zeek_refusals : public ::testing::TestWithParam<refusal> {};

TEST_P(zeek_refusals, say_what_was_expected) {
    const auto value = parse_data(GetParam().text);
    ASSERT_TRUE(value);
    const auto got = parse(*value);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error(), ec::invalid_data);
    EXPECT_EQ(got.error().message(), GetParam().why);
}

constexpr auto no_message = "expected one of Zeek's messages, (1, type 1 to 5, (fields...))";
INSTANTIATE_TEST_SUITE_P(
    all, zeek_refusals,
    ::testing::Values(
        refusal{"5", no_message}, refusal{"(1, 1)", no_message}, refusal{"(2, 1, ())", no_message},
        refusal{"(1, 6, ())", no_message}, refusal{"(1, 0, ())", no_message},
        refusal{"(int(1), 1, ())", no_message}, refusal{"(1, 1, 1)", no_message},
        refusal{"(1, 1, (a))", "event: expected 2 or 3 fields, got 1"},
        refusal{"(1, 1, (a, (), (), 1))", "event: expected 2 or 3 fields, got 4"},
        refusal{"(1, 1, (7, ()))", "event: expected the name as a string, got a count"},
        refusal{R"((1, 1, ("", ())))", "event: the name is empty"},
        refusal{"(1, 1, (a, {}))", "event: expected the arguments as a vector, got a set"},
        refusal{"(1, 1, (a, (), ((a, 1))))", "event: expected metadata as pairs (count, value)"},
        refusal{"(1, 1, (a, (), ((1, 5))))",
                "event: expected the network time as a timestamp, got a count"},
        refusal{"(1, 2, (a, enum(b), nil, nil))",
                "log_create: expected the stream as an enum-value, got a string"},
        refusal{"(1, 3, (enum(a), enum(b), c, 5))",
                "log_write: expected the record as a vector or string, got a count"},
        refusal{"(1, 4, (a))", "identifier_update: expected 2 fields, got 1"},
        refusal{"(1, 5, ((1, 1, (a, ())), 7))",
                std::string{"batch, message 1: "} + no_message}));

TEST(zeek_messages, batches_have_a_greatest_depth) {
    any_message nested{event{"x"}};
    for (unsigned i = 0; i < batch_depth_max; ++i) {
        nested = any_message{batch{{nested}}};
    }
    EXPECT_EQ(*parse(to_data(nested)), nested);
    EXPECT_FALSE(parse(to_data(batch{{nested}})));
}

}  // namespace
}  // namespace bzmq::zeek
