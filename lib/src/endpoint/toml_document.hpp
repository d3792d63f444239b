#pragma once

#include "bzmq/error.hpp"

#include "endpoint/toml_parser.hpp"

#include <string>
#include <string_view>

/// TOML from outside, and errors that say where in it.
namespace bzmq::config {

/// "bzmq.toml:7:1".
std::string place_text(std::string_view file_name, const toml::source_position& at);

/// `invalid_configuration` that says where: "bzmq.toml:7:1: …".
unexpected invalid_at(std::string_view file_name, const toml::source_position& at,
                      std::string_view message);

/// The document's root, or `invalid_configuration`. `file_name` is for messages only.
expected<toml::table> parse_toml(std::string_view document, std::string_view file_name);

}  // namespace bzmq::config
