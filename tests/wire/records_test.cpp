#include "wire/records.hpp"

#include <string>

#include <gtest/gtest.h>

namespace bzmq::wire {
namespace {

std::vector<std::byte> written(std::initializer_list<std::pair<std::string_view, std::string_view>> all) {
    std::vector<std::byte> bytes;
    std::string_view last;
    bool first = true;
    for (const auto& [topic, payload] : all) {
        const bool same = !first && topic == last;
        const auto at = bytes.size();
        bytes.resize(at + record_size(topic, payload.size(), same));
        auto* to = put_record_head(bytes.data() + at, topic, payload.size(), same);
        std::memcpy(to, payload.data(), payload.size());
        EXPECT_EQ(to + payload.size(), bytes.data() + bytes.size()) << "record_size must be exact";
        last = topic;
        first = false;
    }
    return bytes;
}

TEST(records, come_back_and_repeat_their_topic_in_one_byte) {
    const auto bytes = written({{"/a", "1"}, {"/a", "22"}, {"", ""}, {"", "3"}, {"/b", ""}});
    record_cursor cursor{bytes};
    std::string seen;
    for (record each; cursor.next(each);) {
        seen += std::string{each.topic} + "="
                + std::string{reinterpret_cast<const char*>(each.payload.data()),
                              each.payload.size()}
                + (each.same_topic ? "*" : "") + ";";
    }
    EXPECT_FALSE(cursor.malformed());
    EXPECT_EQ(seen, "/a=1;/a=22*;=;=3*;/b=;");
}

TEST(records, the_first_must_spell_its_topic_out) {
    const std::byte bytes[] = {std::byte{0}, std::byte{0}};
    record_cursor cursor{bytes};
    record each;
    EXPECT_FALSE(cursor.next(each));
    EXPECT_TRUE(cursor.malformed());
}

TEST(records, every_truncation_ends_between_two_records_or_is_malformed) {
    const std::string longer(200, 't');
    const auto bytes = written({{"/topic", "payload"}, {"/topic", "more"}, {longer, longer}});
    std::size_t whole = 0;
    for (std::size_t length = 0; length <= bytes.size(); ++length) {
        record_cursor cursor{std::span{bytes}.first(length)};
        for (record each; cursor.next(each);) {
        }
        whole += cursor.malformed() ? 0 : 1;
    }
    EXPECT_EQ(whole, 4U);
}

TEST(records, lengths_beyond_the_end_are_malformed) {
    for (const std::uint64_t length : {std::uint64_t{3}, std::uint64_t{1} << 40,
                                       ~std::uint64_t{0}}) {
        std::vector<std::byte> topic, payload;
        byte_writer{topic}.varint(length);
        topic.push_back(std::byte{'x'});
        byte_writer out{payload};
        out.varint(1);
        out.varint(length);
        out.u8('x');
        for (const auto& bytes : {topic, payload}) {
            record_cursor cursor{bytes};
            record each;
            EXPECT_FALSE(cursor.next(each));
            EXPECT_TRUE(cursor.malformed());
        }
    }
}

}  // namespace
}  // namespace bzmq::wire
