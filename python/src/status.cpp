#include "status.hpp"

#include "bzmq/status_subscriber.hpp"

#include "bind.hpp"
#include "convert.hpp"
#include "errors.hpp"
#include "owned.hpp"
#include "waiting.hpp"

#include <memory>

namespace bzmq::python {
namespace {

using held_type = owned<status_subscriber>;

py::object next(held_type& self, const py::object& timeout) {
    const auto got = wait_for_item(self->fd(), deadline_in(to_timespan(timeout)),
                                   [&self] { return self->get(timespan{0}); });
    return got ? to_python(*got) : py::none();
}

py::list poll(held_type& self) {
    py::list all;
    for (const auto& each : self->poll()) {
        all.append(to_python(each));
    }
    return all;
}

}  // namespace

py::object to_python(const endpoint_info& what) {
    return py::module_::import("bzmq.status")
        .attr("EndpointInfo")(
            what.node ? py::object{py::str{to_string(what.node)}} : py::object{py::none()},
            name_to_python(what.name), name_to_python(what.address));
}

py::object to_python(const status_variant& what) {
    if (const auto* problem = get_if<error>(&what)) {
        return to_exception(*problem);
    }
    const auto& news = get<status>(what);
    return py::module_::import("bzmq.status")
        .attr("Status")(static_cast<int>(news.code()), to_python(news.context()),
                        name_to_python(news.message()));
}

void bind_status(py::module_& module) {
    py::class_<held_type>(module, "StatusSubscriber")
        .def("next", &next)
        .def("next_now",
             [](held_type& self) {
                 const auto got = self->get(timespan{0});
                 return got ? to_python(*got) : py::none();
             })
        .def("poll", &poll)
        .def("available", [](held_type& self) { return self->available(); })
        .def("dropped", [](held_type& self) { return self->dropped(); })
        .def("fileno", [](held_type& self) { return self->fd(); });
}

}  // namespace bzmq::python
