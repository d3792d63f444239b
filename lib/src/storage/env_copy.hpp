#pragma once

#include "storage/lmdb_store.hpp"

#include <filesystem>
#include <string_view>

namespace bzmq::storage {

/// Writes one state of `from` to `file`, which must not exist, without unused pages, and syncs it.
/// Errors: `ec::backend_failure`, `ec::cannot_write_file`, `ec::cancelled`; `file` is then gone.
[[nodiscard]] error copy_env(lmdb_store& from, const std::filesystem::path& file,
                             const work_progress& told);

/// Renames within a folder or into another one such that it survives a power loss.
[[nodiscard]] error move_file(const std::filesystem::path& from, const std::filesystem::path& to);

/// Makes a file that must not exist, and syncs it and its folder. Errors: `ec::cannot_write_file`.
[[nodiscard]] error write_new_file(const std::filesystem::path& file, std::string_view content);

}  // namespace bzmq::storage
