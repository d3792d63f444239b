#pragma once

#include "bzmq/time.hpp"

#include <cstdint>
#include <optional>
#include <string_view>

namespace bzmq {

/// A point in time as whole seconds since 1970 (rounded down) and nanoseconds in [0, 10^9).
struct second_parts {
    std::int64_t seconds = 0;
    std::uint32_t nanoseconds = 0;
};

second_parts split(timestamp value) noexcept;

/// The inverse; nothing where the result leaves the range of a timestamp.
std::optional<timestamp> join(second_parts parts) noexcept;

/// "5s", "-1.5ms", "2h": a decimal number and a unit (ns, us, ms, s, min, h, d). Nothing where that
/// is no whole number of nanoseconds or leaves the range.
std::optional<timespan> parse_timespan(std::string_view text) noexcept;

/// "2026-01-31T08:30:00.25Z", up to nine digits of fraction, the Z optional.
std::optional<timestamp> parse_timestamp(std::string_view text) noexcept;

}  // namespace bzmq
