#include "replica/snapshot_builder.hpp"

#include <algorithm>

namespace bzmq::replica {

snapshot_builder::snapshot_builder(const welcome_message& begin, const writer_id& self)
    : who_{begin.store, begin.epochs}, at_(begin.from), chain_(begin.chain) {
    log_.reset(begin.from, begin.chain);
    writers_.reset(begin.writers, self);
}

bool snapshot_builder::take(const chunk_message& what, const note_fn& note) {
    if (whole_ || what.from != cursor_ || (!parts_.empty() && what.at < parts_.back().at)) {
        return false;
    }
    for (const auto& each : what.values) {
        values_.put(item_ptr::make(each.key, each.value, each.expiry, each.revision));
    }
    total_ = what.total;
    parts_.push_back({what.to, what.at});
    whole_ = what.to == 0;
    cursor_ = whole_ ? cursor_end : what.to;
    // What came before the chunk, but after what it shows.
    for (auto number = std::max(what.at, log_.base()) + 1; number <= at_; ++number) {
        apply(number, log_.at(number).bytes.span(), parts_.size() - 1);
    }
    advance(at_, note);
    return true;
}

void snapshot_builder::advance(sequence committed, const note_fn& note) {
    // A standby must be whole on disk before its master may say what can be shown.
    const auto until = std::min(std::max(committed, whole_ ? parts_.back().at : 0), log_.last());
    while (at_ < until) {
        const auto entry = log_.at(at_ + 1).bytes;
        chain_ = log_.chain_at(++at_);
        apply(at_, entry.span(), 0);
        note(at_, entry.span());
    }
}

void snapshot_builder::trim(sequence keep) {
    // Chunks to come are no older than those that have come.
    const auto needed = complete() ? at_ : parts_.empty() ? log_.base()
                                                          : std::min(at_, parts_.back().at);
    log_.trim(0, std::min(needed, keep) + 1);
}

const snapshot_builder::covered* snapshot_builder::part_of(std::uint64_t hash,
                                                           std::size_t from_part) const {
    if (from_part > 0 && hash < parts_[from_part - 1].to) {
        return nullptr;
    }
    const auto at = std::find_if(parts_.begin() + static_cast<std::ptrdiff_t>(from_part),
                                 parts_.end(), [hash](const covered& part) {
                                     return part.to == 0 || hash < part.to;
                                 });
    return at == parts_.end() ? nullptr : &*at;
}

/// Brings the parts from `from_part` on up to this entry.
void snapshot_builder::apply(sequence number, std::span<const std::byte> entry,
                             std::size_t from_part) {
    entry_reader in{entry};
    for (change each; in.next(each);) {
        if (each.kind == change_kind::clear) {
            clear(number, from_part);
            continue;
        }
        if (each.kind > change_kind::clear) {
            continue;
        }
        const auto hash = table::hash_of(each.key);
        const auto* part = part_of(hash, from_part);
        if (part == nullptr || number <= part->at) {
            continue;
        }
        if (each.kind <= change_kind::put_expiring) {
            values_.put(item_ptr::make(each.key, each.value, each.expiry, number));
        } else {
            values_.erase(each.key, hash);
        }
    }
}

void snapshot_builder::clear(sequence number, std::size_t from_part) {
    std::vector<item_ptr> gone;
    values_.for_each([&](const item& held) {
        const auto* part = part_of(held.hash(), from_part);
        if (part != nullptr && part->at < number) {
            gone.push_back(item_ptr::share(&held));
        }
    });
    for (const auto& held : gone) {
        values_.erase(held->key(), held->hash());
    }
}

}  // namespace bzmq::replica
