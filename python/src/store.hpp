#pragma once

#include "bzmq/store.hpp"

#include "owned.hpp"
#include <pybind11/pybind11.h>

#include <chrono>

namespace bzmq::python {

using python_store = owned<store>;

/// Longer than any: what the waits for one get where there is no limit.
constexpr timespan no_promotion_takes = std::chrono::hours{24};

/// A master's options by name; also what a standby is as master.
master_options to_master_options(const py::dict& from);
clone_options to_clone_options(const pybind11::dict& from);
pybind11::object to_python(const write_outcome& from);
pybind11::object to_python(const store_event& from);

}  // namespace bzmq::python
