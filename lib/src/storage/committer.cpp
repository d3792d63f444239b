#include "storage/committer.hpp"

#include "base/assert.hpp"
#include "storage/thread_start.hpp"
#include <pthread.h>

#include <algorithm>
#include <utility>

namespace bzmq::storage {
namespace {

std::size_t bytes_of(const replica::persist_batch& batch) noexcept {
    std::size_t bytes = 0;
    for (const auto& entry : batch.entries) {
        bytes += entry.size();
    }
    return bytes;
}

replica::sequence last_of(const replica::persist_batch& batch) noexcept {
    return batch.first + batch.entries.size() - 1;
}

}  // namespace

committer::committer(lmdb_store& store, committer_options options, done_fn done)
    : store_(store),
      options_(std::move(options)),
      done_(std::move(done)),
      mode_(store.options().mode),
      thread_(start_without_signals([this] { run(); })) {}

bool committer::submit(replica::persist_batch&& batch) {
    const auto bytes = bytes_of(batch);
    bool wake = false;
    {
        const std::lock_guard lock{mutex_};
        if (closing_ || (queue_bytes_ != 0 && queue_bytes_ + bytes > options_.queue_bytes_max)) {
            return false;
        }
        const auto before = queue_entries_;
        queue_bytes_ += bytes;
        queue_entries_ += batch.entries.size();
        queue_.push_back({std::move(batch), round_});
        // While it gathers it need not hear of every single one.
        wake = wanted_ == 0 ? queue_.size() == 1 : before < wanted_ && queue_entries_ >= wanted_;
    }
    if (wake) {
        wake_.notify_one();
    }
    return true;
}

bool committer::submit_job(std::function<void()> job) {
    {
        const std::lock_guard lock{mutex_};
        if (closing_) {
            return false;
        }
        jobs_.push_back(std::move(job));
    }
    wake_.notify_one();
    return true;
}

void committer::resume() {
    const std::lock_guard lock{mutex_};
    ++round_;
}

void committer::close() {
    {
        const std::lock_guard lock{mutex_};
        closing_ = true;
    }
    wake_.notify_one();
    if (thread_.joinable()) {
        BZMQ_ASSERT(thread_.get_id() != std::this_thread::get_id());
        thread_.join();
    }
}

std::size_t committer::waiting_bytes() const {
    const std::lock_guard lock{mutex_};
    return queue_bytes_;
}

void committer::run() {
    ::pthread_setname_np(::pthread_self(), options_.thread_name.substr(0, 15).c_str());
    std::vector<replica::persist_batch> batches;
    error failed;
    while (take(batches, failed)) {
        run_jobs();
        if (!batches.empty()) {
            commit(batches, failed);
        }
        sync_if_due();
    }
    sync_due_ = {};
    sync_if_due();
}

void committer::run_jobs() {
    std::deque<std::function<void()>> jobs;
    {
        const std::lock_guard lock{mutex_};
        jobs.swap(jobs_);
    }
    for (const auto& each : jobs) {
        each();
    }
}

/// Waits for the next transaction's batches. False where none will come; without any where a sync
/// is due, or where there are jobs.
bool committer::take(std::vector<replica::persist_batch>& out, error& failed) {
    out.clear();
    std::unique_lock lock{mutex_};
    const auto something = [this] { return closing_ || !queue_.empty() || !jobs_.empty(); };
    if (unsynced_) {
        wake_.wait_until(lock, sync_due_, something);
    } else {
        wake_.wait(lock, something);
    }
    gather(lock);
    failed = !queue_.empty() && fails(queue_.front()) ? failed_ : error{};
    std::size_t bytes = 0;
    while (!queue_.empty()) {
        auto& next = queue_.front();
        bytes += bytes_of(next.batch);
        const bool full = mode_ == durability::sync || bytes > options_.commit_bytes_max;
        if (!out.empty() && (full || fails(next) != static_cast<bool>(failed))) {
            break;
        }
        queue_entries_ -= next.batch.entries.size();
        out.push_back(std::move(next.batch));
        queue_.pop_front();
    }
    return !out.empty() || !jobs_.empty() || !closing_;
}

/// Waits for the writers that have just been told, see the class.
void committer::gather(std::unique_lock<std::mutex>& lock) {
    constexpr clock::duration wait_max = std::chrono::milliseconds{2};
    constexpr unsigned skip_max = 32;
    const auto wanted = last_count_;
    last_count_ = 0;
    if (mode_ != durability::group || wanted < 2 || queue_entries_ >= wanted || closing_) {
        return;
    }
    if (gathers_to_skip_ > 0) {
        --gathers_to_skip_;
        return;
    }
    wanted_ = wanted;
    const bool came = wake_.wait_for(lock, std::min(last_took_ / 8, wait_max), [this, wanted] {
        return closing_ || queue_entries_ >= wanted;
    });
    wanted_ = 0;
    gathers_in_vain_ = came ? 0 : std::min(2 * gathers_in_vain_ + 1, skip_max);
    gathers_to_skip_ = gathers_in_vain_;
}

void committer::commit(const std::vector<replica::persist_batch>& batches, const error& failed) {
    const auto start = clock::now();
    auto problem = failed ? failed : store_.commit(batches);
    last_took_ = clock::now() - start;
    std::size_t bytes = 0;
    std::size_t entries = 0;
    for (const auto& batch : batches) {
        bytes += bytes_of(batch);
        entries += batch.entries.size();
    }
    {
        const std::lock_guard lock{mutex_};
        queue_bytes_ -= bytes;
        last_count_ = entries + queue_entries_;
    }
    if (problem && !failed) {
        note_failure(problem);
    }
    if (!problem && mode_ == durability::async && !unsynced_) {
        unsynced_ = true;
        sync_due_ = clock::now() + options_.async_interval;
    }
    done_(last_of(batches.back()), problem);
}

void committer::sync_if_due() {
    if (!unsynced_ || clock::now() < sync_due_) {
        return;
    }
    unsynced_ = false;
    if (auto problem = store_.sync()) {
        note_failure(std::move(problem));  // The next batch tells it.
    }
}

void committer::note_failure(error problem) {
    const std::lock_guard lock{mutex_};
    failed_ = std::move(problem);
    failed_round_ = round_;
}

}  // namespace bzmq::storage
