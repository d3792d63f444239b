#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bzmq/endpoint_id.hpp"
#include "bzmq/shared_bytes.hpp"
#include "replica/entry.hpp"

namespace bzmq::replica {

class table;

// An epoch's number. The lowest bits are drawn from who begins it, so that two masters that know
// nothing of each other never begin the same one; above them the starts since the last promotion
// are counted, and above those the promotions. So a promoted master fences the one that it replaces,
// however often that has started again meanwhile.
constexpr unsigned epoch_start_bit = 20;
constexpr unsigned epoch_promotion_bit = 44;

/// The epoch of a master that starts with the state of epoch `newest`, 0 for none. `by`: the
/// endpoint; or the store, where it is made anew.
[[nodiscard]] std::uint64_t epoch_after_start(std::uint64_t newest, const endpoint_id& by) noexcept;
/// The epoch of a standby that is promoted and has heard of epoch `newest`.
[[nodiscard]] std::uint64_t epoch_after_promotion(std::uint64_t newest,
                                                  const endpoint_id& by) noexcept;

/// Who ordered the log from `first` on. Every start of a master begins an epoch, so that two
/// masters never give one sequence number of one epoch to different entries.
struct epoch_start {
    std::uint64_t epoch = 0;
    sequence first = 1;
    friend bool operator==(const epoch_start&, const epoch_start&) = default;
};

/// Which store this is, and how its log came about.
struct identity {
    endpoint_id store;                ///< random, made with the store
    std::vector<epoch_start> epochs;  ///< ascending in both; the last one is the present one

    [[nodiscard]] std::uint64_t epoch() const noexcept {
        return epochs.empty() ? 0 : epochs.back().epoch;
    }
};

/// Epochs that are kept; a clone from before the oldest takes a snapshot.
constexpr std::size_t epochs_max = 256;

/// How much a log is worth: one with a higher rank has every acknowledged write that one with a
/// lower rank has. By the epoch of its newest entry, then by that entry's number.
struct log_rank {
    std::uint64_t epoch = 0;
    sequence last = 0;
    friend auto operator<=>(const log_rank&, const log_rank&) = default;
};
[[nodiscard]] log_rank rank_of(const identity& who, sequence last) noexcept;
/// Forgets the epochs that begin behind `last`, and the oldest where there are too many.
void prune_epochs(identity& who, sequence last);
/// The last entry up to which a log agrees with that of a master of the same store, whose epochs are
/// `theirs`. Nothing where no epoch is known to both.
[[nodiscard]] std::optional<sequence> common_prefix(const identity& ours, sequence our_last,
                                                    const std::vector<epoch_start>& theirs);

/// Entries on their way to disk.
struct persist_batch {
    sequence first = 1;                 ///< of the first entry
    std::vector<shared_bytes> entries;  ///< consecutive
    std::uint64_t chain_after = 0;      ///< `chain` up to the last entry
    /// Of the store from now on, in the same transaction; empty: as they are.
    std::vector<epoch_start> epochs = {};
};

/// One value of a store as it is kept.
struct stored_value {
    std::span<const std::byte> key;
    std::span<const std::byte> value;
    timestamp expiry = no_expiry;
    sequence revision = 0;  ///< the entry that wrote it
};

/// How far a writer's commands have come.
struct stored_writer {
    writer_index index = own_writer;
    writer_id id;
    std::uint64_t number = 0;  ///< of its newest command in the log
    ec result = ec::none;      ///< of that command
};

/// A whole store on its way to a standby's disk, where it takes the place of all that is there, in
/// one transaction with the entries behind it.
struct snapshot_image {
    identity who;
    sequence last = 0;                  ///< `values` shows the state after this entry
    std::uint64_t chain = 0;            ///< up to and with it
    std::vector<stored_writer> writers;
    const table* values = nullptr;      ///< as long as the call lasts
    persist_batch behind;               ///< entries from `last` + 1 on; may be without any
};

/// Whom a standby has promised not to follow anybody older.
struct vote_record {
    std::uint64_t epoch = 0;            ///< 0: nobody yet
    std::string candidate;              ///< by its elector's name
    friend bool operator==(const vote_record&, const vote_record&) = default;
};

}  // namespace bzmq::replica
