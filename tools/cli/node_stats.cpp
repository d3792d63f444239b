#include "node_stats.hpp"

#include "bzmq/data.hpp"

#include "output.hpp"
#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

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

std::string_view role_of(const store_info& of) {
    return of.master ? "master" : of.standby ? "standby" : "clone";
}

auto counters_of(const store_info& of) {
    return std::array<counter, 5>{{
        {"revision", of.revision},
        {"epoch", of.epoch},
        {"entries", of.entries},
        {"bytes", of.bytes},
        {"commits", of.commits},
    }};
}

void add_json(std::string& out, const store_info& of) {
    out += "{\"store\":";
    append_json_string(out, of.name);
    out += fmt::format(",\"role\":\"{}\"", role_of(of));
    for (const auto& [name, value] : counters_of(of)) {
        out += fmt::format(",\"{}\":{}", name, value);
    }
    if (!of.master) {
        out += fmt::format(",\"attached\":{},\"synced\":{},\"stale\":{}}}", of.attached, of.synced,
                           of.stale);
        return;
    }
    out += ",\"clones\":[";
    for (const auto& each : of.clones) {
        out += fmt::format("{}{{\"id\":\"{}\",\"standby\":{},\"acknowledged\":{},\"stored\":{}}}",
                           &each == of.clones.data() ? "" : ",", to_string(each.at), each.standby,
                           each.acknowledged, each.stored);
    }
    out += "]}";
}

void add_text(std::string& out, const store_info& of) {
    out += fmt::format("; store {} {}", of.name, role_of(of));
    for (const auto& [name, value] : counters_of(of)) {
        out += fmt::format(" {} {}", name, value);
    }
    if (!of.master) {
        out += of.stale ? " stale" : of.attached ? "" : " without a master";
    }
    for (const auto& each : of.clones) {
        out += fmt::format(", {} {} has {}", each.standby ? "standby" : "clone", short_id(each.at),
                           each.acknowledged);
        if (each.standby) {
            out += fmt::format(" and stored {}", each.stored);
        }
    }
}

}  // namespace

std::string stats_line(const endpoint_metrics& now, std::span<const store> stores, bool json) {
    std::vector<store_info> held;
    for (const auto& each : stores) {
        if (auto info = each.info(); info && !info->name.empty()) {  // One that gave way has none.
            held.push_back(std::move(*info));
        }
    }
    std::string out = json ? "{\"event\":\"stats\"" : "stats";
    for (const auto& [name, value] : counters_of(now)) {
        out += json ? fmt::format(",\"{}\":{}", name, value) : fmt::format(" {} {}", name, value);
    }
    if (!json) {
        for (const auto& peer : now.peers) {
            add_text(out, peer);
        }
        for (const auto& each : held) {
            add_text(out, each);
        }
        return out;
    }
    out += ",\"peers\":[";
    for (const auto& peer : now.peers) {
        out += &peer == now.peers.data() ? "" : ",";
        add_json(out, peer);
    }
    out += "],\"stores\":[";
    for (const auto& each : held) {
        out += &each == held.data() ? "" : ",";
        add_json(out, each);
    }
    return out + "]}";
}

}  // namespace bzmq::cli
