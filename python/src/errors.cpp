#include "errors.hpp"

namespace bzmq::python {

py::object to_exception(const error& why) {
    const auto text = py::reinterpret_steal<py::object>(check(PyUnicode_DecodeUTF8(
        why.message().data(), static_cast<Py_ssize_t>(why.message().size()), "replace")));
    return py::module_::import("bzmq.errors")
        .attr("make_error")(static_cast<int>(why.code()), text);
}

void raise(const error& why) {
    const auto made = to_exception(why);
    PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(made.ptr())), made.ptr());
    throw py::error_already_set{};
}

void raise(PyObject* type, const std::string& message) {
    PyErr_SetString(type, message.c_str());
    throw py::error_already_set{};
}

}  // namespace bzmq::python
