#pragma once

#include "base/prng.hpp"
#include "overlay/link_state.hpp"

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

/// Made-up endpoints and overlays for the tests of this layer.
namespace bzmq::overlay::testing {

inline endpoint_id id(std::uint64_t number) {
    endpoint_id::bytes_type bytes{};
    bytes[0] = 1;  // Number 0 is somebody, too.
    for (std::size_t i = 0; i < 8; ++i) {
        bytes[15 - i] = static_cast<std::uint8_t>(number >> (8 * i));
    }
    return endpoint_id{bytes};
}

template <class T>
void shuffle(std::vector<T>& items, prng& random) {
    for (std::size_t left = items.size(); left > 1; --left) {
        std::swap(items[left - 1], items[random.below(left)]);
    }
}

inline topology_record links_of(std::uint64_t origin, std::uint64_t sequence,
                                std::vector<std::pair<std::uint64_t, std::uint32_t>> links) {
    topology_record out;
    out.origin = id(origin);
    out.sequence = sequence;
    out.name = "node-" + std::to_string(origin);
    for (const auto& [to, cost] : links) {
        out.neighbours.push_back({id(to), cost});
    }
    return out;
}

inline filter_record filter_of(std::uint64_t origin, std::uint64_t sequence,
                               std::vector<std::string> prefixes,
                               std::vector<bridge> bridges = {}) {
    return {id(origin), sequence, std::move(prefixes), std::move(bridges)};
}

/// What everybody claims, as the slow versions read it: claims[from][to] = cost.
struct plain_graph {
    std::map<std::uint64_t, std::map<std::uint64_t, std::uint32_t>> claims;
    std::set<std::uint64_t> no_relay;

    void link(std::uint64_t a, std::uint64_t b, std::uint32_t cost) {
        claims[a][b] = cost;
        claims[b][a] = cost;
    }
    /// The cost of a link that both ends claim; 0 where there is none.
    [[nodiscard]] std::uint32_t cost(std::uint64_t a, std::uint64_t b) const {
        const auto from = claims.find(a);
        const auto back = claims.find(b);
        if (from == claims.end() || back == claims.end() || !from->second.contains(b)
            || !back->second.contains(a)) {
            return 0;
        }
        return std::max(from->second.at(b), back->second.at(a));
    }
    [[nodiscard]] topology_record record(std::uint64_t origin, std::uint64_t sequence) const {
        const auto from = claims.find(origin);
        auto out = links_of(origin, sequence, {});
        if (from != claims.end()) {
            out = links_of(origin, sequence, {from->second.begin(), from->second.end()});
        }
        out.flags = no_relay.contains(origin) ? flag_no_relay : 0;
        return out;
    }
};

/// `nodes` endpoints, about `links` links of cost 1 to `cost_max`, some claimed by one end only,
/// some claimed at different costs, some ends that relay nothing.
inline plain_graph random_graph(prng& random, std::uint64_t nodes, std::uint64_t links,
                                std::uint32_t cost_max) {
    plain_graph out;
    for (std::uint64_t node = 0; node < nodes; ++node) {
        out.claims[node];
        if (random.chance(1, 10)) {
            out.no_relay.insert(node);
        }
    }
    for (std::uint64_t i = 0; i < links; ++i) {
        const auto a = random.below(nodes);
        const auto b = random.below(nodes);
        if (a == b) {
            continue;
        }
        out.claims[a][b] = static_cast<std::uint32_t>(1 + random.below(cost_max));
        if (!random.chance(1, 8)) {
            out.claims[b][a] = static_cast<std::uint32_t>(1 + random.below(cost_max));
        }
    }
    return out;
}

/// A database of endpoint 0 that got the records in the order of `origins`.
inline link_state_db database_of(const plain_graph& graph, std::vector<std::uint64_t> origins) {
    link_state_db db{id(0)};
    for (const auto origin : origins) {
        db.apply(graph.record(origin, 1), instant{0});
    }
    return db;
}

inline std::vector<std::uint64_t> origins_of(const plain_graph& graph) {
    std::vector<std::uint64_t> out;
    for (const auto& [origin, links] : graph.claims) {
        out.push_back(origin);
    }
    return out;
}

inline std::string random_text(prng& random, std::size_t length_max, unsigned letters) {
    std::string out(random.below(length_max + 1), 'a');
    for (char& letter : out) {
        letter = static_cast<char>('a' + random.below(letters));
        if (letter == 'b') {
            letter = '\xff';  // Bytes are compared unsigned.
        }
    }
    return out;
}

inline std::vector<std::string> random_prefixes(prng& random, std::size_t count_max,
                                                std::size_t length_max, unsigned letters) {
    std::vector<std::string> out(random.below(count_max + 1));
    for (auto& prefix : out) {
        prefix = random_text(random, length_max, letters);
    }
    return out;
}

inline bool slowly_matches(const std::vector<std::string>& prefixes, std::string_view topic) {
    return std::any_of(prefixes.begin(), prefixes.end(),
                       [&](const std::string& prefix) { return topic.starts_with(prefix); });
}

}  // namespace bzmq::overlay::testing
