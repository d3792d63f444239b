#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "bzmq/error.hpp"
#include "bzmq/store.hpp"
#include "endpoint/store_disk.hpp"

namespace bzmq {

/// The newest entries of a store's log, as they were found on disk.
struct lmdb_tail {
    struct entry {
        replica::sequence number = 0;
        std::uint64_t chain = 0;
        std::vector<std::byte> bytes;
    };
    std::vector<entry> entries;
};

struct opened_disk {
    std::unique_ptr<store_disk> disk;
    replica::master::start from;
    lmdb_tail tail;
    replica::vote_record promised;  ///< of a standby
};

/// Opens an LMDB store, makes it where there is none, and fills `values`. For a master it begins a new
/// epoch, which `begun_by`, anything random, tells from those that others begin.
expected<opened_disk> open_lmdb_disk(const master_options& options, replica::table& values,
                                     std::optional<endpoint_id> begun_by);

}  // namespace bzmq
