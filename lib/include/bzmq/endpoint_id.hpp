#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "bzmq/export.hpp"

namespace bzmq {

/// Names one endpoint in one run: 16 random bytes, made anew at each start, so that a restarted
/// endpoint is never taken for the one that died. Ordered by bytes. The nil id (all zero) names
/// nobody.
class endpoint_id {
  public:
    using bytes_type = std::array<std::uint8_t, 16>;

    constexpr endpoint_id() = default;
    constexpr explicit endpoint_id(const bytes_type& bytes) : bytes_(bytes) {}

    /// Parses the text form, 32 hexadecimal digits with or without the four dashes of a UUID.
    BZMQ_EXPORT static std::optional<endpoint_id> parse(std::string_view text);

    [[nodiscard]] constexpr const bytes_type& bytes() const noexcept { return bytes_; }
    [[nodiscard]] constexpr bool is_nil() const noexcept { return bytes_ == bytes_type{}; }
    constexpr explicit operator bool() const noexcept { return !is_nil(); }

    friend constexpr auto operator<=>(const endpoint_id&, const endpoint_id&) = default;

  private:
    bytes_type bytes_{};
};

/// The UUID form in lower case, e.g. "0f8fad5b-d9cb-469f-a165-70867728950e".
BZMQ_EXPORT std::string to_string(const endpoint_id& id);

}  // namespace bzmq

template <>
struct std::hash<bzmq::endpoint_id> {
    std::size_t operator()(const bzmq::endpoint_id& id) const noexcept {
        std::uint64_t halves[2];
        std::memcpy(halves, id.bytes().data(), sizeof halves);
        return static_cast<std::size_t>(halves[0] ^ (halves[1] * 0x9e3779b97f4a7c15ULL));
    }
};
