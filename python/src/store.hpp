#pragma once

#include "bzmq/store.hpp"

#include "owned.hpp"
#include <pybind11/pybind11.h>

namespace bzmq::python {

using python_store = owned<store>;

clone_options to_clone_options(const pybind11::dict& from);
pybind11::object to_python(const write_outcome& from);
pybind11::object to_python(const store_event& from);

}  // namespace bzmq::python
