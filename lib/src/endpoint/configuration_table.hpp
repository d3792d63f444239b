#pragma once

#include "bzmq/configuration.hpp"

#include "endpoint/configuration_text.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

/// The one table of options. Parsers, help text, documentation and error messages come from it.
namespace bzmq::config {

/// The member that an option sets; its type and `option::unit` say how values look.
using field =
    std::variant<std::string endpoint_options::*, std::vector<std::string> endpoint_options::*,
                 std::vector<peer_options> endpoint_options::*, bool endpoint_options::*,
                 timespan endpoint_options::*, std::size_t endpoint_options::*,
                 std::uint32_t endpoint_options::*, overflow_policy endpoint_options::*,
                 log_level endpoint_options::*>;

enum class unit : std::uint8_t { none, bytes, url };

struct option {
    std::string_view key;
    field member;
    unit in = unit::none;
    std::uint64_t min = 0;  ///< for numbers, sizes and (in nanoseconds) durations
    std::uint64_t max = 0;
    std::string_view description;
};

std::span<const option> options() noexcept;

/// The option of this name, or null. Names are exact: lower case with underscores.
const option* find_option(std::string_view key) noexcept;

/// The option that `key` most likely meant, or an empty view.
std::string_view nearest_option(std::string_view key);

/// What a value of `what` looks like, e.g. `a duration from 10ms to 1h, such as "250ms" or "3s"`.
std::string expectation(const option& what);
/// The kind of value in a word or two, for tables.
std::string type_name(const option& what);
/// The range in a few words, or an empty string.
std::string range_text(const option& what);
/// The default as one would write it, without quotes.
std::string default_text(const option& what);

/// Sets an option from the text of a command line or an environment variable. Lists are separated
/// by commas. Peers are URLs here.
checked<void> set_from_text(endpoint_options& to, const option& what, std::string_view text);
/// Appends to a list what `set_from_text` would set; the same as it for all else.
checked<void> add_from_text(endpoint_options& to, const option& what, std::string_view text);

/// Checks the value that `what` has in `from`.
checked<void> check(const endpoint_options& from, const option& what);
/// Checks the limits of one peering against the ranges of the options that they stand in for.
checked<void> check_limits(const peering_limits& limits);
/// Two options of which each is good, but which do not fit each other.
struct misfit {
    std::string_view key, other;
    std::string text;  ///< begins with `key`
};
/// Checks what concerns more than one option.
std::optional<misfit> check_together(const endpoint_options& from);

/// Whoever pins a listener's key means to be encrypted.
constexpr const char* key_without_cert =
    "server_key: expected a cert too, since only it turns encryption on";

/// Copies the values of options where `from` differs from `base` in them; which these are.
std::vector<std::string_view> copy_where_changed(endpoint_options& to, const endpoint_options& from,
                                                 const endpoint_options& base);

/// docs/configuration.md's table.
std::string markdown_table();

}  // namespace bzmq::config
