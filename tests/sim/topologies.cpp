#include "sim/topologies.hpp"

#include <algorithm>
#include <set>

namespace bzmq::sim {
namespace {

/// Collects edges, each pair once and whichever way round it came first.
class edge_set {
  public:
    bool add(std::uint32_t a, std::uint32_t b) {
        if (a == b || !seen_.insert(std::minmax(a, b)).second) {
            return false;
        }
        edges_.emplace_back(a, b);
        return true;
    }
    [[nodiscard]] std::size_t size() const { return edges_.size(); }
    std::vector<edge> take() { return std::move(edges_); }

  private:
    std::set<edge> seen_;
    std::vector<edge> edges_;
};

void add_random_edges(edge_set& out, std::uint32_t nodes, std::size_t target, prng& random) {
    const auto most = std::size_t{nodes} * (nodes - 1) / 2;
    while (out.size() < std::min(target, most)) {
        out.add(static_cast<std::uint32_t>(random.below(nodes)),
                static_cast<std::uint32_t>(random.below(nodes)));
    }
}

void add_half(edge_set& out, std::uint32_t first, std::uint32_t end, prng& random) {
    for (auto i = first; i < end; ++i) {
        for (auto j = i + 1; j < end; ++j) {
            if (j == i + 1 || random.chance(1, 2)) {
                out.add(i, j);
            }
        }
    }
}

}  // namespace

std::string_view to_string(topology_kind kind) {
    switch (kind) {
        case topology_kind::line:
            return "line";
        case topology_kind::ring:
            return "ring";
        case topology_kind::star:
            return "star";
        case topology_kind::full_mesh:
            return "full_mesh";
        case topology_kind::random_degree:
            return "random_degree";
        case topology_kind::chorded_ring:
            return "chorded_ring";
        case topology_kind::tree:
            return "tree";
        case topology_kind::dumbbell:
            return "dumbbell";
    }
    return "?";
}

std::vector<edge> make_topology(topology_kind kind, std::uint32_t nodes, unsigned degree,
                                prng& random) {
    edge_set out;
    const auto random_below = [&](std::uint32_t bound) {
        return static_cast<std::uint32_t>(random.below(bound));
    };
    switch (kind) {
        case topology_kind::chorded_ring:
        case topology_kind::ring:
        case topology_kind::line:
            for (std::uint32_t i = 1; i < nodes; ++i) {
                out.add(i - 1, i);
            }
            if (kind != topology_kind::line && nodes > 2) {
                out.add(nodes - 1, 0);
            }
            if (kind == topology_kind::chorded_ring) {
                add_random_edges(out, nodes, nodes + nodes / 3, random);
            }
            break;
        case topology_kind::star:
            for (std::uint32_t i = 1; i < nodes; ++i) {
                out.add(i, 0);
            }
            break;
        case topology_kind::full_mesh:
            for (std::uint32_t i = 0; i < nodes; ++i) {
                for (auto j = i + 1; j < nodes; ++j) {
                    out.add(i, j);
                }
            }
            break;
        case topology_kind::random_degree:
            for (std::uint32_t i = 1; i < nodes; ++i) {
                out.add(i, random_below(i));
            }
            add_random_edges(out, nodes, std::size_t{nodes} * degree / 2, random);
            break;
        case topology_kind::tree:
            for (std::uint32_t i = 1; i < nodes; ++i) {
                out.add(i, (i - 1) / 2);
            }
            break;
        case topology_kind::dumbbell: {
            const auto middle = nodes / 2;
            add_half(out, 0, middle, random);
            add_half(out, middle, nodes, random);
            out.add(0, middle);
            if (middle > 0) {
                out.add(middle - 1, nodes - 1);
            }
            break;
        }
    }
    return out.take();
}

}  // namespace bzmq::sim
