#include "limits.hpp"

#include <string>

#include "convert.hpp"
#include "errors.hpp"

namespace bzmq::python {

bool set_limit(peering_limits& to, std::string_view name, const py::handle& value) {
    if (name == "overflow") {
        const std::string policy = py::str{value};
        to.overflow = parse_overflow_policy(policy);
        if (!to.overflow) {
            raise(PyExc_ValueError, "no such overflow policy: " + policy);
        }
    } else if (name == "queue_bytes") {
        to.queue_bytes = value.cast<std::size_t>();
    } else if (name == "queue_messages") {
        to.queue_messages = value.cast<std::size_t>();
    } else if (name == "link_cost") {
        to.link_cost = value.cast<std::uint32_t>();
    } else {
        return false;
    }
    return true;
}

}  // namespace bzmq::python
