// A clone that takes its master's state in chunks.
#include <algorithm>

#include "replica/clone.hpp"

namespace bzmq::replica {
namespace {

/// False for what a master orders for itself alone: the beginning of its epoch, a writer forgotten.
bool matters_to_others(const shared_bytes& entry) {
    entry_reader in{entry.span()};
    if (in.head().writer != own_writer) {
        return true;
    }
    for (change each; in.next(each);) {
        if (each.kind <= change_kind::clear) {
            return true;
        }
    }
    return false;
}

}  // namespace

void clone::begin_snapshot(const welcome_message& what) {
    drop_snapshot();
    show_from_ = 0;
    if (what.store == who_.store) {
        tell_given_up(what);
    }
    disk_.due_before = disk_.replace_due;
    disk_.replace_due = true;
    disk_.stale = disk_.replacing;
    disk_.reach = disk_.who.store == what.store
                      ? common_prefix(disk_.who, disk_.last, what.epochs).value_or(0)
                      : 0;
    committed_before_ = committed_;
    committed_ = what.committed;
    building_ = std::make_unique<snapshot_builder>(what, self_);
    unseen_number_ = what.number;
    unseen_results_from_ = what.results_from;
    unseen_failures_ = what.failures;
    deferred_.clear();
}

/// What we had and the master has not is not dropped without a word.
void clone::tell_given_up(const welcome_message& what) {
    const auto common = common_prefix(who_, log_.last(), what.epochs).value_or(0);
    // A master that was promoted may not know yet that it may show what we show.
    show_from_ = std::min(applied_, common);
    if (keeps_orphans_ && common < log_.last()) {
        tell_orphans(common);
    } else if (common < applied_) {
        output_.report({ec::stale_data, "the master of store " + options_.name + " has entries up to "
                                            + std::to_string(common)
                                            + " in common with this clone, which stands at "
                                            + std::to_string(applied_)
                                            + ": what only the clone had is given up"});
    }
}

/// What only we had, and the new master does not. Again, where one that comes before its state is
/// here has even less in common with us.
void clone::tell_orphans(sequence common) {
    const auto last = log_.last();
    if (orphans_told_ == last && common >= orphans_common_) {
        return;
    }
    orphans_told_ = last;
    orphans_common_ = common;
    orphan_set out{common + 1, last, {}};
    const auto forgotten = std::max(common, log_.base());
    for (auto number = forgotten + 1; number <= last; ++number) {
        out.entries.push_back(log_.at(number).bytes);
    }
    if (forgotten == common && std::ranges::none_of(out.entries, matters_to_others)) {
        return;
    }
    if (forgotten > common) {
        state_.for_each([&](const item& each) {
            if (each.revision() > common && each.revision() <= forgotten) {
                out.values.push_back(item_ptr::share(&each));
            }
        });
    }
    output_.orphaned(std::move(out));
}

/// Back to the state that is shown.
void clone::drop_snapshot() {
    if (!building_) {
        return;
    }
    if (options_.standby && (!disk_.replace_due || (disk_.replacing && !disk_.stale))) {
        finish_snapshot();  // The disk has it, or is about to: there is no way back.
        return;
    }
    building_.reset();
    deferred_.clear();
    unseen_number_ = 0;
    unseen_failures_.clear();
    committed_ = committed_before_;
    disk_.replace_due = disk_.due_before;
}

void clone::handle(instant now, const chunk_message& what) {
    if (!attached_ || what.epoch != epoch_ || what.round != round_) {
        return;
    }
    note_heard(now);
    if (building_) {
        building_->take(what, [this](sequence number, std::span<const std::byte> entry) {
            note_entry(number, entry);
        });
        advance_snapshot();
    }
    send_ack(false);
}

void clone::advance_snapshot() {
    building_->advance(committed_, [this](sequence number, std::span<const std::byte> entry) {
        note_entry(number, entry);
    });
    if (building_->complete() && building_->at() <= committed_ && building_->at() >= show_from_) {
        finish_snapshot();
        advance();
        return;
    }
    building_->trim(safe_on_disk());
}

void clone::finish_snapshot() {
    {
        const write_lock lock{gate_};
        state_.swap(building_->values());
    }
    const auto before = std::move(building_);  // The values are those that were shown so far.
    tell_replaced(before->who().store, before->values().size());
    of_durable_ = building_durable_;
    applied_ = before->at();
    log_ = std::move(before->log());
    writers_ = std::move(before->writers());
    who_ = before->who();
    trusted_ = true;
    orphans_told_ = 0;
    if (output_.wants_changes()) {
        tell_difference(before->values());
    }
    auto next = status_;
    next.synced = committed_ >= applied_;
    next.stale = next.stale && !next.synced;
    if (next.synced) {
        complete_unseen();
    }
    set_status(next);
}

/// A copy of another store goes; nobody else may have what was in it.
void clone::tell_replaced(const endpoint_id& by, std::size_t entries) {
    if (by == who_.store || entries == 0) {
        return;
    }
    output_.report({ec::stale_data, "the master of store " + options_.name + " at " + to_string(master_)
                                        + " has another store than the one that this clone copied; "
                                          "the copy, "
                                        + std::to_string(entries) + (entries == 1 ? " entry" : " entries")
                                        + ", is given up for it"});
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
