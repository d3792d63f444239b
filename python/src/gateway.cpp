#include "bzmq/gateway.hpp"

#include "bind.hpp"
#include "convert.hpp"
#include "errors.hpp"
#include "gil.hpp"
#include "owned.hpp"
#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace bzmq::python {
namespace {

using held_type = owned<gateway>;
using prefixes = std::optional<std::vector<std::string>>;

prefixes to_prefixes(const std::optional<py::iterable>& from) {
    if (!from) {
        return std::nullopt;
    }
    prefixes all{std::in_place};
    for (const auto each : *from) {
        all->push_back(to_name(each));
    }
    return all;
}

std::unique_ptr<held_type> make_gateway(const configuration& one, const configuration& other,
                                        const std::optional<py::iterable>& from_one,
                                        const std::optional<py::iterable>& from_other) {
    gateway_options options{one, other, to_prefixes(from_one), to_prefixes(from_other)};
    try {
        const without_gil free;
        return std::make_unique<held_type>(std::make_shared<gateway>(std::move(options)));
    } catch (const endpoint_error& problem) {
        raise(problem.why());
    }
}

/// One of its endpoints, which keeps the whole gateway.
std::unique_ptr<owned<endpoint>> side(held_type& self, endpoint& (gateway::*which)() noexcept) {
    const auto& whole = self.shared();
    return std::make_unique<owned<endpoint>>(
        std::shared_ptr<endpoint>{whole, &((*whole).*which)()});
}

}  // namespace

void bind_gateway(py::module_& module) {
    py::class_<held_type>(module, "Gateway")
        .def(py::init(&make_gateway))
        .def("one", [](held_type& self) { return side(self, &gateway::one); })
        .def("other", [](held_type& self) { return side(self, &gateway::other); })
        .def("node_id", [](held_type& self) { return to_text(self->node_id()); })
        .def("active", [](held_type& self) { return self->active(); })
        .def("shutdown", [](held_type& self) {
            auto& at = *self;
            const without_gil free;
            at.shutdown();
        });
}

}  // namespace bzmq::python
