#pragma once

#include "storage/lmdb_store.hpp"

#include <filesystem>
#include <string_view>
#include <utility>

namespace bzmq::storage {

/// Writes one state of `from` to `file`, which must not exist, without unused pages, and syncs it.
/// Errors: `ec::backend_failure`, `ec::cannot_write_file`, `ec::cancelled`; `file` is then gone.
[[nodiscard]] error copy_env(lmdb_store& from, const std::filesystem::path& file,
                             const work_progress& told);

/// Renames within a folder or into another one such that it survives a power loss.
[[nodiscard]] error move_file(const std::filesystem::path& from, const std::filesystem::path& to);

/// A file that did not exist before, written in parts. It stays when `finish` has put it, and that
/// it is in its folder, on disk; otherwise it goes. Errors: `ec::cannot_write_file`.
class new_file {
  public:
    [[nodiscard]] static expected<new_file> make(std::filesystem::path path);
    new_file(new_file&& other) noexcept
        : path_(std::move(other.path_)), number_(std::exchange(other.number_, -1)) {}
    new_file& operator=(new_file&&) = delete;
    ~new_file();

    [[nodiscard]] error append(std::string_view more);
    [[nodiscard]] error finish();

  private:
    new_file(std::filesystem::path path, int number) noexcept
        : path_(std::move(path)), number_(number) {}

    std::filesystem::path path_;
    int number_;
};

}  // namespace bzmq::storage
