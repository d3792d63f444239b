#pragma once

#include "bzmq/data.hpp"

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

/// The bytes of the ordered form that its writer and its reader share.
namespace bzmq::ordered_format {

/// Ends a string, an enumerator's name, a set, a table and a vector. Below every tag, so that what
/// ends lies before what goes on.
constexpr std::byte end{0x00};
/// Behind a zero byte of a string: it stands for itself. Above every tag and above `end`, one of
/// which follows a string that ends.
constexpr std::byte escape{0xff};

constexpr std::byte tag(data_type type) noexcept {
    return static_cast<std::byte>(static_cast<unsigned>(type) + 1);
}
constexpr unsigned tag_max = static_cast<unsigned>(data_type::vector) + 1;

/// Signed numbers in the order of unsigned ones.
constexpr std::uint64_t sign_bit = std::uint64_t{1} << 63;
constexpr std::uint64_t from_signed(std::int64_t value) noexcept {
    return static_cast<std::uint64_t>(value) ^ sign_bit;
}
constexpr std::int64_t to_signed(std::uint64_t bits) noexcept {
    return static_cast<std::int64_t>(bits ^ sign_bit);
}

/// Reals in the order of unsigned numbers: every NaN last, -0.0 before 0.0.
constexpr std::uint64_t nan_bits = std::numeric_limits<std::uint64_t>::max();
inline std::uint64_t from_real(real value) noexcept {
    if (std::isnan(value)) {
        return nan_bits;
    }
    const auto bits = std::bit_cast<std::uint64_t>(value);
    // The greater the magnitude of a negative number, the smaller it is.
    return (bits & sign_bit) == 0 ? bits ^ sign_bit : ~bits;
}
inline real to_real(std::uint64_t bits) noexcept {
    if (bits == nan_bits) {
        return std::numeric_limits<real>::quiet_NaN();
    }
    return std::bit_cast<real>((bits & sign_bit) == 0 ? ~bits : bits ^ sign_bit);
}

}  // namespace bzmq::ordered_format
