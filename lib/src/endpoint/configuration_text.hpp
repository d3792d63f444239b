#pragma once

#include "bzmq/time.hpp"

#include <tl/expected.hpp>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

/// How single values look as text.
namespace bzmq::config {

// Durations as options count them, in nanoseconds.
constexpr std::uint64_t ms = 1'000'000;
constexpr std::uint64_t s = 1000 * ms;
constexpr std::uint64_t h = 3600 * s;

/// A value, or what is wrong with it ("expected …"); the caller adds the place.
template <class T>
using checked = tl::expected<T, std::string>;

tl::unexpected<std::string> wrong(std::string why);

/// "250ms", "3s", "1min"; units ns, us, ms, s, min and h; "0" needs none.
checked<timespan> parse_duration(std::string_view text);
/// "65536", "64KiB", "4 MiB"; units B, KiB, MiB and GiB.
checked<std::uint64_t> parse_size(std::string_view text);
checked<std::uint64_t> parse_count(std::string_view text);

/// The shortest text without a fraction that parses to `value`.
std::string duration_text(timespan value);
std::string size_text(std::uint64_t value);

/// `text` cut to one line of printable ASCII, for messages about what came from outside.
std::string printable(std::string_view text);

/// The name out of `candidates` that `key` most likely meant, or an empty view.
std::string_view nearest_name(std::string_view key, std::span<const std::string_view> candidates);

}  // namespace bzmq::config
