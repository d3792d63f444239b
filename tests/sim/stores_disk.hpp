#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/prng.hpp"
#include "bzmq/error.hpp"
#include "replica/durable.hpp"
#include "replica/entry.hpp"
#include "replica/table.hpp"

/// Disks of the store simulator: what is written takes time, may fail, and a crash tears off the
/// end of it.
namespace bzmq::sim::stores {

/// One value's part of the hash of a store's state, which is the sum over all of them.
std::uint64_t value_hash(std::span<const std::byte> key, std::span<const std::byte> value,
                         timestamp expiry, replica::sequence revision) noexcept;
std::uint64_t state_hash(const replica::table& values);

/// What a disk holds of one store.
struct disk_image {
    struct value {
        std::vector<std::byte> bytes;
        timestamp expiry;
        replica::sequence revision = 0;
    };
    struct record {
        shared_bytes entry;
        std::uint64_t chain = 0;
    };

    replica::identity who;
    replica::sequence last = 0;
    std::uint64_t chain = 0;
    std::map<std::vector<std::byte>, value> values;
    std::uint64_t hash = 0;  ///< of all values
    std::map<replica::writer_index, replica::stored_writer> writers;
    std::deque<record> log;  ///< the newest entries, up to `last`
    std::size_t log_bytes = 0;
    replica::vote_record vote;

    [[nodiscard]] bool exists() const { return !who.store.is_nil(); }
    void apply(const shared_bytes& entry);
    void trim(std::size_t bytes_max);
    /// Takes the values, writers and place in the log of a snapshot.
    void replace(const replica::snapshot_image& by);

  private:
    void erase(std::span<const std::byte> key);
};

/// A disk with a thread that writes what has gathered, as the storage layer's committer does.
class virtual_disk {
  public:
    enum class kind : std::uint8_t { batch, snapshot, vote };
    struct verdict {
        kind what = kind::batch;
        replica::sequence last = 0;
        error problem;
    };
    /// Called for each entry when it is on disk.
    using watch_fn = std::function<void(const disk_image&)>;

    explicit virtual_disk(std::size_t log_bytes, watch_fn watch)
        : log_bytes_(log_bytes), watch_(std::move(watch)) {}

    [[nodiscard]] disk_image& image() noexcept { return image_; }
    void set_full(bool full) noexcept { full_ = full; }

    void persist(replica::persist_batch batch);
    void persist(const replica::snapshot_image& image);
    void persist(replica::vote_record vote);
    /// Begins to write what waits; false where nothing does, or it is at it.
    bool begin();
    /// What it has begun is done: the verdicts on all that does not belong to a failure told before.
    std::vector<verdict> finish();
    /// The owner has heard of the failure.
    void resume() noexcept { ++round_; }
    /// Writes what waits, as far as it can.
    void close();
    /// The process dies: of what was not yet reported any beginning may be on disk.
    void crash(prng& random);
    /// Set where a batch was not as it should be.
    [[nodiscard]] const std::string& complaint() const noexcept { return complaint_; }

  private:
    struct waiting {
        kind what = kind::batch;
        replica::persist_batch batch;
        std::optional<disk_image> image;  ///< of a snapshot, without the entries behind it
        replica::vote_record vote;
        std::uint64_t round = 0;
    };
    void write(const replica::persist_batch& batch, std::size_t entries);
    void write(const waiting& what);
    /// Writes so many of the entries that wait, and forgets the others.
    void stop(std::size_t kept);
    [[nodiscard]] std::size_t left() const;

    const std::size_t log_bytes_;
    watch_fn watch_;
    disk_image image_;
    std::deque<waiting> queue_;
    std::deque<waiting> writing_;
    bool busy_ = false;
    bool full_ = false;
    std::uint64_t round_ = 1;
    std::uint64_t failed_round_ = 0;
    std::string complaint_;
};

}  // namespace bzmq::sim::stores
