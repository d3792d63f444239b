// A clone and its master: attaching, entries, acknowledgements. Snapshots are in
// clone_snapshot.cpp, the clone's own commands in clone_commands.cpp.
#include "replica/clone.hpp"

#include <algorithm>

namespace bzmq::replica {
namespace {

using namespace std::chrono_literals;

constexpr auto attach_pause_min = 100ms;
constexpr auto ack_delay = 5ms;
constexpr std::size_t ack_bytes = 64 * 1024;
constexpr auto gap_pause = 20ms;
// Without a word for so many heartbeats, the clone attaches anew.
constexpr int heartbeats_missed_max = 3;
// Entries that readers wait for at most.
constexpr std::size_t entries_per_lock = 256;

}  // namespace

clone::clone(clone_options options, table& state, write_gate& gate, store_output& output,
             instant now)
    : options_(std::move(options)),
      self_(options_.self),
      state_(state),
      gate_(gate),
      output_(output),
      heard_at_(now) {}

// -- The master -----------------------------------------------------------------------------------

void clone::master_is(instant now, const endpoint_id& who) {
    if (who == master_) {
        return;
    }
    lose_master();
    master_ = who;
    attach_due_ = who.is_nil() ? never : now;
    attach_pause_ = attach_pause_min;
    refused_store_told_ = false;
}

void clone::lose_master() {
    attached_ = false;
    drop_snapshot();
    auto next = status_;
    next.attached = false;
    next.master = {};
    set_status(next);
}

void clone::set_status(clone_status next) {
    const bool changed = next.synced != status_.synced || next.stale != status_.stale
                         || next.attached != status_.attached || next.master != status_.master;
    status_ = next;
    if (changed) {
        output_.status_changed(status_);
    }
}

/// Asks the master to take us on.
void clone::seek(instant now) {
    drop_snapshot();
    attached_ = false;
    attach_due_ = now + attach_pause_;
    attach_pause_ = std::min<std::chrono::nanoseconds>(2 * attach_pause_, options_.resync_interval);
    attach_message out;
    out.clone = self_;
    out.attempt = ++attempt_;
    out.store = who_.store;
    out.last = received_up_to();
    out.chain = chain_received_;
    out.epoch = who_.epoch();
    send(encode(options_.name, out));
}

void clone::received(instant now, timestamp wall, const endpoint_id& from, message_type type,
                     byte_reader& in) {
    if (from != master_) {
        return;  // Of a former master.
    }
    const auto take = [&](auto&& what) {
        if (what) {
            handle(now, *what);
        }
    };
    switch (type) {
        case message_type::welcome:
            if (const auto what = read_welcome(in);
                what && what->clone == self_ && what->attempt == attempt_) {
                note_clock(wall, what->wall);
                handle(now, *what);
            }
            break;
        case message_type::log:
            if (const auto what = read_log(in)) {
                note_clock(wall, what->wall);
                handle(now, *what);
            }
            break;
        case message_type::chunk:
            if (const auto what = read_chunk(in)) {
                handle(now, *what);
            }
            break;
        case message_type::heartbeat:
            if (const auto what = read_heartbeat(in)) {
                note_clock(wall, what->wall);
                handle(now, *what);
            }
            break;
        case message_type::taken:
            if (const auto what = read_taken(in)) {
                handle(*what);
            }
            break;
        case message_type::failed:
            if (const auto what = read_failed(in)) {
                handle(*what);
            }
            break;
        case message_type::refuse:
            take(read_refuse(in));
            break;
        case message_type::closing:
            lose_master();
            attach_due_ = now + attach_pause_min;  // Until the overlay says so too.
            break;
        default:
            break;  // Not for clones.
    }
}

void clone::note_clock(timestamp wall, std::int64_t master_wall) {
    clock_offset_ = timespan{master_wall} - wall.time_since_epoch();
}

void clone::note_heard(instant now) {
    heard_at_ = now;
    if (status_.stale && !building_) {
        auto next = status_;
        next.stale = false;
        set_status(next);
    }
}

bool clone::accepts(const welcome_message& what) {
    const bool other = !who_.store.is_nil() && who_.store != what.store;
    if (!other || !status_.synced || !what.durable || options_.follow_new_store || accept_once_) {
        return true;
    }
    if (!refused_store_told_) {
        refused_store_told_ = true;
        output_.report({ec::stale_data,
                        "the master of store " + options_.name + " at " + to_string(master_)
                            + " has another store than the one that this clone copied; the copy is "
                              "kept, and goes stale, until it is told to follow"});
    }
    return false;
}

void clone::handle(instant now, const welcome_message& what) {
    if (what.epoch == epoch_ && what.round <= round_) {
        return;  // A late copy.
    }
    if (!accepts(what)) {
        attach_due_ = now + options_.resync_interval;
        return;
    }
    const bool follows = what.store == who_.store && what.from <= received_up_to();
    if (!what.snapshot && !follows) {
        return;  // It answers to what we no longer have.
    }
    if (what.snapshot) {
        if (what.store == who_.store && what.from < applied_) {
            output_.report({ec::stale_data, "the master of store " + options_.name + " stands at entry "
                                                + std::to_string(what.from) + ", this clone at "
                                                + std::to_string(applied_)
                                                + ": what only the clone had is given up"});
        }
        if (!sent_to_.is_nil() && what.store != sent_to_) {
            // The other store may yet come back, so that what it may have is not for this one.
            renew_writer();
            // The answer was to the writer that we no longer are.
            accept_once_ = true;
            who_ = {};
            attached_ = false;
            attach_due_ = now;
            return;
        }
        begin_snapshot(what);
    } else {
        who_.epochs = what.epochs;
        committed_ = std::max(committed_, what.committed);
        auto next = status_;
        next.synced = true;
        set_status(next);
    }
    accept_once_ = false;
    attached_ = true;
    epoch_ = what.epoch;
    round_ = what.round;
    sent_to_ = what.store;
    heartbeat_ = std::max<std::chrono::nanoseconds>(std::chrono::nanoseconds{what.heartbeat}, 10ms);
    attach_due_ = never;
    attach_pause_ = attach_pause_min;
    // Whatever has no answer yet may have been lost with the last master, or with its messages.
    sent_ = taken_ = first_number_ - 1;
    in_flight_ = 0;
    auto next = status_;
    next.attached = true;
    next.master = master_;
    set_status(next);
    note_heard(now);
    send_ack(false);
}

void clone::handle(instant now, const refuse_message& what) {
    if (what.clone != self_) {
        return;
    }
    if (what.code == ec::stale_data) {
        // The master has forgotten what it knew of us as a writer.
        renew_writer();
    }
    attached_ = false;
    attach_due_ = now + attach_pause_;
}

void clone::accept_new_store(instant now) {
    accept_once_ = true;
    refused_store_told_ = false;
    if (!attached_ && !master_.is_nil()) {
        attach_due_ = now;
    }
}

// -- The log --------------------------------------------------------------------------------------

void clone::handle(instant now, const log_message& what) {
    if (!attached_ || what.epoch != epoch_) {
        return;
    }
    note_heard(now);
    const auto before = received_up_to();
    if (what.first > before + 1) {
        note_gap(now);
    } else {
        take_entries(what);
    }
    committed_ = std::max(committed_, what.committed);
    advance();
    if (received_up_to() != before) {
        ack_due_ = std::min(ack_due_, now + ack_delay);
    } else if (!what.entries.empty()) {
        ack_due_ = std::min(ack_due_, now + ack_delay);  // It does not know that we have these.
    }
    if (unacked_bytes_ >= ack_bytes) {
        send_ack(false);
    }
}

void clone::take_entries(const log_message& what) {
    for (std::size_t i = 0; i < what.entries.size(); ++i) {
        if (what.first + i <= received_up_to()) {
            continue;
        }
        const auto& entry = what.entries[i];
        if (!well_formed(entry)) {
            output_.report({ec::invalid_data, "the master of store " + options_.name
                                                  + " sent a malformed entry"});
            return;
        }
        chain_received_ = replica::chain(chain_received_, entry);
        unacked_bytes_ += entry.size();
        waiting_.push_back({arena_.keep(entry), chain_received_});
    }
}

void clone::note_gap(instant now) {
    if (now >= gap_told_at_ + gap_pause) {
        gap_told_at_ = now;
        send_ack(true);
    }
}

void clone::handle(instant now, const heartbeat_message& what) {
    if (what.epoch != epoch_ || !attached_) {
        return;
    }
    note_heard(now);
    committed_ = std::max(committed_, what.committed);
    advance();
    if (what.last > received_up_to()) {
        note_gap(now);
    } else {
        send_ack(false);
    }
    if (!building_ && applied_ == what.committed && chain_applied_ != what.chain) {
        diverged(now, "its log differs from the master's");
    }
}

/// The copy cannot be trusted: takes all of it anew.
void clone::diverged(instant now, std::string_view how) {
    output_.report({ec::invalid_data, "the clone of store " + options_.name + " takes a new copy: "
                                          + std::string{how}});
    drop_snapshot();
    who_.epochs.clear();
    waiting_.clear();
    chain_received_ = chain_applied_ = ~chain_applied_;  // Never the master's.
    seek(now);
}

void clone::send_ack(bool gap) {
    unacked_bytes_ = 0;
    ack_due_ = never;
    if (!attached_) {
        return;
    }
    ack_message out;
    out.epoch = epoch_;
    out.round = round_;
    out.received = received_up_to();
    out.applied = applied_;
    out.gap = gap;
    out.in_snapshot = building_ != nullptr;
    out.cursor = cursor_;
    send(encode(options_.name, out));
}

void clone::advance() {
    if (building_) {
        advance_snapshot();
        return;
    }
    const auto until = std::min(committed_, received_up_to());
    while (applied_ < until) {
        const auto count = std::min<std::size_t>(entries_per_lock,
                                                 static_cast<std::size_t>(until - applied_));
        const bool changes = output_.wants_changes();
        effects_scratch_.clear();
        gate_.lock();
        for (std::size_t i = 0; i < count; ++i) {
            entry_reader in{waiting_[i].bytes.span()};
            for (change each; in.next(each);) {
                if (auto what = effect_of(each, applied_ + 1 + i, changes ? &state_ : nullptr)) {
                    apply(each, *what, state_);
                    if (changes) {
                        effects_scratch_.push_back(std::move(*what));
                    }
                }
            }
        }
        gate_.unlock();
        for (const auto& each : effects_scratch_) {
            output_.changed(each);
        }
        for (std::size_t i = 0; i < count; ++i) {
            const auto entry = std::move(waiting_.front());
            waiting_.pop_front();
            applied_base_ = ++applied_;
            chain_applied_ = entry.chain;
            note_entry(applied_, entry.bytes.span());
        }
    }
}

/// Writers come and go in few entries; all changes of those stand at the front. True where the entry
/// is of a command of our own.
bool clone::note_writers(const entry_head& head, std::span<const std::byte> entry) {
    entry_reader in{entry};
    change first;
    if (in.next(first) && first.kind == change_kind::open_writer) {
        writers_[first.writer] = first.id;
        if (first.id == self_) {
            own_index_ = first.writer;
            forgotten_ = false;  // It took us for a new one.
        }
    } else if (!in.failed() && first.kind == change_kind::close_writer) {
        writers_.erase(first.writer);
        if (first.writer == own_index_) {
            own_index_ = own_writer;
            forgotten_ = true;
        }
    }
    return own_index_ != own_writer && head.writer == own_index_;
}

void clone::note_entry(sequence number, std::span<const std::byte> entry) {
    const auto head = entry_reader{entry}.head();
    if (!note_writers(head, entry)) {
        return;
    }
    // A writer's numbers come in order: those that the log skips never got into it.
    for (auto skipped = first_number_; skipped < head.number && skipped <= last_number(); ++skipped) {
        if (building_) {
            deferred_.push_back({skipped, ec::backend_failure, 0, {}});
        } else {
            complete(skipped, {ec::backend_failure, 0, {}});
        }
    }
    answer what{head.result, number, {}};
    entry_reader again{entry};
    for (change each; again.next(each);) {
        if (each.kind <= change_kind::put_expiring) {
            what.value = each.value;
        }
    }
    if (building_) {
        deferred_.push_back({head.number, what.code, what.revision,
                             {what.value.begin(), what.value.end()}});
    } else {
        complete(head.number, what);
    }
}

// -- Time -----------------------------------------------------------------------------------------

void clone::tick(instant now) {
    if (attached_ && now >= heard_at_ + heartbeats_missed_max * heartbeat_) {
        auto next = status_;
        next.attached = false;
        set_status(next);
        attach_pause_ = attach_pause_min;
        seek(now);
    } else if (now >= attach_due_ && !attached_ && !master_.is_nil()) {
        seek(now);
    }
    if (!status_.stale && now >= heard_at_ + options_.stale_interval) {
        auto next = status_;
        next.stale = true;
        set_status(next);
    }
    if (now >= ack_due_) {
        send_ack(false);
    }
    if (now >= resend_due_) {
        resend_due_ = never;
        sent_ = taken_;
        in_flight_ = 0;
    }
    if (now >= probe_due_) {
        probe_due_ = never;
        ask_after_first();
    }
    expire_commands(now);
}

instant clone::next_deadline() const noexcept {
    auto due = std::min({ack_due_, resend_due_, probe_due_});
    if (attached_) {
        due = std::min(due, heard_at_ + heartbeats_missed_max * heartbeat_);
    } else {
        due = std::min(due, attach_due_);
    }
    if (!status_.stale) {
        due = std::min(due, heard_at_ + options_.stale_interval);
    }
    if (expired_ < last_number() && !commands_.empty()) {
        const auto at = std::max(expired_ + 1, first_number_) - first_number_;
        due = std::min(due, commands_[static_cast<std::size_t>(at)].expires);
    }
    return due;
}

std::size_t clone::waiting_bytes() const noexcept {
    std::size_t bytes = 0;
    for (const auto& each : waiting_) {
        bytes += each.bytes.size();
    }
    return bytes;
}

void clone::flush(instant now) {
    if (forgotten_ && !building_) {
        renew_writer();
        if (attached_) {
            attach_pause_ = attach_pause_min;
            seek(now);
        }
    }
    send_commands(now);
}

}  // namespace bzmq::replica
