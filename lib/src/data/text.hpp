#pragma once

#include <string>
#include <string_view>

namespace bzmq {

/// Appends the shortest decimal form that reads back as the same double, always recognisable as a
/// real: "3.0", "1e+20", "-0.0", "inf", "-inf", "nan".
void append_real(std::string& out, double value);

/// True where `bytes` are well-formed UTF-8 (no surrogates, no overlong forms).
bool is_utf8(std::string_view bytes) noexcept;

}  // namespace bzmq
