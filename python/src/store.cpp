#include "store.hpp"

#include "background.hpp"
#include "bind.hpp"
#include "convert.hpp"
#include "errors.hpp"
#include "gil.hpp"
#include "waiting.hpp"
#include <pybind11/stl.h>

#include <limits>
#include <map>

namespace bzmq::python {
namespace {

using expiry_type = std::optional<timespan>;

py::object time_or_none(const std::optional<timestamp>& at) {
    return at ? timestamp_to_python(*at) : py::none();
}

py::object entry_to_python(const store_entry& from) {
    return py::module_::import("bzmq.store")
        .attr("Entry")(to_python(from.value), from.revision, time_or_none(from.expiry));
}

py::object info_to_python(const store_info& from) {
    using py::arg;
    py::list clones;
    for (const auto& each : from.clones) {
        clones.append(py::module_::import("bzmq.store")
                          .attr("CloneInfo")(to_text(each.at), each.in_snapshot, each.acknowledged,
                                             each.standby, each.stored));
    }
    return py::module_::import("bzmq.store")
        .attr("Info")(
            arg("name") = name_to_python(from.name), arg("master") = from.master,
            arg("standby") = from.standby, arg("commits") = from.commits,
            arg("backend") = static_cast<int>(from.backend), arg("entries") = from.entries,
            arg("bytes") = from.bytes, arg("revision") = from.revision, arg("epoch") = from.epoch,
            arg("hash") = from.hash,
            arg("master_at") = from.master_at ? py::object{py::str{to_text(from.master_at)}}
                                              : py::object{py::none()},
            arg("synced") = from.synced, arg("stale") = from.stale, arg("attached") = from.attached,
            arg("arrived_entries") = from.arrived_entries, arg("arrived_bytes") = from.arrived_bytes,
            arg("arriving_entries") = from.arriving_entries,
            arg("clones") = py::tuple(clones));
}

py::list entries_to_python(const std::vector<std::pair<data, store_entry>>& from) {
    py::list all;
    for (const auto& [key, entry] : from) {
        all.append(py::make_tuple(to_python(key, form::frozen), entry_to_python(entry)));
    }
    return all;
}

std::size_t limit_of(const std::optional<std::size_t>& max) {
    return max.value_or(std::numeric_limits<std::size_t>::max());
}

/// Reads without the GIL: a read may wait, for writes of this thread or for a clone's first state.
template <class function>
auto read(python_store& self, function&& how) {
    const auto& from = *self;
    auto got = [&] {
        const without_gil free;
        return how(from);
    }();
    return value_or_raise(std::move(got));
}

void bind_reads(py::class_<python_store>& cls) {
    cls.def("get",
            [](python_store& self, const py::object& key) {
                const auto k = to_data(key);
                return to_python(read(self, [&](const store& s) { return s.get(k); }));
            })
        .def("get_entry",
             [](python_store& self, const py::object& key) {
                 const auto k = to_data(key);
                 return entry_to_python(read(self, [&](const store& s) { return s.get_entry(k); }));
             })
        .def("get_index_from_value",
             [](python_store& self, const py::object& key, const py::object& index) {
                 const auto k = to_data(key);
                 const auto i = to_data(index);
                 return to_python(
                     read(self, [&](const store& s) { return s.get_index_from_value(k, i); }));
             })
        .def("exists",
             [](python_store& self, const py::object& key) {
                 const auto k = to_data(key);
                 return to_python(read(self, [&](const store& s) { return s.exists(k); }));
             })
        .def("keys",
             [](python_store& self) {
                 return to_python(read(self, [](const store& s) { return s.keys(); }));
             })
        .def("size",
             [](python_store& self) { return read(self, [](const store& s) { return s.size(); }); })
        .def("snapshot",
             [](python_store& self) {
                 return to_python(data{read(self, [](const store& s) { return s.snapshot(); })});
             })
        .def("range",
             [](python_store& self, const std::optional<py::object>& from,
                const std::optional<py::object>& to, const std::optional<std::size_t>& max) {
                 const auto bound = [](const std::optional<py::object>& given) {
                     return given ? std::optional{to_data(*given)} : std::nullopt;
                 };
                 const auto first = bound(from);
                 const auto last = bound(to);
                 return entries_to_python(read(
                     self, [&](const store& s) { return s.range(first, last, limit_of(max)); }));
             })
        .def("prefix",
             [](python_store& self, const py::object& text, const std::optional<std::size_t>& max) {
                 const auto begin = to_name(text);
                 return entries_to_python(
                     read(self, [&](const store& s) { return s.prefix(begin, limit_of(max)); }));
             })
        .def("info", [](python_store& self) {
            return info_to_python(read(self, [](const store& s) { return s.info(); }));
        });
}

/// Binds the writes that `store` and `store_batch` have in common. `submit` calls one without the
/// GIL.
template <class cls_type, class holder, class submit_type>
void bind_common_writes(cls_type& cls, submit_type submit) {
    using O = const py::object&;
    cls.def("put", [submit](holder& self, O key, O value, O expiry) {
        return submit(self,
                      [k = to_data(key), v = to_data(value), e = to_timespan(expiry)](
                          auto& s) -> decltype(auto) { return s.put(k, v, e); });
    });
    cls.def("compare_and_put",
            [submit](holder& self, O key, std::uint64_t revision, O value, O expiry) {
                return submit(self,
                              [k = to_data(key), revision, v = to_data(value),
                               e = to_timespan(expiry)](auto& s) -> decltype(auto) {
                                  return s.compare_and_put(k, revision, v, e);
                              });
            });
    cls.def("increment", [submit](holder& self, O key, O amount, O expiry) {
        return submit(self,
                      [k = to_data(key), v = to_data(amount), e = to_timespan(expiry)](
                          auto& s) -> decltype(auto) { return s.increment(k, v, e); });
    });
    cls.def("decrement", [submit](holder& self, O key, O amount, O expiry) {
        return submit(self,
                      [k = to_data(key), v = to_data(amount), e = to_timespan(expiry)](
                          auto& s) -> decltype(auto) { return s.decrement(k, v, e); });
    });
    cls.def("append", [submit](holder& self, O key, O text, O expiry) {
        return submit(self,
                      [k = to_data(key), t = to_name(text), e = to_timespan(expiry)](
                          auto& s) -> decltype(auto) { return s.append(k, t, e); });
    });
    cls.def("insert_element", [submit](holder& self, O key, O element, O expiry) {
        return submit(self,
                      [k = to_data(key), v = to_data(element), e = to_timespan(expiry)](
                          auto& s) -> decltype(auto) { return s.insert_into(k, v, e); });
    });
    cls.def("insert_pair", [submit](holder& self, O key, O index, O value, O expiry) {
        return submit(
            self,
            [k = to_data(key), i = to_data(index), v = to_data(value), e = to_timespan(expiry)](
                auto& s) -> decltype(auto) { return s.insert_into(k, i, v, e); });
    });
    cls.def("remove_from", [submit](holder& self, O key, O index, O expiry) {
        return submit(self,
                      [k = to_data(key), i = to_data(index), e = to_timespan(expiry)](
                          auto& s) -> decltype(auto) { return s.remove_from(k, i, e); });
    });
    cls.def("push", [submit](holder& self, O key, O value, O expiry) {
        return submit(self,
                      [k = to_data(key), v = to_data(value), e = to_timespan(expiry)](
                          auto& s) -> decltype(auto) { return s.push(k, v, e); });
    });
    cls.def("pop", [submit](holder& self, O key, O expiry) {
        return submit(self, [k = to_data(key), e = to_timespan(expiry)](auto& s) -> decltype(auto) {
            return s.pop(k, e);
        });
    });
    cls.def("erase", [submit](holder& self, O key) {
        return submit(self, [k = to_data(key)](auto& s) -> decltype(auto) { return s.erase(k); });
    });
    cls.def("clear", [submit](holder& self) {
        return submit(self, [](auto& s) -> decltype(auto) { return s.clear(); });
    });
}

void bind_writes(py::module_& module, py::class_<python_store>& cls) {
    const auto submit = [](python_store& self, const auto& write) {
        auto& to = *self;
        const without_gil free;
        return write(to);
    };
    bind_common_writes<decltype(cls), python_store>(cls, submit);
    cls.def("put_unique_nosync",
            [submit](python_store& self, const py::object& key, const py::object& value,
                     const py::object& expiry) {
                return submit(self, [k = to_data(key), v = to_data(value), e = to_timespan(expiry)](
                                        store& s) { return s.put_unique_nosync(k, v, e); });
            })
        .def("apply", [submit](python_store& self, const store_batch& batch) {
            return submit(self, [&batch](store& s) { return s.apply(batch); });
        });

    py::class_<store_batch> batch(module, "StoreBatch");
    batch.def(py::init<>()).def("__len__", &store_batch::size);
    const auto add = [](store_batch& self, const auto& write) { write(self); };
    bind_common_writes<decltype(batch), store_batch>(batch, add);
    batch.def("put_unique", [](store_batch& self, const py::object& key, const py::object& value,
                               const py::object& expiry) {
        self.put_unique(to_data(key), to_data(value), to_timespan(expiry));
    });
}

void bind_waits(py::class_<python_store>& cls) {
    const auto bind = [&cls](const char* name, bool (store::*wait)(timespan)) {
        cls.def(name, [wait](python_store& self, const py::object& timeout) {
            auto& at = *self;
            return wait_in_slices(to_timespan(timeout),
                                  [&](timespan slice) { return (at.*wait)(slice); });
        });
        cls.def((std::string{name} + "_later").c_str(),
                [wait](python_store& self, const py::object& timeout) {
                    return wait_later([held = self.shared(),
                                       wait](timespan slice) { return ((*held).*wait)(slice); },
                                      to_timespan(timeout));
                });
    };
    bind("await_idle", &store::await_idle);
    bind("await_sync", &store::await_sync);
}

std::unique_ptr<background_call> promote_later(python_store& self, const py::object& timeout) {
    return std::make_unique<background_call>(
        [held = self.shared(), limit = to_timespan(timeout).value_or(no_promotion_takes)](
            const auto&) -> background_call::finish {
            auto done = held->promote(limit);
            return [done = std::move(done)]() -> py::object {
                value_or_raise(done);
                return py::none();
            };
        });
}

}  // namespace

master_options to_master_options(const py::dict& from) {
    static const std::map<std::string, durability> levels{{"sync", durability::sync},
                                                          {"group", durability::group},
                                                          {"async", durability::async}};
    master_options made;
    for (const auto& [key, value] : from) {
        const auto name = to_name(key);
        if (name == "path") {
            made.path = to_path(value);
        } else if (name == "durability") {
            const auto level = levels.find(to_name(value));
            if (level == levels.end()) {
                raise(error{ec::invalid_configuration, "durability: expected sync, group or async"});
            }
            made.durability = level->second;
        } else if (name == "log_bytes") {
            made.log_bytes = value.cast<std::size_t>();
        } else if (name == "map_bytes_max") {
            made.map_bytes_max = value.cast<std::size_t>();
        } else if (name == "sync_replicas") {
            made.sync_replicas = value.cast<unsigned>();
        } else if (name == "electors") {
            for (const auto each : value.cast<py::iterable>()) {
                made.failover.electors.push_back(to_name(each));
            }
        } else if (name == "elector") {
            made.failover.elector = to_name(value);
        } else if (name == "failover_timeout") {
            made.failover.timeout = to_timespan(value).value_or(timespan::max());
        } else {
            raise(error{ec::invalid_configuration,
                        "a master has no option " + name
                            + "; there are path, durability, log_bytes, map_bytes_max, "
                              "sync_replicas, electors, elector and failover_timeout"});
        }
    }
    return made;
}

clone_options to_clone_options(const py::dict& from) {
    clone_options made;
    const auto time = [](const py::handle& value) {
        return to_timespan(value).value_or(timespan::max());
    };
    for (const auto& [key, value] : from) {
        const auto name = to_name(key);
        if (name == "resync_interval") {
            made.resync_interval = time(value);
        } else if (name == "stale_interval") {
            made.stale_interval = time(value);
        } else if (name == "mutation_buffer_interval") {
            made.mutation_buffer_interval = time(value);
        } else if (name == "mutation_buffer_bytes") {
            made.mutation_buffer_bytes = value.cast<std::size_t>();
        } else if (name == "get_delay") {
            made.get_delay = time(value);
        } else if (name == "standby") {
            if (!value.is_none()) {
                made.standby = to_master_options(value.cast<py::dict>());
            }
        } else if (name == "follow_new_store") {
            made.follow_new_store = value.cast<bool>();
        } else {
            raise(PyExc_TypeError, "a clone has no option " + name);
        }
    }
    return made;
}

py::object to_python(const write_outcome& from) {
    return py::module_::import("bzmq.store")
        .attr("Outcome")(from.revision, from.value ? to_python(*from.value) : py::none());
}

py::object to_python(const store_event& from) {
    const auto value = [](const std::optional<data>& held) {
        return held ? to_python(*held) : py::object{py::none()};
    };
    return py::module_::import("bzmq.store")
        .attr("StoreEvent")(name_to_python(to_string(from.what)), name_to_python(from.store),
                            to_python(from.key, form::frozen), value(from.old_value),
                            value(from.new_value), time_or_none(from.expiry), from.revision);
}

void bind_store(py::module_& module) {
    py::class_<store_write>(module, "StoreWrite")
        .def("done", &store_write::done)
        .def(
            "wait",
            [](const store_write& self, const py::object& timeout) {
                const bool done = wait_in_slices(to_timespan(timeout), [&self](timespan slice) {
                    return self.done() || self.wait(slice) || self.done();
                });
                if (!done) {
                    raise(error{ec::request_timeout, "no outcome in time; it may come yet"});
                }
                return to_python(value_or_raise(self.wait(timespan{0})));
            },
            py::arg("timeout") = py::none());
    py::class_<python_store> cls(module, "Store");
    cls.def("name", [](python_store& self) { return name_to_python(self->name()); })
        .def("is_master", [](python_store& self) { return self->is_master(); })
        .def("follow", [](python_store& self) { self->follow(); })
        .def("promote_later", &promote_later)
        .def("detach", [](python_store& self) {
            auto& at = *self;
            const without_gil free;
            at.detach();
        });
    bind_reads(cls);
    bind_writes(module, cls);
    bind_waits(cls);
}

}  // namespace bzmq::python
