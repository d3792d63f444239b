#pragma once

#include <memory>
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

/// Opens an LMDB store to be the disk of a master: fills `values`, `from` and `tail`, and begins a
/// new epoch. `fresh` becomes the id of a store that is made here, and tells the epoch from those of
/// others.
expected<std::unique_ptr<store_disk>> open_lmdb_disk(const master_options& options,
                                                     replica::table& values,
                                                     replica::master::start& from, lmdb_tail& tail,
                                                     const endpoint_id& fresh);

}  // namespace bzmq
