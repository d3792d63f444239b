#include "endpoint/lmdb_disk.hpp"

#include <algorithm>
#include <atomic>
#include <deque>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "base/bytes.hpp"
#include "data/msgpack_codec.hpp"
#include "data/ordered_codec.hpp"
#include "storage/committer.hpp"
#include "storage/env_copy.hpp"
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

/// The master takes no more commands than this lets wait for the disk: what may be unsettled, the entry
/// that goes beyond it, and one that a transaction under way holds.
std::size_t queue_bytes() {
    return replica::master_options{}.unsettled_bytes + 2 * replica::entry_bytes_max;
}

constexpr std::string_view vote_note = "vote";

std::vector<std::byte> encode_vote(const replica::vote_record& what) {
    std::vector<std::byte> out;
    byte_writer to{out};
    to.varint(what.epoch);
    to.string(what.candidate);
    return out;
}

expected<replica::vote_record> load_vote(const storage::lmdb_store& from) {
    auto note = from.note(vote_note);
    if (!note) {
        return tl::unexpected{std::move(note.error())};
    }
    replica::vote_record out;
    if (note->empty()) {
        return out;
    }
    byte_reader in{*note};
    out.epoch = in.varint();
    out.candidate = in.string_up_to(replica::elector_name_bytes_max);
    if (!in.done()) {
        return fail(ec::backend_failure, "the standby's vote on disk is damaged");
    }
    return out;
}

/// One line for each effect, such as `bzmq-cli store NAME dump` writes them, with what happened.
void append_orphan(std::string& out, replica::sequence number, const replica::change& what) {
    const auto begin = [&](const char* kind) {
        out += "{\"revision\":" + std::to_string(number) + ",\"change\":\"" + kind + '"';
        if (auto key = decode_ordered(what.key)) {
            out += ",\"key\":" + to_json(*key);
        }
    };
    switch (what.kind) {
        case replica::change_kind::put:
        case replica::change_kind::put_expiring:
            begin("put");
            if (auto value = decode(what.value)) {
                out += ",\"value\":" + to_json(*value);
            }
            if (what.expiry != replica::no_expiry) {
                out += ",\"expiry\":\"" + to_string(data{what.expiry}) + '"';
            }
            break;
        case replica::change_kind::erase:
            begin("erase");
            break;
        case replica::change_kind::expire:
            begin("expire");
            break;
        case replica::change_kind::clear:
            out += "{\"revision\":" + std::to_string(number) + ",\"change\":\"clear\"";
            break;
        case replica::change_kind::open_writer:
        case replica::change_kind::close_writer:
            return;  // No content.
    }
    out += "}\n";
}

std::string writes_of(const replica::orphan_set& what) {
    return "writes " + std::to_string(what.first) + " to " + std::to_string(what.last);
}

void append_orphan(std::string& out, const replica::item& what) {
    replica::change put;
    put.kind = what.expires() ? replica::change_kind::put_expiring : replica::change_kind::put;
    put.key = what.key();
    put.value = what.value();
    put.expiry = what.expiry();
    append_orphan(out, what.revision(), put);
}

/// A new file beside the store, on disk when this returns. A part at a time: there may be as much as
/// the store has.
expected<std::string> write_orphans(const std::filesystem::path& folder,
                                    replica::orphan_set& what) {
    constexpr std::size_t part_bytes = std::size_t{1} << 20;
    const auto stem = "orphaned-" + std::to_string(what.first) + '-' + std::to_string(what.last);
    auto path = folder / (stem + ".jsonl");
    std::error_code unknown;  // Then writing tells.
    for (int copy = 2; std::filesystem::exists(path, unknown); ++copy) {
        path = folder / (stem + '.' + std::to_string(copy) + ".jsonl");
    }
    auto file = storage::new_file::make(path);
    if (!file) {
        return fail(ec::backend_failure, file.error().message());
    }
    error problem;
    std::string text;
    const auto write_from = [&](std::size_t bytes) {
        if (!problem && text.size() >= bytes) {
            problem = file->append(text);
            text.clear();
        }
    };
    // In the order of the log, so that a later change of a key comes behind.
    std::sort(what.values.begin(), what.values.end(), [](const auto& a, const auto& b) {
        return a->revision() < b->revision();
    });
    for (const auto& each : what.values) {
        append_orphan(text, *each);
        write_from(part_bytes);
    }
    auto number = what.last - what.entries.size();
    for (const auto& entry : what.entries) {
        ++number;
        replica::entry_reader in{entry.span()};
        for (replica::change each; in.next(each);) {
            append_orphan(text, number, each);
        }
        write_from(part_bytes);
    }
    write_from(0);
    if (!problem) {
        problem = file->finish();
    }
    if (problem) {
        return fail(ec::backend_failure, problem.message());
    }
    return path.string();
}

class lmdb_disk final : public store_disk {
  public:
    explicit lmdb_disk(std::unique_ptr<storage::lmdb_store> store)
        : store_(std::move(store)), submitted_(store_->last()), settled_(submitted_) {}
    ~lmdb_disk() override { close(); }

    void start(done_fn done) override {
        done_ = std::move(done);
        committer_ = std::make_unique<storage::committer>(
            *store_, storage::committer_options{.queue_bytes_max = queue_bytes()},
            [this](replica::sequence last, const error& problem) {
                done_({outcome::kind::entries, last, problem});
            });
    }
    void persist(replica::persist_batch batch) override {
        if (failed_) {
            return;  // The master gives these up with those that failed.
        }
        const auto last = batch.first + batch.entries.size() - 1;
        if (!committer_->submit(std::move(batch))) {
            // It cannot be full as long as the master holds back.
            failed_ = error{ec::backend_failure, "the queue toward the disk is full"};
            return;
        }
        submitted_ = last;
    }
    void persist_snapshot(replica::snapshot_image image) override {
        // The values are the table's only as long as this call lasts; each of them never changes.
        auto values = std::make_shared<std::vector<replica::item_ptr>>();
        values->reserve(image.values->size());
        image.values->for_each([&](const replica::item& each) {
            values->push_back(replica::item_ptr::share(&each));
        });
        image.values = nullptr;
        committer_->submit_job([this, values, image = std::move(image)] {
            auto problem = write_unwritten();
            done_({outcome::kind::snapshot, 0, problem ? problem : replace(image, *values)});
        });
    }
    void snapshot_settled(const error&) override {
        failed_ = {};
        submitted_ = settled_ = store_->last();
    }
    void persist_vote(replica::vote_record what) override {
        committer_->submit_job([this, what = std::move(what)] {
            done_({outcome::kind::vote, 0, store_->put_note(vote_note, encode_vote(what))});
        });
    }
    void keep_orphans(replica::orphan_set what) override {
        // Shared, since what waits for a thread must be copyable.
        auto kept = std::make_shared<replica::orphan_set>(std::move(what));
        committer_->submit_job([this, kept] {
            auto writes = writes_of(*kept);
            unwritten_.push_back(std::move(*kept));
            if (const auto problem = write_unwritten()) {
                done_({outcome::kind::orphans, 0, problem,
                       std::move(writes) + " are not kept yet (" + problem.message()
                           + "), and until they are its state does not take their place on disk"});
            }
        });
    }
    verdict settled(replica::sequence last, const error& problem) override {
        settled_ = std::max(settled_, last);
        commits_ += problem ? 0 : 1;
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
    [[nodiscard]] std::uint64_t commits() const override { return commits_; }
    void close() override {
        if (committer_) {
            committer_->close();
        }
    }

  private:
    // On the committer's thread.

    /// Says of each file that it is there.
    error write_unwritten() {
        for (; !unwritten_.empty(); unwritten_.pop_front()) {
            auto& next = unwritten_.front();
            const auto file = write_orphans(store_->options().folder, next);
            if (!file) {
                return file.error();
            }
            auto report = writes_of(next) + " are kept in " + *file;
            if (const auto asked = next.last - next.first + 1; next.entries.size() < asked) {
                report += "; of the first " + std::to_string(asked - next.entries.size())
                          + ", which are gone from the log, the "
                          + std::to_string(next.values.size()) + " values that they left";
            }
            done_({outcome::kind::orphans, 0, {}, std::move(report)});
        }
        return {};
    }
    error replace(const replica::snapshot_image& image,
                  const std::vector<replica::item_ptr>& values) {
        // A transaction keeps its pages in memory.
        constexpr std::size_t values_at_once = 1000;
        const auto bytes_at_once = storage::committer_options{}.commit_bytes_max;
        auto problem = store_->replace_begin();
        std::vector<replica::stored_value> part;
        for (std::size_t at = 0; !problem && at < values.size();) {
            part.clear();
            std::size_t bytes = 0;
            for (; at < values.size() && part.size() < values_at_once && bytes < bytes_at_once;
                 ++at) {
                const auto& each = *values[at];
                bytes += each.footprint();
                part.push_back({each.key(), each.value(), each.expiry(), each.revision()});
            }
            problem = store_->replace_put(part, {});
        }
        if (!problem) {
            problem = store_->replace_put({}, image.writers);
        }
        if (!problem) {
            problem = store_->replace_finish(image.who, image.last, image.chain, image.behind);
        }
        if (problem) {
            static_cast<void>(store_->replace_abort());  // The next one begins with that as well.
        }
        return problem;
    }

    std::unique_ptr<storage::lmdb_store> store_;
    done_fn done_;
    std::unique_ptr<storage::committer> committer_;
    replica::sequence submitted_;
    replica::sequence settled_;
    error failed_;
    std::uint64_t commits_ = 0;
    std::deque<replica::orphan_set> unwritten_;  // the committer's; a snapshot is held up until it is
};

}  // namespace

expected<opened_disk> open_lmdb_disk(const master_options& options, replica::table& values,
                                     std::optional<endpoint_id> begun_by) {
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
    opened_disk out;
    auto& from = out.from;
    from.who = store.identity();
    from.last = store.last();
    from.chain = store.chain();
    if (begun_by && !options.failover.electors.empty() && from.last > 0) {
        return fail(ec::invalid_configuration,
                    options.path + " has entries, and electors: a master begins an empty store with "
                                   "them, and from then on each of them attaches as a standby");
    }
    if (!begun_by && from.who.epochs.empty()) {
        from.who = {};  // A new file: a copy of nothing yet.
    }
    auto promised = load_vote(store);
    if (!promised) {
        return tl::unexpected{std::move(promised.error())};
    }
    out.promised = std::move(*promised);
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
            out.tail.entries.push_back({number, record.chain, {record.entry.begin(), record.entry.end()}});
            return true;
        });
    }
    if (problem) {
        return tl::unexpected{std::move(problem)};
    }
    if (begun_by) {
        // Whatever it orders from now on is told apart from what a run before may have ordered. Last,
        // so that an attempt that fails leaves the store as it was.
        from.who.epochs.push_back(
            {replica::epoch_after_start(from.who.epoch(), *begun_by), from.last + 1});
        if (from.who.epochs.size() > replica::epochs_max) {
            from.who.epochs.erase(from.who.epochs.begin());
        }
        if (auto failed = store.begin_epoch(from.who)) {
            return tl::unexpected{std::move(failed)};
        }
    }
    out.disk = std::make_unique<lmdb_disk>(std::move(*opened));
    return out;
}

}  // namespace bzmq
