#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "overlay/link_state.hpp"

/// Link-state records as bytes (docs/protocol.md, "Records of the overlay"). Decoders accept only
/// records that `valid` accepts and that end where their bytes end.
namespace bzmq::overlay {

/// What a link costs before its round trip is known, and what a short one costs.
constexpr std::uint32_t default_cost = 10;

[[nodiscard]] std::vector<std::byte> encode(const topology_record& record);
[[nodiscard]] std::vector<std::byte> encode(const filter_record& record);
[[nodiscard]] std::vector<std::byte> encode(std::span<const digest_entry> digest);

[[nodiscard]] std::optional<topology_record> decode_topology(std::span<const std::byte> bytes);
[[nodiscard]] std::optional<filter_record> decode_filter(std::span<const std::byte> bytes);
[[nodiscard]] std::optional<std::vector<digest_entry>> decode_digest(
    std::span<const std::byte> bytes);

}  // namespace bzmq::overlay
