#pragma once

#include "replica/durable.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// The bytes of a store's files; docs/store-files.md specifies them. Numbers are little-endian
/// except in keys, where LMDB's order of bytes must be theirs. Every record begins with the CRC-32C
/// of its key and of what follows, so that a record that strayed is found as well as one that
/// changed.
namespace bzmq::storage {

constexpr std::uint32_t format_version = 1;
constexpr std::string_view format_magic = "bzmqstor";

/// Longest key that stands in `values` as it is. One byte less than what LMDB takes, so that the
/// length tells a whole key from a shortened one.
constexpr std::size_t whole_key_bytes_max = 510;
/// A longer key is shortened: its first bytes, then BLAKE2b-256 of all of it. Order among keys that
/// agree in all of those first bytes is lost; the record holds the whole key.
constexpr std::size_t short_key_bytes = 511;
constexpr std::size_t short_key_hash_bytes = 32;
constexpr std::size_t short_key_prefix_bytes = short_key_bytes - short_key_hash_bytes;

/// Where in `values` a key's record stands. Refers to the key, which must outlive it, unless that
/// is too long.
class slot_key {
  public:
    explicit slot_key(std::span<const std::byte> key) noexcept;
    slot_key(const slot_key&) = delete;
    slot_key& operator=(const slot_key&) = delete;

    [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }
    /// Does the record have to hold the key?
    [[nodiscard]] bool shortened() const noexcept { return bytes_.data() == room_.data(); }

  private:
    std::array<std::byte, short_key_bytes> room_;  // NOLINT: filled only where it is used
    std::span<const std::byte> bytes_;
};

/// crc u32, flags u8 (1: expiry, 2: key), revision varint, expiry i64 where flagged, key behind its
/// length as varint where flagged, value.
[[nodiscard]] std::size_t value_record_size(const slot_key& slot,
                                            const replica::stored_value& value) noexcept;
/// Writes `value_record_size` bytes.
void write_value_record(std::byte* to, const slot_key& slot,
                        const replica::stored_value& value) noexcept;
/// Views into `slot` and `record`. Nothing where they are no such record, or damaged.
[[nodiscard]] std::optional<replica::stored_value> read_value_record(
    std::span<const std::byte> slot, std::span<const std::byte> record) noexcept;
/// The expiry alone, unchecked: what a writer needs to know of a record that it replaces.
[[nodiscard]] timestamp peek_expiry(std::span<const std::byte> record) noexcept;

using number_key = std::array<std::byte, 8>;
[[nodiscard]] number_key sequence_key(replica::sequence number) noexcept;
[[nodiscard]] std::optional<replica::sequence> read_sequence_key(
    std::span<const std::byte> key) noexcept;
/// In the order of time, before 1970 too.
[[nodiscard]] number_key expiry_key(timestamp expiry) noexcept;
[[nodiscard]] std::optional<timestamp> read_expiry_key(std::span<const std::byte> key) noexcept;

/// An entry of the log: crc u32, chain u64 (up to and with it), the entry.
struct log_record {
    std::uint64_t chain = 0;
    std::span<const std::byte> entry;
};
constexpr std::size_t log_record_overhead = 12;
void write_log_record(std::byte* to, replica::sequence number, const log_record& what) noexcept;
[[nodiscard]] std::optional<log_record> read_log_record(replica::sequence number,
                                                        std::span<const std::byte> bytes) noexcept;

/// Under the index in 4 bytes, big-endian: crc u32, id, number u64, result u8.
using writer_key = std::array<std::byte, 4>;
[[nodiscard]] writer_key key_of_writer(replica::writer_index index) noexcept;
[[nodiscard]] std::vector<std::byte> writer_record(const replica::stored_writer& writer);
[[nodiscard]] std::optional<replica::stored_writer> read_writer_record(
    std::span<const std::byte> key, std::span<const std::byte> record) noexcept;

/// How far a store has come. In `meta`, as everything below: crc u32 over name and rest, rest.
struct position {
    replica::sequence last = 0;
    std::uint64_t chain = 0;
    replica::sequence log_first = 1;  ///< oldest entry that is kept; last + 1 where none is
    std::uint64_t log_bytes = 0;      ///< of all entries that are kept, with their records' heads
    std::uint8_t generation = 0;      ///< which of the two sets of values and writers is current
    friend bool operator==(const position&, const position&) = default;
};
[[nodiscard]] std::vector<std::byte> position_record(const position& what);
[[nodiscard]] std::optional<position> read_position_record(
    std::span<const std::byte> record) noexcept;

[[nodiscard]] std::vector<std::byte> identity_record(const replica::identity& what);
[[nodiscard]] std::optional<replica::identity> read_identity_record(
    std::span<const std::byte> record);

/// Free bytes under a name of the owner's choice, e.g. a vote.
[[nodiscard]] std::vector<std::byte> note_record(std::string_view name,
                                                 std::span<const std::byte> what);
[[nodiscard]] std::optional<std::span<const std::byte>> read_note_record(
    std::string_view name, std::span<const std::byte> record) noexcept;

/// Magic and version, without a checksum: what every version of the format has to tell.
[[nodiscard]] std::vector<std::byte> format_record(std::uint32_t version);
[[nodiscard]] std::optional<std::uint32_t> read_format_record(
    std::span<const std::byte> record) noexcept;

/// A key for messages: its text form, or hexadecimal where it has none; cut to a readable length.
[[nodiscard]] std::string printable_key(std::span<const std::byte> key);

}  // namespace bzmq::storage
