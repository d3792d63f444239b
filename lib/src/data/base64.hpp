#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace bzmq {

/// Base64 with padding (RFC 4648, section 4).
std::string to_base64(std::string_view bytes);

/// The inverse; nothing where `text` is not what to_base64 writes for some bytes.
std::optional<std::string> from_base64(std::string_view text);

}  // namespace bzmq
