#include "sim/scale.hpp"

#include "overlay/link_state.hpp"
#include "overlay/paths.hpp"
#include "overlay/tree.hpp"
#include "sim/checkers.hpp"
#include "sim/network.hpp"
#include "sim/topologies.hpp"
#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <cstring>

namespace bzmq::sim {
namespace {

using namespace std::chrono_literals;
using real_clock = std::chrono::steady_clock;

/// Every tenth endpoint subscribes, to a topic of its own and to a common one.
constexpr std::uint32_t subscriber_every = 10;
/// Larger networks dial one link a millisecond: with all at once the databases on their way take
/// more memory than those that have arrived.
constexpr std::uint32_t all_at_once_max = 1'000;

std::size_t heap_in_use() {
    const auto all = mallinfo2();
    return all.uordblks + all.hblkhd;
}

bool agree(network& net) {
    const auto hash = net.hub_of(0).view_hash();
    for (node_index at = 1; at < net.size(); ++at) {
        if (net.hub_of(at).view_hash() != hash) {
            return false;
        }
    }
    return net.hub_of(0).topology().size() == net.size();
}

/// Runs until nobody has sent a control byte for a while; returns what was sent meanwhile.
std::uint64_t settle(network& net, std::uint64_t before) {
    auto last = before;
    for (int quiet = 0; quiet < 2;) {
        net.run_for(1s);
        const auto sent = control_bytes(net);
        quiet = sent == last ? quiet + 1 : 0;
        last = sent;
        if (net.now() > 1h) {
            break;
        }
    }
    return last - before;
}

/// Real time that one endpoint takes from a change of the topology to a tree to everybody, at best
/// of several: what the hub does when it recomputes, without the network around it.
nanoseconds time_routes(std::uint32_t nodes, const std::vector<edge>& edges) {
    std::vector<overlay::topology_record> records(nodes);
    const auto id_of = [](std::uint32_t node) {
        endpoint_id::bytes_type raw{};
        raw[0] = 1;
        std::memcpy(raw.data() + 1, &node, sizeof node);
        return endpoint_id{raw};
    };
    for (std::uint32_t i = 0; i < nodes; ++i) {
        records[i].origin = id_of(i);
        records[i].sequence = 1;
    }
    for (const auto& [a, b] : edges) {
        records[a].neighbours.push_back({id_of(b), 1});
        records[b].neighbours.push_back({id_of(a), 1});
    }
    overlay::link_state_db db{id_of(0)};
    std::vector<overlay::node_index> all;
    for (const auto& record : records) {
        db.apply(record, 0ns);
        all.push_back(db.index_of(record.origin));
    }
    overlay::path_table paths;
    overlay::tree_builder builder;
    auto best = nanoseconds::max();
    for (int i = 0; i < 10; ++i) {
        // A link far away goes and comes.
        auto changed = records.back();
        changed.sequence = static_cast<std::uint64_t>(2 + i);
        if (i % 2 == 0) {
            changed.neighbours.pop_back();
        }
        const auto start = real_clock::now();
        db.apply(changed, 0ns);
        paths.recompute(db);
        const auto branches = builder.build(paths, all);
        best = std::min<nanoseconds>(best, real_clock::now() - start);
    }
    return best;
}

}  // namespace

scale_row measure_scale(std::uint32_t nodes, std::uint64_t seed) {
    scale_row out;
    out.nodes = nodes;
    const auto started = real_clock::now();
    const auto heap_before = heap_in_use();
    prng random{seed};
    network net{random.next()};
    link_conditions conditions;
    conditions.delay_min = 200us;
    conditions.delay_mean = 1ms;
    net.set_conditions(conditions);
    node::hub_options options;
    options.link_cost = 1;
    for (std::uint32_t i = 0; i < nodes; ++i) {
        const auto at = net.add_node(options);
        if (i % subscriber_every == 0) {
            net.add_subscriber(at, {{fmt::format("/node/{}/", i), "/all"}, 0, {}});
        }
    }
    const auto edges = make_topology(topology_kind::random_degree, nodes, 4, random);
    out.links = edges.size();
    for (const auto& [from, to] : edges) {
        net.add_target(from, to);
        if (nodes > all_at_once_max) {
            net.run_for(1ms);
        }
    }
    const auto last_dial = net.now();
    out.converged = net.run_until([&] { return agree(net); }, 600s, 20ms);
    out.convergence = net.now() - last_dial;
    settle(net, control_bytes(net));
    malloc_trim(0);
    out.memory_per_endpoint = (heap_in_use() - heap_before) / nodes;

    constexpr unsigned samples = 3;
    for (unsigned i = 0; i < samples; ++i) {
        const auto at = static_cast<node_index>(random.below(nodes));
        auto before = control_bytes(net);
        const auto id = net.add_subscriber(at, {{"/scale/changed"}, 0, {}});
        out.bytes_per_subscription_change += static_cast<double>(settle(net, before)) / samples;
        net.remove_subscriber(at, id);
        settle(net, control_bytes(net));
        const auto& [from, to] = edges[random.below(edges.size())];
        before = control_bytes(net);
        net.break_connection(from, to, telling::both);
        // Two changes: the loss and the return.
        out.bytes_per_link_change += static_cast<double>(settle(net, before)) / (2 * samples);
    }
    out.route_time = time_routes(nodes, edges);
    out.real_time = real_clock::now() - started;
    return out;
}

std::string scale_header() {
    return fmt::format("{:>9} {:>7} {:>15} {:>18} {:>14} {:>15} {:>13} {:>10}", "endpoints",
                       "links", "convergence ms", "B/subscr. change", "B/link change",
                       "KiB/endpoint", "route ms", "real s");
}

std::string to_text(const scale_row& row) {
    return fmt::format("{:>9} {:>7} {:>15} {:>18.0f} {:>14.0f} {:>15.0f} {:>13.3f} {:>10.1f}",
                       row.nodes, row.links,
                       row.converged ? fmt::format("{}", row.convergence / 1ms) : "never",
                       row.bytes_per_subscription_change, row.bytes_per_link_change,
                       static_cast<double>(row.memory_per_endpoint) / 1024,
                       std::chrono::duration<double, std::milli>(row.route_time).count(),
                       std::chrono::duration<double>(row.real_time).count());
}

std::string to_json(const scale_row& row) {
    return fmt::format(
        R"({{"endpoints":{},"links":{},"converged":{},"convergence_ns":{},)"
        R"("control_bytes_per_subscription_change":{:.0f},"control_bytes_per_link_change":{:.0f},)"
        R"("bytes_per_endpoint":{},"route_ns":{},"real_ns":{}}})",
        row.nodes, row.links, row.converged, row.convergence.count(),
        row.bytes_per_subscription_change, row.bytes_per_link_change, row.memory_per_endpoint,
        row.route_time.count(), row.real_time.count());
}

}  // namespace bzmq::sim
