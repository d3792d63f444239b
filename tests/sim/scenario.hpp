#pragma once

#include "sim/topologies.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bzmq::sim {

struct run_options {
    std::uint64_t seed = 1;
    std::optional<std::uint32_t> nodes;  ///< else the seed draws them
    bool verbose = false;
};

struct run_report {
    std::uint64_t trace_hash = 0;
    std::uint64_t events = 0;
    std::uint64_t published = 0;
    std::uint64_t deliveries = 0;
    std::string summary;                ///< what the seed drew
    std::vector<std::string> failures;  ///< empty: the run passed
};

/// One run of a swarm: the seed draws the network, the faults and how often each comes; they strike
/// under traffic, then everything heals, and all that was promised must hold.
run_report run_swarm(const run_options& options);

}  // namespace bzmq::sim
