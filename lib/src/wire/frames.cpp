#include "wire/frames.hpp"

namespace bzmq::wire {
namespace {

std::vector<std::byte> start(frame_type type) {
    return {static_cast<std::byte>(type)};
}

void put(byte_writer& out, const progress& at) {
    out.varint(at.received);
    out.varint(at.consumed);
}

progress get_progress(byte_reader& in) {
    progress at;
    at.received = in.varint();
    at.consumed = in.varint();
    if (at.consumed > at.received) {
        in.fail();
    }
    return at;
}

std::vector<std::byte> get_blob(byte_reader& in) {
    const auto raw = in.bytes(in.varint_up_to(control_record_bytes_max));
    return {raw.begin(), raw.end()};
}

template <class T>
std::optional<T> finish(byte_reader& in, T value) {
    if (in.failed()) {
        return std::nullopt;
    }
    return value;
}

}  // namespace

std::vector<std::byte> encode(frame_type type, const hello_frame& frame) {
    auto bytes = start(type);
    byte_writer out{bytes};
    out.bytes(std::as_bytes(std::span{magic.data(), magic.size()}));
    out.u8(frame.version_lowest);
    out.u8(frame.version_highest);
    out.id(frame.id);
    out.string(frame.domain);
    out.string(frame.name);
    out.varint(frame.capabilities);
    out.varint(frame.topology.size());
    out.bytes(frame.topology);
    out.varint(frame.filter.size());
    out.bytes(frame.filter);
    if (frame.message_bytes_max != 0) {
        out.varint(frame.message_bytes_max);
    }
    return bytes;
}

std::optional<hello_frame> decode_hello(byte_reader& in) {
    hello_frame frame;
    if (in.text(magic.size()) != magic) {
        return std::nullopt;
    }
    frame.version_lowest = in.u8();
    frame.version_highest = in.u8();
    // Only the fields up to here are fixed for all versions.
    if (in.failed()) {
        return std::nullopt;
    }
    if (frame.version_lowest > version_max || frame.version_highest < version_min) {
        return frame;
    }
    frame.id = in.id();
    frame.domain = in.string_up_to(name_bytes_max);
    frame.name = in.string_up_to(name_bytes_max);
    frame.capabilities = in.varint();
    frame.topology = get_blob(in);
    frame.filter = get_blob(in);
    if (!in.done()) {
        frame.message_bytes_max = in.varint();
    }
    if (frame.id.is_nil()) {
        in.fail();
    }
    return finish(in, std::move(frame));
}

std::vector<std::byte> encode(const goodbye_frame& frame) {
    auto bytes = start(frame_type::goodbye);
    byte_writer out{bytes};
    out.u8(static_cast<std::uint8_t>(frame.code));
    out.string(std::string_view{frame.text}.substr(0, goodbye_text_max));
    return bytes;
}

std::optional<goodbye_frame> decode_goodbye(byte_reader& in) {
    goodbye_frame frame;
    frame.code = static_cast<ec>(in.u8());
    frame.text = in.string_up_to(goodbye_text_max);
    return finish(in, std::move(frame));
}

std::vector<std::byte> encode_ready() { return start(frame_type::ready); }

std::vector<std::byte> encode(const heartbeat_frame& frame) {
    auto bytes = start(frame_type::heartbeat);
    byte_writer out{bytes};
    put(out, frame.at);
    out.varint(frame.last_sent);
    out.fixed(frame.clock);
    out.fixed(frame.view_hash);
    return bytes;
}

std::optional<heartbeat_frame> decode_heartbeat(byte_reader& in) {
    heartbeat_frame frame;
    frame.at = get_progress(in);
    frame.last_sent = in.varint();
    frame.clock = in.fixed<std::uint64_t>();
    frame.view_hash = in.fixed<std::uint64_t>();
    return finish(in, frame);
}

std::vector<std::byte> encode_echo(std::uint64_t clock) {
    auto bytes = start(frame_type::heartbeat_echo);
    byte_writer{bytes}.fixed(clock);
    return bytes;
}

std::optional<std::uint64_t> decode_echo(byte_reader& in) {
    return finish(in, in.fixed<std::uint64_t>());
}

std::vector<std::byte> encode(const ack_frame& frame) {
    auto bytes = start(frame_type::ack);
    byte_writer out{bytes};
    put(out, frame.at);
    out.u8(frame.gap ? 1 : 0);
    return bytes;
}

std::optional<ack_frame> decode_ack(byte_reader& in) {
    ack_frame frame;
    frame.at = get_progress(in);
    frame.gap = in.u8() != 0;
    return finish(in, frame);
}

std::optional<batch_head> decode_batch_head(byte_reader& in) {
    batch_head head;
    head.sequence = in.varint();
    head.at = get_progress(in);
    if (head.sequence == 0) {
        in.fail();
    }
    return finish(in, head);
}

std::byte* put_section_head(std::byte* to, const section_head& head, std::size_t payload_size) {
    *to++ = static_cast<std::byte>(item_tag::section);
    *to++ = static_cast<std::byte>(head.flags);
    to = put_varint(to, head.slot);
    to = put_varint(to, head.number);
    for (const auto distance : head.distances) {
        to = put_varint(to, distance);
    }
    std::memcpy(to, &head.sent_at, 8);
    to += 8;
    *to++ = static_cast<std::byte>(head.hops);
    std::memcpy(to, &head.path_tag, 2);
    to += 2;
    to = put_varint(to, head.records);
    if ((head.flags & section_in_parts) != 0) {
        to = put_varint(to, head.total);
    }
    return put_varint(to, payload_size);
}

std::byte* put_part_head(std::byte* to, part_lane lane, std::size_t size) {
    *to++ = static_cast<std::byte>(item_tag::part);
    *to++ = static_cast<std::byte>(lane);
    return put_varint(to, size);
}

std::optional<std::string_view> store_of(std::span<const std::byte> control) noexcept {
    byte_reader in{control};
    if (in.u8() != static_cast<std::uint8_t>(control_type::store)) {
        return std::nullopt;
    }
    in.u8();  // What the message is about.
    const auto name = in.string_up_to(store_name_bytes_max);
    return in.failed() ? std::nullopt : std::optional{name};
}

}  // namespace bzmq::wire
