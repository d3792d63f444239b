#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bzmq/configuration.hpp"
#include "bzmq/endpoint.hpp"
#include "bzmq/export.hpp"

namespace bzmq {

/// What a gateway joins. The two configurations must name different, non-empty domains.
struct gateway_options {
    configuration one;
    configuration other;
    /// Topic prefixes that may pass from `one` to `other`; unset lets all pass, empty none.
    std::optional<std::vector<std::string>> from_one = {};
    /// The same from `other` to `one`.
    std::optional<std::vector<std::string>> from_other = {};
};

/// Belongs to two domains and shows each to the other only as itself: with one filter, aggregated
/// over all endpoints of the other side and cut to what may pass. Messages that match are published
/// anew on the other side, in the same mode and order; their origin there is the gateway. Nothing goes
/// back to the domain that it came from. docs/guarantees.md, "Across gateways", says what is promised.
///
/// Several gateways may join the same two domains: the reachable one with the smallest id works, the
/// others stand by. While the role passes from one to another, messages of either mode that the old
/// gateway had accepted may be lost, or come twice in the other domain.
///
/// **The graph of domains must be a tree** (parallel gateways aside). In a cycle, as of gateways between
/// a and b, b and c, c and a, each message that all of them take goes round without end, and nothing
/// notices it. Whoever configures gateways must see to it.
///
/// For a side with thousands of agents, set its option `hide_peers`: each agent then knows of the
/// gateway alone, and what one of them does costs the others nothing. Agents do not reach each other
/// there, and each must peer with one gateway only.
///
/// Thread-safe. Four threads of its own, beside those of its two endpoints.
class BZMQ_EXPORT gateway {
  public:
    /// Starts both endpoints. Throws `endpoint_error`.
    explicit gateway(gateway_options options);
    /// As `shutdown`.
    ~gateway();
    gateway(const gateway&) = delete;
    gateway& operator=(const gateway&) = delete;

    /// The endpoint in the domain of `options.one`, to listen, peer and subscribe with. Messages that
    /// it publishes itself stay in its domain.
    [[nodiscard]] endpoint& one() noexcept;
    [[nodiscard]] endpoint& other() noexcept;
    /// Both endpoints have this id.
    [[nodiscard]] endpoint_id node_id() const noexcept;

    /// Is this the gateway that works, rather than one that stands by?
    [[nodiscard]] bool active() const noexcept;

    /// Stops passing messages, then shuts both endpoints down. In a callback on the thread of one of
    /// them the end follows the callback; the gateway may be destroyed there, too.
    void shutdown();

  private:
    class impl;
    std::shared_ptr<impl> impl_;
};

}  // namespace bzmq
