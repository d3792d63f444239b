#pragma once

#include "bzmq/error.hpp"

namespace bzmq {

/// What everything says after the end of its endpoint.
inline error gone() { return {ec::shutting_down, "the endpoint has shut down"}; }

}  // namespace bzmq
