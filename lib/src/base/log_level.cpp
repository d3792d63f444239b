#include "bzmq/log_level.hpp"

#include <array>
#include <cstddef>

namespace bzmq {
namespace {

// Indexed by the level's number.
constexpr std::array<std::string_view, 5> names{"off", "error", "warning", "info", "debug"};
static_assert(names.size() == static_cast<std::size_t>(log_level::debug) + 1);

}  // namespace

std::string_view to_string(log_level level) noexcept {
    const auto index = static_cast<std::size_t>(level);
    return index < names.size() ? names[index] : "unspecified";
}

std::optional<log_level> parse_log_level(std::string_view name) noexcept {
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (names[i] == name) {
            return static_cast<log_level>(i);
        }
    }
    return std::nullopt;
}

}  // namespace bzmq
