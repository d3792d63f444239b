#pragma once

#include "bzmq/data.hpp"
#include "bzmq/error.hpp"
#include "bzmq/publish_limit.hpp"

#include "convert.hpp"
#include "gil.hpp"
#include "waiting.hpp"
#include <pybind11/pybind11.h>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <span>
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

/// A payload that is encoded already. Not copied; it lies in the Python object, which cannot change its
/// size meanwhile.
class raw_payload {
  public:
    explicit raw_payload(const py::buffer& from) {
        if (PyObject_GetBuffer(from.ptr(), &view_, PyBUF_SIMPLE) != 0) {
            throw py::error_already_set{};
        }
    }
    raw_payload(const raw_payload&) = delete;
    raw_payload& operator=(const raw_payload&) = delete;
    ~raw_payload() { PyBuffer_Release(&view_); }

    [[nodiscard]] std::span<const std::byte> bytes() const {
        return {static_cast<const std::byte*>(view_.buf), static_cast<std::size_t>(view_.len)};
    }

  private:
    Py_buffer view_{};
};

/// Calls `send` without the GIL. While it is held up it looks at signals now and then, and throws what
/// a handler raises. `longest`: the most that it waits, besides what the endpoint says.
template <class function>
ec publish_interruptibly(std::optional<timespan> longest, function&& send) {
    auto left = std::max(longest.value_or(timespan::max()), timespan{0});
    publish_limit limit{left};
    for (;;) {
        const auto slice = std::min<timespan>(left, signal_slice);
        limit.set(slice);
        auto problem = ec::none;
        {
            const without_gil free;
            problem = send(limit);
        }
        if (problem != ec::queue_full || !limit.ran_out() || left == slice) {
            return problem;
        }
        left -= longest ? slice : timespan{0};  // It has waited all of it.
        check_signals();
    }
}

/// Publishes many: converts a stretch with the GIL, publishes it without, and so on. Returns how
/// many were taken; stops at the first failure. `longest`: the most that it waits for each stretch.
template <class item, class function>
ec publish_stretches(const py::iterable& from, std::size_t& accepted,
                     std::optional<timespan> longest, function&& send) {
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
        auto next_item = items.begin();
        problem = publish_interruptibly(longest, [&](auto& limit) {
            for (; next_item != items.end(); ++next_item, ++accepted, limit.restart()) {
                if (const auto failed = send(*next_item); failed != ec::none) {
                    return failed;
                }
            }
            return ec::none;
        });
    }
    return problem;
}

[[noreturn]] void raise_not_all(ec problem, std::size_t accepted);

}  // namespace bzmq::python
