#include "source_dir.hpp"

namespace bzmq {

std::string source_dir() { return BZMQ_SOURCE_DIR; }

}  // namespace bzmq
