#include "bzmq/store_file.hpp"

#include "data/msgpack_codec.hpp"
#include "data/ordered_codec.hpp"
#include "storage/env_copy.hpp"
#include "storage/lmdb_store.hpp"

#include <string>
#include <utility>

namespace bzmq::store_file {
namespace {

namespace fs = std::filesystem;
using storage::lmdb_store;
using store_ptr = std::unique_ptr<lmdb_store>;

storage::work_progress named(const progress& told, std::string_view what) {
    if (!told) {
        return {};
    }
    return
        [&told, what](std::uint64_t done, std::uint64_t total) { return told(what, done, total); };
}

expected<store_ptr> open_to_read(const fs::path& folder, const progress& told) {
    storage::store_options options;
    options.folder = folder;
    options.read_only = true;
    options.progress = named(told, "pages");
    return lmdb_store::open(std::move(options));
}

std::uint64_t bytes_used(storage::lmdb_env& env) {
    std::uint64_t pages = 2;
    std::uint64_t page_bytes = 0;
    static_cast<void>(env.read([&](MDB_txn* txn, error&) {
        const auto add = [&](MDB_dbi tree) {
            MDB_stat stat{};
            if (::mdb_stat(txn, tree, &stat) == MDB_SUCCESS) {
                pages += stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages;
                page_bytes = stat.ms_psize;
            }
        };
        add(0);  // The list of free pages,
        add(1);  // and the names of the trees.
        for (std::size_t i = 0; i < storage::tree_count; ++i) {
            add(env.of(static_cast<storage::tree>(i)));
        }
        return MDB_SUCCESS;
    }));
    return pages * page_bytes;
}

expected<summary> summary_of(lmdb_store& store) {
    const auto counts = store.counts();
    if (!counts) {
        return unexpected{counts.error()};
    }
    const auto who = store.identity();
    summary out;
    out.store = who.store;
    out.epoch = who.epoch();
    out.last = store.last();
    out.log_first = store.log_first();
    out.values = counts->values;
    out.expiring = counts->expiring;
    out.writers = counts->writers;
    out.bytes_used = bytes_used(store.environment());
    std::error_code ignored;
    out.bytes_of_file = fs::file_size(store.options().folder / storage::data_name, ignored);
    return out;
}

expected<summary> summary_of(const fs::path& folder) {
    auto store = open_to_read(folder, {});
    return store ? summary_of(**store) : unexpected{std::move(store.error())};
}

unexpected in_the_way(const fs::path& folder, std::string_view why) {
    return fail(ec::cannot_write_file, folder.string() + " " + std::string{why});
}

void append_line(std::string& out, const data& key, const data& value,
                 const replica::stored_value& held) {
    out = "{\"key\":" + to_json(key) + ",\"value\":" + to_json(value)
          + ",\"revision\":" + std::to_string(held.revision);
    if (held.expiry != replica::no_expiry) {
        out += ",\"expiry\":\"" + to_string(held.expiry) + '"';
    }
    out += '}';
}

/// A copy of `from` as data.mdb in the folder for what is being made, emptied before.
error copy_into_making(lmdb_store& from, const fs::path& folder, const progress& told) {
    const auto making = folder / storage::making_name;
    std::error_code problem;
    fs::remove_all(making, problem);
    if (fs::create_directory(making, problem); problem) {
        return {ec::cannot_write_file, making.string() + ": " + problem.message()};
    }
    return storage::copy_env(from, making / storage::data_name, named(told, "copy"));
}

/// Puts what was made in the place of the store's file. Nobody has that open.
error move_up(const fs::path& folder) {
    const auto making = folder / storage::making_name;
    // LMDB's lock file counts transactions of the file that goes.
    std::error_code problem;
    fs::remove(folder / "lock.mdb", problem);
    auto why = storage::move_file(making / storage::data_name, folder / storage::data_name);
    fs::remove_all(making, problem);
    return why;
}

error give_new_id(const fs::path& making, const replica::identity& old) {
    auto env = storage::lmdb_env::open(making, {.map_bytes_max = std::uint64_t{1} << 46});
    if (!env) {
        return std::move(env.error());
    }
    const auto record = storage::identity_record({storage::random_store_id(), old.epochs});
    return (*env)->write([&](MDB_txn* txn, error&) {
        auto key = storage::to_val(std::string_view{"identity"});
        auto value = storage::to_val(record);
        return ::mdb_put(txn, (*env)->of(storage::tree::meta), &key, &value, 0);
    });
}

}  // namespace

expected<summary> check(const fs::path& store, const progress& told) {
    auto opened = open_to_read(store, told);
    if (!opened) {
        return unexpected{std::move(opened.error())};
    }
    if (auto problem = (*opened)->verify(named(told, "records"))) {
        return unexpected{std::move(problem)};
    }
    return summary_of(**opened);
}

expected<summary> dump(const fs::path& store,
                       const std::function<bool(std::string_view line)>& line,
                       const progress& told) {
    constexpr std::uint64_t often = 256;
    auto opened = open_to_read(store, told);
    if (!opened) {
        return unexpected{std::move(opened.error())};
    }
    const auto total = (*opened)->size().value_or(0);
    std::uint64_t done = 0;
    error flaw;
    std::string text;
    auto problem = (*opened)->for_each_value([&](const replica::stored_value& each) {
        const auto key = decode_ordered(each.key);
        const auto value = decode(each.value);
        if (!key || !value) {
            flaw = {ec::backend_failure, "store " + store.string() + ": the record of key "
                                             + storage::printable_key(each.key) + " is damaged"};
            return false;
        }
        append_line(text, *key, *value, each);
        const bool on =
            line(text) && (!told || ++done % often != 0 || told("records", done, total));
        if (!on) {
            flaw = ec::cancelled;
        }
        return on;
    });
    if (problem || flaw) {
        return unexpected{problem ? std::move(problem) : std::move(flaw)};
    }
    return summary_of(**opened);
}

expected<summary> compact(const fs::path& store, const progress& told) {
    storage::store_options options;
    options.folder = store;
    options.create = false;
    options.progress = named(told, "pages");
    auto opened = lmdb_store::open(std::move(options));
    if (!opened) {
        return unexpected{std::move(opened.error())};
    }
    auto problem = (*opened)->exclude_readers();
    if (!problem) {
        problem = copy_into_making(**opened, store, told);
    }
    if (!problem) {
        (*opened)->close_file();
        problem = move_up(store);
    }
    if (problem) {
        std::error_code ignored;
        fs::remove_all(store / storage::making_name, ignored);
        return unexpected{std::move(problem)};
    }
    opened->reset();
    return summary_of(store);
}

expected<summary> backup(const fs::path& store, const fs::path& to, const progress& told) {
    std::error_code problem;
    const bool there = fs::exists(to, problem);
    if (there && !(fs::is_directory(to, problem) && fs::is_empty(to, problem))) {
        return in_the_way(to, "is there already and is not an empty folder");
    }
    auto opened = open_to_read(store, told);
    if (!opened) {
        return unexpected{std::move(opened.error())};
    }
    if (fs::create_directory(to, problem); problem) {
        return in_the_way(to, "cannot be made: " + problem.message());
    }
    auto why = copy_into_making(**opened, to, told);
    opened->reset();
    if (!why) {
        why = move_up(to);
    }
    if (!why) {
        auto copy = check(to, told);
        if (copy) {
            return copy;
        }
        why = std::move(copy.error());
    }
    fs::remove_all(to / storage::making_name, problem);
    fs::remove(to / storage::data_name, problem);
    if (!there) {
        fs::remove_all(to, problem);
    }
    return unexpected{std::move(why)};
}

expected<summary> restore(const fs::path& store, const fs::path& from, bool overwrite,
                          const progress& told) {
    auto source = open_to_read(from, told);
    if (!source) {
        return unexpected{std::move(source.error())};
    }
    if (auto problem = (*source)->verify(named(told, "records"))) {
        return unexpected{std::move(problem)};
    }
    std::error_code code;
    if (fs::exists(store / storage::data_name, code) && !overwrite) {
        return in_the_way(store, "holds a store already");
    }
    storage::store_options options;
    options.folder = store;
    if (auto problem = storage::refuse_folder(options)) {
        return in_the_way(store, "is not a store's: " + problem.message());
    }
    if (fs::create_directory(store, code); code) {
        return in_the_way(store, "cannot be made: " + code.message());
    }
    auto claim = storage::folder_claim::for_writing(store);
    if (!claim) {
        return unexpected{std::move(claim.error())};
    }
    auto problem = claim->exclude_readers(store);
    if (!problem) {
        problem = copy_into_making(**source, store, told);
    }
    if (!problem) {
        problem = give_new_id(store / storage::making_name, (*source)->identity());
    }
    if (!problem) {
        problem = move_up(store);
    }
    if (problem) {
        fs::remove_all(store / storage::making_name, code);
        return unexpected{std::move(problem)};
    }
    claim = unexpected{error{}};
    return summary_of(store);
}

}  // namespace bzmq::store_file
