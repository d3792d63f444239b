#pragma once

#include "bzmq/endpoint.hpp"

#include "context.hpp"

#include <string>
#include <vector>

namespace bzmq::cli {

/// The overlay as one endpoint sees it, once nothing has changed in it for a moment and it has at
/// least `nodes_min` endpoints. Fails with `ec::request_timeout`, `ec::cancelled`.
expected<std::vector<topology_node>> settled_topology(const endpoint& node, const context& ctx,
                                                      std::size_t nodes_min);

/// The name of `id` in `nodes`, else its short id.
std::string label_in(const std::vector<topology_node>& nodes, const endpoint_id& id);

}  // namespace bzmq::cli
