#pragma once

#include "bzmq/error.hpp"

#include <pybind11/pybind11.h>

#include <string>

/// Failures as Python's exceptions.
namespace bzmq::python {

namespace py = pybind11;

/// Raises the class of `bzmq.errors` that belongs to the code.
[[noreturn]] void raise(const error& why);
[[noreturn]] void raise(PyObject* type, const std::string& message);
/// The same exception as an object.
py::object to_exception(const error& why);

/// What a call to Python's C API returned; throws what it left where that is null.
template <class T>
T* check(T* result) {
    if (result == nullptr) {
        throw py::error_already_set{};
    }
    return result;
}

/// Throws where a message was not published, with a word on the bound that `code` is about.
void check_published(ec code);

template <class T>
T value_or_raise(expected<T> result) {
    if (!result) {
        raise(result.error());
    }
    if constexpr (!std::is_void_v<T>) {
        return std::move(*result);
    }
}

}  // namespace bzmq::python
