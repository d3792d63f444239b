#include "bzmq/overflow_policy.hpp"

#include <array>
#include <cstddef>

namespace bzmq {
namespace {

// Indexed by the policy's number.
constexpr std::array<std::string_view, 4> names{"block", "drop_newest", "drop_oldest", "disconnect"};
static_assert(names.size() == static_cast<std::size_t>(overflow_policy::disconnect) + 1);

}  // namespace

std::string_view to_string(overflow_policy policy) noexcept {
    const auto index = static_cast<std::size_t>(policy);
    return index < names.size() ? names[index] : "unspecified";
}

std::optional<overflow_policy> parse_overflow_policy(std::string_view name) noexcept {
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (names[i] == name) {
            return static_cast<overflow_policy>(i);
        }
    }
    return std::nullopt;
}

}  // namespace bzmq
