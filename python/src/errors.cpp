#include "errors.hpp"

#include "bzmq/configuration.hpp"

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

void check_published(ec code) {
    if (code == ec::none) {
        return;
    }
    std::string why = "not published";
    if (code == ec::invalid_topic) {
        why += ": a topic has 1 to " + std::to_string(topic_bytes_max) + " bytes";
    } else if (code == ec::message_too_big) {
        why += ": longer than the option max_message_bytes says";
    } else if (code == ec::invalid_data) {
        why += ": the value is longer, or deeper, than values may be";
    } else if (code == ec::queue_full) {
        why += ": no room in its queue, or for a reliable receiver";
    }
    raise(error{code, why});
}

}  // namespace bzmq::python
