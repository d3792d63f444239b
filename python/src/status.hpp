#pragma once

#include "bzmq/status.hpp"

#include <pybind11/pybind11.h>

namespace bzmq::python {

/// An `Error` or a `Status` of the package.
pybind11::object to_python(const status_variant& what);
pybind11::object to_python(const endpoint_info& what);

}  // namespace bzmq::python
