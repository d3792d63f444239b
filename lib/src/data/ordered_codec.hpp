#pragma once

#include "bzmq/data.hpp"
#include "bzmq/error.hpp"

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

/// Values as bytes that compare (memcmp, the shorter first where one begins the other) as the
/// values do: the keys of stores, in memory, on the wire and on disk. docs/data-model.md specifies
/// the bytes. Canonical: one encoding for each value, and the decoder accepts no other.
namespace bzmq {

/// Appends the ordered form of `value` to `out`. False, with nothing appended, where it exceeds
/// data_depth_max, data_bytes_max or data_items_max.
[[nodiscard]] bool encode_ordered(const data& value, std::vector<std::byte>& out);

/// The same for a string without a `data` around it.
[[nodiscard]] bool encode_ordered_string(std::string_view text, std::vector<std::byte>& out);

/// Appends what the ordered forms of all strings begin with that begin with `text`, and no others:
/// the ordered form of `text` without its last byte.
[[nodiscard]] bool encode_ordered_prefix(std::string_view text, std::vector<std::byte>& out);

/// The value whose ordered form is all of `bytes`. Errors: `ec::deserialization_failed`, with the
/// offset of the flaw. Bounded as `decode` of msgpack_codec.hpp is.
[[nodiscard]] expected<data> decode_ordered(std::span<const std::byte> bytes);

}  // namespace bzmq
