#pragma once

#include <cstddef>
#include <chrono>
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
/// Bytes of one message between stores: one of many entries is about 64 KiB, one entry more at most.
constexpr std::size_t message_bytes_max = entry_bytes_max + (std::size_t{1} << 20);
/// What was sent and brought no answer is sent again after this,
constexpr std::chrono::nanoseconds resend_pause = std::chrono::milliseconds{500};
/// and after the time that its bytes take on a path as slow as this, which doubles with each repeat
/// up to this many times: copies of what is still under way would only delay it.
constexpr std::size_t slow_bytes_per_second = std::size_t{1} << 20;
constexpr unsigned resend_doublings_max = 4;

/// What so many bytes take on a slow path.
constexpr std::chrono::nanoseconds travel_time(std::uint64_t bytes) {
    return std::chrono::nanoseconds{bytes * (1'000'000'000 / slow_bytes_per_second)};
}
constexpr std::chrono::nanoseconds resend_after(std::uint64_t bytes, unsigned repeats) {
    return resend_pause + travel_time(bytes) * (1 << (repeats < resend_doublings_max ? repeats
                                                                         : resend_doublings_max));
}

/// Writers (clones and other clients) that a store knows at a time. Those that are gone for longest
/// are forgotten first.
constexpr std::uint32_t writers_max = 65'536;
/// Bytes of an elector's name, and how many electors a store may have.
constexpr std::size_t elector_name_bytes_max = 255;
constexpr std::size_t electors_max = 64;
/// Stores, masters and clones together, of one endpoint.
constexpr std::size_t stores_max = 4'096;

}  // namespace bzmq::replica
