#pragma once

#include "bzmq/address.hpp"
#include "bzmq/enum_value.hpp"
#include "bzmq/error.hpp"
#include "bzmq/export.hpp"
#include "bzmq/port.hpp"
#include "bzmq/subnet.hpp"
#include "bzmq/time.hpp"

#include <chrono>
#include <compare>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

/// The values that messages and stores carry. docs/data-model.md tells the order of the types, the
/// text form, the JSON form and the bytes on the wire.
namespace bzmq {

class data;

// Scoped enumerators shadow nothing, but GCC 12 says that they do.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"

/// The type of a value. Values of different types are ordered by these numbers, which are
/// permanent.
enum class data_type : std::uint8_t {
    none = 0,
    boolean = 1,
    count = 2,
    integer = 3,
    real = 4,
    string = 5,
    address = 6,
    subnet = 7,
    port = 8,
    timestamp = 9,
    timespan = 10,
    enum_value = 11,
    set = 12,
    table = 13,
    vector = 14,
};

#pragma GCC diagnostic pop

/// The absence of a value.
struct none {
    friend constexpr auto operator<=>(none, none) = default;
};
inline constexpr none nil{};

using boolean = bool;
using count = std::uint64_t;
using integer = std::int64_t;
using real = double;
using set = std::set<data>;
using table = std::map<data, data>;
using vector = std::vector<data>;

/// The name of `type` as JSON spells it, e.g. "enum-value".
BZMQ_EXPORT std::string_view to_string(data_type type) noexcept;

namespace detail {

template <class T>
concept integer_number =
    std::integral<T> && !std::same_as<
        T,
        bool> && !std::same_as<T, char> && !std::same_as<T, wchar_t> && !std::same_as<T, char8_t> && !std::same_as<T, char16_t> && !std::same_as<T, char32_t>;

}  // namespace detail

/// A value of any of the types above.
///
/// The order over all values is total and every value equals itself: by type, then by value. Among
/// reals every NaN is the same value, behind +infinity, and -0.0 lies before 0.0 and is distinct
/// from it (as in Java's Double.compareTo), so that equal values are encoded as equal bytes. Sets,
/// tables and vectors are ordered lexicographically. std::hash agrees with equality.
///
/// Copying, comparing and converting recurse as deep as the value is nested. What comes from a
/// decoder is nested at most 64 deep, and nothing deeper can be sent.
class data {
  public:
    using type = data_type;
    using variant_type =
        std::variant<none, boolean, count, integer, real, std::string, address, subnet, port,
                     timestamp, timespan, enum_value, set, table, vector>;

    // NOLINTBEGIN(google-explicit-constructor): a value stands wherever data is asked for.
    data() = default;
    data(none) noexcept {}
    template <std::same_as<bool> T>
    data(T value) noexcept : value_(std::in_place_type<boolean>, value) {}
    /// An unsigned number is a count, a signed one an integer. Character types are neither.
    template <detail::integer_number T>
    data(T value) noexcept
        : value_(std::in_place_type<std::conditional_t<std::is_unsigned_v<T>, count, integer>>,
                 value) {}
    template <std::floating_point T>
    data(T value) noexcept : value_(std::in_place_type<real>, static_cast<real>(value)) {}
    data(std::string value) noexcept : value_(std::move(value)) {}
    data(std::string_view value) : value_(std::in_place_type<std::string>, value) {}
    data(const char* value) : value_(std::in_place_type<std::string>, value) {}
    data(const address& value) noexcept : value_(value) {}
    data(const subnet& value) noexcept : value_(value) {}
    data(const port& value) noexcept : value_(value) {}
    data(timestamp value) noexcept : value_(value) {}
    /// Any duration that nanoseconds represent exactly.
    template <class Rep, class Period>
    requires std::convertible_to<std::chrono::duration<Rep, Period>, timespan> data(
        std::chrono::duration<Rep, Period> value)
        : value_(timespan{value}) {}
    data(enum_value value) noexcept : value_(std::move(value)) {}
    data(set value) noexcept : value_(std::move(value)) {}
    data(table value) noexcept : value_(std::move(value)) {}
    data(vector value) noexcept : value_(std::move(value)) {}
    // NOLINTEND(google-explicit-constructor)
    /// A character is not a number and a pointer is not a boolean.
    data(char) = delete;
    data(const void*) = delete;
    data(std::nullptr_t) = delete;

    [[nodiscard]] type get_type() const noexcept { return static_cast<type>(value_.index()); }
    [[nodiscard]] const variant_type& get_data() const noexcept { return value_; }
    [[nodiscard]] variant_type& get_data() noexcept { return value_; }

    BZMQ_EXPORT friend bool operator==(const data& a, const data& b) noexcept;
    BZMQ_EXPORT friend std::strong_ordering operator<=>(const data& a, const data& b) noexcept;

  private:
    variant_type value_;
};

/// True where `value` holds a T, one of the alternatives of `data::variant_type`.
template <class T>
[[nodiscard]] bool is(const data& value) noexcept {
    return std::holds_alternative<T>(value.get_data());
}

/// The T that `value` holds, or a null pointer where it holds something else.
template <class T>
[[nodiscard]] const T* get_if(const data* value) noexcept {
    return value == nullptr ? nullptr : std::get_if<T>(&value->get_data());
}
template <class T>
[[nodiscard]] T* get_if(data* value) noexcept {
    return value == nullptr ? nullptr : std::get_if<T>(&value->get_data());
}

/// The T that `value` holds. Throws std::bad_variant_access where it holds something else.
template <class T>
[[nodiscard]] const T& get(const data& value) {
    return std::get<T>(value.get_data());
}
template <class T>
[[nodiscard]] T& get(data& value) {
    return std::get<T>(value.get_data());
}
template <class T>
[[nodiscard]] T get(data&& value) {
    return std::get<T>(std::move(value.get_data()));
}

/// Calls `visitor` with what `value` holds, as std::visit does.
template <class visitor_type>
decltype(auto) visit(visitor_type&& visitor, const data& value) {
    return std::visit(std::forward<visitor_type>(visitor), value.get_data());
}
template <class visitor_type>
decltype(auto) visit(visitor_type&& visitor, data& value) {
    return std::visit(std::forward<visitor_type>(visitor), value.get_data());
}

/// The text form for people: `nil`, `T`, `80/tcp`, `{a, b}`, `{k -> v}`, `(a, b)`. Strings stand
/// as they are, so that text alone does not tell their type; `to_text` does.
BZMQ_EXPORT std::string to_string(const data& value);
BZMQ_EXPORT std::string to_string(const set& value);
BZMQ_EXPORT std::string to_string(const table& value);
BZMQ_EXPORT std::string to_string(const vector& value);
/// "5s", "250ms", "-3ns": the coarsest of s, ms, us and ns that is exact.
BZMQ_EXPORT std::string to_string(timespan value);
/// "2026-01-31T08:30:00.25Z": ISO 8601 in UTC, with as many digits as the fraction needs.
BZMQ_EXPORT std::string to_string(timestamp value);

/// The text form for programs: `parse_data(to_text(x)) == x` for every x within the limits. Differs
/// from `to_string` in quoting every string, and in writing `int(3)`, `enum("name")` and `{->}`.
BZMQ_EXPORT std::string to_text(const data& value);

/// Reads a value as a person types it. What has the form of a type is of that type, anything else
/// is a string:
///
///     nil                                    none
///     T  F                                   boolean
///     3  +3                                  count
///     -3  int(3)                             integer
///     3.5  -1e9  inf  -inf  nan              real
///     "quoted"                               string, with \" \\ \n \r \t \xHH
///     192.0.2.1  2001:db8::1                 address
///     10.0.0.0/8  2001:db8::/32              subnet
///     80/tcp  53/udp  8/icmp  0/?            port
///     5s  -1.5ms  ns us ms s min h d         timespan
///     2026-01-31T08:30:00.25Z                timestamp (UTC; the Z may be left out)
///     enum(NAME)  enum("any name")           enum_value
///     {a, 1, 80/tcp}  {}                     set; equal elements count once
///     {a -> 1, b -> 2}  {->}                 table
///     (a, (1, 2))  ()                        vector
///
/// Inside sets, tables and vectors the same rules hold for each element, except that a string which
/// is not quoted must not be empty and must not contain , " { } ( ) or ->; space around it does not
/// count. Errors (`ec::invalid_data`, with the position): nested deeper than 64, longer than 64
/// MiB, more than 2^20 values, the same key twice in a table.
BZMQ_EXPORT expected<data> parse_data(std::string_view text);

/// The JSON form, lossless and on one line: `{"@data-type":"count","data":1}`, nested likewise.
BZMQ_EXPORT std::string to_json(const data& value);

/// Reads the JSON form. Errors (`ec::invalid_json`) name the byte offset of a flaw in the syntax,
/// or the JSON pointer to a value that does not fit its type. Bounded as `parse_data` is.
BZMQ_EXPORT expected<data> from_json(std::string_view json);

}  // namespace bzmq

template <>
struct std::hash<bzmq::data> {
    BZMQ_EXPORT std::size_t operator()(const bzmq::data& value) const noexcept;
};
