#include "storage/lmdb_env.hpp"

#include "storage/stored_format.hpp"
#include <sys/mman.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <system_error>
#include <utility>

namespace bzmq::storage {
namespace {

constexpr std::uint64_t map_bytes_least = std::uint64_t{16} << 20;
constexpr const char* tree_names[tree_count] = {"meta",    "log",      "values",     "expiries",
                                                "writers", "values.b", "expiries.b", "writers.b"};

bool holds_sets(tree which) noexcept {
    return which == tree::expiries_a || which == tree::expiries_b;
}

struct txn_abort {
    void operator()(MDB_txn* txn) const noexcept { ::mdb_txn_abort(txn); }
};
using txn_ptr = std::unique_ptr<MDB_txn, txn_abort>;

expected<env_ptr> cannot_open(const std::filesystem::path& folder, int code) {
    return fail(ec::cannot_open_file,
                "store " + folder.string() + " cannot be opened: " + code_text(code));
}

/// LMDB unmaps the old map before it asks for a new one, and without a map there is no store left:
/// so ask first.
int map_fits(std::uint64_t bytes) noexcept {
    void* at =
        ::mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) {
        return errno;
    }
    ::munmap(at, bytes);
    return MDB_SUCCESS;
}

std::uint64_t map_bytes_now(MDB_env* env) noexcept {
    MDB_envinfo info{};
    ::mdb_env_info(env, &info);
    return info.me_mapsize;
}

}  // namespace

std::string code_text(int code) {
    return code > 0 ? std::generic_category().message(code) : ::mdb_strerror(code);
}

expected<env_ptr> open_env(const std::filesystem::path& folder, const env_options& options) {
    MDB_env* made = nullptr;
    if (const int code = ::mdb_env_create(&made); code != MDB_SUCCESS) {
        return cannot_open(folder, code);
    }
    env_ptr env{made};
    std::error_code ignored;
    const auto size = std::filesystem::file_size(folder / "data.mdb", ignored);
    const auto map = std::max(map_bytes_least, ignored ? 0 : size + size / 4);
    // A page is the least that LMDB takes; it never maps less than the file needs.
    ::mdb_env_set_mapsize(env.get(),
                          std::min(map, std::max<std::uint64_t>(options.map_bytes_max, 1 << 20)));
    ::mdb_env_set_maxdbs(env.get(), tree_count + 8);
    const unsigned flags = MDB_NOTLS | (options.read_only ? MDB_RDONLY : 0U)
                           | (options.without_locks ? MDB_NOLOCK : 0U)
                           | (options.async ? MDB_NOSYNC : 0U);
    if (const int code = ::mdb_env_open(env.get(), folder.c_str(), flags, 0666);
        code != MDB_SUCCESS) {
        return cannot_open(folder, code);
    }
    return env;
}

expected<std::uint32_t> format_of(MDB_txn* txn) {
    MDB_dbi meta = 0;
    MDB_val key = to_val(std::string_view{"format"});
    MDB_val value{};
    if (::mdb_dbi_open(txn, "meta", 0, &meta) != MDB_SUCCESS
        || ::mdb_get(txn, meta, &key, &value) != MDB_SUCCESS) {
        return fail(ec::cannot_open_file, "an LMDB file of another program");
    }
    const auto version = read_format_record(to_span(value));
    if (!version) {
        return fail(ec::cannot_open_file, "an LMDB file of another program");
    }
    return *version;
}

expected<std::unique_ptr<lmdb_env>> lmdb_env::open(std::filesystem::path folder,
                                                   const env_options& options) {
    std::unique_ptr<lmdb_env> out{new lmdb_env{std::move(folder), options}};
    if (auto problem = out->reopen()) {
        return unexpected{std::move(problem)};
    }
    return out;
}

/// Exclusive access is the caller's to ensure.
error lmdb_env::reopen() {
    env_.reset();
    auto env = open_env(folder_, options_);
    if (!env) {
        return std::move(env.error());
    }
    env_ = std::move(*env);
    if (!options_.read_only) {
        int dead = 0;
        ::mdb_reader_check(env_.get(), &dead);  // Readers that died would hold pages for ever.
    }
    if (const int code = open_trees(); code != MDB_SUCCESS) {
        env_.reset();
        return std::move(cannot_open(folder_, code).error());
    }
    return {};
}

int lmdb_env::open_trees() {
    MDB_txn* made = nullptr;
    const unsigned flags = options_.create ? 0U : MDB_RDONLY;
    if (const int code = ::mdb_txn_begin(env_.get(), nullptr, flags, &made); code != MDB_SUCCESS) {
        return code;
    }
    txn_ptr txn{made};
    for (std::size_t i = 0; i < tree_count; ++i) {
        const unsigned kind = (holds_sets(static_cast<tree>(i)) ? MDB_DUPSORT : 0U)
                              | (options_.create ? MDB_CREATE : 0U);
        if (const int code = ::mdb_dbi_open(txn.get(), tree_names[i], kind, &trees_[i]);
            code != MDB_SUCCESS) {
            return code;
        }
    }
    return ::mdb_txn_commit(txn.release());
}

int lmdb_env::attempt(const body& run, error& problem) const {
    if (env_ == nullptr) {
        return MDB_PANIC;
    }
    MDB_txn* made = nullptr;
    if (const int code = ::mdb_txn_begin(env_.get(), nullptr, 0, &made); code != MDB_SUCCESS) {
        return code;
    }
    txn_ptr txn{made};
    const int code = run(txn.get(), problem);
    return code != MDB_SUCCESS ? code : ::mdb_txn_commit(txn.release());
}

error lmdb_env::write(const body& run) {
    for (bool reopened = false;;) {
        error problem;
        int code = MDB_SUCCESS;
        {
            const std::shared_lock lock{mutex_};
            code = attempt(run, problem);
        }
        if (code == MDB_MAP_FULL) {
            code = grow();
            if (code == MDB_SUCCESS) {
                continue;
            }
        } else if (code == MDB_PANIC && !reopened) {
            // A write failed at a point where LMDB no longer knows what is on disk. It finds out
            // when it opens the file again.
            reopened = true;
            const std::unique_lock lock{mutex_};
            if (auto why = reopen(); !why) {
                continue;
            } else {
                return {ec::backend_failure, why.message()};
            }
        }
        if (code == MDB_SUCCESS) {
            return {};
        }
        return code == refused ? problem : problem_of(code, "cannot be written");
    }
}

error lmdb_env::read(const body& run) const {
    error problem;
    std::shared_lock lock{mutex_};
    if (env_ == nullptr) {
        return problem_of(MDB_PANIC, "cannot be read");
    }
    MDB_txn* made = nullptr;
    int code = ::mdb_txn_begin(env_.get(), nullptr, MDB_RDONLY, &made);
    if (code == MDB_MAP_RESIZED) {
        // Another process has grown the file that we only read.
        lock.unlock();
        {
            const std::unique_lock alone{mutex_};
            code = ::mdb_env_set_mapsize(env_.get(), 0);
        }
        lock.lock();
        if (code == MDB_SUCCESS) {
            code = ::mdb_txn_begin(env_.get(), nullptr, MDB_RDONLY, &made);
        }
    }
    if (code == MDB_SUCCESS) {
        const txn_ptr txn{made};
        code = run(txn.get(), problem);
    }
    if (code == MDB_SUCCESS) {
        return {};
    }
    return code == refused ? problem : problem_of(code, "cannot be read");
}

int lmdb_env::grow() {
    const std::unique_lock lock{mutex_};
    if (env_ == nullptr) {
        return MDB_PANIC;
    }
    int dead = 0;
    ::mdb_reader_check(env_.get(), &dead);  // For next time: their pages need not be kept.
    const auto now = map_bytes_now(env_.get());
    if (now >= options_.map_bytes_max) {
        return MDB_MAP_FULL;
    }
    const auto wanted = std::min(2 * now, options_.map_bytes_max);
    if (const int code = map_fits(wanted); code != MDB_SUCCESS) {
        return code;
    }
    return ::mdb_env_set_mapsize(env_.get(), wanted);
}

error lmdb_env::sync() {
    const std::shared_lock lock{mutex_};
    const int code = env_ == nullptr ? MDB_PANIC : ::mdb_env_sync(env_.get(), 1);
    return code == MDB_SUCCESS ? error{} : problem_of(code, "cannot be written to disk");
}

error lmdb_env::problem_of(int code, std::string_view doing) const {
    auto text = "store " + folder_.string() + " " + std::string{doing} + ": ";
    if (code == MDB_MAP_FULL) {
        text += "its limit of " + std::to_string(options_.map_bytes_max) + " bytes is reached";
        return {ec::backend_failure, std::move(text)};
    }
    struct statvfs about {};
    if (code == EIO && ::statvfs(folder_.c_str(), &about) == 0
        && about.f_bavail * about.f_frsize < (1U << 20)) {
        code = ENOSPC;  // LMDB calls a short write an I/O error.
    }
    return {ec::backend_failure, text + code_text(code)};
}

std::size_t lmdb_env::entries(MDB_txn* txn, MDB_dbi tree) noexcept {
    MDB_stat stat{};
    return ::mdb_stat(txn, tree, &stat) == MDB_SUCCESS ? stat.ms_entries : 0;
}

}  // namespace bzmq::storage
