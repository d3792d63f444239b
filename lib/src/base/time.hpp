#pragma once

#include <chrono>

namespace bzmq {

/// A point on the monotonic clock that the shell passes to every pure machine: nanoseconds since
/// an arbitrary start. The machines never ask for the time themselves.
using instant = std::chrono::nanoseconds;

constexpr instant never = instant::max();

/// `span` later; `never` where that is beyond all time, as where somebody set no limit.
constexpr instant after(instant now, std::chrono::nanoseconds span) noexcept {
    return span >= never - now ? never : now + span;
}

}  // namespace bzmq
