#pragma once

#include "base/prng.hpp"
#include "data/msgpack_codec.hpp"
#include "data/ordered_codec.hpp"
#include "storage/lmdb_store.hpp"
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace bzmq::storage::test {

using bytes = std::vector<std::byte>;

/// A folder that goes with it.
class scratch_folder {
  public:
    explicit scratch_folder(
        const std::filesystem::path& parent = std::filesystem::temp_directory_path()) {
        std::string pattern = parent / "bzmq-storage.XXXXXX";
        if (::mkdtemp(pattern.data()) == nullptr) {
            std::abort();
        }
        path_ = pattern;
    }
    scratch_folder(const scratch_folder&) = delete;
    scratch_folder& operator=(const scratch_folder&) = delete;
    ~scratch_folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    [[nodiscard]] const std::filesystem::path& path() const { return path_; }
    [[nodiscard]] std::filesystem::path store() const { return path_ / "store"; }

  private:
    std::filesystem::path path_;
};

/// For what needs many syncs and no disk.
inline std::filesystem::path memory_folder() {
    const std::filesystem::path shm{"/dev/shm"};
    return ::access(shm.c_str(), W_OK) == 0 ? shm : std::filesystem::temp_directory_path();
}

inline bytes key_of(const data& value) {
    bytes out;
    if (!encode_ordered(value, out)) {
        std::abort();
    }
    return out;
}
inline bytes value_of(const data& value) {
    bytes out;
    if (!encode(value, out)) {
        std::abort();
    }
    return out;
}
inline bytes to_bytes(std::span<const std::byte> from) {
    return {from.begin(), from.end()};
}

/// The log of a master, and the state that it stands for.
class model {
  public:
    struct entry_of_value {
        bytes value;
        timestamp expiry;
        replica::sequence revision = 0;
        friend bool operator==(const entry_of_value&, const entry_of_value&) = default;
    };

    /// Changes of the next entry.
    model& put(const data& key, const data& value, timestamp expiry = replica::no_expiry) {
        auto key_bytes = key_of(key);
        auto value_bytes = value_of(value);
        replica::change what;
        what.kind = expiry == replica::no_expiry ? replica::change_kind::put
                                                 : replica::change_kind::put_expiring;
        what.key = key_bytes;
        what.value = value_bytes;
        what.expiry = expiry;
        replica::put_change(changes_, what);
        values_[std::move(key_bytes)] = {std::move(value_bytes), expiry, last_ + 1};
        return *this;
    }
    model& erase(const data& key) {
        const auto key_bytes = key_of(key);
        replica::change what;
        what.kind = replica::change_kind::erase;
        what.key = key_bytes;
        replica::put_change(changes_, what);
        values_.erase(key_bytes);
        return *this;
    }
    model& clear() {
        replica::change what;
        what.kind = replica::change_kind::clear;
        replica::put_change(changes_, what);
        values_.clear();
        return *this;
    }
    model& open_writer(replica::writer_index index, endpoint_id id) {
        replica::change what;
        what.kind = replica::change_kind::open_writer;
        what.writer = index;
        what.id = id;
        replica::put_change(changes_, what);
        writers_[index] = {.index = index, .id = id};
        return *this;
    }
    model& close_writer(replica::writer_index index) {
        replica::change what;
        what.kind = replica::change_kind::close_writer;
        what.writer = index;
        replica::put_change(changes_, what);
        writers_.erase(index);
        return *this;
    }
    /// Ends the entry.
    model& entry(replica::entry_head head = {}) {
        bytes all;
        replica::put_head(all, head);
        all.insert(all.end(), changes_.begin(), changes_.end());
        changes_.clear();
        if (const auto writer = writers_.find(head.writer); writer != writers_.end()) {
            writer->second.number = head.number;
            writer->second.result = head.result;
        }
        ++last_;
        chain_ = replica::chain(chain_, all);
        batch_.entries.push_back(shared_bytes::copy_of(std::span<const std::byte>{all}));
        return *this;
    }
    /// What has gathered, for `commit`.
    replica::persist_batch batch() {
        auto out = std::exchange(batch_, {});
        out.first = last_ + 1 - out.entries.size();
        out.chain_after = chain_;
        return out;
    }
    /// As if there had been entries up to `last`.
    void jump(replica::sequence last, std::uint64_t chain) {
        last_ = last;
        chain_ = chain;
    }

    [[nodiscard]] replica::sequence last() const { return last_; }
    [[nodiscard]] std::uint64_t chain() const { return chain_; }
    [[nodiscard]] const std::map<bytes, entry_of_value>& values() const { return values_; }
    [[nodiscard]] const std::map<replica::writer_index, replica::stored_writer>& writers() const {
        return writers_;
    }

  private:
    bytes changes_;
    replica::persist_batch batch_;
    replica::sequence last_ = 0;
    std::uint64_t chain_ = 0;
    std::map<bytes, entry_of_value> values_;
    std::map<replica::writer_index, replica::stored_writer> writers_;
};

inline std::map<bytes, model::entry_of_value> values_in(const lmdb_store& store, error& problem) {
    std::map<bytes, model::entry_of_value> out;
    problem = store.for_each_value([&out](const replica::stored_value& each) {
        out[to_bytes(each.key)] = {to_bytes(each.value), each.expiry, each.revision};
        return true;
    });
    return out;
}

inline std::string file_text(const std::filesystem::path& path) {
    std::ifstream in{path, std::ios::binary};
    return {std::istreambuf_iterator<char>{in}, {}};
}
inline void write_file(const std::filesystem::path& path, std::string_view text) {
    std::ofstream{path, std::ios::binary}.write(text.data(),
                                                static_cast<std::streamsize>(text.size()));
}

}  // namespace bzmq::storage::test
