#include "bzmq/configuration.hpp"

#include "bind.hpp"
#include "convert.hpp"
#include "errors.hpp"
#include "limits.hpp"
#include <pybind11/stl.h>

namespace bzmq::python {
namespace {

using options = endpoint_options;

/// An option as a property, with the conversion that its type needs.
class fields {
  public:
    explicit fields(py::class_<configuration>& to) : to_(to) {}

    template <class T>
    fields& plain(const char* name, T options::*where) {
        to_.def_property(
            name, [where](configuration& self) { return self.options().*where; },
            [where](configuration& self, T value) { self.options().*where = std::move(value); });
        return *this;
    }
    fields& time(const char* name, timespan options::*where) {
        to_.def_property(
            name,
            [where](configuration& self) { return timespan_to_python(self.options().*where); },
            [name, where](configuration& self, const py::object& value) {
                const auto span = to_timespan(value);
                if (!span) {
                    raise(PyExc_TypeError, std::string{name} + ": expected seconds or a timedelta");
                }
                self.options().*where = *span;
            });
        return *this;
    }
    /// Enumerations go by their names.
    template <class T>
    fields& named(const char* name, T options::*where,
                  std::optional<T> (*parse)(std::string_view) noexcept) {
        to_.def_property(
            name,
            [where](configuration& self) { return std::string{to_string(self.options().*where)}; },
            [name, where, parse](configuration& self, const std::string& value) {
                const auto parsed = parse(value);
                if (!parsed) {
                    raise(error{ec::invalid_configuration,
                                std::string{name} + ": no such value: " + value});
                }
                self.options().*where = *parsed;
            });
        return *this;
    }

  private:
    py::class_<configuration>& to_;
};

peer_options to_peer(const py::handle& value) {
    if (!PyDict_Check(value.ptr())) {
        return {to_name(value), {}, {}};
    }
    peer_options peer;
    for (const auto& [key, held] : value.cast<py::dict>()) {
        const auto name = to_name(key);
        if (name == "url") {
            peer.url = to_name(held);
        } else if (name == "server_key") {
            peer.server_key = to_name(held);
        } else if (name == "retry") {
            peer.retry = to_timespan(held);
        } else if (!set_limit(peer.limits, name, held)) {
            raise(error{ec::invalid_configuration, "peers: unknown key " + name});
        }
    }
    return peer;
}

py::dict peer_to_python(const peer_options& peer) {
    py::dict made;
    made["url"] = peer.url;
    if (!peer.server_key.empty()) {
        made["server_key"] = peer.server_key;
    }
    if (peer.retry) {
        made["retry"] = timespan_to_python(*peer.retry);
    }
    const auto& limits = peer.limits;
    if (limits.overflow) {
        made["overflow"] = std::string{to_string(*limits.overflow)};
    }
    if (limits.queue_bytes) {
        made["queue_bytes"] = *limits.queue_bytes;
    }
    if (limits.queue_messages) {
        made["queue_messages"] = *limits.queue_messages;
    }
    if (limits.link_cost) {
        made["link_cost"] = *limits.link_cost;
    }
    return made;
}

void init(configuration& self, const std::vector<std::string>& arguments) {
    std::vector<const char*> argv{"python"};
    for (const auto& each : arguments) {
        argv.push_back(each.c_str());
    }
    value_or_raise(self.init(static_cast<int>(argv.size()), argv.data()));
}

}  // namespace

void bind_configuration(py::module_& module) {
    py::class_<configuration> cls(module, "Configuration");
    cls.def(py::init<>())
        .def("_copy", [](const configuration& self) { return configuration{self}; })
        .def("_init", &init)
        .def("_config_file", &configuration::config_file)
        .def("validate", [](const configuration& self) { value_or_raise(self.validate()); })
        .def_property_readonly("remainder", &configuration::remainder)
        .def_property_readonly("help_printed", &configuration::cli_helptext_printed)
        .def_static("help_text", &configuration::help_text)
        .def_property(
            "peers",
            [](configuration& self) {
                py::list all;
                for (const auto& each : self.options().peers) {
                    all.append(peer_to_python(each));
                }
                return all;
            },
            [](configuration& self, const py::iterable& value) {
                std::vector<peer_options> all;
                for (const auto each : value) {
                    all.push_back(to_peer(each));
                }
                self.options().peers = std::move(all);
            });
    fields{cls}
        .plain("name", &options::name)
        .plain("domain", &options::domain)
        .plain("listen", &options::listen)
        .plain("cert", &options::cert)
        .plain("server_key", &options::server_key)
        .plain("allow", &options::allow)
        .plain("allow_any_client", &options::allow_any_client)
        .plain("permissions", &options::permissions)
        .plain("allow_insecure_listen", &options::allow_insecure_listen)
        .time("heartbeat_interval", &options::heartbeat_interval)
        .time("peer_timeout", &options::peer_timeout)
        .time("handshake_timeout", &options::handshake_timeout)
        .time("connect_timeout", &options::connect_timeout)
        .time("retry_min", &options::retry_min)
        .time("retry_max", &options::retry_max)
        .plain("link_cost", &options::link_cost)
        .plain("forwarding", &options::forwarding)
        .plain("hide_peers", &options::hide_peers)
        .time("forget_after", &options::forget_after)
        .plain("frame_bytes", &options::frame_bytes)
        .plain("link_window_bytes", &options::link_window_bytes)
        .plain("max_message_bytes", &options::max_message_bytes)
        .plain("peer_queue_bytes", &options::peer_queue_bytes)
        .plain("peer_queue_messages", &options::peer_queue_messages)
        .named("peer_overflow", &options::peer_overflow, &parse_overflow_policy)
        .plain("subscriber_queue_bytes", &options::subscriber_queue_bytes)
        .plain("subscriber_queue_messages", &options::subscriber_queue_messages)
        .named("subscriber_overflow", &options::subscriber_overflow, &parse_overflow_policy)
        .plain("publish_queue_bytes", &options::publish_queue_bytes)
        .time("publish_timeout", &options::publish_timeout)
        .plain("local_delivery", &options::local_delivery)
        .plain("reliable_window_bytes", &options::reliable_window_bytes)
        .time("reliable_hold", &options::reliable_hold)
        .time("reorder_hold", &options::reorder_hold)
        .named("log_level", &options::log_level, &parse_log_level)
        .plain("log_file", &options::log_file);
}

}  // namespace bzmq::python
