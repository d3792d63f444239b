#pragma once

#include "bzmq/endpoint_id.hpp"
#include "bzmq/error.hpp"
#include "bzmq/export.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string_view>

/// Care for the files of a durable store while no program holds it, or beside another that does.
/// A store is a folder; docs/store-files.md tells what is in it.
///
/// All functions may be called from any thread, one per store at a time. Errors:
/// `ec::cannot_open_file` where there is no store, where it is damaged, or where another process
/// holds it and must not; `ec::backend_failure` where a record is damaged or the disk fails;
/// `ec::cannot_write_file` where the target is in the way; `ec::cancelled`.
namespace bzmq::store_file {

/// What a store holds.
struct summary {
    endpoint_id store;                ///< its id, random
    std::uint64_t epoch = 0;          ///< rises with each start of a master
    std::uint64_t last = 0;           ///< newest entry of its log
    std::uint64_t log_first = 1;      ///< oldest entry of its log that is kept; above `last`: none
    std::uint64_t values = 0;         ///< entries of the store
    std::uint64_t expiring = 0;       ///< those of them that have an expiry
    std::uint64_t writers = 0;        ///< clones and others whose commands it has to tell apart
    std::uint64_t bytes_used = 0;     ///< of the file, in use
    std::uint64_t bytes_of_file = 0;  ///< of the file
};

/// Told now and then how much of how much is done, in no particular unit; `what` is a word or two.
/// False ends the work with `ec::cancelled`.
using progress =
    std::function<bool(std::string_view what, std::uint64_t done, std::uint64_t total)>;

/// Reads everything: every page, every record's checksum, keys and values, the index of expiries,
/// the chain over the log. Works beside a running master.
BZMQ_EXPORT expected<summary> check(const std::filesystem::path& store, const progress& told = {});

/// The values in the order of keys, each as one JSON object on one line without its end:
///
///     {"key":{"@data-type":…},"value":{"@data-type":…},"revision":7,"expiry":"2026-…Z"}
///
/// with `expiry` only where there is one. `line` returns false to stop (`ec::cancelled`). Works
/// beside a running master, and shows one state of the store.
BZMQ_EXPORT expected<summary> dump(const std::filesystem::path& store,
                                   const std::function<bool(std::string_view line)>& line,
                                   const progress& told = {});

/// Writes the file anew without the pages that are not in use. Needs room for both files. No other
/// process may use the store; a crash leaves the old file or the new one.
BZMQ_EXPORT expected<summary> compact(const std::filesystem::path& store,
                                      const progress& told = {});

/// Copies one state of the store to the folder `to`, which must not exist or be empty, and checks
/// the copy. Works beside a running master.
BZMQ_EXPORT expected<summary> backup(const std::filesystem::path& store,
                                     const std::filesystem::path& to, const progress& told = {});

/// Makes `store` a copy of the store in `from`, which is checked first. Where there is a store
/// already, `overwrite` must be set, and no other process may use it; a crash leaves the old file
/// or the new one. The result has an id of its own: what clones have seen of the old store's later
/// entries is void. Those that have a copy of it keep that, report `ec::stale_data` and go stale, until
/// `store::follow` or the option `follow_new_store`; a clone that starts empty copies the result.
BZMQ_EXPORT expected<summary> restore(const std::filesystem::path& store,
                                      const std::filesystem::path& from, bool overwrite = false,
                                      const progress& told = {});

}  // namespace bzmq::store_file
