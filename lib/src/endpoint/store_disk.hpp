#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bzmq/error.hpp"
#include "bzmq/store.hpp"
#include "replica/durable.hpp"
#include "replica/master.hpp"
#include "replica/output.hpp"
#include "replica/table.hpp"

namespace bzmq {

/// Where the entries of a durable store go.
class store_disk {
  public:
    struct outcome {
        enum class kind : std::uint8_t { entries, snapshot, vote, orphans };
        kind what = kind::entries;
        /// Entries up to here are on disk; or, with an error, none behind those reported before.
        replica::sequence last = 0;
        error problem;
        std::string report = {};  ///< of orphans: where they are, or are not yet
    };
    /// Called on a thread of the disk's.
    using done_fn = std::function<void(const outcome&)>;

    virtual ~store_disk() = default;
    /// From the core's thread. After a failure it swallows batches until `recover`.
    virtual void persist(replica::persist_batch batch) = 0;
    /// A standby's: see replica::store_output. From the core's thread.
    virtual void persist_snapshot(replica::snapshot_image image) = 0;
    virtual void persist_vote(replica::vote_record what) = 0;
    /// On the core's thread, for each outcome about entries: what the master is to be told, if anything.
    struct verdict {
        bool tell = false;
        replica::sequence last = 0;
        error problem;
    };
    virtual verdict settled(replica::sequence last, const error& problem) = 0;
    /// The same for each outcome about a snapshot.
    virtual void snapshot_settled(const error& problem) = 0;
    [[nodiscard]] virtual bool idle() const = 0;
    /// Outcomes about entries so far that were good ones.
    [[nodiscard]] virtual std::uint64_t commits() const { return 0; }
    /// Writes what waits and ends.
    virtual void close() = 0;
    /// Keeps what a new master does not have where an operator finds it: an outcome tells. No
    /// snapshot that comes later takes the place of what the disk has before that has succeeded.
    /// From the core's thread, which does not wait for it.
    virtual void keep_orphans(replica::orphan_set what) = 0;
    virtual void start(done_fn done) = 0;
};

}  // namespace bzmq
