#pragma once

#include "bzmq/overlay_info.hpp"

#include <string>

namespace bzmq::cli {

/// What an endpoint and its peers have come to, in one line: text, or JSON as docs/cli.md has it.
[[nodiscard]] std::string stats_line(const endpoint_metrics& now, bool json);

}  // namespace bzmq::cli
