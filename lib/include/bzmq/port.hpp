#pragma once

#include "bzmq/export.hpp"

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace bzmq {

/// A port number together with its transport protocol. Ordered by number, then by protocol.
class port {
  public:
    /// The numbers are permanent: they travel in messages.
    enum class protocol : std::uint8_t { unknown = 0, tcp = 1, udp = 2, icmp = 3 };

    /// "0/?".
    constexpr port() = default;
    constexpr port(std::uint16_t number, protocol type) noexcept : number_(number), type_(type) {}

    /// Parses "80/tcp", "53/udp", "8/icmp", "0/?" (or "0/unknown").
    BZMQ_EXPORT static std::optional<port> parse(std::string_view text);

    [[nodiscard]] constexpr std::uint16_t number() const noexcept { return number_; }
    [[nodiscard]] constexpr protocol type() const noexcept { return type_; }

    friend constexpr auto operator<=>(const port&, const port&) = default;

  private:
    std::uint16_t number_ = 0;
    protocol type_ = protocol::unknown;
};

/// "80/tcp"; "0/?" where the protocol is unknown.
BZMQ_EXPORT std::string to_string(const port& value);

}  // namespace bzmq

template <>
struct std::hash<bzmq::port> {
    std::size_t operator()(const bzmq::port& value) const noexcept {
        return std::hash<std::uint32_t>{}(static_cast<std::uint32_t>(value.number()) << 8
                                          | static_cast<std::uint32_t>(value.type()));
    }
};
