#include "endpoint/configuration_sources.hpp"

#include "bzmq/network_info.hpp"

#include "endpoint/configuration_table.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <utility>

namespace bzmq::config {
namespace {

constexpr std::string_view variable_prefix = "BZMQ_";
constexpr std::string_view argument_prefix = "--bzmq.";
constexpr std::string_view file_argument = "--config-file";
constexpr std::string_view help_argument = "--help-bzmq";

std::string in_upper_case(std::string_view text) {
    std::string out{text};
    for (char& c : out) {
        c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    }
    return out;
}

std::string in_lower_case(std::string_view text) {
    std::string out{text};
    for (char& c : out) {
        c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
    return out;
}

unexpected invalid(std::string message) {
    return fail(ec::invalid_configuration, std::move(message));
}

/// "--name" or "--name=value".
bool is_argument(std::string_view argument, std::string_view name) {
    return argument.starts_with(name)
           && (argument.size() == name.size() || argument[name.size()] == '=');
}

void note(places* where, std::string_view key, std::string place) {
    if (where != nullptr) {
        where->insert_or_assign(key, std::move(place));
    }
}

bool is_switch(const option& what) {
    return std::holds_alternative<bool endpoint_options::*>(what.member);
}

}  // namespace

expected<void> apply_file(endpoint_options& to, const std::string& path, places* where) {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file{std::fopen(path.c_str(), "rbe"),
                                                               std::fclose};
    std::string document;
    std::array<char, 4096> part{};
    std::size_t count = 0;
    while (file && document.size() <= file_bytes_max
           && (count = std::fread(part.data(), 1, part.size(), file.get())) > 0) {
        document.append(part.data(), count);
    }
    if (!file || std::ferror(file.get()) != 0) {
        return fail(ec::cannot_open_file,
                    "configuration file " + path + ": " + std::strerror(errno));
    }
    if (document.size() > file_bytes_max) {
        return invalid(path + ": expected a configuration file of at most "
                       + size_text(file_bytes_max));
    }
    return apply_toml(to, document, path, where);
}

expected<void> apply_environment(endpoint_options& to, const char* const* variables,
                                 places* where) {
    for (; variables != nullptr && *variables != nullptr; ++variables) {
        const std::string_view variable{*variables};
        const auto equals = variable.find('=');
        if (!variable.starts_with(variable_prefix) || equals == std::string_view::npos) {
            continue;
        }
        const auto name = variable.substr(0, equals);
        const auto value = variable.substr(equals + 1);
        if (name == config_file_variable) {
            continue;  // Whoever reads the file has looked at it.
        }
        const auto key = in_lower_case(name.substr(variable_prefix.size()));
        const auto* what = find_option(key);
        if (what == nullptr || in_upper_case(name) != name) {
            // A slip of the pen must not pass in silence, but the prefix is not ours alone.
            if (const auto meant = nearest_option(key); !meant.empty()) {
                return invalid("environment: unknown variable " + printable(name)
                               + "; did you mean " + std::string{variable_prefix}
                               + in_upper_case(meant) + '?');
            }
            continue;
        }
        if (auto done = set_from_text(to, *what, value); !done) {
            return invalid("environment: " + printable(variable) + ": " + done.error());
        }
        note(where, what->key, "environment");
    }
    return {};
}

expected<command_line> parse_command_line(int argc, const char* const* argv) {
    command_line out;
    int at = 1;
    // The part behind "=", or the argument that follows.
    const auto value_of = [&](std::string_view argument) -> expected<std::string> {
        if (const auto equals = argument.find('='); equals != std::string_view::npos) {
            return std::string{argument.substr(equals + 1)};
        }
        if (at + 1 >= argc) {
            return invalid("command line: " + printable(argument) + ": expected a value, as in "
                           + printable(argument) + "=VALUE");
        }
        return std::string{argv[++at]};
    };
    for (; at < argc; ++at) {
        const std::string_view argument{argv[at]};
        if (argument == "--") {
            out.remainder.insert(out.remainder.end(), argv + at, argv + argc);
            break;
        }
        if (argument == help_argument) {
            out.help = true;
        } else if (is_argument(argument, file_argument)) {
            auto value = value_of(argument);
            if (!value) {
                return tl::unexpected{std::move(value.error())};
            }
            out.config_file = std::move(*value);
        } else if (argument.starts_with(argument_prefix)) {
            auto key = std::string{argument.substr(argument_prefix.size())};
            key.resize(std::min(key.find('='), key.size()));
            std::replace(key.begin(), key.end(), '-', '_');
            const auto* what = find_option(key);
            if (what == nullptr) {
                const auto meant = std::string{nearest_option(key)};
                return invalid(
                    "command line: unknown option " + std::string{argument_prefix} + printable(key)
                    + (meant.empty()
                           ? "; " + std::string{help_argument} + " lists them"
                           : "; did you mean " + std::string{argument_prefix} + meant + '?'));
            }
            const bool bare_switch =
                is_switch(*what) && argument.find('=') == std::string_view::npos;
            auto value = bare_switch ? expected<std::string>{"true"} : value_of(argument);
            if (!value) {
                return tl::unexpected{std::move(value.error())};
            }
            out.settings.push_back({std::move(key), std::move(*value)});
        } else {
            out.remainder.emplace_back(argument);
        }
    }
    return out;
}

expected<void> apply_command_line(endpoint_options& to, const command_line& from, places* where) {
    std::vector<std::string_view> met;
    for (const auto& setting : from.settings) {
        const auto* what = find_option(setting.key);
        const bool again = std::find(met.begin(), met.end(), setting.key) != met.end();
        auto done = again ? add_from_text(to, *what, setting.value)
                          : set_from_text(to, *what, setting.value);
        if (!done) {
            return invalid("command line: " + std::string{argument_prefix} + setting.key + '='
                           + printable(setting.value) + ": " + done.error());
        }
        met.push_back(setting.key);
        note(where, what->key, "command line");
    }
    return {};
}

}  // namespace bzmq::config
