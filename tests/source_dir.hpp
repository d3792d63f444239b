#pragma once

#include <string>

namespace bzmq {

/// Where the sources of this build are. Compiled once, so that no other object depends on the path.
std::string source_dir();

}  // namespace bzmq
