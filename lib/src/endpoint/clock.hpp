#pragma once

#include <chrono>

#include "base/time.hpp"
#include "bzmq/time.hpp"

namespace bzmq {

/// The monotonic clock as the pure machines count it.
inline instant monotonic_now() noexcept {
    return std::chrono::steady_clock::now().time_since_epoch();
}
inline timestamp wall_now() noexcept {
    return std::chrono::time_point_cast<timespan>(std::chrono::system_clock::now());
}

/// `timeout` from now; one that is too long for the clock means for ever.
inline std::chrono::steady_clock::time_point deadline_in(timespan timeout) noexcept {
    using clock = std::chrono::steady_clock;
    const auto now = clock::now();
    return timeout >= clock::time_point::max() - now ? clock::time_point::max() : now + timeout;
}

}  // namespace bzmq
