#include "option_checks.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace bzmq::cli {
namespace {

/// The whole text as a number.
template <class Number>
bool read(const std::string& text, Number& out) {
    const auto* end = text.data() + text.size();
    const auto [at, failure] = std::from_chars(text.data(), end, out);
    return failure == std::errc{} && at == end;
}

}  // namespace

std::string any_of(const std::vector<std::string>& words) {
    std::string out;
    for (std::size_t i = 0; i < words.size(); ++i) {
        out += i == 0 ? "" : i + 1 < words.size() ? ", " : " or ";
        out += words[i];
    }
    return out;
}

CLI::Validator not_empty() {
    return CLI::Validator{
        [](const std::string& text) { return text.empty() ? "expected some text" : ""; }, ""};
}

CLI::Validator whole_number(std::uint64_t least) {
    return CLI::Validator{
        [least](const std::string& text) {
            std::uint64_t value = 0;
            // Not the parser's octal and hexadecimal ones: nobody means 8 by 010.
            return read(text, value) && value >= least && std::to_string(value) == text
                       ? std::string{}
                       : fmt::format("\"{}\": expected a whole number, {} or more", text, least);
        },
        ""};
}

CLI::Validator above_zero() {
    return CLI::Validator{
        [](const std::string& text) {
            double value = 0;
            return read(text, value) && std::isfinite(value) && value > 0
                       ? std::string{}
                       : fmt::format("\"{}\": expected a number greater than 0", text);
        },
        ""};
}

CLI::Validator one_of(std::vector<std::string> words) {
    return CLI::Validator{
        [words = std::move(words)](const std::string& text) {
            return std::find(words.begin(), words.end(), text) != words.end()
                       ? std::string{}
                       : fmt::format("\"{}\": expected {}", text, any_of(words));
        },
        ""};
}

}  // namespace bzmq::cli
