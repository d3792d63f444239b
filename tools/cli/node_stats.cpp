#include "node_stats.hpp"

#include "bzmq/data.hpp"

#include "output.hpp"
#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>

namespace bzmq::cli {
namespace {

using counter = std::pair<std::string_view, std::uint64_t>;

auto counters_of(const endpoint_metrics& now) {
    return std::array<counter, 8>{{
        {"published", now.published},
        {"delivered", now.delivered},
        {"relayed", now.relayed},
        {"dropped_overflow", now.dropped_overflow},
        {"dropped_no_path", now.dropped_no_path},
        {"dropped_late", now.dropped_late},
        {"dropped_forbidden", now.dropped_forbidden},
        {"dropped_by_subscribers", now.dropped_by_subscribers},
    }};
}

auto counters_of(const peer_info& peer) {
    return std::array<counter, 6>{{
        {"queue_messages", peer.queue_messages},
        {"queue_bytes", peer.queue_bytes},
        {"queue_bytes_high", peer.queue_bytes_high},
        {"dropped_messages", peer.dropped_messages},
        {"sent_bytes", peer.sent_bytes},
        {"received_bytes", peer.received_bytes},
    }};
}

void add_json(std::string& out, const peer_info& peer) {
    out += "{\"id\":";
    out += peer.peer.node.is_nil() ? "null" : '"' + to_string(peer.peer.node) + '"';
    out += ",\"name\":";
    append_json_string(out, peer.peer.name);
    out += ",\"address\":";
    append_json_string(out, peer.peer.address);
    out += fmt::format(",\"state\":\"{}\"", to_string(peer.state));
    for (const auto& [name, value] : counters_of(peer)) {
        out += fmt::format(",\"{}\":{}", name, value);
    }
    out += fmt::format(",\"round_trip_ns\":{}}}", peer.round_trip.count());
}

void add_text(std::string& out, const peer_info& peer) {
    const auto& who = peer.peer;
    out += fmt::format("; {} {} queue {} ({} B, high {} B) dropped {} sent {} B received {} B "
                       "round trip {}",
                       who.name.empty() ? who.address : who.name, to_string(peer.state),
                       peer.queue_messages, peer.queue_bytes, peer.queue_bytes_high,
                       peer.dropped_messages, peer.sent_bytes, peer.received_bytes,
                       to_string(peer.round_trip));
}

}  // namespace

std::string stats_line(const endpoint_metrics& now, bool json) {
    std::string out = json ? "{\"event\":\"stats\"" : "stats";
    for (const auto& [name, value] : counters_of(now)) {
        out += json ? fmt::format(",\"{}\":{}", name, value) : fmt::format(" {} {}", name, value);
    }
    if (!json) {
        for (const auto& peer : now.peers) {
            add_text(out, peer);
        }
        return out;
    }
    out += ",\"peers\":[";
    for (const auto& peer : now.peers) {
        out += &peer == now.peers.data() ? "" : ",";
        add_json(out, peer);
    }
    return out + "]}";
}

}  // namespace bzmq::cli
