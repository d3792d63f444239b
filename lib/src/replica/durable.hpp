#pragma once

#include <cstdint>
#include <vector>

#include "bzmq/endpoint_id.hpp"
#include "bzmq/shared_bytes.hpp"
#include "replica/entry.hpp"

namespace bzmq::replica {

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

/// Entries on their way to disk.
struct persist_batch {
    sequence first = 1;                 ///< of the first entry
    std::vector<shared_bytes> entries;  ///< consecutive
    std::uint64_t chain_after = 0;      ///< `chain` up to the last entry
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

}  // namespace bzmq::replica
