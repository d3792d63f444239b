#include "data/time_text.hpp"

#include "bzmq/data.hpp"

#include <array>
#include <charconv>
#include <limits>

namespace bzmq {
namespace {

constexpr std::int64_t ns_per_second = 1'000'000'000;
__extension__ using wide = unsigned __int128;

struct unit {
    std::string_view name;
    std::int64_t nanoseconds;
};

// The first four are those that to_string writes, the coarsest last.
constexpr std::array<unit, 7> units{{{"ns", 1},
                                     {"us", 1'000},
                                     {"ms", 1'000'000},
                                     {"s", ns_per_second},
                                     {"min", 60 * ns_per_second},
                                     {"h", 3600 * ns_per_second},
                                     {"d", 86400 * ns_per_second}}};
constexpr std::size_t written_units = 4;

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

std::size_t count_digits(std::string_view text) {
    std::size_t n = 0;
    while (n < text.size() && is_digit(text[n])) {
        ++n;
    }
    return n;
}

/// The `width` digits at the start of `text`, which is shortened by them and by `separator`.
std::optional<int> take_field(std::string_view& text, std::size_t width, char separator) {
    if (count_digits(text.substr(0, width)) != width) {
        return std::nullopt;
    }
    int value = 0;
    std::from_chars(text.data(), text.data() + width, value);
    text.remove_prefix(width);
    if (separator != '\0') {
        if (text.empty() || text.front() != separator) {
            return std::nullopt;
        }
        text.remove_prefix(1);
    }
    return value;
}

/// Appends `value` with at least `width` digits, and `separator` behind it.
void append_padded(std::string& out, std::int64_t value, std::size_t width, char separator) {
    const auto digits = std::to_string(value);
    out.append(width > digits.size() ? width - digits.size() : 0, '0');
    out += digits;
    out += separator;
}

/// The optional fraction ".25" at the start of `text`, in nanoseconds.
std::optional<std::uint32_t> take_fraction(std::string_view& text) {
    if (text.empty() || text.front() != '.') {
        return 0;
    }
    text.remove_prefix(1);
    const auto digits = count_digits(text);
    if (digits == 0 || digits > 9) {
        return std::nullopt;
    }
    std::uint32_t value = 0;
    std::from_chars(text.data(), text.data() + digits, value);
    for (auto i = digits; i < 9; ++i) {
        value *= 10;
    }
    text.remove_prefix(digits);
    return value;
}

}  // namespace

second_parts split(timestamp value) noexcept {
    const auto ns = value.time_since_epoch().count();
    auto seconds = ns / ns_per_second;
    auto rest = ns % ns_per_second;
    if (rest < 0) {
        rest += ns_per_second;
        --seconds;
    }
    return {seconds, static_cast<std::uint32_t>(rest)};
}

std::optional<timestamp> join(second_parts parts) noexcept {
    auto seconds = parts.seconds;
    auto rest = static_cast<std::int64_t>(parts.nanoseconds);
    if (seconds < 0) {
        // The product alone may leave the range where the sum does not.
        ++seconds;
        rest -= ns_per_second;
    }
    std::int64_t ns = 0;
    if (__builtin_mul_overflow(seconds, ns_per_second, &ns)
        || __builtin_add_overflow(ns, rest, &ns)) {
        return std::nullopt;
    }
    return timestamp{timespan{ns}};
}

std::optional<timespan> parse_timespan(std::string_view text) noexcept {
    const bool negative = !text.empty() && text.front() == '-';
    if (negative || (!text.empty() && text.front() == '+')) {
        text.remove_prefix(1);
    }
    const auto whole_digits = count_digits(text);
    std::uint64_t whole = 0;
    if (whole_digits == 0
        || std::from_chars(text.data(), text.data() + whole_digits, whole).ec != std::errc{}) {
        return std::nullopt;
    }
    text.remove_prefix(whole_digits);
    const auto fraction = take_fraction(text);
    if (!fraction) {
        return std::nullopt;
    }
    for (const auto& [name, nanoseconds] : units) {
        if (name != text) {
            continue;
        }
        const auto scaled = static_cast<wide>(*fraction) * static_cast<wide>(nanoseconds);
        const auto total =
            static_cast<wide>(whole) * static_cast<wide>(nanoseconds) + scaled / ns_per_second;
        const auto limit =
            static_cast<wide>(std::numeric_limits<std::int64_t>::max()) + (negative ? 1 : 0);
        if (scaled % ns_per_second != 0 || total > limit) {
            return std::nullopt;
        }
        const auto magnitude = static_cast<std::uint64_t>(total);
        return timespan{static_cast<std::int64_t>(negative ? 0 - magnitude : magnitude)};
    }
    return std::nullopt;
}

std::optional<timestamp> parse_timestamp(std::string_view text) noexcept {
    const auto year = take_field(text, 4, '-');
    const auto month = year ? take_field(text, 2, '-') : std::nullopt;
    const auto day = month ? take_field(text, 2, 'T') : std::nullopt;
    const auto hour = day ? take_field(text, 2, ':') : std::nullopt;
    const auto minute = hour ? take_field(text, 2, ':') : std::nullopt;
    const auto second = minute ? take_field(text, 2, '\0') : std::nullopt;
    const auto fraction = second ? take_fraction(text) : std::nullopt;
    if (!fraction || (!text.empty() && text != "Z")) {
        return std::nullopt;
    }
    const std::chrono::year_month_day date{std::chrono::year{*year},
                                           std::chrono::month{static_cast<unsigned>(*month)},
                                           std::chrono::day{static_cast<unsigned>(*day)}};
    if (!date.ok() || *hour > 23 || *minute > 59 || *second > 59) {
        return std::nullopt;
    }
    const std::int64_t days = std::chrono::sys_days{date}.time_since_epoch().count();
    return join({((days * 24 + *hour) * 60 + *minute) * 60 + *second, *fraction});
}

std::string to_string(timespan value) {
    const auto ns = value.count();
    std::size_t best = 0;
    while (best + 1 < written_units && ns % units[best + 1].nanoseconds == 0) {
        ++best;
    }
    auto text = std::to_string(ns / units[best].nanoseconds);
    text += units[best].name;
    return text;
}

std::string to_string(timestamp value) {
    const auto [seconds, nanoseconds] = split(value);
    const std::chrono::sys_seconds point{std::chrono::seconds{seconds}};
    const auto midnight = std::chrono::floor<std::chrono::days>(point);
    const std::chrono::year_month_day date{midnight};
    const std::chrono::hh_mm_ss time{point - midnight};
    std::string text;
    append_padded(text, static_cast<int>(date.year()), 4, '-');
    append_padded(text, static_cast<unsigned>(date.month()), 2, '-');
    append_padded(text, static_cast<unsigned>(date.day()), 2, 'T');
    append_padded(text, time.hours().count(), 2, ':');
    append_padded(text, time.minutes().count(), 2, ':');
    append_padded(text, time.seconds().count(), 2, '.');
    append_padded(text, nanoseconds, 9, '0');  // One more zero, which goes with the others.
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.') {
        text.pop_back();
    }
    text += 'Z';
    return text;
}

}  // namespace bzmq
