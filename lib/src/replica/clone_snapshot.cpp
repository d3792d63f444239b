// A clone that takes its master's state in chunks. Each chunk shows a range of hashes as of some
// entry; the entries behind that are applied to it as they come, so that all ranges stand at the
// same entry in the end. Only then is any of it shown.
#include <algorithm>

#include "replica/clone.hpp"

namespace bzmq::replica {

void clone::begin_snapshot(const welcome_message& what) {
    building_ = std::make_unique<table>();
    parts_.clear();
    cursor_ = 0;
    snapshot_whole_ = false;
    snapshot_total_ = 0;
    building_who_ = {what.store, what.epochs};
    waiting_.clear();
    applied_base_ = building_at_ = what.from;
    committed_ = what.committed;
    chain_received_ = what.chain;
    unseen_number_ = what.number;
    unseen_results_from_ = what.results_from;
    unseen_failures_ = what.failures;
    deferred_.clear();
    writers_.clear();
    own_index_ = own_writer;
    forgotten_ = false;
    for (const auto& each : what.writers) {
        writers_[each.index] = each.id;
        if (each.id == self_) {
            own_index_ = each.index;
        }
    }
}

/// Back to the state that is shown.
void clone::drop_snapshot() {
    if (!building_) {
        return;
    }
    building_.reset();
    parts_.clear();
    deferred_.clear();
    waiting_.clear();
    applied_base_ = committed_ = applied_;
    // Its writers are not known any more: only a snapshot can follow.
    chain_received_ = chain_applied_ = ~chain_applied_;
}

void clone::handle(instant now, const chunk_message& what) {
    if (!attached_ || what.epoch != epoch_ || what.round != round_) {
        return;
    }
    note_heard(now);
    if (!building_ || snapshot_whole_ || what.from != cursor_
        || (!parts_.empty() && what.at < parts_.back().at)) {
        send_ack(false);
        return;
    }
    for (const auto& each : what.values) {
        building_->put(item_ptr::make(each.key, table::hash_of(each.key), each.value, each.expiry,
                                      each.revision));
    }
    snapshot_total_ = what.total;
    parts_.push_back({what.to, what.at});
    cursor_ = what.to != 0 ? what.to : cursor_end;
    snapshot_whole_ = what.to == 0;
    // What came before the chunk, but after what it shows.
    for (auto number = std::max(what.at, applied_base_) + 1; number <= building_at_; ++number) {
        apply_to_building(number, waiting_[static_cast<std::size_t>(number - applied_base_ - 1)].bytes.span(),
                          parts_.size() - 1);
    }
    advance_snapshot();
    send_ack(false);
}

void clone::advance_snapshot() {
    const auto until = std::min(committed_, received_up_to());
    while (building_at_ < until) {
        const auto& entry = waiting_[static_cast<std::size_t>(building_at_ - applied_base_)];
        ++building_at_;
        apply_to_building(building_at_, entry.bytes.span(), 0);
        note_entry(building_at_, entry.bytes.span());
    }
    if (snapshot_whole_ && building_at_ >= parts_.back().at) {
        finish_snapshot();
        return;
    }
    // Chunks to come are no older than those that have come.
    const auto needed = parts_.empty() ? applied_base_ : std::min(building_at_, parts_.back().at);
    while (applied_base_ < needed) {
        waiting_.pop_front();
        ++applied_base_;
    }
}

/// Brings the parts from `from_part` on up to this entry.
void clone::apply_to_building(sequence number, std::span<const std::byte> entry,
                              std::size_t from_part) {
    const auto stands_at = [this, from_part](std::uint64_t hash) -> const covered* {
        const auto at = std::find_if(parts_.begin() + static_cast<std::ptrdiff_t>(from_part),
                                     parts_.end(), [hash](const covered& part) {
                                         return part.to == 0 || hash < part.to;
                                     });
        const bool before = from_part > 0 && hash < parts_[from_part - 1].to;
        return at == parts_.end() || before ? nullptr : &*at;
    };
    entry_reader in{entry};
    for (change each; in.next(each);) {
        if (each.kind == change_kind::clear) {
            std::vector<item_ptr> gone;
            building_->for_each([&](const item& held) {
                const auto* part = stands_at(held.hash());
                if (part != nullptr && part->at < number) {
                    gone.push_back(item_ptr::share(&held));
                }
            });
            for (const auto& held : gone) {
                building_->erase(held->key(), held->hash());
            }
            continue;
        }
        if (each.kind > change_kind::clear) {
            continue;
        }
        const auto hash = table::hash_of(each.key);
        const auto* part = stands_at(hash);
        if (part == nullptr || number <= part->at) {
            continue;
        }
        if (each.kind <= change_kind::put_expiring) {
            building_->put(item_ptr::make(each.key, hash, each.value, each.expiry, number));
        } else {
            building_->erase(each.key, hash);
        }
    }
}

void clone::finish_snapshot() {
    gate_.lock();
    state_.swap(*building_);
    gate_.unlock();
    const auto before = std::move(building_);
    applied_ = building_at_;
    while (applied_base_ < applied_) {
        chain_applied_ = waiting_.front().chain;
        waiting_.pop_front();
        ++applied_base_;
    }
    if (waiting_.empty()) {
        chain_applied_ = chain_received_;
    }
    who_ = std::move(building_who_);
    parts_.clear();
    if (output_.wants_changes()) {
        tell_difference(*before);
    }
    complete_unseen();
    for (const auto& each : std::exchange(deferred_, {})) {
        complete(each.number, {each.code, each.revision, each.value});
    }
    auto next = status_;
    next.synced = true;
    next.stale = false;
    set_status(next);
    advance();
}

void clone::tell_difference(const table& before) {
    // One revision may stand for two values where the store is another one.
    const auto same = [](const item& a, const item& b) {
        return a.revision() == b.revision() && a.expiry() == b.expiry()
               && std::ranges::equal(a.value(), b.value());
    };
    state_.for_each([&](const item& now) {
        const auto* was = before.find(now.key(), now.hash());
        if (was == nullptr || !same(*was, now)) {
            output_.changed({change_kind::put, item_ptr::share(was), item_ptr::share(&now)});
        }
    });
    before.for_each([&](const item& was) {
        if (state_.find(was.key(), was.hash()) == nullptr) {
            output_.changed({change_kind::erase, item_ptr::share(&was), {}});
        }
    });
}

}  // namespace bzmq::replica
