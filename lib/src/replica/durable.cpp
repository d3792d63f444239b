#include "replica/durable.hpp"

#include <algorithm>

namespace bzmq::replica {
namespace {

std::uint64_t epoch_after(std::uint64_t newest, const endpoint_id& by, unsigned bit) noexcept {
    const auto drawn = stable_hash(std::as_bytes(std::span{by.bytes()}));
    return ((newest >> bit) + 1) << bit | (drawn & ((std::uint64_t{1} << epoch_start_bit) - 1));
}

}  // namespace

std::uint64_t epoch_after_start(std::uint64_t newest, const endpoint_id& by) noexcept {
    return epoch_after(newest, by, epoch_start_bit);
}

std::uint64_t epoch_after_promotion(std::uint64_t newest, const endpoint_id& by) noexcept {
    return epoch_after(newest, by, epoch_promotion_bit);
}

log_rank rank_of(const identity& who, sequence last) noexcept {
    log_rank out{0, last};
    for (const auto& each : who.epochs) {
        if (each.first <= last) {
            out.epoch = each.epoch;
        }
    }
    return out;
}

void prune_epochs(identity& who, sequence last) {
    while (!who.epochs.empty() && who.epochs.back().first > last) {
        who.epochs.pop_back();
    }
    if (who.epochs.size() > epochs_max) {
        who.epochs.erase(who.epochs.begin(), who.epochs.end() - epochs_max);
    }
}

std::optional<sequence> common_prefix(const identity& ours, sequence our_last,
                                      const std::vector<epoch_start>& theirs) {
    const auto end_of = [](const std::vector<epoch_start>& epochs, std::size_t at, sequence last) {
        return at + 1 < epochs.size() ? std::min(last, epochs[at + 1].first - 1) : last;
    };
    for (auto mine = ours.epochs.size(); mine-- > 0;) {
        if (ours.epochs[mine].first > our_last) {
            continue;
        }
        const auto same = std::find(theirs.begin(), theirs.end(), ours.epochs[mine]);
        if (same != theirs.end()) {
            const auto at = static_cast<std::size_t>(same - theirs.begin());
            return std::min(end_of(ours.epochs, mine, our_last), end_of(theirs, at, our_last));
        }
    }
    return our_last == 0 ? std::optional<sequence>{0} : std::nullopt;
}

}  // namespace bzmq::replica
