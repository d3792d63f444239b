#include "overlay/graphs.hpp"
#include "overlay/paths.hpp"
#include "overlay/receivers.hpp"
#include "overlay/tree.hpp"
#include <benchmark/benchmark.h>

#include <cstdint>
#include <string>
#include <vector>

/// What a change of the overlay costs, and what the first message for a topic does.
namespace bzmq::overlay {
namespace {

using testing::id;

/// A ring with random chords: all nodes connected, of degree 4 on average.
testing::plain_graph meshed(std::uint64_t nodes, std::uint32_t cost_max) {
    prng random{1};
    testing::plain_graph out;
    for (std::uint64_t node = 0; node < nodes; ++node) {
        out.link(node, (node + 1) % nodes, static_cast<std::uint32_t>(1 + random.below(cost_max)));
        out.link(node, (node + 2 + random.below(nodes - 3)) % nodes,
                 static_cast<std::uint32_t>(1 + random.below(cost_max)));
    }
    return out;
}

link_state_db shuffled_database(const testing::plain_graph& graph) {
    prng random{2};
    auto origins = testing::origins_of(graph);
    testing::shuffle(origins, random);
    return testing::database_of(graph, origins);
}

/// Makes a link of self dearer or as cheap as before, so that all routes are out of date. Never
/// cheaper than the far end claims: of the two claims the larger one counts.
void disturb(link_state_db& db, topology_record& own) {
    ++own.sequence;
    auto& cost = own.neighbours.front().cost;
    cost = own.sequence % 2 == 0 ? cost + 1 : cost - 1;
    db.apply(own, instant{0});
}

void one_link_changes(benchmark::State& state) {
    const auto graph = meshed(static_cast<std::uint64_t>(state.range(0)),
                              static_cast<std::uint32_t>(state.range(1)));
    auto db = shuffled_database(graph);
    auto own = graph.record(0, 1);
    path_table paths;
    for (auto _ : state) {
        disturb(db, own);
        paths.recompute(db);
    }
    if (paths.reachable_count() + 1 != graph.claims.size()) {
        state.SkipWithError("not all nodes are reachable");
    }
}
BENCHMARK(one_link_changes)
    ->ArgNames({"nodes", "cost_max"})
    ->Args({1000, 1000})
    ->Args({5000, 1})
    ->Args({5000, 1000})
    ->Args({20000, 1000})
    ->Unit(benchmark::kMicrosecond);

void hash_of_the_view(benchmark::State& state) {
    const auto graph = meshed(static_cast<std::uint64_t>(state.range(0)), 1000);
    auto db = shuffled_database(graph);
    auto own = graph.record(0, 1);
    std::uint64_t hash = db.digest_hash();
    for (auto _ : state) {
        ++own.sequence;  // A new record, but no new routes.
        db.apply(own, instant{0});
        hash ^= db.digest_hash();
    }
    benchmark::DoNotOptimize(hash);
}
BENCHMARK(hash_of_the_view)->Arg(5000)->Unit(benchmark::kMicrosecond);

void resynchronise(benchmark::State& state) {
    const auto graph = meshed(static_cast<std::uint64_t>(state.range(0)), 1000);
    const auto db = shuffled_database(graph);
    for (auto _ : state) {
        benchmark::DoNotOptimize(db.newer_than(db.digest()));
    }
}
BENCHMARK(resynchronise)->Arg(5000)->Unit(benchmark::kMicrosecond);

void flood_of_records(benchmark::State& state) {
    const auto graph = meshed(static_cast<std::uint64_t>(state.range(0)), 1000);
    std::vector<topology_record> records;
    for (const auto origin : testing::origins_of(graph)) {
        records.push_back(graph.record(origin, 1));
    }
    for (auto _ : state) {
        link_state_db db{id(0)};
        for (const auto& record : records) {
            db.apply(record, instant{0});
        }
    }
    state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(flood_of_records)->Arg(5000)->Unit(benchmark::kMicrosecond);

/// Every node subscribes to its own topic, and every `state.range(1)`th to that which is matched.
receiver_table subscribed(benchmark::State& state) {
    receiver_table out;
    for (std::int64_t node = 0; node < state.range(0); ++node) {
        std::vector<std::string> prefixes{"node/" + std::to_string(node) + "/"};
        if (node % state.range(1) == 0) {
            prefixes.emplace_back("weather/europe/");
        }
        out.set(static_cast<node_index>(node),
                testing::filter_of(static_cast<std::uint64_t>(node), 1, std::move(prefixes)));
    }
    return out;
}

void match_a_topic(benchmark::State& state) {
    const auto table = subscribed(state);
    std::vector<node_index> out;
    for (auto _ : state) {
        table.match("weather/europe/berlin/temperature", out);
        benchmark::DoNotOptimize(out.data());
    }
    state.counters["receivers"] = static_cast<double>(out.size());
}
BENCHMARK(match_a_topic)->ArgNames({"nodes", "share"})->Args({5000, 2500})->Args({5000, 1});

void subscribe_and_back(benchmark::State& state) {
    auto table = subscribed(state);
    const auto with = testing::filter_of(1, 1, {"node/1/", "weather/asia/"});
    const auto without = testing::filter_of(1, 1, {"node/1/"});
    for (auto _ : state) {
        table.set(1, with);
        table.set(1, without);
    }
}
BENCHMARK(subscribe_and_back)->ArgNames({"nodes", "share"})->Args({5000, 1});

void build_a_tree(benchmark::State& state) {
    const auto db = shuffled_database(meshed(static_cast<std::uint64_t>(state.range(0)), 1000));
    path_table paths;
    paths.recompute(db);
    std::vector<node_index> receivers;
    for (node_index node = 0; node < db.slot_count();
         node += static_cast<node_index>(state.range(1))) {
        receivers.push_back(node);
    }
    tree_builder builder;
    for (auto _ : state) {
        benchmark::DoNotOptimize(builder.build(paths, receivers));
    }
    state.counters["receivers"] = static_cast<double>(receivers.size());
}
BENCHMARK(build_a_tree)
    ->ArgNames({"nodes", "share"})
    ->Args({5000, 1})
    ->Args({5000, 100})
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace bzmq::overlay
