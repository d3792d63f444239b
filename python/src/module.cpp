#include "bind.hpp"
#include "convert.hpp"
#include "owned.hpp"
#include "waiting.hpp"

/// The extension `bzmq._bzmq`: bzmq's classes with Python's types and manners, nothing added. What
/// users import is the package around it.
PYBIND11_MODULE(_bzmq, module) {
    using namespace bzmq::python;
    module.doc() = "The C++ part of the package bzmq; import that instead.";
    count_forks();
    bind_data(module);
    bind_configuration(module);
    bind_certificates(module);
    bind_background(module);
    bind_status(module);
    bind_subscribers(module);
    bind_publisher(module);
    bind_store(module);
    bind_store_waiting(module);
    bind_endpoint(module);
    bind_gateway(module);
    bind_network(module);
    bind_store_files(module);
    module.def(
        "wait_readable",
        [](int fd, const pybind11::object& timeout) {
            return wait_readable(fd, deadline_in(to_timespan(timeout)));
        },
        pybind11::arg("fd"), pybind11::arg("timeout") = pybind11::none());
}
