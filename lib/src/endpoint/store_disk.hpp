#pragma once

#include <functional>
#include <memory>

#include "bzmq/error.hpp"
#include "bzmq/store.hpp"
#include "replica/durable.hpp"
#include "replica/master.hpp"
#include "replica/table.hpp"

namespace bzmq {

/// Where the entries of a durable store go.
class store_disk {
  public:
    /// Entries up to `last` are on disk; or, with an error, none behind those reported before.
    /// Called on a thread of the disk's.
    using done_fn = std::function<void(replica::sequence last, const error& problem)>;

    virtual ~store_disk() = default;
    /// From the core's thread. After a failure it swallows batches until `recover`.
    virtual void persist(replica::persist_batch batch) = 0;
    /// On the core's thread, for each `done`: what the master is to be told, if anything.
    struct verdict {
        bool tell = false;
        replica::sequence last = 0;
        error problem;
    };
    virtual verdict settled(replica::sequence last, const error& problem) = 0;
    [[nodiscard]] virtual bool idle() const = 0;
    /// Writes what waits and ends.
    virtual void close() = 0;
    virtual void start(done_fn done) = 0;
};

}  // namespace bzmq
