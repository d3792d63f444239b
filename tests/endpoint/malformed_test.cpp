// A peer that speaks ZeroMQ, but not, or not properly, the protocol of bzmq.
#include <array>
#include <optional>

#include <zmq.h>

#include "endpoint/support.hpp"
#include "overlay/record_codec.hpp"
#include "wire/frames.hpp"

namespace bzmq::testing {
namespace {

/// A DEALER whose frames the test writes byte by byte.
class raw_peer {
  public:
    explicit raw_peer(std::uint16_t port) {
        const int linger = 0;
        const int patience_ms = static_cast<int>(std::chrono::milliseconds{patience}.count());
        zmq_setsockopt(dealer_, ZMQ_LINGER, &linger, sizeof linger);
        zmq_setsockopt(dealer_, ZMQ_RCVTIMEO, &patience_ms, sizeof patience_ms);
        EXPECT_EQ(zmq_connect(dealer_, ("tcp://127.0.0.1:" + std::to_string(port)).c_str()), 0);
    }
    raw_peer(const raw_peer&) = delete;
    raw_peer& operator=(const raw_peer&) = delete;
    ~raw_peer() {
        zmq_close(dealer_);
        zmq_ctx_term(context_);
    }

    void say(std::span<const std::byte> frame) {
        EXPECT_EQ(zmq_send(dealer_, frame.data(), frame.size(), 0),
                  static_cast<int>(frame.size()));
    }
    /// Reads until a frame of this type comes.
    std::optional<std::vector<std::byte>> hear(wire::frame_type type) {
        std::vector<std::byte> frame(std::size_t{1} << 16);
        while (true) {
            const int size = zmq_recv(dealer_, frame.data(), frame.size(), 0);
            if (size < 1) {
                return std::nullopt;
            }
            if (frame[0] == static_cast<std::byte>(type)) {
                frame.resize(static_cast<std::size_t>(size));
                return frame;
            }
        }
    }
    /// The GOODBYE to what was said; nothing where none comes.
    std::optional<wire::goodbye_frame> goodbye() {
        const auto frame = hear(wire::frame_type::goodbye);
        if (!frame) {
            return std::nullopt;
        }
        byte_reader in{std::span{*frame}.subspan(1)};
        return wire::decode_goodbye(in);
    }

  private:
    void* context_ = zmq_ctx_new();
    void* dealer_ = zmq_socket(context_, ZMQ_DEALER);
};

/// A proper hello of an endpoint that has a link to `neighbour` and wants all topics.
std::vector<std::byte> hello_to(const endpoint_id& neighbour, std::uint8_t number = 0xfe) {
    endpoint_id::bytes_type bytes{};
    bytes.fill(number);
    wire::hello_frame frame;
    frame.id = endpoint_id{bytes};
    frame.name = "raw";
    overlay::topology_record topology;
    topology.origin = frame.id;
    topology.sequence = 1;
    topology.name = frame.name;
    topology.neighbours.push_back({neighbour, 10});
    overlay::filter_record filter;
    filter.origin = frame.id;
    filter.sequence = 1;
    filter.prefixes = {"/"};
    frame.topology = overlay::encode(topology);
    frame.filter = overlay::encode(filter);
    return wire::encode(wire::frame_type::hello, frame);
}

std::vector<std::byte> bytes_of(std::string_view text) {
    const auto raw = std::as_bytes(std::span{text.data(), text.size()});
    return {raw.begin(), raw.end()};
}

/// After all that, an honest peer still gets in and gets messages.
void expect_it_serves_others(endpoint& ep, std::uint16_t port) {
    auto honest = make("honest");
    auto messages = honest.make_subscriber({"/still"});
    ASSERT_TRUE(honest.peer("127.0.0.1", port, 1s, patience));
    ASSERT_TRUE(ep.wait_for_subscriber("/still", 1, patience));
    EXPECT_EQ(ep.publish("/still", 1U), ec::none);
    EXPECT_TRUE(messages.get(patience));
}

TEST(malformed, who_begins_with_no_hello_of_ours_is_told_why_and_so_is_the_operator) {
    auto ep = make("listener");
    auto news = ep.make_status_subscriber();
    const auto port = ep.listen("127.0.0.1", 0);
    const auto good = hello_to(ep.node_id());
    auto version = good;
    version[5] = version[6] = std::byte{9};
    auto magic = good;
    magic[1] = std::byte{'B'};
    struct one {
        const char* name;
        std::vector<std::byte> frame;
        std::string told;
    };
    const std::array<one, 6> all{{
        {"version", version, "protocol versions 9..9 offered, 1..1 spoken here"},
        {"truncated", {good.begin(), good.begin() + 30}, "malformed hello"},
        {"magic", magic, "malformed hello"},
        {"type", bytes_of("\x63something"), "expected a hello of the bzmq protocol"},
        {"batch", bytes_of({"\x08\x01\0\0", 4}), "expected a hello of the bzmq protocol"},
        {"empty", {}, "expected a hello of the bzmq protocol"},
    }};
    for (const auto& each : all) {
        SCOPED_TRACE(each.name);
        raw_peer peer{port};
        peer.say(each.frame);
        const auto goodbye = peer.goodbye();
        ASSERT_TRUE(goodbye);
        EXPECT_EQ(goodbye->code, ec::peer_incompatible);
        EXPECT_NE(goodbye->text.find(each.told), std::string::npos) << goodbye->text;
        const auto told = get<error>(read_until(news, ec::peer_incompatible).back());
        EXPECT_NE(told.message().find(each.told), std::string::npos) << told.message();
        EXPECT_NE(told.message().find("127.0.0.1:"), std::string::npos) << told.message();
    }
    EXPECT_EQ(ep.metrics().malformed, 5U) << "another version is not malformed";
    EXPECT_TRUE(ep.peers().empty());
    expect_it_serves_others(ep, port);
}

TEST(malformed, garbage_on_a_link_that_is_up_loses_the_peer_and_is_counted) {
    auto ep = make("listener");
    auto news = ep.make_status_subscriber(true);
    const auto port = ep.listen("127.0.0.1", 0);
    raw_peer peer{port};
    peer.say(hello_to(ep.node_id()));
    ASSERT_TRUE(peer.hear(wire::frame_type::welcome));
    peer.say(wire::encode_ready());
    read_until(news, sc::peer_added);
    peer.say(bytes_of("\x08garbage"));
    const auto goodbye = peer.goodbye();
    ASSERT_TRUE(goodbye);
    EXPECT_EQ(goodbye->code, ec::peer_invalid);
    EXPECT_EQ(goodbye->text, "malformed frame");
    const auto lost = get<status>(read_until(news, sc::peer_lost).back());
    EXPECT_NE(lost.message().find("malformed frame"), std::string::npos) << lost.message();
    EXPECT_EQ(lost.context().name, "raw");
    EXPECT_EQ(ep.metrics().malformed, 1U);
    expect_it_serves_others(ep, port);
}

TEST(malformed, who_says_nothing_or_stops_in_the_middle_is_let_go_in_time) {
    auto options = named("listener");
    options.handshake_timeout = 300ms;
    endpoint ep{configuration{options}};
    auto news = ep.make_status_subscriber();
    const auto port = ep.listen("127.0.0.1", 0);
    {
        raw_peer peer{port};
        const auto told = get<error>(read_until(news, ec::peer_timeout).back());
        EXPECT_NE(told.message().find("sent no hello within 300 ms"), std::string::npos)
            << told.message();
        EXPECT_NE(told.message().find("tcp://127.0.0.1:"), std::string::npos) << told.message();
        EXPECT_EQ(ep.metrics().failed_handshakes, 1U);
    }
    raw_peer peer{port};
    peer.say(hello_to(ep.node_id()));
    const auto goodbye = peer.goodbye();  // No READY comes.
    ASSERT_TRUE(goodbye);
    EXPECT_EQ(goodbye->code, ec::peer_timeout);
    const auto told = get<error>(read_until(news, ec::peer_timeout).back());
    EXPECT_NE(told.message().find("no handshake within 300 ms"), std::string::npos)
        << told.message();
    EXPECT_EQ(ep.metrics().malformed, 0U);
}

TEST(malformed, a_crowd_that_says_nothing_is_told_of_in_few_words) {
    auto options = named("listener");
    options.handshake_timeout = 300ms;
    endpoint ep{configuration{options}};
    auto news = ep.make_status_subscriber();
    const auto port = ep.listen("127.0.0.1", 0);
    std::vector<std::unique_ptr<raw_peer>> crowd;
    for (int i = 0; i < 50; ++i) {
        crowd.push_back(std::make_unique<raw_peer>(port));
    }
    // They come again and again: a DEALER does that by itself.
    ASSERT_TRUE(eventually([&] { return ep.metrics().failed_handshakes >= 100; }));
    std::size_t told = 0;
    while (news.get(0s)) {
        ++told;
    }
    EXPECT_LE(told, 10U);
    EXPECT_TRUE(ep.peers().empty());
    expect_it_serves_others(ep, port);
}

}  // namespace
}  // namespace bzmq::testing
