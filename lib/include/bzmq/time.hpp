#pragma once

#include <chrono>

namespace bzmq {

/// A span of time in nanoseconds.
using timespan = std::chrono::nanoseconds;

/// A point in time: nanoseconds since 1970-01-01T00:00:00Z, without leap seconds.
using timestamp = std::chrono::sys_time<timespan>;

}  // namespace bzmq
