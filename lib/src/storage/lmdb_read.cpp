#include "data/msgpack_codec.hpp"
#include "data/ordered_codec.hpp"
#include "storage/lmdb_store.hpp"

#include <algorithm>
#include <string>
#include <utility>

/// The part of lmdb_store that only reads.
namespace bzmq::storage {
namespace {

/// All of a tree, in order. `visit` returns LMDB's code; MDB_NOTFOUND stops without a failure.
template <class F>
int walk(MDB_txn* txn, MDB_dbi tree, F&& visit) {
    cursor at{txn, tree};
    MDB_val key{};
    MDB_val value{};
    int code = at.get(key, value, MDB_FIRST);
    for (; code == MDB_SUCCESS; code = at.get(key, value, MDB_NEXT)) {
        if (code = visit(to_span(key), to_span(value)); code != MDB_SUCCESS) {
            break;
        }
    }
    return code == MDB_NOTFOUND ? MDB_SUCCESS : code;
}

}  // namespace

error lmdb_store::damaged(std::string what) const {
    return {ec::backend_failure,
            "store " + options_.folder.string() + ": " + std::move(what) + " is damaged"};
}

bool lmdb_store::current(MDB_txn* txn, position& out, error& why) const {
    auto key = to_val(std::string_view{"position"});
    MDB_val value{};
    const bool there = ::mdb_get(txn, env_->of(tree::meta), &key, &value) == MDB_SUCCESS;
    const auto at = there ? read_position_record(to_span(value)) : std::nullopt;
    if (!at) {
        why = damaged("the record of its position");
        return false;
    }
    out = *at;
    return true;
}

error lmdb_store::for_each_value(
    const std::function<bool(const replica::stored_value&)>& visit) const {
    return env_->read([&](MDB_txn* txn, error& why) {
        position at;
        if (!current(txn, at, why)) {
            return refused;
        }
        return walk(txn, trees(at.generation).values,
                    [&](std::span<const std::byte> slot, std::span<const std::byte> record) {
                        const auto value = read_value_record(slot, record);
                        if (!value) {
                            why = damaged("the record of key " + printable_key(slot));
                            return refused;
                        }
                        return visit(*value) ? MDB_SUCCESS : MDB_NOTFOUND;
                    });
    });
}

error lmdb_store::for_each_writer(
    const std::function<bool(const replica::stored_writer&)>& visit) const {
    return env_->read([&](MDB_txn* txn, error& why) {
        position at;
        if (!current(txn, at, why)) {
            return refused;
        }
        return walk(txn, trees(at.generation).writers,
                    [&](std::span<const std::byte> key, std::span<const std::byte> record) {
                        const auto writer = read_writer_record(key, record);
                        if (!writer) {
                            why = damaged("the record of a writer");
                            return refused;
                        }
                        return visit(*writer) ? MDB_SUCCESS : MDB_NOTFOUND;
                    });
    });
}

error lmdb_store::for_each_expiry(
    const std::function<bool(timestamp, std::span<const std::byte> slot)>& visit) const {
    return env_->read([&](MDB_txn* txn, error& why) {
        position at;
        if (!current(txn, at, why)) {
            return refused;
        }
        return walk(txn, trees(at.generation).expiries,
                    [&](std::span<const std::byte> key, std::span<const std::byte> slot) {
                        const auto when = read_expiry_key(key);
                        if (!when) {
                            why = damaged("the index of expiries");
                            return refused;
                        }
                        return visit(*when, slot) ? MDB_SUCCESS : MDB_NOTFOUND;
                    });
    });
}

error lmdb_store::read_log(
    replica::sequence from,
    const std::function<bool(replica::sequence, const log_record&)>& visit) const {
    return env_->read([&](MDB_txn* txn, error& why) {
        position at;
        if (!current(txn, at, why)) {
            return refused;
        }
        if (from < at.log_first || from > at.last + 1) {
            why = {ec::stale_data, "store " + options_.folder.string() + ": its log is from "
                                       + std::to_string(at.log_first) + " to "
                                       + std::to_string(at.last) + ", without entry "
                                       + std::to_string(from)};
            return refused;
        }
        cursor in{txn, env_->of(tree::log)};
        const auto first = sequence_key(from);
        auto key = to_val(first);
        MDB_val value{};
        auto code = in.get(key, value, MDB_SET_RANGE);
        for (auto number = from; code == MDB_SUCCESS; ++number) {
            const auto found = read_sequence_key(to_span(key));
            const auto record = read_log_record(number, to_span(value));
            if (found != number || !record) {
                why = damaged("entry " + std::to_string(number) + " of the log");
                return refused;
            }
            if (!visit(number, *record)) {
                return MDB_SUCCESS;
            }
            code = in.get(key, value, MDB_NEXT);
        }
        return code == MDB_NOTFOUND ? MDB_SUCCESS : code;
    });
}

error lmdb_store::load_writers(unsigned generation, writers& out) const {
    return env_->read([&](MDB_txn* txn, error& why) {
        return walk(txn, trees(generation).writers,
                    [&](std::span<const std::byte> key, std::span<const std::byte> record) {
                        const auto writer = read_writer_record(key, record);
                        if (!writer) {
                            why = damaged("the record of a writer");
                            return refused;
                        }
                        out.insert_or_assign(writer->index, *writer);
                        return MDB_SUCCESS;
                    });
    });
}

expected<std::size_t> lmdb_store::size() const {
    return counts().map([](const entry_counts& all) { return all.values; });
}

expected<lmdb_store::entry_counts> lmdb_store::counts() const {
    entry_counts out;
    auto problem = env_->read([&](MDB_txn* txn, error& why) {
        position at;
        if (!current(txn, at, why)) {
            return refused;
        }
        const auto from = trees(at.generation);
        out.values = lmdb_env::entries(txn, from.values);
        out.expiring = lmdb_env::entries(txn, from.expiries);
        out.writers = lmdb_env::entries(txn, from.writers);
        return MDB_SUCCESS;
    });
    if (problem) {
        return unexpected{std::move(problem)};
    }
    return out;
}

/// Looks through one state of a store.
class lmdb_store::verifier {
  public:
    verifier(MDB_txn* txn, const lmdb_store& store, const position& at, const work_progress& told)
        : txn_(txn), store_(store), at_(at), trees_(store.trees(at.generation)), told_(told) {
        total_ = lmdb_env::entries(txn, trees_.values) + lmdb_env::entries(txn, trees_.expiries)
                 + lmdb_env::entries(txn, store.env_->of(tree::log));
    }

    int run(error& why) {
        int code = values(why);
        if (code == MDB_SUCCESS) {
            code = expiries(why);
        }
        if (code == MDB_SUCCESS) {
            code = log(why);
        }
        return code;
    }

  private:
    int refuse(error& why, std::string what) const {
        why = store_.damaged(std::move(what));
        return refused;
    }
    bool step(error& why) {
        constexpr std::uint64_t often = 1024;
        if (++done_ % often == 0 && told_ && !told_(done_, total_)) {
            why = ec::cancelled;
            return false;
        }
        return true;
    }

    int values(error& why) {
        return walk(txn_, trees_.values,
                    [&](std::span<const std::byte> slot, std::span<const std::byte> record) {
                        if (!step(why)) {
                            return refused;
                        }
                        const auto value = read_value_record(slot, record);
                        if (!value || !decode_ordered(value->key) || !decode(value->value)
                            || !std::ranges::equal(slot_key{value->key}.bytes(), slot)) {
                            return refuse(why, "the record of key " + printable_key(slot));
                        }
                        expiring_ += value->expiry != replica::no_expiry ? 1 : 0;
                        return MDB_SUCCESS;
                    });
    }
    int expiries(error& why) {
        std::size_t found = 0;
        const int code = walk(
            txn_, trees_.expiries,
            [&](std::span<const std::byte> key, std::span<const std::byte> slot) {
                if (!step(why)) {
                    return refused;
                }
                ++found;
                auto at = to_val(slot);
                MDB_val record{};
                const auto when = read_expiry_key(key);
                const bool there = ::mdb_get(txn_, trees_.values, &at, &record) == MDB_SUCCESS;
                return when && there && peek_expiry(to_span(record)) == *when
                           ? MDB_SUCCESS
                           : refuse(why, "the index of expiries at key " + printable_key(slot));
            });
        return code == MDB_SUCCESS && found != expiring_
                   ? refuse(why, "the index of expiries, which lacks some of them,")
                   : code;
    }
    int log(error& why) {
        auto next = at_.log_first;
        auto chain = at_.chain;
        std::uint64_t bytes = 0;
        const int code =
            walk(txn_, store_.env_->of(tree::log),
                 [&](std::span<const std::byte> key, std::span<const std::byte> raw) {
                     if (!step(why)) {
                         return refused;
                     }
                     const auto record = read_log_record(next, raw);
                     if (read_sequence_key(key) != next || !record
                         || !replica::well_formed(record->entry)
                         || (next != at_.log_first
                             && replica::chain(chain, record->entry) != record->chain)) {
                         return refuse(why, "entry " + std::to_string(next) + " of the log");
                     }
                     chain = record->chain;
                     bytes += raw.size();
                     ++next;
                     return MDB_SUCCESS;
                 });
        if (code != MDB_SUCCESS) {
            return code;
        }
        return next == at_.last + 1 && chain == at_.chain && bytes == at_.log_bytes
                   ? MDB_SUCCESS
                   : refuse(why, "the log, which does not end where the store stands,");
    }

    MDB_txn* txn_;
    const lmdb_store& store_;
    position at_;
    table_trees trees_;
    const work_progress& told_;
    std::uint64_t total_ = 0;
    std::uint64_t done_ = 0;
    std::size_t expiring_ = 0;
};

error lmdb_store::verify(const work_progress& told) const {
    if (auto problem = for_each_writer([](const auto&) { return true; })) {
        return problem;
    }
    return env_->read([&](MDB_txn* txn, error& why) {
        position at;
        return current(txn, at, why) ? verifier{txn, *this, at, told}.run(why) : refused;
    });
}

}  // namespace bzmq::storage
