#pragma once

#include "bzmq/overlay_info.hpp"
#include "bzmq/store.hpp"

#include <span>
#include <string>

namespace bzmq::cli {

/// What an endpoint, its peers and its stores have come to, in one line: text, or JSON as
/// docs/cli.md has it.
[[nodiscard]] std::string stats_line(const endpoint_metrics& now, std::span<const store> stores,
                                     bool json);

}  // namespace bzmq::cli
