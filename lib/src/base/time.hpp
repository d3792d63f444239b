#pragma once

#include <chrono>

namespace bzmq {

/// A point on the monotonic clock that the shell passes to every pure machine: nanoseconds since
/// an arbitrary start. The machines never ask for the time themselves.
using instant = std::chrono::nanoseconds;

constexpr instant never = instant::max();

}  // namespace bzmq
