#pragma once

#include "bzmq/data.hpp"
#include "bzmq/error.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace CLI {
class App;
class Option;
}

namespace bzmq::cli {

enum class value_format { text, json, bytes };

/// `--format text|json|bytes`, or under another name.
CLI::Option* add_format(CLI::App& command, value_format& out, const std::string& description,
                        const std::string& flags = "--format");

/// The same where it matters whether it was given.
CLI::Option* add_format(CLI::App& command, std::optional<value_format>& out,
                        const std::string& description);

/// Reads what a user gives as a value: as `parse_data` does; as JSON (the typed form, or any other
/// JSON: objects are tables, arrays vectors, whole numbers counts or, below zero, integers); or as
/// a string of these very bytes.
expected<data> read_value(std::string_view text, value_format format);

/// The same the other way: as `append_text` does; the typed JSON; the bytes of a string, and the
/// text of anything else.
void append_value(std::string& out, const data& value, value_format format);

}  // namespace bzmq::cli
