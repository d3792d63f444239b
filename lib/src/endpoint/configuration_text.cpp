#include "endpoint/configuration_text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

namespace bzmq::config {
namespace {

struct scale {
    std::string_view suffix;
    std::uint64_t factor;
};
constexpr std::array<scale, 6> duration_units{
    {{"h", h}, {"min", 60 * s}, {"s", s}, {"ms", ms}, {"us", 1000}, {"ns", 1}}};
constexpr std::array<scale, 4> size_units{
    {{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}};

/// "12", "12 suffix" or "12suffix" as a multiple of 1; nothing where it is none or does not fit.
std::optional<std::uint64_t> parse_scaled(std::string_view text, std::span<const scale> units,
                                          bool bare_number) {
    std::uint64_t number = 0;
    const auto* end = text.data() + text.size();
    const auto [stop, failure] = std::from_chars(text.data(), end, number);
    if (failure != std::errc{}) {
        return std::nullopt;
    }
    std::string_view suffix{stop, static_cast<std::size_t>(end - stop)};
    if (suffix.empty()) {
        return bare_number || number == 0 ? std::optional{number} : std::nullopt;
    }
    if (suffix.front() == ' ') {
        suffix.remove_prefix(1);
    }
    for (const auto& known : units) {
        constexpr std::uint64_t max = std::numeric_limits<std::int64_t>::max();
        if (suffix == known.suffix && number <= max / known.factor) {
            return number * known.factor;
        }
    }
    return std::nullopt;
}

std::string scaled_text(std::uint64_t value, std::span<const scale> units) {
    for (const auto& known : units) {
        if (value % known.factor == 0 && value != 0) {
            return std::to_string(value / known.factor) + std::string{known.suffix};
        }
    }
    return std::to_string(value);
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 0; i < a.size(); ++i) {
        std::size_t diagonal = std::exchange(row[0], i + 1);
        for (std::size_t j = 0; j < b.size(); ++j) {
            const auto replaced = diagonal + (a[i] == b[j] ? 0 : 1);
            diagonal = row[j + 1];
            row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
        }
    }
    return row.back();
}

}  // namespace

tl::unexpected<std::string> wrong(std::string why) {
    return tl::unexpected<std::string>{std::move(why)};
}

std::string printable(std::string_view text) {
    constexpr std::size_t shown_max = 100;
    std::string out;
    for (const char c : text.substr(0, shown_max)) {
        out += c >= ' ' && c <= '~' ? c : '?';
    }
    return text.size() > shown_max ? out + "..." : out;
}

std::string_view nearest_name(std::string_view key, std::span<const std::string_view> candidates) {
    if (key.size() > 64) {
        return {};
    }
    // More than a third wrong is another word.
    std::size_t best_distance = std::min<std::size_t>(key.size() / 3 + 1, 4);
    std::string_view best;
    for (const auto candidate : candidates) {
        if (const auto distance = edit_distance(key, candidate); distance < best_distance) {
            best_distance = distance;
            best = candidate;
        }
    }
    return best;
}

checked<timespan> parse_duration(std::string_view text) {
    const auto value = parse_scaled(text, duration_units, false);
    if (!value) {
        return wrong("expected a duration such as \"250ms\", \"3s\" or \"1min\"");
    }
    return timespan{*value};
}

checked<std::uint64_t> parse_count(std::string_view text) {
    const auto value = parse_scaled(text, {}, true);
    if (!value) {
        return wrong("expected a whole number");
    }
    return *value;
}

checked<std::uint64_t> parse_size(std::string_view text) {
    const auto value = parse_scaled(text, size_units, true);
    if (!value) {
        return wrong("expected a size such as \"64KiB\", \"4MiB\" or 65536");
    }
    return *value;
}

std::string duration_text(timespan value) {
    return value.count() < 0
               ? '-' + duration_text(-value)
               : scaled_text(static_cast<std::uint64_t>(value.count()), duration_units);
}

std::string size_text(std::uint64_t value) {
    return scaled_text(value, size_units);
}

}  // namespace bzmq::config
