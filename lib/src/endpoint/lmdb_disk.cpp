#include "endpoint/lmdb_disk.hpp"

#include <algorithm>
#include <atomic>

#include "storage/committer.hpp"
#include "storage/lmdb_store.hpp"

namespace bzmq {
namespace {

storage::durability mode_of(durability mode) {
    switch (mode) {
        case durability::sync:
            return storage::durability::sync;
        case durability::async:
            return storage::durability::async;
        case durability::group:
            break;
    }
    return storage::durability::group;
}

class lmdb_disk final : public store_disk {
  public:
    explicit lmdb_disk(std::unique_ptr<storage::lmdb_store> store)
        : store_(std::move(store)), submitted_(store_->last()), settled_(submitted_) {}
    ~lmdb_disk() override { close(); }

    void start(done_fn done) override {
        committer_ = std::make_unique<storage::committer>(*store_, storage::committer_options{},
                                                          std::move(done));
    }
    void persist(replica::persist_batch batch) override {
        if (failed_) {
            return;  // The master gives these up with those that failed.
        }
        const auto last = batch.first + batch.entries.size() - 1;
        if (!committer_->submit(std::move(batch))) {
            // The master holds back long before this queue is full.
            failed_ = error{ec::backend_failure, "the queue toward the disk is full"};
            return;
        }
        submitted_ = last;
    }
    verdict settled(replica::sequence last, const error& problem) override {
        settled_ = std::max(settled_, last);
        if (problem && !failed_) {
            failed_ = problem;
        }
        if (!failed_) {
            return {true, last, {}};
        }
        if (settled_ < submitted_) {
            return {};  // Others that wait will fail as well: told once, with the last of them.
        }
        verdict out{true, store_->last(), std::exchange(failed_, {})};
        submitted_ = settled_ = store_->last();
        committer_->resume();
        return out;
    }
    [[nodiscard]] bool idle() const override { return settled_ >= submitted_; }
    void close() override {
        if (committer_) {
            committer_->close();
        }
    }

  private:
    std::unique_ptr<storage::lmdb_store> store_;
    std::unique_ptr<storage::committer> committer_;
    replica::sequence submitted_;
    replica::sequence settled_;
    error failed_;
};

}  // namespace

expected<std::unique_ptr<store_disk>> open_lmdb_disk(const master_options& options,
                                                     replica::table& values,
                                                     replica::master::start& from, lmdb_tail& tail,
                                                     const endpoint_id& by) {
    if (options.path.empty()) {
        return fail(ec::invalid_configuration, "an LMDB store needs a path");
    }
    storage::store_options how;
    how.folder = options.path;
    how.mode = mode_of(options.durability);
    how.log_bytes_max = options.log_bytes;
    how.map_bytes_max = options.map_bytes_max;
    auto opened = storage::lmdb_store::open(how);
    if (!opened) {
        return tl::unexpected{std::move(opened.error())};
    }
    auto& store = **opened;
    from.who = store.identity();
    from.last = store.last();
    from.chain = store.chain();
    // Whatever it orders from now on is told apart from what a run before may have ordered.
    from.who.epochs.push_back(
        {replica::epoch_after_start(from.who.epoch(), by), from.last + 1});
    if (from.who.epochs.size() > replica::epochs_max) {
        from.who.epochs.erase(from.who.epochs.begin());
    }
    if (auto problem = store.begin_epoch(from.who)) {
        return tl::unexpected{std::move(problem)};
    }
    auto problem = store.for_each_value([&](const replica::stored_value& each) {
        values.put(replica::item_ptr::make(each.key, each.value, each.expiry, each.revision));
        return true;
    });
    if (!problem) {
        problem = store.for_each_writer([&](const replica::stored_writer& each) {
            from.writers.push_back(each);
            return true;
        });
    }
    if (!problem && store.log_first() <= store.last()) {
        problem = store.read_log(store.log_first(), [&](replica::sequence number,
                                                        const storage::log_record& record) {
            tail.entries.push_back({number, record.chain, {record.entry.begin(), record.entry.end()}});
            return true;
        });
    }
    if (problem) {
        return tl::unexpected{std::move(problem)};
    }
    return std::make_unique<lmdb_disk>(std::move(*opened));
}

}  // namespace bzmq
