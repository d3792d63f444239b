#pragma once

#include "bzmq/error.hpp"

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <utility>

namespace bzmq::storage {

/// The right to use a store's folder. One handle per process, since LMDB's own locks belong to the
/// process and the first handle closed would drop them for all; and one writer per folder, since
/// two masters' logs cannot be one.
class folder_claim {
  public:
    /// Errors: `ec::cannot_open_file`, naming the process that holds it.
    static expected<folder_claim> for_reading(const std::filesystem::path& folder);
    /// Makes the lock file where there is none.
    static expected<folder_claim> for_writing(const std::filesystem::path& folder);

    folder_claim(folder_claim&& other) noexcept;
    folder_claim& operator=(folder_claim&&) = delete;
    ~folder_claim();

    /// On top of `for_writing`: nobody may read either, so that the file can be replaced. Errors:
    /// `ec::cannot_open_file` where somebody does.
    error exclude_readers(const std::filesystem::path& folder);
    /// Keeps writers out while a reader cannot be seen by them (LMDB without its lock file). False
    /// where a writer is there already.
    bool exclude_writers(const std::filesystem::path& folder);

  private:
    using folder_key = std::pair<dev_t, ino_t>;
    explicit folder_claim(folder_key key) noexcept : key_(key) {}
    static expected<folder_claim> within_process(const std::filesystem::path& folder);

    std::optional<folder_key> key_;
    int lock_file_ = -1;
    int readers_file_ = -1;
};

/// Name of the lock file within the folder; holds its holder's process id as text.
constexpr const char* lock_file_name = "bzmq.lock";
/// Locked by every reader, so that nobody replaces the file under it.
constexpr const char* readers_file_name = "bzmq.readers";

}  // namespace bzmq::storage
