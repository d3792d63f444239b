#pragma once

#include "bzmq/data.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

/// Values as msgpack. docs/data-model.md specifies the bytes. The form is canonical: a value has
/// exactly one encoding and the decoder accepts no other, so that encoded values can be compared
/// and hashed as bytes.
namespace bzmq {

/// Bytes that `value` takes encoded. 0 where it exceeds data_depth_max, data_bytes_max or
/// data_items_max and so cannot be sent.
[[nodiscard]] std::size_t encoded_size(const data& value) noexcept;

/// Writes `value` at `to`, which must have room for `encoded_size(value)` bytes, not 0, and returns
/// the end of what it wrote.
std::byte* encode_to(std::byte* to, const data& value) noexcept;

/// Appends `value` to `out`. False, with nothing appended, where its encoded_size is 0.
[[nodiscard]] bool encode(const data& value, std::vector<std::byte>& out);

/// The value whose encoding is all of `bytes`. Errors: `ec::deserialization_failed`, with the
/// offset of the flaw. Allocates in proportion to what `bytes` holds, never to what they claim.
[[nodiscard]] expected<data> decode(std::span<const std::byte> bytes);

/// Strings, the commonest payload, without a `data` around them: the bytes are those that
/// `encode_to` writes for the same string.
[[nodiscard]] constexpr std::size_t encoded_string_size(std::size_t length) noexcept {
    return length + (length < 0x100 ? 2 : length < 0x10000 ? 3 : 5);
}
inline std::byte* encode_string_to(std::byte* to, std::string_view text) noexcept {
    const auto length = static_cast<std::uint32_t>(text.size());
    if (length < 0x100) {
        to[0] = std::byte{0xc4};
        to[1] = static_cast<std::byte>(length);
        to += 2;
    } else if (length < 0x10000) {
        const auto big = __builtin_bswap16(static_cast<std::uint16_t>(length));
        to[0] = std::byte{0xc5};
        std::memcpy(to + 1, &big, sizeof big);
        to += 3;
    } else {
        const auto big = __builtin_bswap32(length);
        to[0] = std::byte{0xc6};
        std::memcpy(to + 1, &big, sizeof big);
        to += 5;
    }
    if (length != 0) {  // An empty view may point nowhere.
        std::memcpy(to, text.data(), length);
    }
    return to + length;
}

/// The string that `bytes` encode, in place. Nothing where they encode anything else, or nothing.
[[nodiscard]] std::optional<std::string_view> peek_string(
    std::span<const std::byte> bytes) noexcept;

}  // namespace bzmq
