#pragma once

#include "storage/lmdb_store.hpp"

#include <filesystem>

namespace bzmq::storage {

/// Writes one state of `from` to `file`, which must not exist, without unused pages, and syncs it.
/// Errors: `ec::backend_failure`, `ec::cannot_write_file`, `ec::cancelled`; `file` is then gone.
[[nodiscard]] error copy_env(lmdb_store& from, const std::filesystem::path& file,
                             const work_progress& told);

/// Renames within a folder or into another one such that it survives a power loss.
[[nodiscard]] error move_file(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace bzmq::storage
