#pragma once

#include "bzmq/error.hpp"

#include <lmdb.h>

#include <cstdint>
#include <filesystem>
#include <span>

namespace bzmq::storage {

/// A step from one version of the format to the next.
struct migration {
    std::uint32_t from = 0;
    /// Makes the file one of version `from + 1`, apart from the version's own record. Returns
    /// LMDB's codes.
    int (*run)(MDB_txn*) = nullptr;
};

/// The steps that there are. Version 1 is the first, so none yet.
[[nodiscard]] std::span<const migration> known_migrations() noexcept;

/// Takes the file in `folder` from version `from` to the present one, in one transaction. Errors:
/// `ec::cannot_open_file` where a step is missing, `ec::backend_failure` where one fails; the file
/// is then as before.
[[nodiscard]] error migrate(const std::filesystem::path& folder, std::uint32_t from,
                            std::span<const migration> steps, std::uint64_t map_bytes_max);

}  // namespace bzmq::storage
