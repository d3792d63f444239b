// The bytes of requests and answers: the vectors of docs/requests.md, and what is refused.
#include "request/envelope.hpp"

#include <gtest/gtest.h>

#include "bzmq/request.hpp"
#include "data/msgpack_codec.hpp"
#include "doc_vectors.hpp"

namespace bzmq::request_wire {
namespace {

using namespace std::chrono_literals;

TEST(request_envelope, the_document_shows_the_bytes_of_each) {
    const std::map<std::string, envelope> samples{
        {"ask", {kind::ask, 7, 10s, vector{1U, 2U}, {}}},
        {"cancel", {kind::cancel, 7, {}, {}, {}}},
        {"more", {kind::more, 7, {}, 3U, {}}},
        {"last", {kind::last, 7, {}, 3U, {}}},
        {"end", {kind::end, 7, {}, {}, {}}},
        {"failed", {kind::failed, 7, {}, {}, {ec::type_clash, "no number"}}},
    };
    auto documented = testing::read_vectors("requests.md");
    EXPECT_EQ(documented.size(), samples.size());
    for (const auto& [name, sample] : samples) {
        std::vector<std::byte> bytes;
        ASSERT_TRUE(encode(to_data(sample), bytes));
        EXPECT_EQ(testing::hex(documented[name]), testing::hex(bytes))
            << "docs/requests.md, vector " << name << ", should read:\n"
            << to_text(to_data(sample)) << "\n" << testing::hex(bytes);
        auto value = decode(documented[name]);
        if (!value) {
            continue;
        }
        const auto back = parse(std::move(*value));
        ASSERT_TRUE(back);
        EXPECT_EQ(back->what, sample.what);
        EXPECT_EQ(back->id, sample.id);
        EXPECT_EQ(back->timeout, sample.timeout);
        EXPECT_EQ(back->value, sample.value);
        EXPECT_EQ(to_string(back->why), to_string(sample.why));
    }
}

TEST(request_envelope, anything_else_is_refused) {
    for (const auto* text :
         {"5", "()", "(1, 0)", "(2, 1, 7)", "(1, 6, 7)", "(1, int(1), 7)", "(1, 1, int(7))",
          "(1, 1, 7, 8)", "(1, 0, 7, 10s)", "(1, 0, 7, 10, nil)", "(1, 2, 7)", "(1, 3, 7, 1, 1)",
          "(1, 4, 7, 1)", "(1, 5, 7, a)", "(1, 5, 7, 1, a)"}) {
        auto value = parse_data(text);
        ASSERT_TRUE(value);
        EXPECT_FALSE(parse(std::move(*value))) << text;
    }
}

TEST(request_envelope, a_failure_never_passes_for_success) {
    for (const auto* code : {"none", "what?"}) {
        const auto got = parse(vector{1U, 5U, 7U, code, "why"});
        ASSERT_TRUE(got);
        EXPECT_EQ(got->why, ec::unspecified);
    }
}

TEST(request_envelope, topics_end_with_their_separator) {
    EXPECT_EQ(request_topic("/calc/add"), "/bzmq/requests/calc/add/");
    EXPECT_EQ(request_topic("calc/add/"), "/bzmq/requests/calc/add/");
    EXPECT_EQ(served_topic(request_topic("calc/add")), "/calc/add");
    EXPECT_EQ(served_topic(request_topic("")), "/");
}

}  // namespace
}  // namespace bzmq::request_wire
