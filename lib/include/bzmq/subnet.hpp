#pragma once

#include "bzmq/address.hpp"
#include "bzmq/export.hpp"

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace bzmq {

/// A range of addresses that share their first bits. The bits behind the prefix are zero, whatever
/// it was made from: 10.1.2.3/8 is 10.0.0.0/8. Ordered by network, then by prefix length.
class subnet {
  public:
    /// "::/0", all addresses.
    constexpr subnet() = default;
    /// The subnet of `prefix` bits around `network`; bits are counted as the text form does, up to
    /// 32 where `network.is_v4()`, up to 128 otherwise. Throws std::invalid_argument beyond that.
    BZMQ_EXPORT subnet(const address& network, unsigned prefix);

    /// The subnet of `prefix` bits of 128 around `network`, an IPv4 address being 96 bits deeper
    /// than its text form shows. Nothing where `prefix` exceeds 128.
    BZMQ_EXPORT static std::optional<subnet> from_v6(const address& network, unsigned prefix);
    /// Parses "10.0.0.0/8" or "2001:db8::/32".
    BZMQ_EXPORT static std::optional<subnet> parse(std::string_view text);

    [[nodiscard]] constexpr const address& network() const noexcept { return network_; }
    /// True where the text form is that of IPv4.
    [[nodiscard]] constexpr bool is_v4() const noexcept {
        return prefix_ >= 96 && network_.is_v4();
    }
    /// The bits of the prefix as the text form counts them: of 32 where `is_v4()`, else of 128.
    [[nodiscard]] constexpr unsigned prefix() const noexcept {
        return is_v4() ? prefix_ - 96U : prefix_;
    }
    /// The bits of the prefix, always of 128.
    [[nodiscard]] constexpr unsigned prefix_v6() const noexcept { return prefix_; }
    [[nodiscard]] BZMQ_EXPORT bool contains(const address& value) const noexcept;
    [[nodiscard]] BZMQ_EXPORT bool contains(const subnet& other) const noexcept;

    friend constexpr auto operator<=>(const subnet&, const subnet&) = default;

  private:
    address network_;
    std::uint8_t prefix_ = 0;
};

/// "10.0.0.0/8".
BZMQ_EXPORT std::string to_string(const subnet& value);

}  // namespace bzmq

template <>
struct std::hash<bzmq::subnet> {
    BZMQ_EXPORT std::size_t operator()(const bzmq::subnet& value) const noexcept;
};
