#pragma once

#include "bzmq/data.hpp"
#include "bzmq/error.hpp"

#include <string_view>

namespace CLI {
class App;
}

namespace bzmq::cli {

enum class value_format { text, json, bytes };

/// `--format text|json|bytes`.
void add_format(CLI::App& command, value_format& out, const std::string& description);

/// Reads what a user gives as a value: as `parse_data` does; as JSON (the typed form, or any other
/// JSON: objects are tables, arrays vectors, whole numbers counts or, below zero, integers); or as
/// a string of these very bytes.
expected<data> read_value(std::string_view text, value_format format);

}  // namespace bzmq::cli
