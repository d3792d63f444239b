#pragma once

#include "bzmq/configuration.hpp"

#include <map>
#include <string>
#include <string_view>
#include <vector>

/// The three places that options come from outside of code. Each applies what it finds on top of
/// `to`; on an error `to` may be half changed.
namespace bzmq::config {

/// The largest configuration file that is read.
constexpr std::size_t file_bytes_max = 1 << 20;
/// The variable that names it.
constexpr std::string_view config_file_variable = "BZMQ_CONFIG_FILE";

/// Where options were set, by their keys, as messages name the place: "bzmq.toml:7:1",
/// "environment", "command line".
using places = std::map<std::string_view, std::string>;

/// Applies a TOML document; `file_name` is for messages only.
expected<void> apply_toml(endpoint_options& to, std::string_view document,
                          std::string_view file_name, places* where = nullptr);

/// Reads and applies a TOML file.
expected<void> apply_file(endpoint_options& to, const std::string& path, places* where = nullptr);

/// Applies the variables of a null-terminated "NAME=value" list. Names that begin with BZMQ_ but
/// resemble no option are somebody else's and are left alone.
expected<void> apply_environment(endpoint_options& to, const char* const* variables,
                                 places* where = nullptr);

/// A command line taken apart.
struct command_line {
    struct setting {
        std::string key;    ///< with underscores; names an option
        std::string value;  ///< "true" for a switch without a value
    };
    std::vector<setting> settings;
    std::vector<std::string> remainder;
    std::string config_file;
    bool help = false;
};

expected<command_line> parse_command_line(int argc, const char* const* argv);
/// Applies the settings in order. The first of a list replaces what it had, more of them append.
expected<void> apply_command_line(endpoint_options& to, const command_line& from,
                                  places* where = nullptr);

}  // namespace bzmq::config
