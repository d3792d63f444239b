#include "bzmq/network_info.hpp"

#include "bind.hpp"
#include "convert.hpp"
#include "errors.hpp"

namespace bzmq::python {

void bind_network(py::module_& module) {
    module.def("make_url", [](const std::string& address, std::uint16_t port) {
        return value_or_raise(make_url(address, port));
    });
    module.def("normalise_url",
               [](const std::string& url) { return value_or_raise(normalise_url(url)); });
    module.def("is_loopback_url", [](const std::string& url) { return is_loopback_url(url); });
    module.def("parse_network_info", [](const std::string& url) {
        const auto info = value_or_raise(parse_network_info(url));
        return py::make_tuple(name_to_python(info.address), info.port);
    });
    module.def("refuses_for_good", [](int code) { return refuses_for_good(static_cast<ec>(code)); });
}

}  // namespace bzmq::python
