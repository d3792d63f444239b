#pragma once

#include <chrono>
#include <cstddef>
#include <limits>

namespace bzmq {

/// How long a reader waits, and how much it takes, where its caller does not say.
constexpr auto no_deadline = std::chrono::steady_clock::time_point::max();
constexpr auto no_limit = std::numeric_limits<std::size_t>::max();

}  // namespace bzmq
