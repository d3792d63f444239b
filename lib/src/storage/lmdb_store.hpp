#pragma once

#include "bzmq/error.hpp"

#include "replica/durable.hpp"
#include "storage/folder_claim.hpp"
#include "storage/lmdb_env.hpp"
#include "storage/migration.hpp"
#include "storage/stored_format.hpp"
#include "storage/table_writer.hpp"

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace bzmq::storage {

/// When a commit counts as done.
enum class durability : std::uint8_t {
    sync,   ///< on disk, each batch for itself
    group,  ///< on disk, together with all batches that waited
    /// With the operating system. Nothing is lost when the process dies. When the machine does, up
    /// to the last 100 ms are, and where its file system does not write in order, all may be.
    async,
};

struct store_options {
    std::filesystem::path folder{};
    bool read_only = false;
    /// Make a store where there is none. Its folder's parent must be there.
    bool create = true;
    durability mode = durability::group;
    /// The oldest entries of the log go when it is longer.
    std::uint64_t log_bytes_max = std::uint64_t{64} << 20;
    /// The file never grows beyond; a commit for which it would have to fails.
    std::uint64_t map_bytes_max = std::uint64_t{1} << 40;
    /// Progress of the check of the file's pages that comes before everything else.
    work_progress progress{};
    /// For tests.
    std::span<const migration> migrations = known_migrations();
};

constexpr const char* data_name = "data.mdb";
/// A new file is made in this folder within a store's and moved up when it is whole: a data.mdb is
/// never half made.
constexpr const char* making_name = "bzmq.making";

/// Nothing where the folder is a store's, or may become one. Errors: `ec::cannot_open_file`.
[[nodiscard]] error refuse_folder(const store_options& options);
[[nodiscard]] endpoint_id random_store_id();

/// A store on disk: one folder, one LMDB environment. docs/store-files.md specifies the file.
///
/// Reads, `sync`, `begin_epoch` and `put_note` may come from any thread at any time; commits from
/// one thread at a time, and the `replace_` functions and `refresh` while no commit is under way.
/// What a visitor is given lives until it returns; it must not call the store, and returns false to
/// stop.
///
/// Errors of operations: `ec::backend_failure`, with the system's text or the record that is
/// damaged. A failed commit changes nothing, and later ones may succeed.
class lmdb_store {
  public:
    /// Errors: `ec::cannot_open_file`, and why: not there, in use (by which process), a file of
    /// another program or of a newer version, damaged. Then nothing on disk has changed.
    static expected<std::unique_ptr<lmdb_store>> open(store_options options);
    ~lmdb_store();
    lmdb_store(const lmdb_store&) = delete;
    lmdb_store& operator=(const lmdb_store&) = delete;

    /// A read-only store stays at what it was when it was opened or last refreshed, as far as the
    /// five functions below go.
    error refresh();
    [[nodiscard]] replica::identity identity() const;
    [[nodiscard]] replica::sequence last() const;
    [[nodiscard]] std::uint64_t chain() const;
    /// The oldest entry that `read_log` can give; last() + 1 where there is none.
    [[nodiscard]] replica::sequence log_first() const;
    [[nodiscard]] const store_options& options() const noexcept { return options_; }

    /// In the order of keys; those over 510 bytes that agree in the first 479 in any order.
    error for_each_value(const std::function<bool(const replica::stored_value&)>& visit) const;
    error for_each_writer(const std::function<bool(const replica::stored_writer&)>& visit) const;
    /// In the order of time.
    error for_each_expiry(
        const std::function<bool(timestamp, std::span<const std::byte> slot)>& visit) const;
    /// From entry `from` on, which must be within [log_first(), last() + 1], else
    /// `ec::stale_data`.
    error read_log(replica::sequence from,
                   const std::function<bool(replica::sequence, const log_record&)>& visit) const;
    [[nodiscard]] expected<std::size_t> size() const;
    struct entry_counts {
        std::size_t values = 0;
        std::size_t expiring = 0;
        std::size_t writers = 0;
    };
    [[nodiscard]] expected<entry_counts> counts() const;
    /// Looks at everything that the store holds: each record, the index of expiries, the log's
    /// chain. `told` gets how many of how many. Errors: the first flaw.
    error verify(const work_progress& told = {}) const;

    /// All entries of all batches, their effects and epochs, or nothing. Errors beside the above:
    /// `ec::invalid_data` where a batch does not follow `last()`, or is not well formed.
    error commit(std::span<const replica::persist_batch> batches);
    error commit(const replica::persist_batch& batch) { return commit({&batch, 1}); }
    /// Commits so far are on disk then, whatever the durability.
    error sync() { return env_->sync(); }
    /// A new identity: another epoch. Synced.
    error begin_epoch(const replica::identity& next);

    /// Takes a snapshot beside what is there: until `replace_finish` the old state stands, also
    /// after a crash. In between commits are refused with `ec::invalid_data`.
    error replace_begin();
    error replace_put(std::span<const replica::stored_value> values,
                      std::span<const replica::stored_writer> writers);
    /// What has been put is the store's state up to entry `last`, and its log begins behind that:
    /// with `behind`, in the same transaction. Where it is another store than before, the notes of
    /// that one go with it.
    error replace_finish(const replica::identity& next, replica::sequence last,
                         std::uint64_t chain, const replica::persist_batch& behind = {});
    error replace_abort();

    /// A few bytes under a name of at most 64 bytes, synced. Nothing: as never written.
    error put_note(std::string_view name, std::span<const std::byte> what);
    [[nodiscard]] expected<std::vector<std::byte>> note(std::string_view name) const;

    [[nodiscard]] lmdb_env& environment() noexcept { return *env_; }
    /// Nobody else may read any more either. Errors: `ec::cannot_open_file` where somebody does.
    error exclude_readers() { return claim_.exclude_readers(options_.folder); }
    /// Closes the file; the folder is still ours. Nothing but the destructor may follow.
    void close_file() noexcept { env_.reset(); }

  private:
    using writers = std::unordered_map<replica::writer_index, replica::stored_writer>;
    struct state {
        position at;
        replica::identity who;
    };
    class applier;
    class verifier;

    lmdb_store(store_options options, folder_claim claim, std::unique_ptr<lmdb_env> env)
        : options_(std::move(options)), claim_(std::move(claim)), env_(std::move(env)) {}
    static expected<std::unique_ptr<lmdb_store>> open_to_read(const store_options& options);
    static expected<std::unique_ptr<lmdb_store>> open_to_write(const store_options& options);
    [[nodiscard]] state snapshot() const;
    /// False leaves an error. What `txn` sees, which may be later than what this handle knows.
    bool current(MDB_txn* txn, position& out, error& why) const;
    void remember(position at, std::optional<replica::identity> who = {});
    [[nodiscard]] table_trees trees(unsigned generation) const noexcept;
    /// Runs `run` as a synced transaction.
    error write_synced(const lmdb_env::body& run);
    error damaged(std::string what) const;
    error load_writers(unsigned generation, writers& out) const;

    store_options options_;
    folder_claim claim_;  // goes last
    std::unique_ptr<lmdb_env> env_;
    mutable std::mutex mutex_;  // state_
    state state_;
    writers writers_;
    bool replacing_ = false;
};

}  // namespace bzmq::storage
