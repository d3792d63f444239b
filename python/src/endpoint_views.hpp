#pragma once

#include "bzmq/overlay_info.hpp"

#include <pybind11/pybind11.h>

namespace bzmq::python {

/// What an endpoint tells, as the package's classes or, for metrics, as a dict.
pybind11::object to_python(const peer_info& what);
pybind11::object to_python(const topology_node& what);
pybind11::object to_python(const endpoint_metrics& what);

}  // namespace bzmq::python
