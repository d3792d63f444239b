#pragma once

#include <string_view>

#include <pybind11/pybind11.h>

#include "bzmq/peering_limits.hpp"

namespace bzmq::python {

/// Sets one of the limits of a peering; False where none has this name. Raises where the value is
/// of another type or names no policy.
bool set_limit(peering_limits& to, std::string_view name, const pybind11::handle& value);

}  // namespace bzmq::python
