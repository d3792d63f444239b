#include "bzmq/endpoint.hpp"

#include "background.hpp"
#include "bind.hpp"
#include "convert.hpp"
#include "endpoint_views.hpp"
#include "errors.hpp"
#include "gil.hpp"
#include "limits.hpp"
#include "owned.hpp"
#include "publisher.hpp"
#include "store.hpp"
#include "subscriber.hpp"
#include "waiting.hpp"
#include <pybind11/stl.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace bzmq::python {
namespace {

using held_type = owned<endpoint>;

std::unique_ptr<held_type> make_endpoint(const configuration& config) {
    try {
        const without_gil free;
        return std::make_unique<held_type>(std::make_shared<endpoint>(config));
    } catch (const endpoint_error& problem) {
        raise(problem.why());
    }
}

delivery_mode mode_of(bool reliable) {
    return reliable ? delivery_mode::reliable : delivery_mode::best_effort;
}

std::vector<std::string> to_names(const py::iterable& topics) {
    std::vector<std::string> names;
    for (const auto each : topics) {
        names.push_back(to_name(each));
    }
    return names;
}

py::list to_list(const std::vector<std::string>& names) {
    py::list all;
    for (const auto& each : names) {
        all.append(name_to_python(each));
    }
    return all;
}

// -- Peerings -------------------------------------------------------------------------------------

std::uint16_t listen_url(held_type& self, const std::string& url) {
    auto& to = *self;
    expected<std::uint16_t> port;
    {
        const without_gil free;
        port = to.listen_url(url);
    }
    return value_or_raise(std::move(port));
}

peering_options how_to_peer(const std::string& server_key, const py::object& retry,
                            const py::object& timeout, const py::dict& limits) {
    peering_options how{server_key, to_timespan(retry), to_timespan(timeout), {}};
    for (const auto& [key, value] : limits) {
        set_limit(how.limits, to_name(key), value);
    }
    return how;
}

/// A call of `peer_url` on a thread of its own, which another one may end, whenever it comes.
class dial {
  public:
    dial(std::shared_ptr<endpoint> at, std::string url)
        : at_(std::move(at)), url_(std::move(url)) {}

    expected<endpoint_id> run(const peering_options& how) {
        if (state_.exchange(state::begun) == state::given_up) {
            return fail(ec::cancelled, "given up before it began");
        }
        auto reached = at_->peer_url(url_, how);
        state_ = state::over;
        return reached;
    }
    /// Ends the attempts. Waits for the moment in which the endpoint takes note of them.
    void give_up() {
        auto fresh = state::fresh;
        if (state_.compare_exchange_strong(fresh, state::given_up)) {
            return;
        }
        while (state_ == state::begun && !at_->unpeer_url(url_)) {
            std::this_thread::sleep_for(std::chrono::microseconds{200});
        }
    }

  private:
    enum class state { fresh, begun, given_up, over };
    std::shared_ptr<endpoint> at_;
    std::string url_;
    std::atomic<state> state_{state::fresh};
};

std::unique_ptr<background_call> peer_later(held_type& self, const std::string& url,
                                            const std::string& server_key, const py::object& retry,
                                            const py::object& timeout, const py::dict& limits) {
    auto one = std::make_shared<dial>(self.shared(), url);
    auto how = how_to_peer(server_key, retry, timeout, limits);
    return std::make_unique<background_call>(
        [one, how = std::move(how)](const auto&) -> background_call::finish {
            auto reached = one->run(how);
            return [reached = std::move(reached)]() -> py::object {
                return py::str{to_text(value_or_raise(reached))};
            };
        },
        [one] { one->give_up(); });
}

void peer_nosync(held_type& self, const std::string& url, const std::string& server_key,
                 const py::object& retry, const py::dict& limits) {
    auto& to = *self;
    const auto how = how_to_peer(server_key, retry, py::none(), limits);
    expected<void> begun;
    {
        const without_gil free;
        begun = to.peer_url_nosync(url, how);
    }
    value_or_raise(begun);
}

std::unique_ptr<background_call> ping_later(held_type& self, const std::string& id,
                                            const py::object& timeout) {
    return std::make_unique<background_call>(
        [held = self.shared(), to = to_id(id),
         limit = to_timespan(timeout).value_or(std::chrono::seconds{5})](
            const auto&) -> background_call::finish {
            auto answer = held->ping(to, limit);
            return [answer = std::move(answer)]() -> py::object {
                const auto& got = value_or_raise(answer);
                py::list path;
                for (const auto& each : got.path) {
                    path.append(to_text(each));
                }
                return py::make_tuple(timespan_to_python(got.round_trip), path);
            };
        });
}

/// A wait for something that an endpoint may come to: `now` in slices, `later` on a thread.
template <class... arguments>
class condition {
  public:
    using test = bool (*)(endpoint&, const arguments&..., timespan);
    condition(py::class_<held_type>& to, const char* name, test what) {
        to.def(name, [what](held_type& self, const arguments&... with, const py::object& timeout) {
            auto& at = *self;
            return wait_in_slices(to_timespan(timeout),
                                  [&](timespan slice) { return what(at, with..., slice); });
        });
        to.def((std::string{name} + "_later").c_str(),
               [what](held_type& self, const arguments&... with, const py::object& timeout) {
                   return wait_later([held = self.shared(), what, with...](
                                         timespan slice) { return what(*held, with..., slice); },
                                     to_timespan(timeout));
               });
    }
};

void bind_peerings(py::class_<held_type>& cls) {
    cls.def("listen_url", &listen_url)
        .def("listeners", [](held_type& self) { return to_list(self->listeners()); })
        .def("stop_listening",
             [](held_type& self, const std::string& url) {
                 auto& at = *self;
                 const without_gil free;
                 return at.stop_listening(url);
             })
        .def("peer_later", &peer_later, py::arg("url"), py::arg("server_key"), py::arg("retry"),
             py::arg("timeout"), py::arg("limits") = py::dict())
        .def("peer_nosync", &peer_nosync)
        .def("unpeer_later",
             [](held_type& self, const std::string& url) {
                 return std::make_unique<background_call>(
                     [held = self.shared(), url](const auto&) -> background_call::finish {
                         return [known = held->unpeer_url(url)]() -> py::object {
                             return py::bool_{known};
                         };
                     });
             })
        .def("peers",
             [](held_type& self) {
                 py::list all;
                 for (const auto& each : self->peers()) {
                     all.append(to_python(each));
                 }
                 return all;
             })
        .def("peer_subscriptions",
             [](held_type& self) { return to_list(self->peer_subscriptions()); })
        .def("subscriptions_of", [](held_type& self, const std::string& id) {
            return to_list(self->subscriptions_of(to_id(id)));
        });
}

void bind_overlay(py::class_<held_type>& cls) {
    cls.def("topology",
            [](held_type& self) {
                py::list all;
                for (const auto& each : self->topology()) {
                    all.append(to_python(each));
                }
                return all;
            })
        .def("reachable",
             [](held_type& self, const std::string& id) { return self->reachable(to_id(id)); })
        .def("overlay_version", [](held_type& self) { return self->overlay_version(); })
        .def("view_hash", [](held_type& self) { return self->view_hash(); })
        .def("ping_later", &ping_later)
        .def("metrics", [](held_type& self) { return to_python(self->metrics()); });
    // Not as a `condition`: what is no id is refused before it waits, with the GIL held.
    cls.def("await_peer",
            [](held_type& self, const std::string& id, const py::object& timeout) {
                auto& at = *self;
                return wait_in_slices(to_timespan(timeout), [&at, who = to_id(id)](timespan slice) {
                    return at.await_peer(who, slice);
                });
            })
        .def("await_peer_later",
             [](held_type& self, const std::string& id, const py::object& timeout) {
                 return wait_later([held = self.shared(), who = to_id(id)](
                                       timespan slice) { return held->await_peer(who, slice); },
                                   to_timespan(timeout));
             });
    condition<std::string>{cls, "await_filter_entry",
                           [](endpoint& at, const std::string& topic, timespan slice) {
                               return at.await_filter_entry(topic, slice);
                           }};
    condition<std::uint64_t>{cls, "await_overlay_change",
                             [](endpoint& at, const std::uint64_t& known, timespan slice) {
                                 return at.await_overlay_change(known, slice);
                             }};
    condition<std::vector<std::string>>{
        cls, "await_subscriptions",
        [](endpoint& at, const std::vector<std::string>& known, timespan slice) {
            return at.await_subscriptions(known, slice);
        }};
    condition<std::string, std::size_t>{
        cls, "wait_for_subscriber",
        [](endpoint& at, const std::string& topic, const std::size_t& count, timespan slice) {
            return at.wait_for_subscriber(topic, count, slice);
        }};
}

// -- Publishing -----------------------------------------------------------------------------------

/// `longest`: None, or the most that it waits, besides what the endpoint says.
void publish(held_type& self, const py::object& topic, const py::object& value, bool reliable,
             const py::object& longest) {
    const auto name = to_name(topic);
    const outgoing_value out{value};
    auto& to = *self;
    const auto send = [&](const auto& held) { return to.publish(name, held, mode_of(reliable)); };
    check_published(
        publish_interruptibly(to_timespan(longest), [&](auto&) { return out.publish(send); }));
}

void publish_to(held_type& self, const std::string& id, const py::object& topic,
                const py::object& value, bool reliable, const py::object& longest) {
    const auto name = to_name(topic);
    const auto to = to_id(id);
    const auto held = to_data(value);
    auto& from = *self;
    check_published(publish_interruptibly(
        to_timespan(longest),
        [&](auto&) { return from.publish(to, name, held, mode_of(reliable)); }));
}

void publish_raw(held_type& self, const py::object& topic, const py::buffer& payload, bool reliable,
                 const py::object& longest) {
    const auto name = to_name(topic);
    const raw_payload out{payload};
    auto& to = *self;
    check_published(publish_interruptibly(
        to_timespan(longest),
        [&](auto&) { return to.publish_raw(name, out.bytes(), mode_of(reliable)); }));
}

/// For event loops: publishes on a thread, which waits for room. `id`: to one endpoint only.
std::unique_ptr<background_call> publish_later(held_type& self, const py::object& topic,
                                               const py::object& value, bool reliable,
                                               const std::optional<std::string>& id) {
    return std::make_unique<background_call>([held = self.shared(), name = to_name(topic),
                                              what = to_data(value), mode = mode_of(reliable),
                                              to = id ? std::optional{to_id(*id)} : std::nullopt](
                                                 const auto& given_up) -> background_call::finish {
        publish_limit limit{signal_slice};
        auto problem = ec::none;
        do {
            problem = to ? held->publish(*to, name, what, mode) : held->publish(name, what, mode);
        } while (problem == ec::queue_full && limit.ran_out() && !given_up());
        return [problem]() -> py::object {
            check_published(problem);
            return py::none();
        };
    });
}

struct outgoing_pair {
    explicit outgoing_pair(const py::object& from) : topic(name_of(from)), value(value_of(from)) {}

    static std::string name_of(const py::object& from) {
        if (!PyTuple_Check(from.ptr()) && !PyList_Check(from.ptr())) {
            raise(PyExc_TypeError, "expected pairs of topic and value");
        }
        if (PySequence_Fast_GET_SIZE(from.ptr()) < 2) {
            raise(PyExc_TypeError, "expected pairs of topic and value");
        }
        return to_name(PySequence_Fast_GET_ITEM(from.ptr(), 0));
    }
    static py::object value_of(const py::object& from) {
        return py::reinterpret_borrow<py::object>(PySequence_Fast_GET_ITEM(from.ptr(), 1));
    }

    std::string topic;
    outgoing_value value;
};

std::size_t publish_many(held_type& self, const py::iterable& batch, bool reliable,
                         const py::object& longest) {
    auto& to = *self;
    std::size_t accepted = 0;
    const auto problem = publish_stretches<outgoing_pair>(
        batch, accepted, to_timespan(longest), [&](const outgoing_pair& each) {
            return each.value.publish(
                [&](const auto& held) { return to.publish(each.topic, held, mode_of(reliable)); });
        });
    if (problem != ec::none) {
        raise_not_all(problem, accepted);
    }
    return accepted;
}

// -- Requests -------------------------------------------------------------------------------------

/// [(endpoint id, value or exception)...], and the exception that ended it or None.
py::object replies_to_python(const replies& got) {
    py::list answers;
    for (const auto& each : got.answers) {
        py::object value = py::none{};
        py::object problem = py::none{};
        if (each.value) {
            value = to_python(*each.value);
        } else {
            problem = to_exception(each.value.error());
        }
        answers.append(py::make_tuple(py::str{to_text(each.from)}, value, problem));
    }
    py::object why = py::none{};
    if (got.why) {
        why = to_exception(got.why);
    }
    return py::make_tuple(answers, why);
}

std::unique_ptr<background_call> request_later(held_type& self, const py::object& topic,
                                               const py::object& value, const py::object& timeout,
                                               std::size_t answers, const std::string& to,
                                               bool reliable) {
    request_options how;
    how.mode = mode_of(reliable);
    how.timeout = to_timespan(timeout).value_or(timespan::max());
    how.answers = answers;
    if (!to.empty()) {
        how.to = to_id(to);
    }
    const auto name = to_name(topic);
    const auto held = to_data(value);
    auto& from = *self;
    const auto asked = [&] {
        const without_gil free;
        return from.request_async(name, held, how);
    }();
    return std::make_unique<background_call>(
        [asked](const auto&) -> background_call::finish {
            return [got = asked.wait()] { return replies_to_python(got); };
        },
        [asked] { asked.cancel(); });
}

// -- Subscribing ----------------------------------------------------------------------------------

form form_named(const std::string& name) {
    return name == "frozen"  ? form::frozen
           : name == "bytes" ? form::bytes
           : name == "raw"   ? form::raw
                             : form::usual;
}

std::unique_ptr<python_subscriber> make_subscriber(held_type& self, const py::iterable& topics,
                                                   const std::string& how,
                                                   std::optional<std::size_t> messages,
                                                   std::optional<std::size_t> bytes,
                                                   const std::optional<std::string>& overflow) {
    queue_options queue{messages, bytes, {}};
    if (overflow) {
        queue.overflow = parse_overflow_policy(*overflow);
        if (!queue.overflow) {
            raise(PyExc_ValueError, "no such overflow policy: " + *overflow);
        }
    }
    auto names = to_names(topics);
    auto& from = *self;
    auto made = [&] {
        const without_gil free;
        return from.make_subscriber(std::move(names), queue);
    }();
    if (const auto why = made.last_error(); made.ended() && why) {
        raise(why);
    }
    return std::make_unique<python_subscriber>(std::move(made), form_named(how));
}

void bind_messages(py::class_<held_type>& cls) {
    cls.def("publish", &publish, py::arg("topic"), py::arg("value"), py::arg("reliable"),
            py::arg("longest") = py::none())
        .def("publish_to", &publish_to, py::arg("node"), py::arg("topic"), py::arg("value"),
             py::arg("reliable"), py::arg("longest") = py::none())
        .def("publish_raw", &publish_raw)
        .def("publish_many", &publish_many, py::arg("batch"), py::arg("reliable"),
             py::arg("longest") = py::none())
        .def("publish_later", &publish_later, py::arg("topic"), py::arg("value"),
             py::arg("reliable"), py::arg("node") = py::none())
        .def("request_later", &request_later)
        .def("make_publisher",
             [](held_type& self, const py::object& topic, bool reliable) {
                 return std::make_unique<owned<publisher>>(std::make_shared<publisher>(
                     self->make_publisher(to_name(topic), mode_of(reliable))));
             })
        .def("make_subscriber", &make_subscriber)
        .def("make_status_subscriber",
             [](held_type& self, bool statuses) {
                 return std::make_unique<owned<status_subscriber>>(
                     std::make_shared<status_subscriber>(self->make_status_subscriber(statuses)));
             })
        .def("forward", [](held_type& self, const py::iterable& topics) {
            auto names = to_names(topics);
            auto& to = *self;
            expected<void> done;
            {
                const without_gil free;
                done = to.forward(std::move(names));
            }
            value_or_raise(done);
        });
}

// -- Stores ---------------------------------------------------------------------------------------

std::unique_ptr<python_store> adopt(expected<store> made) {
    return std::make_unique<python_store>(std::make_shared<store>(value_or_raise(std::move(made))));
}

std::unique_ptr<background_call> promote_later(held_type& self, const std::string& name,
                                               const std::optional<std::string>& node,
                                               const py::object& timeout) {
    return std::make_unique<background_call>(
        [held = self.shared(), name, at = node ? to_id(*node) : endpoint_id{},
         limit = to_timespan(timeout).value_or(no_promotion_takes)](
            const auto&) -> background_call::finish {
            auto who = held->promote_store(name, at, limit);
            return [who = std::move(who)]() -> py::object {
                return py::str{to_text(value_or_raise(who))};
            };
        });
}

void bind_stores(py::class_<held_type>& cls) {
    cls.def("promote_later", &promote_later);
    cls.def("attach_master",
            [](held_type& self, const std::string& name, int kind, const py::dict& options) {
                const auto given = to_master_options(options);
                auto& at = *self;
                auto made = [&] {
                    const without_gil free;
                    return at.attach_master(name, static_cast<backend>(kind), given);
                }();
                return adopt(std::move(made));
            })
        .def("attach_clone", [](held_type& self, const std::string& name, const py::dict& options) {
            const auto given = to_clone_options(options);
            auto& at = *self;
            auto made = [&] {
                const without_gil free;
                return at.attach_clone(name, given);
            }();
            return adopt(std::move(made));
        });
}

}  // namespace

void bind_endpoint(py::module_& module) {
    py::class_<held_type> cls(module, "Endpoint");
    cls.def(py::init(&make_endpoint))
        .def("node_id", [](held_type& self) { return to_text(self->node_id()); })
        .def_property_readonly("name", [](held_type& self) { return name_to_python(self->name()); })
        .def("options", [](held_type& self) { return configuration{self->options()}; })
        .def("shutdown",
             [](held_type& self) {
                 auto& at = *self;
                 const without_gil free;
                 at.shutdown();
             })
        .def("is_shutdown", [](held_type& self) { return self->is_shutdown(); });
    bind_peerings(cls);
    bind_overlay(cls);
    bind_messages(cls);
    bind_stores(cls);
}

}  // namespace bzmq::python
