#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace bzmq::sim {

/// One line of the scale table: a random graph of average degree 4; up to 1,000
/// endpoints all dial at once, beyond that one link a millisecond.
struct scale_row {
    std::uint32_t nodes = 0;
    std::size_t links = 0;
    bool converged = false;
    std::chrono::nanoseconds convergence{};    ///< simulated, from the last dial to equal views
    double bytes_per_subscription_change = 0;  ///< control bytes of all nodes together
    double bytes_per_link_change = 0;          ///< one link lost and up again
    std::size_t memory_per_endpoint = 0;       ///< bytes of heap, once quiet
    std::chrono::nanoseconds route_time{};     ///< real: paths and one tree, at one endpoint
    std::chrono::nanoseconds real_time{};      ///< the whole row
};

scale_row measure_scale(std::uint32_t nodes, std::uint64_t seed);
std::string scale_header();
std::string to_text(const scale_row& row);
std::string to_json(const scale_row& row);

}  // namespace bzmq::sim
