#pragma once

#include "bzmq/data.hpp"
#include "bzmq/error.hpp"

#include "convert.hpp"
#include "gil.hpp"
#include <pybind11/pybind11.h>

#include <optional>
#include <string>
#include <string_view>

namespace bzmq::python {

/// A value on its way out. Text is not copied; it lies in the Python object.
class outgoing_value {
  public:
    explicit outgoing_value(py::object from) : from_(std::move(from)) {
        auto* at = from_.ptr();
        if (PyBytes_CheckExact(at)) {
            text_ = std::string_view{PyBytes_AS_STRING(at),
                                     static_cast<std::size_t>(PyBytes_GET_SIZE(at))};
        } else if (PyUnicode_CheckExact(at)) {
            Py_ssize_t size = 0;
            if (const char* text = PyUnicode_AsUTF8AndSize(at, &size)) {
                text_ = std::string_view{text, static_cast<std::size_t>(size)};
                return;
            }
            PyErr_Clear();  // Lone surrogates; they take the long way.
        }
        if (!text_) {
            value_ = to_data(from_);
        }
    }

    /// Without the GIL. `send` takes a string_view or a data.
    template <class function>
    ec publish(function&& send) const {
        return text_ ? send(*text_) : send(value_);
    }

  private:
    py::object from_;
    std::optional<std::string_view> text_;
    data value_;
};

/// Publishes many: converts a stretch with the GIL, publishes it without, and so on. Returns how
/// many were taken; stops at the first failure.
template <class item, class function>
ec publish_stretches(const py::iterable& from, std::size_t& accepted, function&& send) {
    constexpr std::size_t stretch = 512;
    std::vector<item> items;
    items.reserve(stretch);
    auto next = py::iter(from);
    auto problem = ec::none;
    accepted = 0;
    while (problem == ec::none) {
        items.clear();
        for (; items.size() < stretch && next != py::iterator::sentinel(); ++next) {
            items.emplace_back(py::reinterpret_borrow<py::object>(*next));
        }
        if (items.empty()) {
            break;
        }
        const without_gil free;
        for (const auto& each : items) {
            problem = send(each);
            if (problem != ec::none) {
                break;
            }
            ++accepted;
        }
    }
    return problem;
}

[[noreturn]] void raise_not_all(ec problem, std::size_t accepted);

}  // namespace bzmq::python
