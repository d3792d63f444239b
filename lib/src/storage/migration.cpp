#include "storage/migration.hpp"

#include "storage/lmdb_env.hpp"
#include "storage/stored_format.hpp"

#include <algorithm>
#include <string>

namespace bzmq::storage {
namespace {

/// LMDB's code of all steps and of the record of the version behind them.
int run_steps(MDB_env* env, std::uint32_t from, std::span<const migration> steps) {
    MDB_txn* txn = nullptr;
    int code = ::mdb_txn_begin(env, nullptr, 0, &txn);
    if (code != MDB_SUCCESS) {
        return code;
    }
    for (auto version = from; version < format_version && code == MDB_SUCCESS; ++version) {
        code = std::ranges::find(steps, version, &migration::from)->run(txn);
    }
    MDB_dbi meta = 0;
    if (code == MDB_SUCCESS) {
        code = ::mdb_dbi_open(txn, "meta", 0, &meta);
    }
    if (code == MDB_SUCCESS) {
        const auto record = format_record(format_version);
        auto key = to_val(std::string_view{"format"});
        auto value = to_val(record);
        code = ::mdb_put(txn, meta, &key, &value, 0);
    }
    if (code != MDB_SUCCESS) {
        ::mdb_txn_abort(txn);
        return code;
    }
    return ::mdb_txn_commit(txn);
}

}  // namespace

std::span<const migration> known_migrations() noexcept {
    return {};
}

error migrate(const std::filesystem::path& folder, std::uint32_t from,
              std::span<const migration> steps, std::uint64_t map_bytes_max) {
    const auto name = "store " + folder.string();
    for (auto version = from; version < format_version; ++version) {
        if (std::ranges::find(steps, version, &migration::from) == steps.end()) {
            return {ec::cannot_open_file, name + " is of format version " + std::to_string(version)
                                              + ", from which there is no way to version "
                                              + std::to_string(format_version)};
        }
    }
    auto env = open_env(folder, {.map_bytes_max = map_bytes_max});
    if (!env) {
        return std::move(env.error());
    }
    MDB_envinfo info{};
    ::mdb_env_info(env->get(), &info);
    for (auto room = info.me_mapsize;; room *= 2) {
        ::mdb_env_set_mapsize(env->get(), std::min<std::uint64_t>(room, map_bytes_max));
        const int code = run_steps(env->get(), from, steps);
        if (code == MDB_SUCCESS) {
            return {};
        }
        if (code != MDB_MAP_FULL || room >= map_bytes_max) {
            return {ec::backend_failure,
                    name + " cannot be brought from format version " + std::to_string(from) + " to "
                        + std::to_string(format_version) + ": " + code_text(code)};
        }
    }
}

}  // namespace bzmq::storage
