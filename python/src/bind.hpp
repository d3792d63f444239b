#pragma once

#include <pybind11/pybind11.h>

/// What module.cpp puts together: each function adds the classes of its file.
namespace bzmq::python {

void bind_data(pybind11::module_& module);
void bind_configuration(pybind11::module_& module);
void bind_certificates(pybind11::module_& module);
void bind_background(pybind11::module_& module);
void bind_subscribers(pybind11::module_& module);
void bind_status(pybind11::module_& module);
void bind_publisher(pybind11::module_& module);
void bind_store(pybind11::module_& module);
void bind_store_waiting(pybind11::module_& module);
void bind_endpoint(pybind11::module_& module);
void bind_gateway(pybind11::module_& module);
void bind_network(pybind11::module_& module);
void bind_store_files(pybind11::module_& module);

}  // namespace bzmq::python
