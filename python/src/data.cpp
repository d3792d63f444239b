#include "bind.hpp"
#include "convert.hpp"
#include "errors.hpp"

#include <string>
#include <utility>

namespace bzmq::python {
namespace {

py::object text_of(const std::string& text) {
    return text_to_python(text, form::usual);
}

form form_of(bool frozen) {
    return frozen ? form::frozen : form::usual;
}

const data& expect(const data& value, data_type wanted) {
    if (value.get_type() != wanted) {
        const auto named = [](data_type what) {
            return py::str(py::module_::import("bzmq.enums")
                               .attr("DataType")(static_cast<int>(what))
                               .attr("name"))
                .cast<std::string>();
        };
        raise(PyExc_TypeError,
              "expected a " + named(wanted) + ", it is a " + named(value.get_type()));
    }
    return value;
}

/// What is in a container stays `Data`, so that nothing of its type is lost.
void bind_containers(py::class_<data>& cls) {
    cls.def("as_set",
            [](const data& self) {
                py::set all;
                for (const auto& each : get<set>(expect(self, data_type::set))) {
                    all.add(py::cast(each));
                }
                return all;
            })
        .def("as_table",
             [](const data& self) {
                 py::dict all;
                 for (const auto& [key, value] : get<table>(expect(self, data_type::table))) {
                     all[py::cast(key)] = py::cast(value);
                 }
                 return all;
             })
        .def("as_vector", [](const data& self) {
            py::list all;
            for (const auto& each : get<vector>(expect(self, data_type::vector))) {
                all.append(py::cast(each));
            }
            return all;
        });
}

void bind_scalars(py::class_<data>& cls) {
    constexpr std::pair<const char*, data_type> kinds[] = {
        {"as_boolean", data_type::boolean},      {"as_count", data_type::count},
        {"as_integer", data_type::integer},      {"as_real", data_type::real},
        {"as_string", data_type::string},        {"as_address", data_type::address},
        {"as_subnet", data_type::subnet},        {"as_port", data_type::port},
        {"as_timestamp", data_type::timestamp},  {"as_timespan", data_type::timespan},
        {"as_enum_value", data_type::enum_value}};
    for (const auto& [name, kind] : kinds) {
        cls.def(name, [kind = kind](const data& self) { return to_python(expect(self, kind)); });
    }
}

}  // namespace

/// `Data` is a value as bzmq holds it, and the way between the text forms and Python.
void bind_data(py::module_& module) {
    py::class_<data> cls(module, "Data");
    bind_containers(cls);
    bind_scalars(cls);
    cls.def(py::init([](const py::object& value) { return to_data(value); }),
            py::arg("value") = py::none())
        .def_static("from_py", &to_data, py::arg("value"))
        // Static, as the tradition has it, which serves as a method as well.
        .def_static(
            "to_py",
            [](const data& value, bool frozen) { return to_python(value, form_of(frozen)); },
            py::arg("data"), py::arg("frozen") = false)
        .def("get_type",
             [](const data& self) {
                 return py::module_::import("bzmq.enums")
                     .attr("DataType")(static_cast<int>(self.get_type()));
             })
        .def("to_text", [](const data& self) { return text_of(to_text(self)); })
        .def("to_json", [](const data& self) { return text_of(to_json(self)); })
        .def_static(
            "parse",
            [](const py::object& text) { return value_or_raise(parse_data(to_name(text))); },
            py::arg("text"))
        .def_static(
            "from_json",
            [](const py::object& text) { return value_or_raise(from_json(to_name(text))); },
            py::arg("json"))
        .def("__str__", [](const data& self) { return text_of(to_string(self)); })
        .def("__repr__", [](const data& self) { return text_of("Data(" + to_text(self) + ")"); })
        .def("__hash__", [](const data& self) { return std::hash<data>{}(self); })
        .def(
            "__eq__", [](const data& a, const data& b) { return a == b; }, py::is_operator())
        .def(
            "__lt__", [](const data& a, const data& b) { return a < b; }, py::is_operator())
        .def(
            "__le__", [](const data& a, const data& b) { return a <= b; }, py::is_operator())
        .def(
            "__gt__", [](const data& a, const data& b) { return a > b; }, py::is_operator())
        .def(
            "__ge__", [](const data& a, const data& b) { return a >= b; }, py::is_operator());
    module.attr("Message") = message_maker::type();
}

}  // namespace bzmq::python
