#pragma once

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

/// Checks of what options are given, which say what is expected in words that help.
namespace bzmq::cli {

/// "text, json or bytes".
std::string any_of(const std::vector<std::string>& words);

/// Some text.
CLI::Validator not_empty();
/// A whole number, `least` or more.
CLI::Validator whole_number(std::uint64_t least = 0);
/// A number greater than 0.
CLI::Validator above_zero();
/// One of a few words.
CLI::Validator one_of(std::vector<std::string> words);

/// The same for an option that is an enumeration; turns the word into its number, which is what the
/// parser reads.
template <class Enum>
CLI::Validator one_of(std::vector<std::pair<std::string, Enum>> names) {
    return CLI::Validator{
        [names = std::move(names)](std::string& text) {
            std::vector<std::string> words;
            for (const auto& [word, meaning] : names) {
                if (word == text) {
                    text = std::to_string(static_cast<std::underlying_type_t<Enum>>(meaning));
                    return std::string{};
                }
                words.push_back(word);
            }
            return fmt::format("\"{}\": expected {}", text, any_of(words));
        },
        ""};
}

}  // namespace bzmq::cli
