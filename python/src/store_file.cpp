#include "bzmq/store_file.hpp"

#include "bind.hpp"
#include "convert.hpp"
#include "errors.hpp"
#include "gil.hpp"
#include "waiting.hpp"
#include <pybind11/stl/filesystem.h>
#include <unistd.h>

#include <cstddef>
#include <exception>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bzmq::python {
namespace {

namespace fs = std::filesystem;
using store_file::summary;

/// Calls Python. A thread that the ending interpreter unwinds sleeps here instead, as in `without_gil`:
/// what the frames above hold is Python's, and must not go without the GIL.
py::object call(const py::object& what, const py::tuple& arguments) {
    PyObject* made = nullptr;
    try {
        made = PyObject_CallObject(what.ptr(), arguments.ptr());
    } catch (...) {
        for (;;) {
            ::pause();
        }
    }
    return py::reinterpret_steal<py::object>(check(made));
}

/// Python's part in a long work that runs without the GIL: its callbacks, and signals. What either of
/// them raises ends the work, and is raised when that has ended.
class listener {
  public:
    /// `told` is None or a callback.
    explicit listener(py::object told) : told_(std::move(told)) {}

    store_file::progress progress() {
        return [this](std::string_view what, std::uint64_t done, std::uint64_t total) {
            const auto now = wait_clock::now();
            if (told_.is_none() && now - looked_ < signal_slice) {
                return true;
            }
            looked_ = now;
            return in_python([&] {
                return told_.is_none()
                       || !said_no(call(told_, py::make_tuple(what, done, total)));
            });
        };
    }
    /// Calls `step` with the GIL. False where that said so or raised.
    template <class function>
    bool in_python(function&& step) {
        const with_gil held;
        try {
            check_signals();
            return step();
        } catch (const std::exception&) {
            raised_ = std::current_exception();
            return false;
        }
    }
    /// Only False itself is a no: callbacks may return nothing, or how many bytes they wrote.
    static bool said_no(const py::object& answer) { return answer.ptr() == Py_False; }

    void rethrow() const {
        if (raised_) {
            std::rethrow_exception(raised_);
        }
    }

  private:
    py::object told_;
    wait_clock::time_point looked_ = wait_clock::now();
    std::exception_ptr raised_;
};

/// Hands lines on in stretches: the GIL is taken once for each.
class line_giver {
  public:
    line_giver(py::object to, listener& by) : to_(std::move(to)), by_(by) {}

    bool add(std::string_view line) {
        text_ += line;
        ends_.push_back(text_.size());
        return text_.size() < stretch || flush();
    }
    bool flush() {
        const auto on = wanted_ && (ends_.empty() || by_.in_python([&] { return give(); }));
        wanted_ = on;
        text_.clear();
        ends_.clear();
        return on;
    }

  private:
    static constexpr std::size_t stretch = std::size_t{64} << 10;

    bool give() {
        std::size_t from = 0;
        for (const auto end : ends_) {
            const std::string_view line{text_.data() + from, end - from};
            if (listener::said_no(call(to_, py::make_tuple(line)))) {
                return false;
            }
            from = end;
        }
        return true;
    }

    py::object to_;
    listener& by_;
    std::string text_;
    std::vector<std::size_t> ends_;
    bool wanted_ = true;
};

py::object to_python(const summary& from) {
    using py::arg;
    return py::module_::import("bzmq.store_file")
        .attr("Summary")(arg("store") = to_text(from.store), arg("epoch") = from.epoch,
                         arg("last") = from.last, arg("log_first") = from.log_first,
                         arg("values") = from.values, arg("expiring") = from.expiring,
                         arg("writers") = from.writers, arg("bytes_used") = from.bytes_used,
                         arg("bytes_of_file") = from.bytes_of_file);
}

/// Does `work(progress)` without the GIL.
template <class function>
py::object run(listener& by, function&& work) {
    auto got = [&] {
        const without_gil free;
        return work(by.progress());
    }();
    by.rethrow();
    return to_python(value_or_raise(std::move(got)));
}

py::object dump(const fs::path& store, const py::object& line, const py::object& told) {
    listener by{told};
    line_giver lines{line, by};
    return run(by, [&](const store_file::progress& progress) {
        auto got = store_file::dump(
            store, [&](std::string_view each) { return lines.add(each); }, progress);
        // What was read before a flaw is good.
        if (!lines.flush() && got) {
            got = fail(ec::cancelled);
        }
        return got;
    });
}

}  // namespace

void bind_store_files(py::module_& module) {
    module.def("store_file_check", [](const fs::path& store, const py::object& told) {
        listener by{told};
        return run(by, [&](const auto& progress) { return store_file::check(store, progress); });
    });
    module.def("store_file_dump", &dump);
    module.def("store_file_compact", [](const fs::path& store, const py::object& told) {
        listener by{told};
        return run(by, [&](const auto& progress) { return store_file::compact(store, progress); });
    });
    module.def("store_file_backup", [](const fs::path& store, const fs::path& to,
                                       const py::object& told) {
        listener by{told};
        return run(by,
                   [&](const auto& progress) { return store_file::backup(store, to, progress); });
    });
    module.def("store_file_restore", [](const fs::path& store, const fs::path& from, bool overwrite,
                                        const py::object& told) {
        listener by{told};
        return run(by, [&](const auto& progress) {
            return store_file::restore(store, from, overwrite, progress);
        });
    });
}

}  // namespace bzmq::python
