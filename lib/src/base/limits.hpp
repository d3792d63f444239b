#pragma once

#include <cstddef>

/// Bounds on everything that a peer, a file or a user can make large. Each says what it bounds and
/// in which unit; whoever reads input checks them, and whoever writes refuses to exceed them.
namespace bzmq {

// Values (docs/data-model.md).

/// Levels of sets, tables and vectors within each other. Bounds every recursion over values.
constexpr std::size_t data_depth_max = 64;
/// Bytes of one encoded value, in msgpack as well as in text and JSON.
constexpr std::size_t data_bytes_max = std::size_t{64} << 20;
/// Values in one value, itself and all nested ones counted. Bounds what a decoder allocates: an
/// encoded byte may stand for a value of more than fifty.
constexpr std::size_t data_items_max = std::size_t{1} << 20;

}  // namespace bzmq
