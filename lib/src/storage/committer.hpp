#pragma once

#include "storage/lmdb_store.hpp"

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace bzmq::storage {

struct committer_options {
    /// Bytes of entries that may wait, those of a transaction under way among them. One batch may
    /// always wait, whatever its size. An owner whose batches must not be refused holds back by less.
    std::size_t queue_bytes_max = std::size_t{64} << 20;
    /// Bytes of entries that go into one transaction, as far as one batch is not more.
    std::size_t commit_bytes_max = std::size_t{16} << 20;
    /// How long `durability::async` leaves commits with the operating system.
    std::chrono::milliseconds async_interval{100};
    /// As debuggers and `top` show it; at most 15 bytes.
    std::string thread_name = "bzmq-commit";
};

/// A thread that writes a store's log, so that nobody else has to wait for the disk. While one
/// transaction is on its way to disk the next batches gather; with `durability::group` all of
/// them become the next transaction. It waits a moment, at most an eighth of what the transaction
/// took, for those that the end of the last one set free to come with their next entry, in however
/// many batches: otherwise writers that wait for their puts fall into two halves that take turns, at
/// twice the syncs.
///
/// After a failed commit every batch that waits, or that comes before `resume`, fails with it: a
/// log must have no holes. The failed batches were not written; behind `resume` the owner may
/// submit them again, from the store's last() + 1 on.
class committer {
  public:
    /// All batches up to and with entry `last` that it has not been told of are committed, as the
    /// store's durability has it, or have failed. Called on the thread of the committer; must not
    /// call `close`.
    using done_fn = std::function<void(replica::sequence last, const error& problem)>;

    /// `store` must outlive it and be committed to by nobody else.
    committer(lmdb_store& store, committer_options options, done_fn done);
    ~committer() { close(); }
    committer(const committer&) = delete;
    committer& operator=(const committer&) = delete;

    /// False, with `batch` untouched, where the queue is full or closed; there is room again when
    /// `done` has been called. Never waits for the disk. Any thread, but batches must come in
    /// order.
    bool submit(replica::persist_batch&& batch);
    /// Runs `job` on its thread, between two transactions; before the batches that come later. False
    /// where it is closed. Whatever the job has to tell it tells itself.
    bool submit_job(std::function<void()> job);
    /// Takes batches again after a failure; those that were submitted before fail even so.
    void resume();
    /// Commits what waits, syncs, ends the thread. Afterwards `submit` refuses. Idempotent.
    void close();

    [[nodiscard]] std::size_t waiting_bytes() const;

  private:
    using clock = std::chrono::steady_clock;
    struct waiting_batch {
        replica::persist_batch batch;
        std::uint64_t round = 0;
    };
    void run();
    void run_jobs();
    bool take(std::vector<replica::persist_batch>& out, error& failed);
    [[nodiscard]] bool fails(const waiting_batch& what) const noexcept {
        return failed_ && what.round <= failed_round_;
    }
    void note_failure(error problem);
    void gather(std::unique_lock<std::mutex>& lock);
    void commit(const std::vector<replica::persist_batch>& batches, const error& failed);
    void sync_if_due();

    lmdb_store& store_;
    const committer_options options_;
    const done_fn done_;
    const durability mode_;

    mutable std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<waiting_batch> queue_;
    std::deque<std::function<void()>> jobs_;
    std::size_t queue_bytes_ = 0;    ///< with what is being committed
    std::size_t queue_entries_ = 0;  ///< without that
    /// Batches of rounds up to `failed_round_` fail with this; `resume` begins another round.
    error failed_;
    std::uint64_t failed_round_ = 0;
    std::uint64_t round_ = 1;
    bool closing_ = false;
    std::size_t wanted_ = 0;  ///< entries for which `gather` waits; 0: it does not

    // The thread's own.
    std::size_t last_count_ = 0;  ///< entries in the last transaction, and that came meanwhile
    clock::duration last_took_{0};
    unsigned gathers_to_skip_ = 0;  ///< since the last ones were in vain
    unsigned gathers_in_vain_ = 0;
    bool unsynced_ = false;
    clock::time_point sync_due_{};
    std::thread thread_;
};

}  // namespace bzmq::storage
