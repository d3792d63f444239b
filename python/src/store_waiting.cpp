#include "bind.hpp"
#include "convert.hpp"
#include "errors.hpp"
#include "owned.hpp"
#include "store.hpp"
#include "waiting.hpp"
#include <pybind11/stl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <deque>
#include <limits>
#include <memory>
#include <mutex>
#include <utility>

/// What of a store can be waited for at a file descriptor: events, a proxy's answers, outcomes.
namespace bzmq::python {
namespace {

// -- Events ---------------------------------------------------------------------------------------

using events_type = owned<store_event_subscriber>;

void bind_events(py::module_& module) {
    py::class_<events_type>(module, "StoreEvents")
        .def(py::init([](python_store& of, const std::optional<std::size_t>& max) {
            return std::make_unique<events_type>(
                std::make_shared<store_event_subscriber>(max ? of->events(*max) : of->events()));
        }))
        .def("next",
             [](events_type& self, const py::object& timeout) -> py::object {
                 const auto got = wait_for_item(self->fd(), deadline_in(to_timespan(timeout)),
                                                [&self] { return self->get(timespan{0}); });
                 return got ? to_python(*got) : py::none();
             })
        .def("next_now",
             [](events_type& self) -> py::object {
                 const auto got = self->get(timespan{0});
                 return got ? to_python(*got) : py::none();
             })
        .def("poll",
             [](events_type& self) {
                 py::list all;
                 for (const auto& each : self->poll()) {
                     all.append(to_python(each));
                 }
                 return all;
             })
        .def("available", [](events_type& self) { return self->available(); })
        .def("dropped", [](events_type& self) { return self->dropped(); })
        .def("fileno", [](events_type& self) { return self->fd(); });
}

// -- Proxies --------------------------------------------------------------------------------------

using proxy_type = owned<store::proxy>;
using response_type = store::proxy::response;

/// (id, answer, None) or (id, None, error).
py::object response_to_python(const response_type& from) {
    return from.answer ? py::make_tuple(from.id, to_python(*from.answer), py::none())
                       : py::make_tuple(from.id, py::none(), to_exception(from.answer.error()));
}

void bind_proxy(py::module_& module) {
    using O = const py::object&;
    py::class_<proxy_type>(module, "StoreProxy")
        .def(py::init([](python_store& of) {
            return std::make_unique<proxy_type>(std::make_shared<store::proxy>(*of));
        }))
        .def("get", [](proxy_type& self, O key) { return self->get(to_data(key)); })
        .def("exists", [](proxy_type& self, O key) { return self->exists(to_data(key)); })
        .def("get_index_from_value",
             [](proxy_type& self, O key, O index) {
                 return self->get_index_from_value(to_data(key), to_data(index));
             })
        .def("keys", [](proxy_type& self) { return self->keys(); })
        .def("put_unique",
             [](proxy_type& self, O key, O value, O expiry) {
                 return self->put_unique(to_data(key), to_data(value), to_timespan(expiry));
             })
        .def("increment",
             [](proxy_type& self, O key, O amount, O expiry) {
                 return self->increment(to_data(key), to_data(amount), to_timespan(expiry));
             })
        .def("put",
             [](proxy_type& self, O key, O value, O expiry) {
                 return self->put(to_data(key), to_data(value), to_timespan(expiry));
             })
        .def("receive",
             [](proxy_type& self, O timeout) -> py::object {
                 const auto got = wait_for_item(self->fd(), deadline_in(to_timespan(timeout)),
                                                [&self] { return self->receive(timespan{0}); });
                 return got ? response_to_python(*got) : py::none();
             })
        .def("receive_now",
             [](proxy_type& self) -> py::object {
                 const auto got = self->receive(timespan{0});
                 return got ? response_to_python(*got) : py::none();
             })
        .def("fileno", [](proxy_type& self) { return self->fd(); });
}

// -- Outcomes of writes ---------------------------------------------------------------------------

/// Collects the outcomes of any number of writes behind one descriptor. The endpoint's thread,
/// which brings them, never waits for the GIL.
class outcomes {
  public:
    outcomes() : state_(std::make_shared<state>()) {}

    void watch(const store_write& write, std::uint64_t id) {
        write.then([shared = state_, id](const expected<write_outcome>& got) {
            {
                const std::lock_guard lock{shared->mutex};
                shared->ready.emplace_back(id, got);
            }
            const std::uint64_t one = 1;
            [[maybe_unused]] const auto told = ::write(shared->event, &one, sizeof one);
        });
    }
    /// [(id, outcome, None) or (id, None, error)]
    py::list take() {
        std::uint64_t count = 0;
        [[maybe_unused]] const auto read = ::read(state_->event, &count, sizeof count);
        std::deque<std::pair<std::uint64_t, expected<write_outcome>>> ready;
        {
            const std::lock_guard lock{state_->mutex};
            ready.swap(state_->ready);
        }
        py::list all;
        for (const auto& [id, got] : ready) {
            all.append(got ? py::make_tuple(id, to_python(*got), py::none())
                           : py::make_tuple(id, py::none(), to_exception(got.error())));
        }
        return all;
    }
    [[nodiscard]] int fd() const { return state_->event; }

  private:
    struct state {
        state() : event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
        ~state() {
            if (event >= 0) {
                ::close(event);
            }
        }
        state(const state&) = delete;
        state& operator=(const state&) = delete;
        const int event;
        std::mutex mutex;
        std::deque<std::pair<std::uint64_t, expected<write_outcome>>> ready;
    };
    std::shared_ptr<state> state_;
};

}  // namespace

void bind_store_waiting(py::module_& module) {
    bind_events(module);
    bind_proxy(module);
    py::class_<outcomes>(module, "Outcomes")
        .def(py::init<>())
        .def("watch", &outcomes::watch)
        .def("take", &outcomes::take)
        .def("fileno", &outcomes::fd);
}

}  // namespace bzmq::python
