#include "endpoint/toml_document.hpp"

#include "endpoint/configuration_text.hpp"

#include <algorithm>
#include <string>
#include <vector>

namespace bzmq::config {
namespace {

/// True where the parser gives up on the document without saying where.
bool trips_parser(std::string_view document) {
    try {
        static_cast<void>(toml::parse(document));
    } catch (const toml::parse_error&) {
        return false;
    } catch (const parser_flaw&) {
        return true;
    }
    return false;
}

/// The line on which the parser gives up, found by bisection: it does as soon as it gets that far.
toml::source_position flaw_position(std::string_view document) {
    std::vector<std::size_t> line_ends;
    for (std::size_t at = 0; at < document.size(); ++at) {
        if (document[at] == '\n' || at + 1 == document.size()) {
            line_ends.push_back(at + 1);
        }
    }
    const auto first = std::partition_point(
        line_ends.begin(), line_ends.end(),
        [&](std::size_t end) { return !trips_parser(document.substr(0, end)); });
    return {static_cast<toml::source_index>(first - line_ends.begin()) + 1, 1};
}

}  // namespace

std::string place_text(std::string_view file_name, const toml::source_position& at) {
    return std::string{file_name} + ':' + std::to_string(at.line) + ':'
           + std::to_string(at.column);
}

unexpected invalid_at(std::string_view file_name, const toml::source_position& at,
                      std::string_view message) {
    auto text = place_text(file_name, at) + ": ";
    text += message;
    return fail(ec::invalid_configuration, std::move(text));
}

expected<toml::table> parse_toml(std::string_view document, std::string_view file_name) {
    try {
        return toml::parse(document, file_name);
    } catch (const toml::parse_error& failure) {
        return invalid_at(file_name, failure.source().begin, printable(failure.description()));
    } catch (const parser_flaw&) {
        return invalid_at(file_name, flaw_position(document), "expected well-formed TOML");
    }
}

}  // namespace bzmq::config
