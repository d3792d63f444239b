#pragma once

#include "bzmq/export.hpp"

#include <cstdint>
#include <optional>
#include <string_view>

namespace bzmq {

/// How much an endpoint logs: each level includes those before it.
enum class log_level : std::uint8_t {
    off = 0,
    error = 1,    ///< what needs an operator
    warning = 2,  ///< refused peers, lost links, drops
    info = 3,     ///< peerings that come and go
    debug = 4,    ///< every decision
};

/// The name of `level` as this header spells it, e.g. "warning".
BZMQ_EXPORT std::string_view to_string(log_level level) noexcept;

/// The level with this name, or nothing where no level has it.
BZMQ_EXPORT std::optional<log_level> parse_log_level(std::string_view name) noexcept;

}  // namespace bzmq
