#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "bzmq/overflow_policy.hpp"

namespace bzmq {

/// What holds for one peering that this endpoint begins, in place of its options of the same kind.
/// It concerns what waits here for that peer; the peer has bounds of its own for the other way.
struct peering_limits {
    std::optional<overflow_policy> overflow = {};    ///< for `peer_overflow`
    std::optional<std::size_t> queue_bytes = {};     ///< for `peer_queue_bytes`
    std::optional<std::size_t> queue_messages = {};  ///< for `peer_queue_messages`
    std::optional<std::uint32_t> link_cost = {};     ///< for `link_cost`

    friend bool operator==(const peering_limits&, const peering_limits&) = default;
};

}  // namespace bzmq
