#include "storage/stored_format.hpp"

#include <sodium.h>

#include "base/assert.hpp"
#include "base/bytes.hpp"
#include "data/ordered_codec.hpp"
#include "storage/crc32c.hpp"

#include <algorithm>
#include <cstring>

namespace bzmq::storage {
namespace {

constexpr std::size_t crc_bytes = 4;
constexpr std::uint8_t flag_expiry = 1;
constexpr std::uint8_t flag_key = 2;
constexpr std::uint64_t sign_bit = std::uint64_t{1} << 63;

std::span<const std::byte> bytes_of(std::string_view text) noexcept {
    return std::as_bytes(std::span{text.data(), text.size()});
}

template <class T>
std::byte* put_fixed(std::byte* to, T value) noexcept {
    std::memcpy(to, &value, sizeof value);
    return to + sizeof value;
}

std::byte* put_bytes(std::byte* to, std::span<const std::byte> bytes) noexcept {
    if (!bytes.empty()) {
        std::memcpy(to, bytes.data(), bytes.size());
    }
    return to + bytes.size();
}

void seal(std::byte* record, std::size_t size, std::span<const std::byte> key) noexcept {
    put_fixed(record, crc32c({record + crc_bytes, size - crc_bytes}, crc32c(key)));
}

void seal(std::vector<std::byte>& record, std::span<const std::byte> key) noexcept {
    seal(record.data(), record.size(), key);
}

/// What follows the checksum, where that is right.
std::optional<std::span<const std::byte>> unseal(std::span<const std::byte> record,
                                                 std::span<const std::byte> key) noexcept {
    if (record.size() < crc_bytes) {
        return std::nullopt;
    }
    std::uint32_t told = 0;
    std::memcpy(&told, record.data(), sizeof told);
    const auto rest = record.subspan(crc_bytes);
    if (crc32c(rest, crc32c(key)) != told) {
        return std::nullopt;
    }
    return rest;
}

std::vector<std::byte> with_room_for_crc() {
    return std::vector<std::byte>(crc_bytes);
}

number_key big_endian(std::uint64_t value) noexcept {
    number_key out;
    put_fixed(out.data(), __builtin_bswap64(value));
    return out;
}

std::optional<std::uint64_t> from_big_endian(std::span<const std::byte> key) noexcept {
    if (key.size() != sizeof(std::uint64_t)) {
        return std::nullopt;
    }
    std::uint64_t big = 0;
    std::memcpy(&big, key.data(), sizeof big);
    return __builtin_bswap64(big);
}

}  // namespace

slot_key::slot_key(std::span<const std::byte> key) noexcept : bytes_(key) {
    if (key.size() <= whole_key_bytes_max) {
        return;
    }
    auto* to = put_bytes(room_.data(), key.first(short_key_prefix_bytes));
    crypto_generichash(reinterpret_cast<unsigned char*>(to), short_key_hash_bytes,
                       reinterpret_cast<const unsigned char*>(key.data()), key.size(), nullptr, 0);
    bytes_ = room_;
}

std::size_t value_record_size(const slot_key& slot, const replica::stored_value& value) noexcept {
    return crc_bytes + 1 + varint_size(value.revision)
           + (value.expiry != replica::no_expiry ? sizeof(std::int64_t) : 0)
           + (slot.shortened() ? varint_size(value.key.size()) + value.key.size() : 0)
           + value.value.size();
}

void write_value_record(std::byte* to, const slot_key& slot,
                        const replica::stored_value& value) noexcept {
    auto* at = to + crc_bytes;
    const bool expires = value.expiry != replica::no_expiry;
    *at++ = static_cast<std::byte>((expires ? flag_expiry : 0) | (slot.shortened() ? flag_key : 0));
    at = put_varint(at, value.revision);
    if (expires) {
        at = put_fixed<std::int64_t>(at, value.expiry.time_since_epoch().count());
    }
    if (slot.shortened()) {
        at = put_varint(at, value.key.size());
        at = put_bytes(at, value.key);
    }
    at = put_bytes(at, value.value);
    seal(to, static_cast<std::size_t>(at - to), slot.bytes());
}

std::optional<replica::stored_value> read_value_record(std::span<const std::byte> slot,
                                                       std::span<const std::byte> record) noexcept {
    const auto rest = unseal(record, slot);
    if (!rest || slot.empty()) {
        return std::nullopt;
    }
    byte_reader in{*rest};
    replica::stored_value out;
    out.key = slot;
    const auto flags = in.u8();
    out.revision = in.varint();
    if ((flags & flag_expiry) != 0) {
        out.expiry = timestamp{timespan{in.fixed<std::int64_t>()}};
    }
    if ((flags & flag_key) != 0) {
        out.key = in.bytes(in.varint_up_to(replica::key_bytes_max));
    }
    out.value = in.bytes(in.remaining());
    // A record must stand where its key belongs, or no look-up finds it.
    const bool long_slot = slot.size() > whole_key_bytes_max;
    if (in.failed() || flags > (flag_expiry | flag_key) || long_slot != ((flags & flag_key) != 0)
        || (long_slot && out.key.size() <= whole_key_bytes_max)) {
        return std::nullopt;
    }
    return out;
}

timestamp peek_expiry(std::span<const std::byte> record) noexcept {
    if (record.size() <= crc_bytes) {
        return replica::no_expiry;
    }
    byte_reader in{record.subspan(crc_bytes)};
    if ((in.u8() & flag_expiry) == 0) {
        return replica::no_expiry;
    }
    in.varint();
    return timestamp{timespan{in.fixed<std::int64_t>()}};
}

number_key sequence_key(replica::sequence number) noexcept {
    return big_endian(number);
}

std::optional<replica::sequence> read_sequence_key(std::span<const std::byte> key) noexcept {
    return from_big_endian(key);
}

number_key expiry_key(timestamp expiry) noexcept {
    return big_endian(static_cast<std::uint64_t>(expiry.time_since_epoch().count()) ^ sign_bit);
}

std::optional<timestamp> read_expiry_key(std::span<const std::byte> key) noexcept {
    const auto bits = from_big_endian(key);
    if (!bits) {
        return std::nullopt;
    }
    return timestamp{timespan{static_cast<std::int64_t>(*bits ^ sign_bit)}};
}

void write_log_record(std::byte* to, replica::sequence number, const log_record& what) noexcept {
    auto* at = put_fixed(to + crc_bytes, what.chain);
    at = put_bytes(at, what.entry);
    seal(to, static_cast<std::size_t>(at - to), sequence_key(number));
}

std::optional<log_record> read_log_record(replica::sequence number,
                                          std::span<const std::byte> bytes) noexcept {
    const auto rest = unseal(bytes, sequence_key(number));
    if (!rest || rest->size() < sizeof(std::uint64_t)) {
        return std::nullopt;
    }
    log_record out;
    std::memcpy(&out.chain, rest->data(), sizeof out.chain);
    out.entry = rest->subspan(sizeof out.chain);
    return out;
}

writer_key key_of_writer(replica::writer_index index) noexcept {
    writer_key out;
    put_fixed(out.data(), __builtin_bswap32(index));
    return out;
}

std::vector<std::byte> writer_record(const replica::stored_writer& writer) {
    auto out = with_room_for_crc();
    byte_writer to{out};
    to.id(writer.id);
    to.fixed(writer.number);
    to.u8(static_cast<std::uint8_t>(writer.result));
    seal(out, key_of_writer(writer.index));
    return out;
}

std::optional<replica::stored_writer> read_writer_record(
    std::span<const std::byte> key, std::span<const std::byte> record) noexcept {
    const auto rest = unseal(record, key);
    if (!rest || key.size() != sizeof(replica::writer_index)) {
        return std::nullopt;
    }
    replica::stored_writer out;
    std::memcpy(&out.index, key.data(), sizeof out.index);
    out.index = __builtin_bswap32(out.index);
    byte_reader in{*rest};
    out.id = in.id();
    out.number = in.fixed<std::uint64_t>();
    out.result = static_cast<ec>(in.u8());
    if (in.failed() || !in.done()) {
        return std::nullopt;
    }
    return out;
}

std::vector<std::byte> position_record(const position& what) {
    auto out = with_room_for_crc();
    byte_writer to{out};
    to.fixed(what.last);
    to.fixed(what.chain);
    to.fixed(what.log_first);
    to.fixed(what.log_bytes);
    to.u8(what.generation);
    seal(out, bytes_of("position"));
    return out;
}

std::optional<position> read_position_record(std::span<const std::byte> record) noexcept {
    const auto rest = unseal(record, bytes_of("position"));
    if (!rest) {
        return std::nullopt;
    }
    byte_reader in{*rest};
    position out;
    out.last = in.fixed<replica::sequence>();
    out.chain = in.fixed<std::uint64_t>();
    out.log_first = in.fixed<replica::sequence>();
    out.log_bytes = in.fixed<std::uint64_t>();
    out.generation = in.u8();
    if (in.failed() || !in.done() || out.generation > 1 || out.log_first > out.last + 1) {
        return std::nullopt;
    }
    return out;
}

std::vector<std::byte> identity_record(const replica::identity& what) {
    BZMQ_ASSERT(what.epochs.size() <= replica::epochs_max);
    auto out = with_room_for_crc();
    byte_writer to{out};
    to.id(what.store);
    to.varint(what.epochs.size());
    for (const auto& each : what.epochs) {
        to.varint(each.epoch);
        to.varint(each.first);
    }
    seal(out, bytes_of("identity"));
    return out;
}

std::optional<replica::identity> read_identity_record(std::span<const std::byte> record) {
    const auto rest = unseal(record, bytes_of("identity"));
    if (!rest) {
        return std::nullopt;
    }
    byte_reader in{*rest};
    replica::identity out;
    out.store = in.id();
    for (auto left = in.varint_up_to(replica::epochs_max); left > 0; --left) {
        replica::epoch_start each;
        each.epoch = in.varint();
        each.first = in.varint();
        if (!out.epochs.empty()
            && (each.epoch <= out.epochs.back().epoch || each.first < out.epochs.back().first)) {
            in.fail();
            break;
        }
        out.epochs.push_back(each);
    }
    if (in.failed() || !in.done()) {
        return std::nullopt;
    }
    return out;
}

std::vector<std::byte> note_record(std::string_view name, std::span<const std::byte> what) {
    auto out = with_room_for_crc();
    out.insert(out.end(), what.begin(), what.end());
    seal(out, bytes_of(name));
    return out;
}

std::optional<std::span<const std::byte>> read_note_record(
    std::string_view name, std::span<const std::byte> record) noexcept {
    return unseal(record, bytes_of(name));
}

std::vector<std::byte> format_record(std::uint32_t version) {
    std::vector<std::byte> out;
    byte_writer to{out};
    to.bytes(bytes_of(format_magic));
    to.fixed(version);
    return out;
}

std::optional<std::uint32_t> read_format_record(std::span<const std::byte> record) noexcept {
    byte_reader in{record};
    const auto magic = in.text(format_magic.size());
    const auto version = in.fixed<std::uint32_t>();
    if (in.failed() || !in.done() || magic != format_magic) {
        return std::nullopt;
    }
    return version;
}

std::string printable_key(std::span<const std::byte> key) {
    constexpr std::size_t length_max = 120;
    std::string out;
    if (const auto value = decode_ordered(key)) {
        out = to_text(*value);
    } else {
        static constexpr char digits[] = "0123456789abcdef";
        out = "0x";
        for (const auto byte : key.first(std::min(key.size(), length_max))) {
            out += digits[std::to_integer<unsigned>(byte) >> 4];
            out += digits[std::to_integer<unsigned>(byte) & 15];
        }
    }
    if (out.size() > length_max) {
        out.resize(length_max);
        out += "...";
    }
    return out;
}

}  // namespace bzmq::storage
