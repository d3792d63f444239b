#pragma once

#include "bzmq/endpoint.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Work spread over the endpoints of a role. docs/zeek.md is the guide.
namespace bzmq::zeek {

/// "/zeek/role/worker/": all endpoints of a role subscribe to it, whatever their names. Ends with its
/// separator, as the next.
BZMQ_EXPORT std::string role_topic(std::string_view role);
/// "/zeek/node/worker-1/": one endpoint subscribes to it.
BZMQ_EXPORT std::string node_topic(std::string_view name);

/// Which of `names` a key belongs to, by rendezvous hashing: where one comes or goes, only the keys
/// move that belong to it. The same at every endpoint and in Python. Empty for no names.
BZMQ_EXPORT std::string_view owner_of(std::string_view key, const std::vector<std::string>& names);

/// A member of a pool.
struct pool_member {
    std::string name;
    endpoint_id id;
    std::string topic;  ///< `node_topic(name)`
};

/// The reachable endpoints of a role, this one included: those that subscribe to `role_topic(role)`
/// itself. Who subscribes to all that begins with less, such as "/" or "/zeek/", watches the role and
/// is none of it. Follows their coming and going. Thread-safe. Use within the life of the endpoint.
class BZMQ_EXPORT pool {
  public:
    pool(endpoint& at, std::string role);
    ~pool();
    pool(const pool&) = delete;
    pool& operator=(const pool&) = delete;

    /// By name.
    [[nodiscard]] std::vector<pool_member> members();
    /// One after the other; nothing while there is none.
    [[nodiscard]] std::optional<pool_member> next();
    /// The member that the key belongs to (`owner_of`).
    [[nodiscard]] std::optional<pool_member> for_key(std::string_view key);
    /// Waits until there are `count`.
    [[nodiscard]] bool wait_for(std::size_t count, timespan timeout = std::chrono::seconds{10});

  private:
    struct state;
    std::unique_ptr<state> state_;
};

}  // namespace bzmq::zeek
