#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "bzmq/export.hpp"

namespace bzmq {

/// What happens to a message that finds a queue at its bound. Every message given up is counted.
enum class overflow_policy : std::uint8_t {
    block = 0,        ///< the publisher waits for room, at most its publish timeout
    drop_newest = 1,  ///< the message that came last is given up
    drop_oldest = 2,  ///< the messages that have waited longest are given up
    disconnect = 3,   ///< the slow side is cut off, and what waited for it is given up
};

/// The name of `policy` as this header spells it, e.g. "drop_newest".
BZMQ_EXPORT std::string_view to_string(overflow_policy policy) noexcept;

/// The policy with this name, or nothing where no policy has it.
BZMQ_EXPORT std::optional<overflow_policy> parse_overflow_policy(std::string_view name) noexcept;

}  // namespace bzmq
