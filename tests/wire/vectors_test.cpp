// The vectors of docs/protocol.md: what the document shows is what our encoders write and our
// decoders read. A change of the wire that forgets the document fails here.
#include <functional>
#include <map>

#include <gtest/gtest.h>

#include "doc_vectors.hpp"
#include "overlay/link_state.hpp"
#include "overlay/record_codec.hpp"
#include "session/channel.hpp"
#include "wire/frames.hpp"
#include "wire/records.hpp"

namespace bzmq {
namespace {

using bytes = std::vector<std::byte>;

const endpoint_id origin{{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};
const endpoint_id far_end{{2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2}};

using testing::hex;

overlay::topology_record topology() { return {origin, 3, "worker-1", 0, {{far_end, 10}}}; }
overlay::filter_record filter() { return {origin, 4, {"/a", "/b/"}, {{"east", {"/e"}}}, {"store:s"}}; }

bytes message_records() {
    bytes out;
    for (const bool same : {false, true}) {
        const auto at = out.size();
        out.resize(at + wire::record_size("/a", 1, same));
        *wire::put_record_head(out.data() + at, "/a", 1, same) = std::byte(same ? 2 : 1);
    }
    return out;
}

struct recorder final : session::channel_events {
    std::vector<shared_bytes> frames;
    std::vector<session::routed_section> sections;
    std::vector<bytes> controls;
    void send_frame(shared_bytes frame) override { frames.push_back(std::move(frame)); }
    block_ptr allocate(std::size_t capacity) override { return block_ptr{new_heap_block(capacity)}; }
    void section_received(const std::shared_ptr<const session::incoming_tree>&,
                          session::routed_section section) override {
        sections.push_back(std::move(section));
    }
    void control_received(wire::item_tag, std::span<const std::byte> body) override {
        controls.emplace_back(body.begin(), body.end());
    }
};

bytes written(const std::function<void(byte_writer&)>& fill) {
    bytes out;
    byte_writer writer{out};
    fill(writer);
    return out;
}

class vectors : public ::testing::Test {
  protected:
    /// The document's bytes, which must be `expected`.
    const bytes& checked(const std::string& name, const bytes& expected) {
        const auto& documented = known_[name];
        EXPECT_EQ(hex(documented), hex(expected))
            << "docs/protocol.md, vector " << name << ", should read:\n[" << name << "]\n"
            << hex(expected) << "\n[end]";
        return documented;
    }
    template <class Decode>
    static auto decoded(const bytes& frame, Decode&& decode) {
        byte_reader in{std::span{frame}.subspan(frame.empty() ? 0 : 1)};
        auto out = decode(in);
        EXPECT_TRUE(out);
        EXPECT_TRUE(in.done());
        return out;
    }

    std::map<std::string, bytes> known_ = testing::read_vectors();
};

TEST_F(vectors, handshake) {
    wire::hello_frame frame;
    frame.id = origin;
    frame.domain = "west";
    frame.name = "worker-1";
    frame.topology = overlay::encode(topology());
    frame.filter = overlay::encode(filter());
    frame.message_bytes_max = 1'000'000;
    const auto hello = decoded(checked("hello", wire::encode(wire::frame_type::hello, frame)),
                               wire::decode_hello);
    ASSERT_TRUE(hello);
    EXPECT_EQ(hello->id, origin);
    EXPECT_EQ(hello->domain, "west");
    EXPECT_EQ(hello->topology, frame.topology);
    EXPECT_EQ(hello->message_bytes_max, 1'000'000U);
    const auto goodbye = decoded(
        checked("goodbye", wire::encode(wire::goodbye_frame{ec::shutting_down, "bye"})),
        wire::decode_goodbye);
    ASSERT_TRUE(goodbye);
    EXPECT_EQ(goodbye->code, ec::shutting_down);
    checked("ready", wire::encode_ready());
}

TEST_F(vectors, heartbeats_and_acknowledgements) {
    const wire::heartbeat_frame frame{{300, 200}, 400, 5, 0x1122334455667788};
    const auto beat = decoded(checked("heartbeat", wire::encode(frame)), wire::decode_heartbeat);
    ASSERT_TRUE(beat);
    EXPECT_EQ(beat->view_hash, frame.view_hash);
    EXPECT_EQ(beat->last_sent, 400U);
    EXPECT_EQ(decoded(checked("echo", wire::encode_echo(5)), wire::decode_echo), 5U);
    const auto ack = decoded(checked("ack", wire::encode(wire::ack_frame{{300, 200}, true})),
                             wire::decode_ack);
    ASSERT_TRUE(ack);
    EXPECT_TRUE(ack->gap);
    EXPECT_EQ(ack->at.consumed, 200U);
}

TEST_F(vectors, batch) {
    session::channel_options options;
    options.self = origin;
    recorder sender;
    session::channel from{options, instant{1}};
    from.push_control(instant{1}, wire::item_tag::topology, overlay::encode(topology()));
    auto tree = std::make_shared<session::subtree>();
    tree->origin = origin;
    tree->nodes = {{far_end, 0, true}};
    tree->receivers = {far_end};
    auto body = std::make_shared<session::section_body>();
    body->origin = origin;
    body->number = 7;
    body->sent_at = 0x0102030405060708;
    body->records = 2;
    body->payload = shared_bytes::copy_of(message_records());
    from.push(instant{1}, {body, tree, {2}, 0, 0});
    from.flush(instant{1}, 0, sender);
    ASSERT_FALSE(sender.frames.empty());
    const auto sent = sender.frames[0].span();
    const auto& documented = checked("batch", {sent.begin(), sent.end()});

    options.self = far_end;
    recorder receiver;
    session::channel to{options, instant{1}};
    const auto frame = shared_bytes::copy_of(documented);
    ASSERT_TRUE(to.receive(instant{1}, frame.span(), frame, receiver));
    ASSERT_EQ(receiver.controls.size(), 1U);
    EXPECT_EQ(overlay::decode_topology(receiver.controls[0]), topology());
    ASSERT_EQ(receiver.sections.size(), 1U);
    const auto& section = receiver.sections[0];
    EXPECT_EQ(section.body->origin, origin);
    EXPECT_EQ(section.body->number, 7U);
    EXPECT_EQ(section.body->sent_at, body->sent_at);
    EXPECT_EQ(section.distances, std::vector<std::uint64_t>{2});
    EXPECT_EQ(section.body->payload.view(), body->payload.view());
}

TEST_F(vectors, a_section_in_parts) {
    bytes whole(wire::record_size("/a", 1, false));
    *wire::put_record_head(whole.data(), "/a", 1, false) = std::byte{1};
    const auto batch = [](std::uint64_t sequence, const auto& fill) {
        return written([&](byte_writer& out) {
            out.u8(static_cast<std::uint8_t>(wire::frame_type::batch));
            out.varint(sequence);
            out.varint(0);
            out.varint(0);
            fill(out);
        });
    };
    wire::section_head head;
    head.flags = wire::section_uniform | wire::section_in_parts;
    head.number = 8;
    head.distances = {1};
    head.sent_at = 0x0102030405060708;
    head.records = 1;
    head.total = whole.size();
    const std::span all{whole};
    const auto& first = checked("section-in-parts", batch(2, [&](byte_writer& out) {
        std::byte raw[wire::section_head_bytes_max(1)];
        out.bytes({raw, wire::put_section_head(raw, head, 2)});
        out.bytes(all.first(2));
    }));
    const auto& second = checked("part", batch(3, [&](byte_writer& out) {
        std::byte raw[wire::part_head_bytes_max];
        out.bytes({raw, wire::put_part_head(raw, wire::part_lane::data, 3)});
        out.bytes(all.subspan(2));
    }));
    session::channel_options options;
    options.self = far_end;
    recorder receiver;
    session::channel to{options, instant{1}};
    for (const auto* each : {&std::as_const(known_).at("batch"), &first, &second}) {
        const auto frame = shared_bytes::copy_of(*each);
        EXPECT_TRUE(to.receive(instant{1}, frame.span(), frame, receiver));
    }
    ASSERT_EQ(receiver.sections.size(), 2U);
    const auto& came = receiver.sections[1];
    EXPECT_EQ(came.body->number, 8U);
    EXPECT_EQ(came.body->records, 1U);
    EXPECT_EQ(came.body->flags, 0U);
    EXPECT_EQ(came.distances, std::vector<std::uint64_t>{1});
    EXPECT_EQ(hex(came.body->payload.span()), hex(whole));
}

TEST_F(vectors, link_state) {
    EXPECT_EQ(overlay::decode_topology(checked("topology", overlay::encode(topology()))),
              topology());
    EXPECT_EQ(overlay::decode_filter(checked("filter", overlay::encode(filter()))), filter());
    const std::vector<overlay::digest_entry> digest{{origin, 3, 4}, {far_end, 5, 0}};
    EXPECT_EQ(overlay::decode_digest(checked("digest", overlay::encode(digest))), digest);
    overlay::link_state_db db{origin};
    db.apply(topology(), instant{1});
    db.apply(filter(), instant{1});
    checked("digest-hash", written([&](byte_writer& out) { out.fixed(db.digest_hash()); }));
}

TEST_F(vectors, records) {
    wire::record_cursor cursor{checked("records", message_records())};
    wire::record each;
    std::string topics;
    while (cursor.next(each)) {
        topics += each.topic;
    }
    EXPECT_FALSE(cursor.malformed());
    EXPECT_EQ(topics, "/a/a");
}

// Control messages have no encoder of their own: hub_test covers what the hub makes of them.
TEST_F(vectors, control_messages) {
    const auto type = [](wire::control_type value) { return static_cast<std::uint8_t>(value); };
    checked("stream-ack", written([&](byte_writer& out) {
                out.u8(type(wire::control_type::stream_ack));
                out.varint(300);
                out.varint(200);
                out.u8(0);
            }));
    checked("ping", written([&](byte_writer& out) {
                out.u8(type(wire::control_type::ping));
                out.fixed(std::uint64_t{7});
                out.fixed(std::uint64_t{5});
            }));
    checked("filter-answer", written([&](byte_writer& out) {
                out.u8(type(wire::control_type::filter_answer));
                out.fixed(std::uint64_t{7});
                out.varint(4);
            }));
}

TEST_F(vectors, the_document_shows_no_others) {
    std::erase_if(known_, [](const auto& each) { return each.first.starts_with("store-"); });
    EXPECT_EQ(known_.size(), 17U) << "a vector without a test, or a test without a vector";
}

}  // namespace
}  // namespace bzmq
