#include "publisher.hpp"

#include "bzmq/publisher.hpp"

#include "bind.hpp"
#include "errors.hpp"
#include "gil.hpp"
#include "owned.hpp"

#include <vector>

namespace bzmq::python {

void raise_not_all(ec problem, std::size_t accepted) {
    auto made = to_exception(
        error{problem, "publishing stopped after " + std::to_string(accepted) + " messages"});
    made.attr("accepted") = accepted;
    PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(made.ptr())), made.ptr());
    throw py::error_already_set{};
}

void bind_publisher(py::module_& module) {
    using held_type = owned<publisher>;
    py::class_<held_type>(module, "Publisher")
        .def_property_readonly("topic",
                               [](held_type& self) { return name_to_python(self->topic()); })
        .def_property_readonly(
            "reliable", [](held_type& self) { return self->mode() == delivery_mode::reliable; })
        .def("publish",
             [](held_type& self, const py::object& value, const py::object& longest) {
                 const outgoing_value out{value};
                 auto& to = *self;
                 check_published(publish_interruptibly(to_timespan(longest), [&](auto&) {
                     return out.publish([&to](const auto& held) { return to.publish(held); });
                 }));
             },
             py::arg("value"), py::arg("longest") = py::none())
        .def("publish_raw",
             [](held_type& self, const py::buffer& payload, const py::object& longest) {
                 const raw_payload out{payload};
                 auto& to = *self;
                 check_published(publish_interruptibly(
                     to_timespan(longest), [&](auto&) { return to.publish_raw(out.bytes()); }));
             })
        .def(
            "publish_many",
            [](held_type& self, const py::iterable& values, const py::object& longest) {
                auto& to = *self;
                std::size_t accepted = 0;
                const auto problem = publish_stretches<outgoing_value>(
                    values, accepted, to_timespan(longest), [&to](const outgoing_value& each) {
                        return each.publish([&to](const auto& held) { return to.publish(held); });
                    });
                if (problem != ec::none) {
                    raise_not_all(problem, accepted);
                }
                return accepted;
            },
            py::arg("values"), py::arg("longest") = py::none());
}

}  // namespace bzmq::python
