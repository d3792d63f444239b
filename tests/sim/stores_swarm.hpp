#pragma once

#include "sim/scenario.hpp"

namespace bzmq::sim::stores {

/// One run of stores: the seed draws endpoints, masters, clones and faults; they strike under
/// writes, then everything heals, and all that was promised must hold.
run_report run_stores(const run_options& options);

}  // namespace bzmq::sim::stores
