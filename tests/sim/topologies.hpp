#pragma once

#include "base/prng.hpp"

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace bzmq::sim {

enum class topology_kind : std::uint8_t {
    line,
    ring,
    star,
    full_mesh,
    random_degree,  ///< a random tree and random edges up to an average degree
    chorded_ring,
    tree,
    dumbbell,  ///< two dense halves, joined by two bridges
};
constexpr unsigned topology_kinds = 8;

std::string_view to_string(topology_kind kind);

using edge = std::pair<std::uint32_t, std::uint32_t>;

/// A connected graph over nodes 0 to `nodes` - 1 without loops or parallel edges. The first of an
/// edge dials the second. `degree` matters for `random_degree` only.
std::vector<edge> make_topology(topology_kind kind, std::uint32_t nodes, unsigned degree,
                                prng& random);

}  // namespace bzmq::sim
