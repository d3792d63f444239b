#include "bind.hpp"
#include "convert.hpp"
#include "errors.hpp"

namespace bzmq::python {
namespace {

py::object text_of(const std::string& text) {
    return text_to_python(text, form::usual);
}

form form_of(bool frozen) {
    return frozen ? form::frozen : form::usual;
}

}  // namespace

/// `Data` is a value as bzmq holds it, and the way between the text forms and Python.
void bind_data(py::module_& module) {
    py::class_<data>(module, "Data")
        .def(py::init([](const py::object& value) { return to_data(value); }),
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
