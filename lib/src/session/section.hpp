#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "bzmq/endpoint_id.hpp"
#include "bzmq/message.hpp"
#include "bzmq/shared_bytes.hpp"
#include "wire/frames.hpp"

namespace bzmq::session {

/// One node of a multicast tree in pre-order.
struct tree_node {
    endpoint_id id;
    std::uint32_t children = 0;
    bool receiver = false;
};

/// The part of a multicast tree that one link leads to; nodes[0] is the link's far end. Immutable
/// and shared by all sections that take it, which is what makes slots and caches work by identity.
struct subtree {
    endpoint_id origin;
    std::vector<tree_node> nodes;
    std::vector<endpoint_id> receivers;  ///< in pre-order: the order of a section's distances
};
using subtree_ptr = std::shared_ptr<const subtree>;

/// Writable bytes ahead of a payload that nobody needs any more: whoever asks first may put a frame's
/// heads there, and so spare a copy of the payload. A copy has none.
class headroom {
  public:
    headroom() = default;
    explicit headroom(std::size_t size) noexcept : size_(size) {}
    headroom(const headroom&) noexcept : size_(0) {}
    headroom& operator=(const headroom&) = delete;
    headroom& operator=(headroom&& other) noexcept {
        size_ = std::exchange(other.size_, 0);
        return *this;
    }

    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    void take() const noexcept { size_ = 0; }

  private:
    mutable std::size_t size_ = 0;
};

/// What a section carries on every link alike: shared between links, queues and retention.
struct section_body {
    endpoint_id origin;
    std::uint64_t number = 0;
    std::uint64_t sent_at = 0;
    std::uint32_t records = 0;
    std::uint8_t flags = 0;  ///< kind, section_direct and section_bulk
    shared_bytes payload;
    headroom ahead;          ///< of the payload, in its block

    [[nodiscard]] wire::section_kind kind() const noexcept {
        return static_cast<wire::section_kind>(flags & wire::section_kind_mask);
    }
    /// Messages, as opposed to what endpoints tell each other.
    [[nodiscard]] bool is_data() const noexcept {
        return kind() == wire::section_kind::best_effort || kind() == wire::section_kind::reliable;
    }
};
using section_ptr = std::shared_ptr<const section_body>;

/// A section on its way over one link.
struct routed_section {
    section_ptr body;
    subtree_ptr tree;
    /// Per receiver, how many numbers back the section before this one for that receiver lies; 0
    /// where there is none to wait for. One entry where all are alike.
    std::vector<std::uint64_t> distances;
    std::uint16_t path_tag = 0;
    std::uint8_t hops = 0;

    [[nodiscard]] std::uint64_t distance(std::size_t receiver) const noexcept {
        return distances.size() == 1 ? distances[0] : distances[receiver];
    }
    /// Roughly what it takes in a queue.
    [[nodiscard]] std::size_t size() const noexcept {
        return body->payload.size() + 64 + distances.size() * 4;
    }
};

/// An incoming tree, taken apart once when its slot is defined.
struct incoming_tree {
    struct child {
        subtree_ptr tree;
        std::size_t first_receiver = 0;  ///< its slice of the section's distances
        std::size_t receiver_count = 0;
    };
    subtree_ptr tree;
    bool deliver_here = false;
    std::vector<child> children;
};

/// Takes a tree apart; nullptr where its shape is broken (counts that do not add up).
std::shared_ptr<const incoming_tree> split(subtree_ptr tree);

}  // namespace bzmq::session
