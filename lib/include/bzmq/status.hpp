#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "bzmq/endpoint_id.hpp"
#include "bzmq/error.hpp"
#include "bzmq/export.hpp"

namespace bzmq {

/// What happened in the overlay, or to this endpoint's stores. For one peer the order is: endpoint_discovered, peer_added, then
/// its data; peer_lost or peer_removed, then endpoint_unreachable if no path is left.
enum class sc : std::uint8_t {
    unspecified = 0,
    peer_added = 1,            ///< a direct peering stands, subscriptions are known both ways
    peer_removed = 2,          ///< a direct peering ended on purpose (ours or the peer's)
    peer_lost = 3,             ///< a direct peering broke
    endpoint_discovered = 4,   ///< an endpoint came within reach, over any number of hops
    endpoint_unreachable = 5,  ///< no path leads to that endpoint any more
    // Of a store of this endpoint; the message names it.
    store_promoted = 6,  ///< its standby has become the master
    store_stale = 7,     ///< its clone has not heard of a master for the stale interval
    store_fresh = 8,     ///< such a clone hears of one again
};

BZMQ_EXPORT std::string_view to_string(sc code) noexcept;

/// An endpoint as a status names it.
struct endpoint_info {
    endpoint_id node;
    std::string name;     ///< its configured display name, may be empty
    std::string address;  ///< for direct peers: the URL that was dialled, or where it came from
};

/// A change in the overlay.
class status {
  public:
    status() = default;
    status(sc code, endpoint_info context, std::string message = {})
        : code_(code), context_(std::move(context)), message_(std::move(message)) {}

    [[nodiscard]] sc code() const noexcept { return code_; }
    [[nodiscard]] const endpoint_info& context() const noexcept { return context_; }
    [[nodiscard]] const std::string& message() const noexcept { return message_; }

    friend bool operator==(const status& a, sc b) noexcept { return a.code() == b; }

  private:
    sc code_ = sc::unspecified;
    endpoint_info context_;
    std::string message_;
};

/// "peer_added: worker-1 (0f8f…) at tcp://127.0.0.1:9999".
BZMQ_EXPORT std::string to_string(const status& what);

/// What a status subscriber yields.
using status_variant = std::variant<error, status>;

template <class T>
    requires(std::is_same_v<T, error> || std::is_same_v<T, status>)
[[nodiscard]] bool is(const status_variant& value) noexcept {
    return std::holds_alternative<T>(value);
}
template <class T>
    requires(std::is_same_v<T, error> || std::is_same_v<T, status>)
[[nodiscard]] const T& get(const status_variant& value) {
    return std::get<T>(value);
}
template <class T>
    requires(std::is_same_v<T, error> || std::is_same_v<T, status>)
[[nodiscard]] const T* get_if(const status_variant* value) noexcept {
    return std::get_if<T>(value);
}
BZMQ_EXPORT std::string to_string(const status_variant& what);

}  // namespace bzmq
