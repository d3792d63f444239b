#pragma once

#include "bzmq/error.hpp"

#include <lmdb.h>

#include "storage/lmdb_pages.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <shared_mutex>
#include <span>
#include <string>
#include <string_view>

namespace bzmq::storage {

/// The trees of a store's file. Values, expiries and writers come twice: one set is current, the
/// other takes a snapshot until that is whole.
enum class tree : std::uint8_t {
    meta,
    log,
    values_a,
    expiries_a,
    writers_a,
    values_b,
    expiries_b,
    writers_b,
};
constexpr std::size_t tree_count = 8;

struct env_options {
    bool read_only = false;
    /// Without LMDB's lock file; nobody may write meanwhile.
    bool without_locks = false;
    /// Commits return when the system has the data, not when the disk has it.
    bool async = false;
    /// Where the trees do not exist yet.
    bool create = false;
    std::uint64_t map_bytes_max = 0;
    work_progress progress{};
};

struct env_close {
    void operator()(MDB_env* env) const noexcept { ::mdb_env_close(env); }
};
using env_ptr = std::unique_ptr<MDB_env, env_close>;

/// An environment as LMDB opens it. Errors: `ec::cannot_open_file`.
[[nodiscard]] expected<env_ptr> open_env(const std::filesystem::path& folder,
                                         const env_options& options);
/// The version of our format. Errors: `ec::cannot_open_file` where it is of another program.
[[nodiscard]] expected<std::uint32_t> format_of(MDB_txn* txn);

/// "the text of LMDB's or the system's error code".
[[nodiscard]] std::string code_text(int code);
inline MDB_val to_val(std::span<const std::byte> bytes) noexcept {
    return {bytes.size(), const_cast<std::byte*>(bytes.data())};
}
inline MDB_val to_val(std::string_view text) noexcept {
    return {text.size(), const_cast<char*>(text.data())};
}
inline std::span<const std::byte> to_span(const MDB_val& value) noexcept {
    return {static_cast<const std::byte*>(value.mv_data), value.mv_size};
}

/// Where it writes it must go before its transaction ends, which frees it.
class cursor {
  public:
    cursor(MDB_txn* txn, MDB_dbi tree) noexcept : code_(::mdb_cursor_open(txn, tree, &cursor_)) {}
    cursor(const cursor&) = delete;
    cursor& operator=(const cursor&) = delete;
    ~cursor() {
        if (cursor_ != nullptr) {
            ::mdb_cursor_close(cursor_);
        }
    }
    int get(MDB_val& key, MDB_val& value, MDB_cursor_op op) noexcept {
        return code_ != MDB_SUCCESS ? code_ : ::mdb_cursor_get(cursor_, &key, &value, op);
    }
    int put(MDB_val& key, MDB_val& value, unsigned flags) noexcept {
        return code_ != MDB_SUCCESS ? code_ : ::mdb_cursor_put(cursor_, &key, &value, flags);
    }
    int erase() noexcept { return ::mdb_cursor_del(cursor_, 0); }

  private:
    MDB_cursor* cursor_ = nullptr;
    int code_;
};

/// What a transaction's body returns beside LMDB's codes: it has left an error of its own.
constexpr int refused = -1;

/// A store's environment: transactions that grow the map when it is full, reopen what LMDB gave up,
/// and tell errors as values. Safe to use from several threads; one body at a time writes. A body
/// must not begin another transaction.
class lmdb_env {
  public:
    using body = std::function<int(MDB_txn*, error&)>;

    /// `folder` must hold a file whose pages are sound, of the present format.
    static expected<std::unique_ptr<lmdb_env>> open(std::filesystem::path folder,
                                                    const env_options& options);

    /// All of `run` or nothing. It runs again where the map was too small. Errors:
    /// `ec::backend_failure`, or what `run` left.
    error write(const body& run);
    /// What `run` reads is one state of the store.
    error read(const body& run) const;
    /// What is committed is on disk then.
    error sync();

    [[nodiscard]] MDB_dbi of(tree which) const noexcept {
        return trees_[static_cast<std::size_t>(which)];
    }
    [[nodiscard]] const std::filesystem::path& folder() const noexcept { return folder_; }
    /// For `mdb_env_copy2`: the environment stays as it is as long as this is held.
    [[nodiscard]] std::shared_lock<std::shared_mutex> hold() const {
        return std::shared_lock{mutex_};
    }
    [[nodiscard]] MDB_env* raw() const noexcept { return env_.get(); }
    /// Entries of a tree. Within a transaction.
    static std::size_t entries(MDB_txn* txn, MDB_dbi tree) noexcept;

  private:
    lmdb_env(std::filesystem::path folder, env_options options)
        : folder_(std::move(folder)), options_(std::move(options)) {}
    error reopen();
    int open_trees();
    int grow();
    int attempt(const body& run, error& problem) const;
    [[nodiscard]] error problem_of(int code, std::string_view doing) const;

    std::filesystem::path folder_;
    env_options options_;
    /// Shared by transactions, exclusive for what moves the map or replaces the environment.
    mutable std::shared_mutex mutex_;
    env_ptr env_;
    std::array<MDB_dbi, tree_count> trees_{};
};

}  // namespace bzmq::storage
