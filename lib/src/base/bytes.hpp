#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include "bzmq/endpoint_id.hpp"

/// Reading and writing the primitives of the wire: fixed-width little-endian integers, LEB128
/// varints, length-prefixed strings. The reader never reads past its end and never throws: after
/// the first short or malformed read it is `failed()` and yields zeros.
namespace bzmq {

constexpr std::size_t varint_bytes_max = 10;

inline std::size_t varint_size(std::uint64_t value) noexcept {
    return (static_cast<std::size_t>(std::bit_width(value | 1)) + 6) / 7;
}

/// Writes `value` at `to`, which must have room, and returns the end of what it wrote.
inline std::byte* put_varint(std::byte* to, std::uint64_t value) noexcept {
    while (value >= 0x80) {
        *to++ = static_cast<std::byte>(value | 0x80);
        value >>= 7;
    }
    *to++ = static_cast<std::byte>(value);
    return to;
}

class byte_reader {
  public:
    explicit byte_reader(std::span<const std::byte> bytes) noexcept
        : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

    [[nodiscard]] bool failed() const noexcept { return failed_; }
    [[nodiscard]] std::size_t remaining() const noexcept {
        return static_cast<std::size_t>(end_ - at_);
    }
    [[nodiscard]] bool done() const noexcept { return at_ == end_; }
    [[nodiscard]] const std::byte* position() const noexcept { return at_; }

    template <class T>
    T fixed() noexcept {
        T value{};
        if (!need(sizeof(T))) {
            return value;
        }
        std::memcpy(&value, at_, sizeof(T));
        at_ += sizeof(T);
        return value;  // The wire is little-endian, as every machine that we build for.
    }
    std::uint8_t u8() noexcept { return fixed<std::uint8_t>(); }

    std::uint64_t varint() noexcept {
        if (at_ != end_ && (static_cast<std::uint8_t>(*at_) & 0x80) == 0) {
            return static_cast<std::uint8_t>(*at_++);
        }
        std::uint64_t value = 0;
        for (unsigned shift = 0; shift < 64 && at_ != end_; shift += 7) {
            const auto byte = static_cast<std::uint8_t>(*at_++);
            if (shift == 63 && byte > 1) {
                break;  // More than 64 bits.
            }
            value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
            if ((byte & 0x80) == 0) {
                return value;
            }
        }
        fail();
        return 0;
    }

    /// A varint that must not exceed `max`; anything larger fails the reader.
    std::uint64_t varint_up_to(std::uint64_t max) noexcept {
        const auto value = varint();
        if (value > max) {
            fail();
            return 0;
        }
        return value;
    }

    std::span<const std::byte> bytes(std::size_t count) noexcept {
        if (!need(count)) {
            return {};
        }
        std::span<const std::byte> out{at_, count};
        at_ += count;
        return out;
    }
    std::string_view text(std::size_t count) noexcept {
        const auto raw = bytes(count);
        return {reinterpret_cast<const char*>(raw.data()), raw.size()};
    }
    /// A string behind its length, at most `max` bytes.
    std::string_view string_up_to(std::size_t max) noexcept { return text(varint_up_to(max)); }
    endpoint_id id() noexcept {
        endpoint_id::bytes_type raw{};
        const auto from = bytes(raw.size());
        if (!from.empty()) {
            std::memcpy(raw.data(), from.data(), raw.size());
        }
        return endpoint_id{raw};
    }

    void fail() noexcept {
        failed_ = true;
        at_ = end_;
    }

  private:
    bool need(std::size_t count) noexcept {
        if (remaining() < count) {
            fail();
            return false;
        }
        return true;
    }

    const std::byte* at_;
    const std::byte* end_;
    bool failed_ = false;
};

/// Appends to a vector. For control records and tests; the message path writes into frames.
class byte_writer {
  public:
    explicit byte_writer(std::vector<std::byte>& out) noexcept : out_(out) {}

    template <class T>
    void fixed(T value) {
        const auto* raw = reinterpret_cast<const std::byte*>(&value);
        out_.insert(out_.end(), raw, raw + sizeof(T));
    }
    void u8(std::uint8_t value) { out_.push_back(static_cast<std::byte>(value)); }
    void varint(std::uint64_t value) {
        std::byte raw[varint_bytes_max];
        out_.insert(out_.end(), raw, put_varint(raw, value));
    }
    void bytes(std::span<const std::byte> raw) { out_.insert(out_.end(), raw.begin(), raw.end()); }
    void string(std::string_view text) {
        varint(text.size());
        bytes(std::as_bytes(std::span{text.data(), text.size()}));
    }
    void id(const endpoint_id& id) { bytes(std::as_bytes(std::span{id.bytes()})); }

  private:
    std::vector<std::byte>& out_;
};

}  // namespace bzmq
