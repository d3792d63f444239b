#include "storage/lmdb_store.hpp"

#include "base/assert.hpp"

#include <string>
#include <utility>

namespace bzmq::storage {
namespace {

constexpr std::string_view position_name = "position";
constexpr std::string_view identity_name = "identity";
constexpr std::string_view note_prefix = "note.";

int put_meta(MDB_txn* txn, MDB_dbi meta, std::string_view name,
             const std::vector<std::byte>& record) {
    auto key = to_val(name);
    auto value = to_val(record);
    return ::mdb_put(txn, meta, &key, &value, 0);
}

/// They are about the store that goes.
int drop_notes(MDB_txn* txn, MDB_dbi meta) {
    MDB_cursor* cursor = nullptr;
    int code = ::mdb_cursor_open(txn, meta, &cursor);
    if (code != MDB_SUCCESS) {
        return code;
    }
    while (code == MDB_SUCCESS) {
        auto key = to_val(note_prefix);
        MDB_val value{};
        code = ::mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
        if (code == MDB_SUCCESS
            && std::string_view{static_cast<const char*>(key.mv_data), key.mv_size}.starts_with(
                note_prefix)) {
            code = ::mdb_cursor_del(cursor, 0);
        } else if (code == MDB_SUCCESS) {
            break;
        }
    }
    ::mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? MDB_SUCCESS : code;
}

std::string note_key(std::string_view name) {
    constexpr std::size_t name_max = 64;
    BZMQ_ASSERT(name.size() <= name_max);
    return std::string{note_prefix} + std::string{name};
}

}  // namespace

/// Applies batches within one transaction. What it learns becomes the store's only when that is
/// committed.
class lmdb_store::applier {
  public:
    applier(MDB_txn* txn, const lmdb_store& store, const position& at, const writers& known)
        : txn_(txn),
          store_(store),
          known_(known),
          log_(store.env_->of(tree::log)),
          log_end_(std::in_place, txn, log_),
          tables_(txn, store.trees(at.generation)),
          at_(at) {}

    [[nodiscard]] const position& at() const noexcept { return at_; }
    /// All batches, or the code of what stood in the way.
    int run(std::span<const replica::persist_batch> batches, error& why) {
        int code = MDB_SUCCESS;
        for (const auto& batch : batches) {
            if (code = add(batch); code != MDB_SUCCESS) {
                break;
            }
        }
        log_end_.reset();
        if (code == MDB_SUCCESS) {
            code = finish();
        }
        why = std::move(problem_);
        return code;
    }
    void adopt(writers& into) const {
        for (const auto& [index, writer] : writers_) {
            if (writer) {
                into.insert_or_assign(index, *writer);
            } else {
                into.erase(index);
            }
        }
    }
    /// The newest that a batch brought; empty where none did.
    [[nodiscard]] const std::vector<replica::epoch_start>& epochs() const noexcept { return epochs_; }

  private:
    int add(const replica::persist_batch& batch) {
        if (batch.first != at_.last + 1) {
            return refuse("entries from " + std::to_string(batch.first) + " on do not follow entry "
                          + std::to_string(at_.last));
        }
        if (!batch.epochs.empty()) {
            epochs_ = batch.epochs;
        }
        for (const auto& entry : batch.entries) {
            if (const int code = add_entry(entry.span()); code != MDB_SUCCESS) {
                return code;
            }
        }
        return at_.chain == batch.chain_after
                   ? MDB_SUCCESS
                   : refuse("entries up to " + std::to_string(at_.last)
                            + " are not those that the store's chain stands for");
    }
    int finish() {
        for (const auto& [index, writer] : writers_) {
            const int code = writer ? tables_.put_writer(*writer) : tables_.erase_writer(index);
            if (code != MDB_SUCCESS) {
                return code;
            }
        }
        if (const int code = trim_log(); code != MDB_SUCCESS) {
            return code;
        }
        if (!epochs_.empty()) {
            const auto record = identity_record({store_.identity().store, epochs_});
            const int code = put_meta(txn_, store_.env_->of(tree::meta), identity_name, record);
            if (code != MDB_SUCCESS) {
                return code;
            }
        }
        return put_meta(txn_, store_.env_->of(tree::meta), position_name, position_record(at_));
    }
    int refuse(std::string why) {
        problem_ = {ec::invalid_data,
                    "store " + store_.options_.folder.string() + ": " + std::move(why)};
        return refused;
    }

    int add_entry(std::span<const std::byte> entry) {
        const auto number = at_.last + 1;
        replica::entry_reader in{entry};
        const auto head = in.head();
        const bool known = writer(head.writer) != nullptr;
        for (replica::change each; in.next(each);) {
            if (const int code = apply(each, number); code != MDB_SUCCESS) {
                return code;
            }
        }
        if (in.failed() || !note_writer(head, known)) {
            return refuse("entry " + std::to_string(number) + " is not well formed");
        }
        at_.last = number;
        at_.chain = replica::chain(at_.chain, entry);
        return append({at_.chain, entry});
    }
    int append(const log_record& what) {
        const auto number = sequence_key(at_.last);
        auto key = to_val(number);
        MDB_val room{log_record_overhead + what.entry.size(), nullptr};
        const int code = log_end_->put(key, room, MDB_APPEND | MDB_RESERVE);
        if (code == MDB_SUCCESS) {
            write_log_record(static_cast<std::byte*>(room.mv_data), at_.last, what);
            at_.log_bytes += room.mv_size;
        }
        return code;
    }

    int apply(const replica::change& what, replica::sequence number) {
        switch (what.kind) {
            case replica::change_kind::put:
            case replica::change_kind::put_expiring:
                return what.key.empty()
                           ? refuse("entry " + std::to_string(number) + " has an empty key")
                           : tables_.put({what.key, what.value, what.expiry, number});
            case replica::change_kind::erase:
            case replica::change_kind::expire:
                return what.key.empty() ? MDB_SUCCESS : tables_.erase(what.key);
            case replica::change_kind::clear:
                return tables_.clear_values();
            case replica::change_kind::open_writer:
                writers_[what.writer] = replica::stored_writer{.index = what.writer, .id = what.id};
                return MDB_SUCCESS;
            case replica::change_kind::close_writer:
                writers_[what.writer] = std::nullopt;
                return MDB_SUCCESS;
        }
        return refuse("entry " + std::to_string(number) + " has an unknown change");
    }

    const replica::stored_writer* writer(replica::writer_index index) const {
        if (const auto own = writers_.find(index); own != writers_.end()) {
            return own->second ? &*own->second : nullptr;
        }
        const auto found = known_.find(index);
        return found == known_.end() ? nullptr : &found->second;
    }
    /// False where the entry is of a writer that never came: what it did could come twice.
    bool note_writer(const replica::entry_head& head, bool known_before) {
        if (head.writer == replica::own_writer) {
            return true;
        }
        const auto* before = writer(head.writer);
        if (before == nullptr) {
            return known_before;  // It has just gone.
        }
        auto now = *before;
        now.number = head.number;
        now.result = head.result;
        writers_[head.writer] = now;
        return true;
    }

    /// The newest entry stays, whatever its size.
    int trim_log() {
        const auto bytes_max = store_.options_.log_bytes_max;
        if (at_.log_bytes <= bytes_max) {
            return MDB_SUCCESS;
        }
        cursor at{txn_, log_};
        MDB_val key{};
        MDB_val value{};
        while (at_.log_bytes > bytes_max && at_.log_first < at_.last) {
            int code = at.get(key, value, MDB_FIRST);
            const auto size = value.mv_size;
            if (code == MDB_SUCCESS) {
                code = at.erase();
            }
            if (code != MDB_SUCCESS) {
                return code;
            }
            at_.log_bytes -= std::min<std::uint64_t>(size, at_.log_bytes);
            ++at_.log_first;
        }
        return MDB_SUCCESS;
    }

    MDB_txn* txn_;
    const lmdb_store& store_;
    const writers& known_;
    MDB_dbi log_;
    std::optional<cursor> log_end_;  ///< kept, so that appending need not find the end anew
    table_writer tables_;
    position at_;
    /// Changed in this transaction; nothing: gone.
    std::unordered_map<replica::writer_index, std::optional<replica::stored_writer>> writers_;
    std::vector<replica::epoch_start> epochs_;
    error problem_;
};

lmdb_store::~lmdb_store() {
    if (env_ && options_.mode == durability::async && !options_.read_only) {
        static_cast<void>(env_->sync());
    }
}

replica::identity lmdb_store::identity() const {
    return snapshot().who;
}

replica::sequence lmdb_store::last() const {
    const std::lock_guard lock{mutex_};
    return state_.at.last;
}

std::uint64_t lmdb_store::chain() const {
    const std::lock_guard lock{mutex_};
    return state_.at.chain;
}

replica::sequence lmdb_store::log_first() const {
    const std::lock_guard lock{mutex_};
    return state_.at.log_first;
}

lmdb_store::state lmdb_store::snapshot() const {
    const std::lock_guard lock{mutex_};
    return state_;
}

void lmdb_store::remember(position at, std::optional<replica::identity> who) {
    const std::lock_guard lock{mutex_};
    state_.at = at;
    if (who) {
        state_.who = std::move(*who);
    }
}

table_trees lmdb_store::trees(unsigned generation) const noexcept {
    if (generation == 0) {
        return {env_->of(tree::values_a), env_->of(tree::expiries_a), env_->of(tree::writers_a)};
    }
    return {env_->of(tree::values_b), env_->of(tree::expiries_b), env_->of(tree::writers_b)};
}

error lmdb_store::write_synced(const lmdb_env::body& run) {
    if (auto problem = env_->write(run)) {
        return problem;
    }
    return options_.mode == durability::async ? env_->sync() : error{};
}

error lmdb_store::commit(std::span<const replica::persist_batch> batches) {
    if (replacing_) {
        return {ec::invalid_data,
                "store " + options_.folder.string() + ": a commit in the middle of a snapshot"};
    }
    const auto before = snapshot();
    std::optional<applier> applied;
    auto problem = env_->write([&](MDB_txn* txn, error& why) {
        applied.emplace(txn, *this, before.at, writers_);
        return applied->run(batches, why);
    });
    if (!problem) {
        applied->adopt(writers_);
        remember(applied->at(), applied->epochs().empty()
                                    ? std::nullopt
                                    : std::optional{replica::identity{before.who.store,
                                                                      applied->epochs()}});
    }
    return problem;
}

error lmdb_store::begin_epoch(const replica::identity& next) {
    auto problem = write_synced([&](MDB_txn* txn, error&) {
        return put_meta(txn, env_->of(tree::meta), identity_name, identity_record(next));
    });
    if (!problem) {
        // Not its position: that may move meanwhile.
        const std::lock_guard lock{mutex_};
        state_.who = next;
    }
    return problem;
}

error lmdb_store::replace_begin() {
    const auto spare = trees(1U - snapshot().at.generation);
    auto problem = env_->write([&spare](MDB_txn* txn, error&) {
        return table_writer{txn, spare}.clear_all();
    });
    replacing_ = !problem;
    return problem;
}

error lmdb_store::replace_put(std::span<const replica::stored_value> values,
                              std::span<const replica::stored_writer> writers) {
    if (!replacing_) {
        return {ec::invalid_data, "store " + options_.folder.string() + ": no snapshot has begun"};
    }
    const auto spare = trees(1U - snapshot().at.generation);
    return env_->write([&](MDB_txn* txn, error&) {
        table_writer to{txn, spare};
        for (const auto& value : values) {
            if (const int code = to.put(value); code != MDB_SUCCESS) {
                return code;
            }
        }
        for (const auto& writer : writers) {
            if (const int code = to.put_writer(writer); code != MDB_SUCCESS) {
                return code;
            }
        }
        return MDB_SUCCESS;
    });
}

error lmdb_store::replace_finish(const replica::identity& next, replica::sequence last,
                                 std::uint64_t chain, const replica::persist_batch& behind) {
    if (!replacing_) {
        return {ec::invalid_data, "store " + options_.folder.string() + ": no snapshot has begun"};
    }
    const auto before = snapshot();
    const auto old = before.at.generation;
    position at{.last = last, .chain = chain, .log_first = last + 1};
    at.generation = static_cast<std::uint8_t>(1U - old);
    writers fresh;
    if (auto problem = load_writers(at.generation, fresh)) {
        return problem;
    }
    std::optional<applier> applied;
    auto problem = write_synced([&](MDB_txn* txn, error& why) {
        const auto meta = env_->of(tree::meta);
        int code = ::mdb_drop(txn, env_->of(tree::log), 0);
        if (code == MDB_SUCCESS) {
            code = table_writer{txn, trees(old)}.clear_all();
        }
        if (code == MDB_SUCCESS && next.store != before.who.store) {
            code = drop_notes(txn, meta);
        }
        if (code == MDB_SUCCESS) {
            code = put_meta(txn, meta, identity_name, identity_record(next));
        }
        if (code != MDB_SUCCESS || behind.entries.empty()) {
            return code != MDB_SUCCESS ? code
                                       : put_meta(txn, meta, position_name, position_record(at));
        }
        applied.emplace(txn, *this, at, fresh);
        return applied->run({&behind, 1}, why);
    });
    if (!problem) {
        if (applied) {
            applied->adopt(fresh);
            at = applied->at();
        }
        replacing_ = false;
        writers_ = std::move(fresh);
        remember(at, next);
    }
    return problem;
}

error lmdb_store::replace_abort() {
    replacing_ = false;
    const auto spare = trees(1U - snapshot().at.generation);
    return env_->write([&spare](MDB_txn* txn, error&) {
        return table_writer{txn, spare}.clear_all();
    });
}

error lmdb_store::put_note(std::string_view name, std::span<const std::byte> what) {
    const auto key = note_key(name);
    return write_synced([&](MDB_txn* txn, error&) {
        if (what.empty()) {
            auto at = to_val(std::string_view{key});
            const int code = ::mdb_del(txn, env_->of(tree::meta), &at, nullptr);
            return code == MDB_NOTFOUND ? MDB_SUCCESS : code;
        }
        return put_meta(txn, env_->of(tree::meta), key, note_record(key, what));
    });
}

expected<std::vector<std::byte>> lmdb_store::note(std::string_view name) const {
    const auto key = note_key(name);
    std::vector<std::byte> out;
    auto problem = env_->read([&](MDB_txn* txn, error& why) {
        auto at = to_val(std::string_view{key});
        MDB_val value{};
        const int code = ::mdb_get(txn, env_->of(tree::meta), &at, &value);
        if (code != MDB_SUCCESS) {
            return code == MDB_NOTFOUND ? MDB_SUCCESS : code;
        }
        const auto note = read_note_record(key, to_span(value));
        if (!note) {
            why = damaged("the note " + std::string{name});
            return refused;
        }
        out.assign(note->begin(), note->end());
        return MDB_SUCCESS;
    });
    if (problem) {
        return unexpected{std::move(problem)};
    }
    return out;
}

}  // namespace bzmq::storage
