// A clone and its master: attaching, entries, acknowledgements. Snapshots are in
// clone_snapshot.cpp, the clone's own commands in clone_commands.cpp, standbys in clone_standby.cpp.
#include "replica/clone.hpp"

#include <algorithm>

namespace bzmq::replica {
namespace {

using namespace std::chrono_literals;

constexpr auto ack_delay = 5ms;
constexpr std::size_t ack_bytes = 64 * 1024;
constexpr auto gap_pause = 20ms;
// Without a word for so many heartbeats, the clone attaches anew.
constexpr int heartbeats_missed_max = 3;
// Attempts at one master before another one is asked, where there are several.
constexpr unsigned fruitless_max = 2;
// Entries that readers wait for at most.
constexpr std::size_t entries_per_lock = 256;

/// Whoever wants a shorter pause than the first one would ask as fast as it can.
clone_options with_sane_pauses(clone_options options) {
    options.resync_interval = std::max(options.resync_interval, attach_pause_min);
    return options;
}

election_options elections_of(const clone_options& options) {
    return {options.elector, options.standby ? options.electors : std::vector<std::string>{},
            options.failover_timeout, options.seed};
}

}  // namespace

clone::clone(clone_options options, table& state, write_gate& gate, store_output& output,
             instant now)
    : clone(std::move(options), handover{}, {}, state, gate, output, now) {}

clone::clone(clone_options options, handover from, vote_record promised, table& state,
             write_gate& gate, store_output& output, instant now)
    : options_(with_sane_pauses(std::move(options))),
      self_(options_.self),
      state_(state),
      gate_(gate),
      output_(output),
      newest_epoch_(from.who.epoch()),
      heard_at_(now),
      who_(std::move(from.who)),
      applied_(from.applied),
      log_(std::move(from.log)),
      keeps_orphans_(options_.standby || !who_.store.is_nil()),
      election_(elections_of(options_), std::move(promised), options_.self, now) {
    writers_.reset(from.writers, self_);
    election_.heard_epoch(newest_epoch_);  // Of an operator's making, nobody has promised it.
    disk_.who = who_;
    disk_.last = from.on_disk;
    disk_.handed = from.handed_to_disk;
    disk_.epochs_due = true;
}

void clone::load_log(sequence number, std::uint64_t chain, std::span<const std::byte> entry) {
    if (number != log_.last() + 1 || log_.last() == applied_) {
        log_.reset(number - 1, 0);
    }
    log_.append(arena_.keep(entry));
    log_.set_last_chain(chain);
}

// -- The master -----------------------------------------------------------------------------------

void clone::masters_are(instant now, std::vector<endpoint_id> who) {
    candidates_ = std::move(who);
    if (std::find(candidates_.begin(), candidates_.end(), master_) == candidates_.end()
        || master_.is_nil()) {
        next_master(now, candidates_.empty() ? endpoint_id{} : candidates_.front());
    }
}

void clone::next_master(instant now, const endpoint_id& who) {
    if (who == master_) {
        return;
    }
    lose_master();
    master_ = who;
    fruitless_ = 0;
    attach_due_ = who.is_nil() || promoting_ != 0 ? never : now;
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
    if (++fruitless_ > fruitless_max && candidates_.size() > 1) {
        const auto at = std::find(candidates_.begin(), candidates_.end(), master_);
        const bool wraps = at == candidates_.end() || at + 1 == candidates_.end();
        next_master(now, wraps ? candidates_.front() : *(at + 1));
    }
    drop_snapshot();
    attached_ = false;
    attach_due_ = after(now, attach_pause_);
    attach_pause_ = std::min<std::chrono::nanoseconds>(2 * attach_pause_, options_.resync_interval);
    attach_message out;
    out.clone = self_;
    out.attempt = ++attempt_;
    out.store = who_.store;
    out.last = log_.last();
    out.chain = trusted_ ? log_.chain() : ~log_.chain();
    out.standby = options_.standby;
    out.stored = stored();
    out.epoch = std::max({who_.epoch(), newest_epoch_, promised_in(who_.store)});
    out.elector = options_.elector;
    send(encode(options_.name, out));
}

bool clone::received(instant now, timestamp wall, const endpoint_id& from, message_type type,
                     byte_reader& in) {
    const auto handle_if = [](const auto& what, const auto& how) {
        if (what) {
            how(*what);
        }
        return what.has_value();
    };
    if (type == message_type::ask_vote) {
        return handle_if(read_ask_vote(in), [&](const auto& what) { handle(now, from, what); });
    }
    if (type == message_type::vote) {
        return handle_if(read_vote(in), [&](const auto& what) { handle(now, what); });
    }
    if (type == message_type::claim) {
        return handle_if(read_claim(in), [&](const auto& what) { handle(now, from, what); });
    }
    const bool of_master = from == master_ && promoting_ == 0;
    if (!of_master && type != message_type::welcome) {
        return true;  // Of a former master.
    }
    switch (type) {
        case message_type::welcome:
            return handle_if(read_welcome(in), [&](const auto& what) {
                // However late the answer is: to acknowledge an older master's writes from now on
                // would make them safe where the newer one does not have them.
                if (what.store == who_.store) {
                    note_epoch(what.epoch);
                }
                if (of_master && what.clone == self_ && what.attempt == attempt_) {
                    note_clock(wall, what.wall);
                    handle(now, what);
                }
            });
        case message_type::log:
            return handle_if(read_log(in), [&](const auto& what) {
                note_clock(wall, what.wall);
                handle(now, what);
            });
        case message_type::chunk:
            return handle_if(read_chunk(in), [&](const auto& what) { handle(now, what); });
        case message_type::heartbeat:
            return handle_if(read_heartbeat(in), [&](const auto& what) {
                note_clock(wall, what.wall);
                handle(now, what);
            });
        case message_type::taken:
            return handle_if(read_taken(in), [&](const auto& what) { handle(what); });
        case message_type::failed:
            return handle_if(read_failed(in), [&](const auto& what) { handle(what); });
        case message_type::refuse:
            return handle_if(read_refuse(in), [&](const auto& what) { handle(now, what); });
        case message_type::closing:
            if (!in.done()) {
                return false;
            }
            lose_master();
            attach_due_ = now + attach_pause_min;  // Until the overlay says so too.
            return true;
        default:
            return true;  // Not for clones.
    }
}

void clone::note_clock(timestamp wall, std::int64_t master_wall) {
    // Nobody's clock is worth an overflow.
    std::int64_t offset = 0;
    constexpr auto most = std::int64_t{1} << 61;
    if (!__builtin_sub_overflow(master_wall, wall.time_since_epoch().count(), &offset)
        && offset > -most && offset < most) {
        clock_offset_ = timespan{offset};
    }
}

void clone::note_heard(instant now) {
    heard_at_ = now;
    election_.heard_master(now);
    if (status_.stale && !building_) {
        auto next = status_;
        next.stale = false;
        set_status(next);
    }
}

bool clone::accepts(const welcome_message& what) {
    const bool other = !who_.store.is_nil() && who_.store != what.store;
    // A standby keeps what it has in any case; a clone where either master is a durable one: those
    // never start over by themselves, and what takes the place of one is a mistake, in memory too.
    const bool keeps = options_.standby || (status_.synced && (what.durable || of_durable_));
    if (!other || !keeps || options_.follow_new_store || accept_once_) {
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

/// The writer that we are belongs to another store: that one may yet come back, so that what it may
/// have of our commands is not for this one.
bool clone::is_other_store(instant now, const welcome_message& what) {
    if (sent_to_.is_nil() || what.store == sent_to_) {
        return false;
    }
    renew_writer();
    accept_once_ = true;
    attached_ = false;
    attach_due_ = now;  // The answer was to the writer that we no longer are.
    return true;
}

void clone::handle(instant now, const welcome_message& what) {
    if (what.epoch == epoch_ && what.round <= round_) {
        return;  // A late copy.
    }
    const bool older = what.store == who_.store
                       && what.epoch < std::max(newest_epoch_, promised_in(what.store));
    if (older || !accepts(what)) {
        attach_due_ = after(now, older ? attach_pause_ : options_.resync_interval);
        return;
    }
    if (is_other_store(now, what)) {
        return;
    }
    if (!what.snapshot && (what.store != who_.store || what.from > log_.last() || !trusted_)) {
        return;  // It answers to what we no longer have.
    }
    if (what.snapshot) {
        begin_snapshot(what);
    } else {
        drop_snapshot();
        who_.epochs = what.epochs;
        committed_ = std::max(committed_, what.committed);
    }
    accept_once_ = false;
    (building_ ? building_durable_ : of_durable_) = what.durable;
    attached_ = true;
    fruitless_ = 0;
    epoch_ = newest_epoch_ = what.epoch;
    round_ = what.round;
    sent_to_ = what.store;
    election_.heard_epoch(what.epoch);
    heartbeat_ = std::clamp<std::chrono::nanoseconds>(std::chrono::nanoseconds{what.heartbeat}, 10ms, 1h);
    attach_due_ = never;
    attach_pause_ = attach_pause_min;
    // Whatever has no answer yet may have been lost with the last master, or with its messages.
    sent_ = taken_ = first_number_ - 1;
    in_flight_ = 0;
    resends_ = 0;
    auto next = status_;
    next.attached = true;
    next.master = master_;
    set_status(next);
    note_heard(now);
    advance();
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
    attach_due_ = after(now, attach_pause_);
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
    if (what.first > received_up_to() + 1) {
        note_gap(now);
    } else {
        take_entries(what);
    }
    committed_ = std::max(committed_, what.committed);
    advance();
    if (!what.entries.empty()) {
        // Where there is none that is new: it does not know that we have these.
        ack_due_ = std::min(ack_due_, now + ack_delay);
    }
    if (unacked_bytes_ >= ack_bytes) {
        send_ack(false);
    }
}

void clone::take_entries(const log_message& what) {
    auto& log = followed();
    for (std::size_t i = 0; i < what.entries.size(); ++i) {
        if (what.first + i <= log.last()) {
            continue;
        }
        const auto& entry = what.entries[i];
        if (!well_formed(entry)) {
            output_.report({ec::invalid_data, "the master of store " + options_.name
                                                  + " sent a malformed entry"});
            return;
        }
        unacked_bytes_ += entry.size();
        log.append(arena_.keep(entry));
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
    send_ack(false);  // It may have overtaken entries: what it names beyond ours is no gap.
    if (!building_ && applied_ == what.chained && chain() != what.chain) {
        diverged(now, "its log differs from the master's");
    }
}

/// The copy cannot be trusted: takes all of it anew.
void clone::diverged(instant now, std::string_view how) {
    output_.report({ec::invalid_data, "the clone of store " + options_.name + " takes a new copy: "
                                          + std::string{how}});
    trusted_ = false;
    seek(now);
}

/// What the master need not keep for us. A standby whose disk is slow lets it wait.
sequence clone::acknowledged() const noexcept {
    const auto& log = followed();
    if (!options_.standby) {
        return log.last();
    }
    auto from = disk_.last;
    if (disk_.replacing && !disk_.stale) {
        from = disk_.next_last;
    } else if (disk_.replace_due) {
        from = std::max(building_ ? building_->at() : applied_, disk_.reach);
    }
    const auto limit = log.offset_at(std::min(from, log.last())) + options_.disk_backlog_bytes;
    auto low = std::min(from, log.last());
    auto high = log.last();
    while (low < high) {
        const auto middle = low + (high - low + 1) / 2;
        if (log.offset_at(middle) <= limit) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    return low;
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
    out.received = acknowledged();
    out.stored = stored();
    out.applied = applied_;
    out.gap = gap;
    out.in_snapshot = building_ != nullptr;
    out.cursor = building_ ? building_->cursor() : 0;
    send(encode(options_.name, out));
}

void clone::advance() {
    if (building_) {
        advance_snapshot();
        return;
    }
    note_shown();  // Answers that wait for what is in the table come before those behind it.
    const auto until = std::min(committed_, log_.last());
    while (applied_ < until) {
        apply_some(std::min<std::size_t>(entries_per_lock,
                                         static_cast<std::size_t>(until - applied_)));
    }
    if (options_.standby) {
        log_.trim(options_.promoted.log_bytes, std::min(applied_, safe_on_disk()) + 1);
    } else {
        log_.trim(0, applied_ + 1);
    }
}

void clone::apply_some(std::size_t count) {
    const bool changes = output_.wants_changes();
    effects_scratch_.clear();
    {
        const write_lock lock{gate_};
        for (std::size_t i = 1; i <= count; ++i) {
            entry_reader in{log_.at(applied_ + i).bytes.span()};
            for (change each; in.next(each);) {
                if (auto what = effect_of(each, applied_ + i, changes ? &view_ : nullptr)) {
                    apply(each, *what, state_);
                    if (changes) {
                        effects_scratch_.push_back(std::move(*what));
                    }
                }
            }
        }
    }
    for (const auto& each : effects_scratch_) {
        output_.changed(each);
    }
    for (std::size_t i = 0; i < count; ++i) {
        ++applied_;
        note_entry(applied_, log_.at(applied_).bytes.span());
    }
}

/// What is in the table counts, once the master says so.
void clone::note_shown() {
    if (status_.synced || !attached_ || committed_ < applied_) {
        return;
    }
    complete_unseen();
    auto next = status_;
    next.synced = true;
    set_status(next);
}

std::size_t clone::waiting_bytes() const noexcept {
    const auto& log = followed();
    const auto shown = building_ ? log.base() : std::max(applied_, log.base());
    return static_cast<std::size_t>(log.offset_at(log.last()) - log.offset_at(shown));
}

// -- Time -----------------------------------------------------------------------------------------

void clone::tick(instant now) {
    if (attached_ && now >= heard_at_ + heartbeats_missed_max * heartbeat_) {
        auto next = status_;
        next.attached = false;
        set_status(next);
        attach_pause_ = attach_pause_min;
        seek(now);
    } else if (now >= attach_due_ && !attached_ && !master_.is_nil() && promoting_ == 0) {
        seek(now);
    }
    if (!status_.stale && now >= after(heard_at_, options_.stale_interval)) {
        auto next = status_;
        next.stale = true;
        set_status(next);
    }
    if (now >= ack_due_) {
        send_ack(false);
    }
    if (now >= resend_due_) {
        resend_due_ = never;
        ++resends_;
        sent_ = taken_;
        in_flight_ = 0;
    }
    if (now >= probe_due_) {
        probe_due_ = never;
        ask_after_first();
    }
    expire_commands(now);
    if (now >= election_.next_deadline()) {
        vote(now);
    }
    look_after_promotion(now);
}

instant clone::next_deadline() const noexcept {
    auto due = std::min({ack_due_, resend_due_, probe_due_, disk_deadline(),
                         promoting_ != 0 ? std::min(promotion_due_, ask_masters_due_)
                                         : election_.next_deadline()});
    if (attached_) {
        due = std::min(due, heard_at_ + heartbeats_missed_max * heartbeat_);
    } else if (promoting_ == 0) {
        due = std::min(due, attach_due_);
    }
    if (!status_.stale) {
        due = std::min(due, after(heard_at_, options_.stale_interval));
    }
    if (expired_ < last_number() && !commands_.empty()) {
        const auto at = std::max(expired_ + 1, first_number_) - first_number_;
        due = std::min(due, commands_[static_cast<std::size_t>(at)].expires);
    }
    return due;
}

void clone::flush(instant now) {
    if (writers_.forgotten() && !building_) {
        renew_writer();
        if (attached_) {
            attach_pause_ = attach_pause_min;
            seek(now);
        }
    }
    send_commands(now);
    write_disk(now);
}

}  // namespace bzmq::replica
