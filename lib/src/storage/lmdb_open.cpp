#include "storage/env_copy.hpp"
#include "storage/lmdb_store.hpp"
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

/// How a store comes to be, and what is asked of a folder before it is taken for one.
namespace bzmq::storage {
namespace {

namespace fs = std::filesystem;

error cannot_open(const fs::path& folder, const std::string& why) {
    return {ec::cannot_open_file, "store " + folder.string() + " " + why};
}

error cannot_use(const fs::path& folder, const error& flaw) {
    return cannot_open(folder, "cannot be used: its data.mdb is " + flaw.message());
}

/// What is wrong with the pages, in the store's name.
error told_of(const fs::path& folder, const error& flaw) {
    if (!flaw || flaw == ec::cancelled) {
        return flaw;
    }
    return cannot_use(folder, {flaw.code(), "damaged: " + flaw.message()});
}

/// All pages that the file's present state reaches.
error check_file(const fs::path& folder, const work_progress& progress) {
    const auto file = mapped_file::open((folder / data_name).c_str());
    if (!file) {
        return cannot_use(folder, file.error());
    }
    const auto states = read_states(file->bytes());
    if (!states) {
        return cannot_use(folder, states.error());
    }
    const auto& [first, second] = *states;
    const auto& now = first.transaction < second.transaction ? second : first;
    return told_of(folder, check_pages(file->bytes(), now, progress));
}

/// Is the file one of LMDB at all? Asked before anything is locked, since that leaves a file
/// behind.
error check_head(const fs::path& folder) {
    const auto file = mapped_file::open((folder / data_name).c_str());
    if (!file) {
        return cannot_use(folder, file.error());
    }
    const auto states = read_states(file->bytes());
    return states ? error{} : cannot_use(folder, states.error());
}

/// The same of a file that another process may be writing: the transaction holds what it sees, and
/// the pages of that state are looked at.
error check_file_within(MDB_txn* txn, const fs::path& folder, const work_progress& progress) {
    const auto file = mapped_file::open((folder / data_name).c_str());
    if (!file) {
        return cannot_use(folder, file.error());
    }
    const auto states = read_states(file->bytes());
    if (!states) {
        return cannot_use(folder, states.error());
    }
    const auto number = ::mdb_txn_id(txn);
    for (const auto& state : *states) {
        if (state.transaction == number) {
            return told_of(folder, check_pages(file->bytes(), state, progress));
        }
    }
    // The writer has come two commits further between the two looks.
    return ec::request_timeout;
}

struct txn_abort {
    void operator()(MDB_txn* txn) const noexcept { ::mdb_txn_abort(txn); }
};

/// The file's format version. `check` looks at the file's pages before LMDB does.
template <class F>
expected<std::uint32_t> probe(const fs::path& folder, const env_options& options, F&& check) {
    constexpr int tries = 100;
    auto env = open_env(folder, options);
    if (!env) {
        return unexpected{std::move(env.error())};
    }
    for (int i = 0;; ++i) {
        MDB_txn* made = nullptr;
        int code = ::mdb_txn_begin(env->get(), nullptr, MDB_RDONLY, &made);
        if (code == MDB_MAP_RESIZED && i < tries) {
            ::mdb_env_set_mapsize(env->get(), 0);
            continue;
        }
        if (code != MDB_SUCCESS) {
            return unexpected{cannot_open(folder, "cannot be opened: " + code_text(code))};
        }
        const std::unique_ptr<MDB_txn, txn_abort> txn{made};
        if (auto problem = check(txn.get())) {
            if (problem == ec::request_timeout && i < tries) {
                continue;
            }
            return unexpected{std::move(problem)};
        }
        auto version = format_of(txn.get());
        if (!version) {
            return unexpected{cannot_use(folder, version.error())};
        }
        if (*version > format_version) {
            return unexpected{cannot_open(folder, "is of format version " + std::to_string(*version)
                                                      + "; this program knows versions up to "
                                                      + std::to_string(format_version))};
        }
        return version;
    }
}

error write_first_records(const fs::path& folder, const env_options& options) {
    auto env = lmdb_env::open(folder, options);
    if (!env) {
        return std::move(env.error());
    }
    return (*env)->write([&](MDB_txn* txn, error&) {
        const std::pair<std::string_view, std::vector<std::byte>> records[]{
            {"format", format_record(format_version)},
            {"identity", identity_record({.store = random_store_id(), .epochs = {}})},
            {"position", position_record({})},
        };
        for (const auto& [name, record] : records) {
            auto key = to_val(name);
            auto value = to_val(record);
            if (const int code = ::mdb_put(txn, (*env)->of(tree::meta), &key, &value, 0);
                code != MDB_SUCCESS) {
                return code;
            }
        }
        return MDB_SUCCESS;
    });
}

/// Under the folder's lock.
error make_store(const store_options& options) {
    const auto& folder = options.folder;
    const auto making = folder / making_name;
    std::error_code problem;
    fs::remove_all(making, problem);
    if (fs::create_directory(making, problem); problem) {
        return cannot_open(folder, "cannot be made: " + problem.message());
    }
    if (auto why =
            write_first_records(making, {.create = true, .map_bytes_max = options.map_bytes_max})) {
        fs::remove_all(making, problem);
        return cannot_open(folder, "cannot be made: " + why.message());
    }
    auto why = move_file(making / data_name, folder / data_name);
    fs::remove_all(making, problem);
    return why ? cannot_open(folder, "cannot be made: " + why.message()) : error{};
}

}  // namespace

error refuse_folder(const store_options& options) {
    const auto& folder = options.folder;
    std::error_code problem;
    const auto about = fs::status(folder, problem);
    if (about.type() == fs::file_type::not_found) {
        return options.create && !options.read_only ? error{} : cannot_open(folder, "is not there");
    }
    if (problem) {
        return cannot_open(folder, "cannot be opened: " + problem.message());
    }
    if (about.type() != fs::file_type::directory) {
        return cannot_open(folder, "is a file; a store is a folder");
    }
    if (fs::exists(folder / data_name, problem)) {
        return {};
    }
    if (!options.create || options.read_only) {
        return cannot_open(folder, "is not there: the folder has no data.mdb");
    }
    for (fs::directory_iterator at{folder, problem}, end; !problem && at != end;
         at.increment(problem)) {
        const auto name = at->path().filename();
        if (name != lock_file_name && name != readers_file_name && name != making_name
            && name != "lost+found") {
            return cannot_open(folder, "is a folder with other files and without a store");
        }
    }
    return problem ? cannot_open(folder, "cannot be read: " + problem.message()) : error{};
}

endpoint_id random_store_id() {
    endpoint_id::bytes_type bytes{};
    if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
        std::abort();  // Cannot be for so few bytes.
    }
    return endpoint_id{bytes};
}

expected<std::unique_ptr<lmdb_store>> lmdb_store::open(store_options options) {
    const auto& folder = options.folder;
    if (auto problem = refuse_folder(options)) {
        return unexpected{std::move(problem)};
    }
    auto out = options.read_only ? open_to_read(options) : open_to_write(options);
    if (out) {
        if (auto problem = (*out)->refresh()) {
            return unexpected{cannot_open(folder, "cannot be used: " + problem.message())};
        }
    }
    return out;
}

expected<std::unique_ptr<lmdb_store>> lmdb_store::open_to_read(const store_options& options) {
    const auto& folder = options.folder;
    if (auto why = check_head(folder)) {
        return unexpected{std::move(why)};
    }
    auto claim = folder_claim::for_reading(folder);
    if (!claim) {
        return unexpected{std::move(claim.error())};
    }
    env_options how{.read_only = true, .map_bytes_max = options.map_bytes_max};
    const auto check = [&](MDB_txn* txn) {
        return check_file_within(txn, folder, options.progress);
    };
    auto version = probe(folder, how, check);
    if (!version && ::access(folder.c_str(), W_OK) != 0 && claim->exclude_writers(folder)) {
        // LMDB wants to write its lock file and may not. Without it no writer must come.
        how.without_locks = true;
        version = probe(folder, how, check);
    }
    if (!version) {
        return unexpected{std::move(version.error())};
    }
    if (*version < format_version) {
        return unexpected{cannot_open(folder, "is of the older format version "
                                                  + std::to_string(*version)
                                                  + "; it must be opened for writing once")};
    }
    auto env = lmdb_env::open(folder, how);
    if (!env) {
        return unexpected{std::move(env.error())};
    }
    return std::unique_ptr<lmdb_store>{new lmdb_store{options, std::move(*claim), std::move(*env)}};
}

expected<std::unique_ptr<lmdb_store>> lmdb_store::open_to_write(const store_options& options) {
    const auto& folder = options.folder;
    std::error_code problem;
    if (fs::create_directory(folder, problem); problem) {
        return unexpected{cannot_open(folder, "cannot be made: " + problem.message())};
    }
    // What is no store is left alone, down to the lock file.
    const auto check = [&](MDB_txn*) { return check_file(folder, options.progress); };
    if (fs::exists(folder / data_name, problem)) {
        if (auto why = check_head(folder)) {
            return unexpected{std::move(why)};
        }
    }
    auto claim = folder_claim::for_writing(folder);
    if (!claim) {
        return unexpected{std::move(claim.error())};
    }
    fs::remove_all(folder / making_name, problem);  // Somebody did not come to an end.
    if (!fs::exists(folder / data_name, problem)) {
        if (auto why = make_store(options)) {
            return unexpected{std::move(why)};
        }
    }
    auto version = probe(
        folder, {.read_only = true, .without_locks = true, .map_bytes_max = options.map_bytes_max},
        check);
    if (!version) {
        return unexpected{std::move(version.error())};
    }
    if (*version < format_version) {
        if (auto why = migrate(folder, *version, options.migrations, options.map_bytes_max)) {
            return unexpected{std::move(why)};
        }
    }
    auto env = lmdb_env::open(folder, {.async = options.mode == durability::async,
                                       .map_bytes_max = options.map_bytes_max});
    if (!env) {
        return unexpected{std::move(env.error())};
    }
    std::unique_ptr<lmdb_store> out{new lmdb_store{options, std::move(*claim), std::move(*env)}};
    return out;
}

error lmdb_store::refresh() {
    state now;
    auto problem = env_->read([&](MDB_txn* txn, error& why) {
        auto key = to_val(std::string_view{"identity"});
        MDB_val value{};
        const bool there = ::mdb_get(txn, env_->of(tree::meta), &key, &value) == MDB_SUCCESS;
        auto who = there ? read_identity_record(to_span(value)) : std::nullopt;
        if (!who) {
            why = damaged("the record of its identity");
            return refused;
        }
        now.who = std::move(*who);
        return current(txn, now.at, why) ? MDB_SUCCESS : refused;
    });
    if (problem) {
        return problem;
    }
    writers found;
    if (!options_.read_only) {
        problem = load_writers(now.at.generation, found);
        if (problem) {
            return problem;
        }
    }
    writers_ = std::move(found);
    remember(now.at, std::move(now.who));
    return {};
}

}  // namespace bzmq::storage
