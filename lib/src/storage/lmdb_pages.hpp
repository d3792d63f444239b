#pragma once

#include "bzmq/error.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

/// LMDB trusts its file: a flipped bit in a page can make it read or write anywhere. So we walk all
/// pages that a state of the file reaches, and see whether they are what LMDB would take them for,
/// before it may. The layout is that of LMDB's data format 1 (lmdb 0.9, mdb.c) on little-endian
/// machines of 64 bits.
namespace bzmq::storage {

/// Root of a B+tree; MDB_db in LMDB.
struct tree_root {
    std::uint16_t flags = 0;
    std::uint16_t depth = 0;
    std::uint64_t page = 0;
};

/// One of a file's two states; MDB_meta in LMDB.
struct file_state {
    std::uint64_t transaction = 0;
    std::uint64_t last_page = 0;
    std::size_t page_bytes = 0;
    tree_root free_pages;
    tree_root main;
};

/// Both states of a file; the one of the later transaction is current. Errors:
/// `ec::cannot_open_file` where this is no file of LMDB.
[[nodiscard]] expected<std::array<file_state, 2>> read_states(std::span<const std::byte> file);

/// Told now and then how much of how much is done; false ends the work with `ec::cancelled`.
using work_progress = std::function<bool(std::uint64_t, std::uint64_t)>;

/// Errors: `ec::cannot_open_file`, with the page and what is wrong with it. Touches each page that
/// is in use, but of long values only the first one.
[[nodiscard]] error check_pages(std::span<const std::byte> file, const file_state& state,
                                const work_progress& progress = {});

/// A file in memory, for reading.
class mapped_file {
  public:
    /// Errors: `ec::cannot_open_file`.
    static expected<mapped_file> open(const char* path);
    mapped_file(mapped_file&& other) noexcept;
    mapped_file& operator=(mapped_file&&) = delete;
    ~mapped_file();

    [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }

  private:
    explicit mapped_file(std::span<const std::byte> bytes) noexcept : bytes_(bytes) {}
    std::span<const std::byte> bytes_;
};

}  // namespace bzmq::storage
