// What a hub says to frames that are none, or not of its protocol (docs/protocol.md, section 13).
#include <algorithm>

#include "node/lone_hub.hpp"

namespace bzmq::node {
namespace {

std::vector<std::byte> good_hello() {
    return wire::encode(wire::frame_type::hello, lone_hub::hello_of(2));
}
std::vector<std::byte> bytes_of(std::string_view text) {
    const auto raw = std::as_bytes(std::span{text.data(), text.size()});
    return {raw.begin(), raw.end()};
}

struct bad_frame {
    std::string name;
    std::vector<std::byte> bytes;
    std::string told;
    std::uint64_t malformed = 1;
};

std::vector<bad_frame> first_frames() {
    auto version = good_hello();
    version[5] = version[6] = std::byte{9};
    auto magic = good_hello();
    magic[1] = std::byte{'B'};
    auto nil = good_hello();
    std::fill_n(nil.begin() + 7, 16, std::byte{0});
    const auto hello = good_hello();
    return {
        {"another version", version, "protocol versions 9..9 offered, 1..1 spoken here", 0},
        {"truncated", {hello.begin(), hello.end() - 3}, "malformed hello"},
        {"only the type", {hello.begin(), hello.begin() + 1}, "malformed hello"},
        {"wrong magic", magic, "malformed hello"},
        {"nil id", nil, "malformed hello"},
        {"unknown type", bytes_of("\x63what"), "expected a hello"},
        {"a batch", {std::byte{8}, std::byte{1}, std::byte{0}, std::byte{0}}, "expected a hello"},
        {"empty", {}, "expected a hello"},
    };
}

TEST(malformed, a_first_frame_that_is_no_hello_of_ours_is_refused_with_its_reason) {
    for (const auto& bad : first_frames()) {
        SCOPED_TRACE(bad.name);
        lone_hub here;
        const auto link = here.comes_in();
        here.say(link, bad.bytes);
        const auto goodbye = here.goodbye(link);
        EXPECT_EQ(goodbye.code, ec::peer_incompatible);
        EXPECT_NE(goodbye.text.find(bad.told), std::string::npos) << goodbye.text;
        EXPECT_EQ(here.closed, std::vector{link});
        EXPECT_EQ(here.machine->counters().malformed, bad.malformed);
        ASSERT_EQ(here.notices.size(), 1U);
        EXPECT_NE(here.notices[0].find("peer_incompatible"), std::string::npos);
        EXPECT_NE(here.notices[0].find("tcp://192.0.2.1:7"), std::string::npos);
        EXPECT_NE(here.notices[0].find(bad.told), std::string::npos) << here.notices[0];
        // What comes behind it falls to the floor.
        here.say(link, good_hello());
        EXPECT_EQ(here.sent[link].size(), 1U);
        EXPECT_TRUE(here.machine->peers().empty());
    }
}

TEST(malformed, a_hello_may_end_in_fields_that_are_not_known_yet) {
    lone_hub here;
    const auto link = here.comes_in();
    auto longer = good_hello();
    longer.insert(longer.end(), 20, std::byte{0x81});
    longer.push_back(std::byte{1});
    // The first of them is known: so long a number is none.
    here.say(link, longer);
    EXPECT_EQ(here.goodbye(link).code, ec::peer_incompatible);
    auto newer = wire::encode(wire::frame_type::hello, lone_hub::hello_of(2, 1000));
    newer.insert(newer.end(), 20, std::byte{0xff});
    const auto second = here.comes_in();
    here.say(second, newer);
    here.say(second, wire::encode_ready());
    here.turn();
    EXPECT_TRUE(here.machine->reachable(lone_hub::id(2)));
}

TEST(malformed, a_welcome_that_is_none_is_refused) {
    for (const bool version : {false, true}) {
        lone_hub here;
        here.machine->add_target(here.now, 5, "tcp://192.0.2.1:8", false);
        here.machine->link_opened(here.now, ++here.last_link, 5, "tcp://192.0.2.1:8", "");
        auto welcome = wire::encode(wire::frame_type::welcome, lone_hub::hello_of(2));
        if (version) {
            welcome[5] = welcome[6] = std::byte{9};
        } else {
            welcome.resize(10);
        }
        here.say(here.last_link, welcome);
        EXPECT_EQ(here.goodbye(here.last_link).code, ec::peer_incompatible);
        EXPECT_EQ(here.machine->counters().malformed, 1U);
        EXPECT_EQ(here.machine->target_status(5).last_error, ec::peer_incompatible);
    }
}

TEST(malformed, a_frame_that_breaks_the_protocol_ends_a_link_that_is_up) {
    const std::vector<bad_frame> all{
        {"unknown type", bytes_of("\x63garbage"), ""},
        {"empty", {}, ""},
        {"a short batch", bytes_of("\x08"), ""},
        {"a batch with an unknown item", bytes_of({"\x08\x01\0\0\x09", 5}), ""},
        {"a section of an unknown tree", bytes_of({"\x08\x01\0\0\x03\0\x07", 7}), ""},
        {"a short heartbeat", bytes_of("\x05\x01"), ""},
        {"an acknowledgement that contradicts itself", bytes_of({"\x07\x01\x02\0", 4}), ""},
    };
    for (const auto& bad : all) {
        SCOPED_TRACE(bad.name);
        lone_hub here;
        const auto link = here.peer(2);
        ASSERT_TRUE(here.machine->reachable(lone_hub::id(2)));
        here.say(link, bad.bytes);
        EXPECT_EQ(here.goodbye(link).code, ec::peer_invalid);
        EXPECT_EQ(here.machine->counters().malformed, 1U);
        const auto lost = std::find_if(here.notices.begin(), here.notices.end(), [](auto& text) {
            return text.substr(0, 9) == "peer_lost";
        });
        ASSERT_NE(lost, here.notices.end());
        EXPECT_NE(lost->find("malformed frame"), std::string::npos) << *lost;
        // It may come again.
        here.peer(2);
        EXPECT_TRUE(here.machine->reachable(lone_hub::id(2)));
    }
}

TEST(malformed, a_record_that_is_none_costs_itself_only) {
    lone_hub here;
    const auto link = here.peer(2);
    here.say(link, bytes_of({"\x08\x01\0\0\x04\x03" "abc\x05\x01z\x06\x01q", 15}));
    EXPECT_EQ(here.machine->counters().malformed, 3U);
    here.turn();
    EXPECT_TRUE(here.machine->reachable(lone_hub::id(2)));
}

TEST(malformed, a_handshake_that_does_not_end_is_refused_in_time) {
    for (const bool hello : {false, true}) {
        lone_hub here;
        const auto link = here.comes_in();
        if (hello) {
            here.say(link, good_hello());  // And no READY.
        }
        here.now += hub_options{}.handshake_timeout;
        here.machine->tick(here.now);
        EXPECT_EQ(here.goodbye(link).code, ec::peer_timeout);
        ASSERT_EQ(here.notices.size(), 1U);
        EXPECT_NE(here.notices[0].find("no handshake within 5000 ms"), std::string::npos);
        EXPECT_TRUE(here.machine->peers().empty());
    }
}

}  // namespace
}  // namespace bzmq::node
