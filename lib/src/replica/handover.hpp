#pragma once

#include <vector>

#include "replica/durable.hpp"
#include "replica/log_tail.hpp"

namespace bzmq::replica {

/// What a master and a clone have in common, apart from the table: with it the one becomes the
/// other in place.
struct handover {
    identity who;
    sequence applied = 0;                ///< the table shows the state after this entry
    log_tail log;                        ///< from `applied` or before up to the newest entry
    std::vector<stored_writer> writers;  ///< as of `applied`
    sequence on_disk = 0;                ///< where the store is durable
    sequence handed_to_disk = 0;
};

}  // namespace bzmq::replica
