#include "bzmq/subscriber.hpp"

#include "background.hpp"
#include "bind.hpp"
#include "convert.hpp"
#include "errors.hpp"
#include "gil.hpp"
#include "subscriber.hpp"
#include "waiting.hpp"
#include <pybind11/stl.h>

#include <deque>
#include <limits>
#include <vector>

namespace bzmq::python {
namespace {

// While messages flow, several are waited for without a look at each: so long a signal may wait.
constexpr auto gather_slice = std::chrono::milliseconds{10};

}  // namespace

void python_subscriber::take(std::vector<message>& out, std::size_t max) {
    auto& from = *held_;
    while (!kept_.empty() && out.size() < max) {
        out.push_back(std::move(kept_.front()));
        kept_.pop_front();
    }
    fd_.set(!kept_.empty());
    if (out.size() < max) {
        const without_gil free;
        from.take(out, max - out.size(), timespan{0});
    }
}

void python_subscriber::gather(std::vector<message>& out, std::size_t count,
                               wait_clock::time_point deadline) {
    const auto left = std::max(deadline - wait_clock::now(), wait_clock::duration{0});
    auto& from = *held_;
    std::vector<message> more;
    {
        const without_gil free;
        more = from.get(count - out.size(),
                        timespan{std::min<wait_clock::duration>(left, gather_slice)});
    }
    out.insert(out.end(), std::make_move_iterator(more.begin()),
               std::make_move_iterator(more.end()));
    check_signals();
}

std::vector<message> python_subscriber::wait_for(std::size_t count,
                                                 std::optional<timespan> timeout) {
    std::vector<message> out;
    take(out, count);
    if (out.size() >= count) {
        return out;
    }
    const auto deadline = deadline_in(timeout);
    try {
        // Answers come within a moment, and a condition variable is quicker than a descriptor,
        // which a subscriber that is never idle never needs.
        gather(out, count, deadline);
        if (out.size() >= count || wait_clock::now() >= deadline) {
            return out;
        }
        const auto fd = held_->fd();
        while (out.size() < count) {
            const bool ended = held_->ended();  // Before the look: what came until then is seen.
            const auto before = out.size();
            take(out, count);
            // Without a descriptor (none was left for this one) `gather` is all that waits.
            if (out.size() == before
                && (ended
                    || !(fd >= 0 ? wait_readable(fd, deadline) : wait_clock::now() < deadline))) {
                break;
            }
            if (out.size() < count) {
                gather(out, count, deadline);
            }
        }
    } catch (...) {
        // A signal's exception must not cost messages.
        kept_.insert(kept_.begin(), std::make_move_iterator(out.begin()),
                     std::make_move_iterator(out.end()));
        fd_.set(!kept_.empty());
        throw;
    }
    return out;
}

py::list python_subscriber::to_list(const std::vector<message>& from) const {
    message_maker maker{how_};
    py::list all{from.size()};
    Py_ssize_t i = 0;
    for (const auto& each : from) {
        PyList_SET_ITEM(all.ptr(), i++, maker.make(each).release().ptr());
    }
    return all;
}

py::object python_subscriber::next(std::optional<timespan> timeout) {
    const auto got = wait_for(1, timeout);
    return got.empty() ? py::none() : message_maker{how_}.make(got.front());
}

py::object python_subscriber::next_or_raise() {
    auto got = next(std::nullopt);
    if (got.is_none()) {
        const auto why = held_->last_error();
        raise(why ? why : error{ec::shutting_down, "the subscriber has ended"});
    }
    return got;
}

py::object python_subscriber::next_now() {
    std::vector<message> out;
    take(out, 1);
    return out.empty() ? py::none() : message_maker{how_}.make(out.front());
}

py::list python_subscriber::poll(std::size_t max) {
    std::vector<message> out;
    take(out, max);
    return to_list(out);
}

void bind_subscribers(py::module_& module) {
    using self_type = python_subscriber;
    py::class_<self_type>(module, "Subscriber")
        .def("next", [](self_type& self,
                        const py::object& timeout) { return self.next(to_timespan(timeout)); })
        .def("next_or_raise", &self_type::next_or_raise)
        .def("next_now", &self_type::next_now)
        .def("get_many",
             [](self_type& self, std::size_t count, const py::object& timeout) {
                 return self.to_list(self.wait_for(count, to_timespan(timeout)));
             })
        .def("poll", &self_type::poll)
        .def("available", &self_type::available)
        .def("fileno", &self_type::fd)
        .def("add_topic",
             [](self_type& self, const py::object& topic) {
                 const auto name = to_name(topic);
                 error why;
                 bool added = false;
                 {
                     auto& to = *self;
                     const without_gil free;
                     added = to.add_topic(name, &why);
                 }
                 if (why) {
                     raise(why);
                 }
                 return added;
             })
        .def("remove_topic",
             [](self_type& self, const py::object& topic) {
                 const auto name = to_name(topic);
                 auto& from = *self;
                 const without_gil free;
                 return from.remove_topic(name);
             })
        .def("topics",
             [](self_type& self) {
                 py::list all;
                 for (const auto& each : self->topics()) {
                     all.append(name_to_python(each));
                 }
                 return all;
             })
        .def("wait_ready",
             [](self_type& self, const py::object& timeout) {
                 auto& from = *self;
                 return wait_in_slices(to_timespan(timeout),
                                       [&from](timespan slice) { return from.wait_ready(slice); });
             })
        .def("wait_ready_later",
             [](self_type& self, const py::object& timeout) {
                 return wait_later(
                     [held = self.shared()](timespan slice) { return held->wait_ready(slice); },
                     to_timespan(timeout));
             })
        .def("dropped", [](self_type& self) { return self->dropped(); })
        .def("ended", [](self_type& self) { return self->ended(); })
        .def("last_error",
             [](self_type& self) -> py::object {
                 const auto why = self->last_error();
                 return why ? to_exception(why) : py::none();
             })
        .def("close", [](self_type& self) {
            auto& from = *self;
            const without_gil free;
            from.close();
        });
}

}  // namespace bzmq::python
