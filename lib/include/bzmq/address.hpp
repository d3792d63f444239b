#pragma once

#include "bzmq/export.hpp"

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace bzmq {

/// An IP address: 16 bytes in network order. An IPv4 address is held as its IPv4-mapped IPv6
/// address (RFC 4291, 2.5.5.2), so that 192.0.2.1 and ::ffff:192.0.2.1 are the same value. Ordered
/// by bytes.
class address {
  public:
    using bytes_type = std::array<std::uint8_t, 16>;
    using v4_bytes_type = std::array<std::uint8_t, 4>;

    /// The unspecified address, "::".
    constexpr address() = default;
    constexpr explicit address(const bytes_type& bytes) : bytes_(bytes) {}
    constexpr explicit address(const v4_bytes_type& v4)
        : bytes_{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, v4[0], v4[1], v4[2], v4[3]} {}

    /// Parses "192.0.2.1" or "2001:db8::1"; no zone, no port, no brackets.
    BZMQ_EXPORT static std::optional<address> parse(std::string_view text);

    [[nodiscard]] constexpr const bytes_type& bytes() const noexcept { return bytes_; }
    [[nodiscard]] constexpr bool is_v4() const noexcept {
        for (std::size_t i = 0; i < 10; ++i) {
            if (bytes_[i] != 0) {
                return false;
            }
        }
        return bytes_[10] == 0xff && bytes_[11] == 0xff;
    }
    /// The last four bytes: the IPv4 address where `is_v4()`.
    [[nodiscard]] constexpr v4_bytes_type v4_bytes() const noexcept {
        return {bytes_[12], bytes_[13], bytes_[14], bytes_[15]};
    }

    friend constexpr auto operator<=>(const address&, const address&) = default;

  private:
    bytes_type bytes_{};
};

/// "192.0.2.1" where `is_v4()`, else the IPv6 text form (RFC 5952).
BZMQ_EXPORT std::string to_string(const address& value);

}  // namespace bzmq

template <>
struct std::hash<bzmq::address> {
    BZMQ_EXPORT std::size_t operator()(const bzmq::address& value) const noexcept;
};
