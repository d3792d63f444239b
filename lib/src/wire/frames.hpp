#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "bzmq/endpoint_id.hpp"
#include "bzmq/error.hpp"

/// The frames of the peer protocol, as docs/protocol.md specifies them. One ZeroMQ message carries
/// one frame; its first byte is the frame's type.
namespace bzmq::wire {

constexpr std::uint8_t version_min = 1;
constexpr std::uint8_t version_max = 1;
constexpr std::string_view magic = "bzmq";

constexpr std::size_t name_bytes_max = 255;
constexpr std::size_t store_name_bytes_max = 255;
constexpr std::size_t goodbye_text_max = 1024;
constexpr std::size_t control_record_bytes_max = 12 * 1024 * 1024;
/// The largest frame: a hello with the largest records. Sections longer than a part are cut.
constexpr std::size_t frame_bytes_max = 16 * 1024 * 1024;

/// The largest message that any endpoint takes; one that does not tell is taken for one of those.
constexpr std::size_t message_bytes_max = std::size_t{64} << 20;
/// The most that any sender packs into one section of several messages: whatever the size of a
/// message that an endpoint takes, it takes such sections.
constexpr std::size_t shared_section_bytes_max = std::size_t{16} << 20;
/// What messages bring along in a section: their topics, and those of the last message that fits;
/// what stores say about a value.
constexpr std::size_t section_slack_bytes = std::size_t{2} << 20;
/// A message's topic, and two lengths.
constexpr std::size_t record_slack_bytes = (std::size_t{64} << 10) + 32;
/// The longest payload of a section that an endpoint takes whose messages may have `limit` bytes.
constexpr std::size_t section_bytes_max(std::size_t limit) {
    return std::max(limit, shared_section_bytes_max) + section_slack_bytes;
}
/// The longest payload of a control section at every endpoint: one byte and a store's message.
constexpr std::size_t control_section_bytes_max = (std::size_t{67} << 20) + 1;

enum class frame_type : std::uint8_t {
    hello = 1,     ///< connector to listener, first on the link
    welcome = 2,   ///< listener's answer
    ready = 3,     ///< connector's consent: the link is up
    goodbye = 4,   ///< the link ends, and why
    heartbeat = 5,
    heartbeat_echo = 6,
    ack = 7,
    batch = 8,
};

/// HELLO and WELCOME have the same fields; in WELCOME both versions are the chosen one.
struct hello_frame {
    std::uint8_t version_lowest = version_min;
    std::uint8_t version_highest = version_max;
    endpoint_id id;
    std::string domain;
    std::string name;
    std::uint64_t capabilities = 0;
    std::vector<std::byte> topology;  ///< the sender's own topology record, encoded
    std::vector<std::byte> filter;    ///< the sender's own filter record, encoded
    /// The largest message that the sender takes; 0: not told.
    std::uint64_t message_bytes_max = 0;
};

struct goodbye_frame {
    ec code = ec::none;
    std::string text;
};

/// How far a receiver is. `received`: sequence up to which frames have come; `consumed`: up to
/// which they have also been processed, which is the sender's credit.
struct progress {
    std::uint64_t received = 0;
    std::uint64_t consumed = 0;
};

struct heartbeat_frame {
    progress at;
    std::uint64_t last_sent = 0;   ///< sequence of the newest batch sent: reveals a lost tail
    std::uint64_t clock = 0;       ///< the sender's clock, echoed
    std::uint64_t view_hash = 0;   ///< of the sender's link-state records: reveals a differing view
};

struct ack_frame {
    progress at;
    bool gap = false;  ///< a batch was missing: send again from received + 1
};

struct batch_head {
    std::uint64_t sequence = 0;
    progress at;
};

std::vector<std::byte> encode(frame_type type, const hello_frame& frame);
std::vector<std::byte> encode(const goodbye_frame& frame);
std::vector<std::byte> encode_ready();
std::vector<std::byte> encode(const heartbeat_frame& frame);
std::vector<std::byte> encode_echo(std::uint64_t clock);
std::vector<std::byte> encode(const ack_frame& frame);

/// Each decoder starts behind the type byte and fails the reader on malformed input.
std::optional<hello_frame> decode_hello(byte_reader& in);
std::optional<goodbye_frame> decode_goodbye(byte_reader& in);
std::optional<heartbeat_frame> decode_heartbeat(byte_reader& in);
std::optional<std::uint64_t> decode_echo(byte_reader& in);
std::optional<ack_frame> decode_ack(byte_reader& in);
std::optional<batch_head> decode_batch_head(byte_reader& in);

// -- Items inside a batch ---------------------------------------------------------------------

enum class item_tag : std::uint8_t {
    node = 1,      ///< gives an endpoint id a short index on this link direction
    tree = 2,      ///< gives a multicast tree a slot on this link direction
    section = 3,   ///< a batch of messages with its route
    topology = 4,  ///< a link-state record
    filter = 5,    ///< a subscription record
    digest = 6,    ///< what the sender knows, so that the receiver can send what is newer
    part = 7,      ///< more of the payload of a section in parts
};

constexpr std::size_t nodes_per_link_max = 65'536;
constexpr std::size_t tree_slots_max = 1'024;
constexpr std::size_t tree_nodes_max = 65'536;
/// Nodes in all slots of one direction. A tree that would lift their sum above it empties all slots
/// first, on both sides.
constexpr std::size_t slot_nodes_max = std::size_t{1} << 20;
constexpr unsigned hops_max = 250;

enum class section_kind : std::uint8_t { best_effort = 0, reliable = 1, control = 2, trace = 3 };
constexpr std::uint8_t section_kind_mask = 0x03;
constexpr std::uint8_t section_direct = 0x04;   ///< to one endpoint, whatever its filter
constexpr std::uint8_t section_uniform = 0x08;  ///< one distance holds for all receivers
/// Of control sections: may be large, keeps its order among its like and gives way to the others.
constexpr std::uint8_t section_bulk = 0x10;
constexpr std::uint8_t section_in_parts = 0x20;  ///< the payload is its first part; more follow

/// Of each lane of a link direction one section at most is under way in parts.
enum class part_lane : std::uint8_t { data = 0, control = 1 };

/// The fixed part of a section, ahead of its payload.
struct section_head {
    std::uint8_t flags = 0;
    std::uint32_t slot = 0;
    std::uint64_t number = 0;               ///< the origin's count of sections of this kind
    std::vector<std::uint64_t> distances;   ///< per receiver of the tree, or one if uniform
    std::uint64_t sent_at = 0;
    std::uint8_t hops = 0;
    std::uint16_t path_tag = 0;
    std::uint32_t records = 0;
    std::uint64_t total = 0;                ///< bytes of the whole payload, where it is in parts
    std::span<const std::byte> payload;
};

/// Bytes that `put_section_head` needs at most for this many distances.
constexpr std::size_t section_head_bytes_max(std::size_t distances) {
    return 2 + 7 * varint_bytes_max + 8 + 1 + 2 + distances * varint_bytes_max;
}
/// Writes the tag and all up to the payload, whose length is `payload_size`.
std::byte* put_section_head(std::byte* to, const section_head& head, std::size_t payload_size);
/// Bytes that `put_part_head` needs at most.
constexpr std::size_t part_head_bytes_max = 2 + varint_bytes_max;
/// Writes the tag and all up to the part's bytes, of which there are `size`.
std::byte* put_part_head(std::byte* to, part_lane lane, std::size_t size);
/// Reads a section behind its tag. `receivers_of(slot)` says how many receivers the slot's tree has,
/// or nothing for an unknown slot.
template <class ReceiversOf>
bool read_section(byte_reader& in, section_head& out, ReceiversOf&& receivers_of) {
    out.flags = in.u8();
    out.slot = static_cast<std::uint32_t>(in.varint_up_to(tree_slots_max - 1));
    out.number = in.varint();
    const std::optional<std::size_t> receivers = receivers_of(out.slot);
    if (in.failed() || !receivers) {
        in.fail();
        return false;
    }
    const std::size_t count = (out.flags & section_uniform) != 0 ? 1 : *receivers;
    if (count > in.remaining()) {
        in.fail();
        return false;
    }
    out.distances.clear();
    for (std::size_t i = 0; i < count; ++i) {
        out.distances.push_back(in.varint());
    }
    out.sent_at = in.fixed<std::uint64_t>();
    out.hops = in.u8();
    out.path_tag = in.fixed<std::uint16_t>();
    out.records = static_cast<std::uint32_t>(in.varint_up_to(0xffffffff));
    out.total = (out.flags & section_in_parts) != 0 ? in.varint() : 0;
    out.payload = in.bytes(in.varint());
    if ((out.flags & section_in_parts) != 0
        && (out.payload.empty() || out.total <= out.payload.size())) {
        in.fail();
    }
    return !in.failed();
}

// -- Control messages: payload of sections of kind control and trace ------------------------------

enum class control_type : std::uint8_t {
    stream_ack = 1,
    ping = 2,
    pong = 3,
    filter_query = 4,
    filter_answer = 5,
    ack_query = 6,  ///< asks for a stream_ack: the last one may be lost
    store = 7,      ///< for the stores of the endpoint; replica/messages.hpp reads the rest
};

/// The name of the store that a control message is for, nothing where it is for none. All messages of
/// stores begin alike (replica/messages.hpp).
std::optional<std::string_view> store_of(std::span<const std::byte> control) noexcept;

struct stream_ack {
    std::uint64_t received = 0;  ///< reliable sections have come without a hole up to this number
    std::uint64_t consumed = 0;  ///< and have been taken by the subscribers up to this one
    bool gap = false;            ///< a later one came: send again from received on
};

}  // namespace bzmq::wire
