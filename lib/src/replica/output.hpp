#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "bzmq/endpoint_id.hpp"
#include "bzmq/error.hpp"
#include "replica/command.hpp"
#include "replica/durable.hpp"
#include "replica/table.hpp"

namespace bzmq::replica {

/// Ties an answer to a command; 0: nobody waits for it.
using ticket = std::uint64_t;

/// What becomes of a command.
struct answer {
    ec code = ec::none;
    sequence revision = 0;              ///< of the entry in the log; 0 where there is none
    std::span<const std::byte> value;   ///< that now stands under the key, where it put one
};

/// How a clone stands.
struct clone_status {
    bool synced = false;       ///< it has, or once had, all of its master's state
    bool stale = false;        ///< and has not heard of it for the stale interval
    bool attached = false;     ///< a master answers
    endpoint_id master;
};

/// What only a fenced master, or a standby, had of a store.
struct orphan_set {
    sequence first = 1;                   ///< entries from here
    sequence last = 1;                    ///< to here
    std::vector<shared_bytes> entries;    ///< the newest of these, as far as the log reaches back
    /// What those before them left in the table.
    std::vector<item_ptr> values = {};
};

/// What a store wants done. Called only from inside a call of the machine; implementations must not
/// call back into it.
class store_output {
  public:
    virtual ~store_output() = default;
    /// Sends one message to endpoints. It may get lost.
    virtual void send(std::span<const endpoint_id> to, std::vector<std::byte> message) = 0;
    /// Puts entries on disk; answered by `persisted`. Only where the store is durable.
    virtual void persist(persist_batch batch) = 0;
    /// Puts a whole store in the place of what is on disk; answered by `snapshot_persisted`. Never
    /// while `persist` has something on its way, nor the reverse.
    virtual void persist_snapshot(snapshot_image image) = 0;
    /// Keeps a standby's promise over restarts; answered by `vote_persisted`.
    virtual void persist_vote(vote_record what) = 0;
    /// Given up for the new master's state, and to be kept where an operator finds them.
    virtual void orphaned(orphan_set what) = 0;
    virtual void answered(ticket to, const answer& what) = 0;
    /// The state has changed: one call for each effect, in order.
    virtual void changed(const effect& what) = 0;
    [[nodiscard]] virtual bool wants_changes() const = 0;
    /// Something that an operator should know.
    virtual void report(error what) = 0;
    /// A clone's status is not what it was.
    virtual void status_changed(const clone_status& now) = 0;
};

}  // namespace bzmq::replica
