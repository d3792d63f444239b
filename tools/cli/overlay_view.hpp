#pragma once

#include "bzmq/endpoint.hpp"

#include "context.hpp"

#include <chrono>
#include <string>
#include <vector>

namespace bzmq::cli {

/// The overlay as one endpoint sees it, once nothing has changed in it for a moment and it has at
/// least `nodes_min` endpoints. Fails with `ec::request_timeout`, `ec::cancelled`.
expected<std::vector<topology_node>> settled_topology(const endpoint& node, const context& ctx,
                                                      std::size_t nodes_min);

/// The endpoints that `wanted`, a name, an id or the eight digits of it that are shown, means, as
/// soon as there is one.
/// Fails with `ec::no_path_to_peer`, `ec::cancelled`.
expected<std::vector<topology_node>> await_nodes(const endpoint& node, const std::string& wanted,
                                                 std::chrono::steady_clock::time_point deadline,
                                                 const context& ctx);

/// The name of `id` in `nodes`, else its short id.
std::string label_in(const std::vector<topology_node>& nodes, const endpoint_id& id);

}  // namespace bzmq::cli
