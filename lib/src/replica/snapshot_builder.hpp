#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <vector>

#include "replica/known_writers.hpp"
#include "replica/log_tail.hpp"
#include "replica/messages.hpp"
#include "replica/table.hpp"

namespace bzmq::replica {

/// A master's state that comes in chunks. Each chunk shows a range of hashes as of some entry; the
/// entries behind that are applied to it as they come, so that all ranges stand at the same entry in
/// the end. Until then nobody sees any of it.
class snapshot_builder {
  public:
    /// Told of each entry that has been applied, in order.
    using note_fn = std::function<void(sequence, std::span<const std::byte>)>;

    snapshot_builder(const welcome_message& begin, const writer_id& self);

    /// False where it is not the one that is due.
    bool take(const chunk_message& what, const note_fn& note);
    /// The next entry of the log.
    void take(shared_bytes entry) { log_.append(std::move(entry)); }
    /// Brings what has come up to date: as far as entries may be shown, or as it takes to be whole.
    void advance(sequence committed, const note_fn& note);

    /// All ranges have come and stand at one entry.
    [[nodiscard]] bool complete() const noexcept { return whole_ && at_ >= parts_.back().at; }
    /// They stand at this one then.
    [[nodiscard]] sequence at() const noexcept { return at_; }
    [[nodiscard]] std::uint64_t chain() const noexcept { return chain_; }
    [[nodiscard]] std::uint64_t cursor() const noexcept { return cursor_; }
    /// Entries that there are, as the master said last.
    [[nodiscard]] std::uint64_t total() const noexcept { return total_; }
    [[nodiscard]] const identity& who() const noexcept { return who_; }
    [[nodiscard]] table& values() noexcept { return values_; }
    [[nodiscard]] const table& values() const noexcept { return values_; }
    [[nodiscard]] log_tail& log() noexcept { return log_; }
    [[nodiscard]] const log_tail& log() const noexcept { return log_; }
    [[nodiscard]] known_writers& writers() noexcept { return writers_; }
    /// Drops entries that are in all ranges, those behind `keep` excepted.
    void trim(sequence keep);

  private:
    /// Hashes below `to` and from the part before on stand as of entry `at`, or the newer `at_`.
    struct covered {
        std::uint64_t to = 0;  // 0: to the end
        sequence at = 0;
    };
    [[nodiscard]] const covered* part_of(std::uint64_t hash, std::size_t from_part) const;
    void apply(sequence number, std::span<const std::byte> entry, std::size_t from_part);
    void clear(sequence number, std::size_t from_part);

    identity who_;
    table values_;
    std::vector<covered> parts_;
    std::uint64_t cursor_ = 0;
    std::uint64_t total_ = 0;
    bool whole_ = false;     ///< its last chunk has come
    log_tail log_;
    sequence at_ = 0;
    std::uint64_t chain_ = 0;
    known_writers writers_;
};

}  // namespace bzmq::replica
