#pragma once

#include "bzmq/error.hpp"

#include "cluster/cluster_file.hpp"
#include "cluster/state_file.hpp"
#include "context.hpp"
#include "exit_code.hpp"

#include <cstddef>
#include <string>
#include <vector>

/// What an operator sees of a cluster.
namespace bzmq::cli {

/// A table of the nodes, or a JSON object for each: state, process, restarts, peers. `only` names one
/// node; empty for all.
exit_code print_status(const cluster_description& cluster, const std::string& only,
                       const context& ctx);

/// Why nodes are not as they should be: how they ended, what they said last, what to do. `only`
/// as above.
exit_code print_diagnosis(const cluster_description& cluster, const std::string& only,
                          const context& ctx);

/// The state with what is true now: nodes that have ended without a supervisor are "gone".
expected<cluster_state> current_state(const cluster_description& cluster);

/// The last lines of a file, of its last 64 KiB and those of the one before at most.
std::vector<std::string> last_lines(const std::string& file, std::size_t count = ~std::size_t{0});
void keep_last(std::vector<std::string>& lines, std::size_t count);

}  // namespace bzmq::cli
