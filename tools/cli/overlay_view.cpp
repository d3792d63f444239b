#include "overlay_view.hpp"

#include "output.hpp"
#include <fmt/format.h>

namespace bzmq::cli {
namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

constexpr timespan quiet = 150ms;
constexpr timespan poll_interval = 10ms;

}  // namespace

expected<std::vector<topology_node>> settled_topology(const endpoint& node, const context& ctx,
                                                      std::size_t nodes_min) {
    const auto limit = ctx.common.timeout_or_default();
    const auto deadline = clock::now() + limit;
    auto hash = node.view_hash();
    auto since = clock::now();
    for (;;) {
        if (ctx.interrupt->wait_for(poll_interval)) {
            return fail(ec::cancelled);
        }
        const auto now = clock::now();
        if (const auto fresh = node.view_hash(); fresh != hash) {
            hash = fresh;
            since = now;
        }
        if (now - since >= quiet || now >= deadline) {
            auto nodes = node.topology();
            if (nodes.size() >= nodes_min) {
                return nodes;
            }
            if (now >= deadline) {
                return fail(ec::request_timeout,
                            fmt::format("after {} the overlay has {} of {} endpoints",
                                        to_string(limit), nodes.size(), nodes_min));
            }
        }
    }
}

expected<std::vector<topology_node>> await_nodes(const endpoint& node, const std::string& wanted,
                                                 clock::time_point deadline, const context& ctx) {
    const auto id = endpoint_id::parse(wanted);
    for (;;) {
        auto nodes = node.topology();
        std::erase_if(nodes, [&](const topology_node& each) {
            return each.name != wanted && short_id(each.id) != wanted && !(id && each.id == *id);
        });
        if (!nodes.empty()) {
            return nodes;
        }
        if (clock::now() >= deadline) {
            return fail(ec::no_path_to_peer, "no endpoint within reach is called " + wanted);
        }
        if (ctx.interrupt->wait_for(poll_interval)) {
            return fail(ec::cancelled);
        }
    }
}

std::string label_in(const std::vector<topology_node>& nodes, const endpoint_id& id) {
    for (const auto& node : nodes) {
        if (node.id == id) {
            return label(id, node.name);
        }
    }
    return short_id(id);
}

}  // namespace bzmq::cli
