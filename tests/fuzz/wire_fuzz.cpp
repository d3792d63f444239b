#include "session/channel.hpp"

#include <cstdlib>
#include <cstring>

#include "wire/frames.hpp"
#include "wire/records.hpp"

namespace {

using namespace bzmq;

/// A channel's owner that looks at all it is given, so that the sanitizers see every byte.
struct sink final : session::channel_events {
    std::size_t seen = 0;
    void send_frame(shared_bytes frame) override {
        for (const auto byte : frame.span()) {
            seen += static_cast<std::size_t>(byte);
        }
    }
    block_ptr allocate(std::size_t capacity) override { return block_ptr{new_heap_block(capacity)}; }
    void section_received(const std::shared_ptr<const session::incoming_tree>& tree,
                          session::routed_section section) override {
        std::size_t receivers = tree->deliver_here ? 1 : 0;
        for (const auto& child : tree->children) {
            if (child.first_receiver != receivers) {
                std::abort();
            }
            receivers += child.receiver_count;
        }
        if (receivers != tree->tree->receivers.size()
            || (section.distances.size() != 1 && section.distances.size() != receivers)) {
            std::abort();
        }
        for (const auto byte : section.body->payload.span()) {
            seen += static_cast<std::size_t>(byte);
        }
    }
    void control_received(wire::item_tag, std::span<const std::byte> body) override {
        for (const auto byte : body) {
            seen += static_cast<std::size_t>(byte);
        }
    }
};

/// What a decoder accepts, the encoder writes so that the decoder gives the same again.
template <class Frame, class Decode, class Encode>
void check(std::span<const std::byte> body, Decode&& decode, Encode&& encode) {
    byte_reader in{body};
    const std::optional<Frame> frame = decode(in);
    if (!frame) {
        return;
    }
    const auto bytes = encode(*frame);
    byte_reader again{std::span{bytes}.subspan(1)};
    const std::optional<Frame> second = decode(again);
    if (!second || !again.done() || encode(*second) != bytes) {
        std::abort();
    }
}

void decoders(std::span<const std::byte> body) {
    byte_reader hello_in{body};
    const auto hello = wire::decode_hello(hello_in);
    if (hello && hello->version_lowest <= wire::version_max
        && hello->version_highest >= wire::version_min) {
        check<wire::hello_frame>(body, wire::decode_hello, [](const auto& frame) {
            return wire::encode(wire::frame_type::hello, frame);
        });
    }
    const auto encode = [](const auto& frame) { return wire::encode(frame); };
    check<wire::goodbye_frame>(body, wire::decode_goodbye, encode);
    check<wire::heartbeat_frame>(body, wire::decode_heartbeat, encode);
    check<wire::ack_frame>(body, wire::decode_ack, encode);
    check<std::uint64_t>(body, wire::decode_echo, wire::encode_echo);
    byte_reader batch{body};
    wire::decode_batch_head(batch);
    byte_reader section_in{body};
    wire::section_head section;
    wire::read_section(section_in, section, [](std::uint32_t slot) -> std::optional<std::size_t> {
        return slot < 8 ? std::optional<std::size_t>{slot} : std::nullopt;
    });
}

/// The input as a run of frames, each behind its length in two bytes; `true` numbers batches as the
/// channel expects them, so that mutations reach the items inside.
void through_channel(std::span<const std::byte> input, bool numbered) {
    session::channel_options options;
    endpoint_id::bytes_type self{};
    self[0] = 1;
    options.self = endpoint_id{self};
    sink events;
    instant now{1'000'000'000};
    session::channel channel{options, now};
    std::uint64_t sequence = 0;
    byte_reader in{input};
    while (!in.done()) {
        const auto length = in.fixed<std::uint16_t>();
        const auto raw = in.bytes(std::min<std::size_t>(length, in.remaining()));
        std::vector<std::byte> bytes;
        if (numbered) {
            byte_writer out{bytes};
            out.u8(static_cast<std::uint8_t>(wire::frame_type::batch));
            out.varint(++sequence);
            out.varint(0);
            out.varint(0);
        }
        bytes.insert(bytes.end(), raw.begin(), raw.end());
        const auto frame = shared_bytes::copy_of(bytes);
        if (!channel.receive(now, frame.span(), frame, events)) {
            return;  // The owner ends the link.
        }
        now += std::chrono::milliseconds{3};
        channel.flush(now, 1, events);
    }
    channel.take_undelivered();
}

}  // namespace

// Every frame decoder ends with a value or an error, and a channel takes any frame or refuses it.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto input = std::as_bytes(std::span{data, size});
    decoders(input);
    through_channel(input, false);
    through_channel(input, true);
    return 0;
}
