#include "value_format.hpp"

#include "option_checks.hpp"
#include "output.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace bzmq::cli {
namespace {

constexpr unsigned depth_max = 64;
constexpr const char* type_key = "@data-type";

CLI::Validator is_format() {
    return one_of<value_format>({{"text", value_format::text},
                                 {"json", value_format::json},
                                 {"bytes", value_format::bytes}});
}

/// JSON without types; an object with a type in it is taken by its type.
expected<data> from_plain(const nlohmann::json& json, unsigned depth) {
    if (depth > depth_max) {
        return fail(ec::invalid_json, fmt::format("nested deeper than {}", depth_max));
    }
    switch (json.type()) {
        case nlohmann::json::value_t::boolean:
            return data{json.get<bool>()};
        case nlohmann::json::value_t::number_unsigned:
            return data{json.get<std::uint64_t>()};
        case nlohmann::json::value_t::number_integer:
            return data{json.get<std::int64_t>()};
        case nlohmann::json::value_t::number_float:
            return data{json.get<double>()};
        case nlohmann::json::value_t::string:
            return data{json.get<std::string>()};
        case nlohmann::json::value_t::array: {
            vector out;
            for (const auto& element : json) {
                auto value = from_plain(element, depth + 1);
                if (!value) {
                    return value;
                }
                out.push_back(std::move(*value));
            }
            return data{std::move(out)};
        }
        case nlohmann::json::value_t::object: {
            if (json.contains(type_key)) {
                return from_json(json.dump());
            }
            table out;
            for (const auto& [key, element] : json.items()) {
                auto value = from_plain(element, depth + 1);
                if (!value) {
                    return value;
                }
                out.emplace(key, std::move(*value));
            }
            return data{std::move(out)};
        }
        default:
            return data{};
    }
}

expected<data> read_json(std::string_view text) {
    // The library's reader is the judge of its own form, and bounded.
    auto typed = from_json(text);
    if (typed) {
        return typed;
    }
    const auto plain = nlohmann::json::parse(text, nullptr, false);
    if (plain.is_discarded() || (plain.is_object() && plain.contains(type_key))) {
        return typed;  // For its message.
    }
    return from_plain(plain, 1);
}

}  // namespace

CLI::Option* add_format(CLI::App& command, value_format& out, const std::string& description,
                        const std::string& flags) {
    return command.add_option(flags, out, description)
        ->type_name("text|json|bytes")
        ->transform(is_format());
}

CLI::Option* add_format(CLI::App& command, std::optional<value_format>& out,
                        const std::string& description) {
    return command.add_option("--format", out, description)
        ->type_name("text|json|bytes")
        ->transform(is_format());
}

expected<data> read_value(std::string_view text, value_format format) {
    switch (format) {
        case value_format::json:
            return read_json(text);
        case value_format::bytes:
            return data{text};
        default:
            return parse_data(text);
    }
}

void append_value(std::string& out, const data& value, value_format format) {
    const auto* text = get_if<std::string>(&value);
    if (format == value_format::json) {
        out += to_json(value);
    } else if (format == value_format::bytes && text != nullptr) {
        out += *text;
    } else if (format == value_format::bytes) {
        out += to_text(value);
    } else {
        append_text(out, value);
    }
}

}  // namespace bzmq::cli
