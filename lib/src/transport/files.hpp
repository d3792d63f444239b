#pragma once

#include "bzmq/error.hpp"

#include <cstddef>
#include <string>
#include <string_view>

/// Small files: certificates and lists of keys.
namespace bzmq::transport {

/// No file that this layer reads is larger, in bytes.
constexpr std::size_t small_file_bytes_max = std::size_t{1} << 20;

/// The whole file, or `cannot_open_file` naming it.
expected<std::string> read_small_file(const std::string& path);

/// Puts `content` at `path` with `mode`, complete or not at all. Nobody without the right to read
/// the final file can read it on the way. `cannot_write_file` where the file exists and `replace`
/// is false.
expected<void> write_file_atomically(const std::string& path, std::string_view content,
                                     unsigned mode, bool replace);

/// `text` without white space at its ends.
std::string_view trimmed(std::string_view text) noexcept;

}  // namespace bzmq::transport
