#include "endpoint_views.hpp"

#include "convert.hpp"
#include "status.hpp"

namespace bzmq::python {

py::object to_python(const peer_info& what) {
    using py::arg;
    return py::module_::import("bzmq.status")
        .attr("PeerInfo")(
            arg("peer") = to_python(what.peer), arg("state") = static_cast<int>(what.state),
            arg("outgoing") = what.outgoing, arg("public_key") = what.public_key,
            arg("round_trip") = timespan_to_python(what.round_trip), arg("cost") = what.cost,
            arg("queue_messages") = what.queue_messages, arg("queue_bytes") = what.queue_bytes,
            arg("queue_bytes_high") = what.queue_bytes_high,
            arg("sent_messages") = what.sent_messages, arg("sent_bytes") = what.sent_bytes,
            arg("received_messages") = what.received_messages,
            arg("received_bytes") = what.received_bytes,
            arg("dropped_messages") = what.dropped_messages,
            arg("retransmitted_frames") = what.retransmitted_frames);
}

py::object to_python(const topology_node& what) {
    using py::arg;
    py::list links;
    for (const auto& each : what.links) {
        links.append(py::make_tuple(to_text(each.to), each.cost));
    }
    py::list filter;
    for (const auto& each : what.filter) {
        filter.append(name_to_python(each));
    }
    return py::module_::import("bzmq.status")
        .attr("TopologyNode")(arg("id") = to_text(what.id), arg("name") = name_to_python(what.name),
                              arg("distance") = what.distance,
                              arg("next_hop") = what.next_hop
                                                    ? py::object{py::str{to_text(what.next_hop)}}
                                                    : py::object{py::none()},
                              arg("links") = py::tuple(links), arg("filter") = py::tuple(filter),
                              arg("public_key") = what.public_key);
}

py::object to_python(const endpoint_metrics& what) {
    py::dict all;
    const auto add = [&all](const char* name, std::uint64_t value) { all[name] = value; };
    add("published", what.published);
    add("publish_refused", what.publish_refused);
    add("no_receiver", what.no_receiver);
    add("delivered", what.delivered);
    add("relayed", what.relayed);
    add("repaired", what.repaired);
    add("dropped_overflow", what.dropped_overflow);
    add("dropped_no_path", what.dropped_no_path);
    add("dropped_late", what.dropped_late);
    add("dropped_too_big", what.dropped_too_big);
    add("dropped_forbidden", what.dropped_forbidden);
    add("dropped_by_subscribers", what.dropped_by_subscribers);
    add("gaps", what.gaps);
    add("retransmitted", what.retransmitted);
    add("malformed", what.malformed);
    add("ignored_credit", what.ignored_credit);
    add("control_bytes", what.control_bytes);
    add("route_computations", what.route_computations);
    add("buffered_bytes", what.buffered_bytes);
    add("publish_queue_bytes", what.publish_queue_bytes);
    add("sent_frames", what.sent_frames);
    add("sent_bytes", what.sent_bytes);
    add("received_frames", what.received_frames);
    add("received_bytes", what.received_bytes);
    add("accepted_connections", what.accepted_connections);
    add("failed_handshakes", what.failed_handshakes);
    add("refused_peers", what.refused_peers);
    py::list peers;
    for (const auto& each : what.peers) {
        peers.append(to_python(each));
    }
    all["peers"] = peers;
    py::list subscribers;
    for (const auto& each : what.subscribers) {
        py::list topics;
        for (const auto& topic : each.topics) {
            topics.append(name_to_python(topic));
        }
        py::dict one;
        one["topics"] = topics;
        one["queue_messages"] = each.queue_messages;
        one["queue_bytes"] = each.queue_bytes;
        one["queue_bytes_high"] = each.queue_bytes_high;
        one["dropped_messages"] = each.dropped_messages;
        subscribers.append(one);
    }
    all["subscribers"] = subscribers;
    return all;
}

}  // namespace bzmq::python
