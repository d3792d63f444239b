#pragma once

#include <cstddef>
#include <cstdint>

#include "base/limits.hpp"

namespace bzmq::replica {

/// Bytes of a store's name.
constexpr std::size_t store_name_bytes_max = 255;
/// Numbers of log entries and of a writer's commands, so that they can be counted on from.
constexpr std::uint64_t sequence_max = std::uint64_t{1} << 62;
/// Bytes of one encoded key: it must fit a log entry, and a set's elements are bounded so as well.
constexpr std::size_t key_bytes_max = std::size_t{1} << 20;
/// Bytes of one encoded value.
constexpr std::size_t value_bytes_max = data_bytes_max;
/// Bytes of one encoded command or log entry: a value, its key, and what stands around them; a
/// batch of commands must fit as a whole.
constexpr std::size_t entry_bytes_max = value_bytes_max + 2 * key_bytes_max;
/// Writers (clones and other clients) that a store knows at a time. Those that are gone for longest
/// are forgotten first.
constexpr std::uint32_t writers_max = 65'536;
/// Bytes of an elector's name, and how many electors a store may have.
constexpr std::size_t elector_name_bytes_max = 255;
constexpr std::size_t electors_max = 64;
/// Stores, masters and clones together, of one endpoint.
constexpr std::size_t stores_max = 4'096;

}  // namespace bzmq::replica
