// A clone that keeps a durable copy: its disk, elections, and what makes a master of it.
#include <algorithm>

#include "replica/clone.hpp"

namespace bzmq::replica {
namespace {

using namespace std::chrono_literals;

// After a failure of the disk nothing is tried so long.
constexpr auto failure_pause = 1s;
// How often one that is about to be master asks those that are whether they are newer.
constexpr auto ask_masters_interval = 1s;

}  // namespace

error check_failover(const clone_options& options) {
    const auto count = options.electors.size();
    if (count == 0) {
        return {};
    }
    const auto refuse = [&](const std::string& why) {
        return error{ec::invalid_configuration, "store " + options.name + ": " + why};
    };
    auto names = options.electors;
    std::sort(names.begin(), names.end());
    if (!options.standby) {
        return refuse("electors are standbys, and this clone is none");
    }
    if (count > electors_max || std::adjacent_find(names.begin(), names.end()) != names.end()
        || std::ranges::any_of(names, [](const auto& name) {
               return name.empty() || name.size() > elector_name_bytes_max;
           })) {
        return refuse("there are 1 to " + std::to_string(electors_max)
                      + " electors, each with a name of its own");
    }
    if (std::ranges::count(names, options.elector) == 0) {
        return refuse("\"" + options.elector + "\" is not among the electors");
    }
    if (options.failover_timeout <= std::chrono::nanoseconds{0}) {
        return refuse("the time without a master after which there is an election must be above "
                      "zero");
    }
    // Whatever was acknowledged is on the disks of the master and of sync_replicas standbys, all of
    // them electors. A majority must have one of those disks among its own.
    const auto majority = count / 2 + 1;
    if (options.promoted.sync_replicas + 1 + majority <= count
        || options.promoted.sync_replicas >= count) {
        return refuse("with " + std::to_string(count) + " electors, sync_replicas must be at least "
                      + std::to_string(count - majority) + " and at most "
                      + std::to_string(count - 1) + " for failover to lose no acknowledged write");
    }
    return {};
}

// -- The disk -------------------------------------------------------------------------------------

sequence clone::stored() const noexcept {
    return options_.standby && !disk_.replace_due ? std::min(disk_.last, followed().last()) : 0;
}

/// Entries of the log that is followed, behind this one, the disk may have to get from memory.
sequence clone::safe_on_disk() const noexcept {
    if (!options_.standby) {
        return followed().last();
    }
    if (disk_.replacing && !disk_.stale) {
        return disk_.next_last;
    }
    return disk_.replace_due ? followed().last() : disk_.last;
}

bool clone::whole_on_disk() const noexcept {
    return options_.standby && !who_.store.is_nil() && !building_ && !disk_.replace_due
           && !disk_.replacing && disk_.last == log_.last() && disk_.handed == log_.last();
}

instant clone::disk_deadline() const noexcept {
    if (!options_.standby || disk_.replacing) {
        return never;
    }
    const bool waits = disk_.replace_due || disk_.handed < followed().last();
    return waits && disk_.hold_until > instant{} ? disk_.hold_until : never;
}

void clone::write_disk(instant now) {
    if (!options_.standby || disk_.replacing || now < disk_.hold_until) {
        return;
    }
    disk_.hold_until = {};
    if (disk_.replace_due) {
        replace_disk();
        return;
    }
    const auto& log = followed();
    if (disk_.handed >= log.last()) {
        return;
    }
    const auto& who = building_ ? building_->who() : who_;
    persist_batch batch;
    batch.first = disk_.handed + 1;
    for (auto at = batch.first; at <= log.last(); ++at) {
        batch.entries.push_back(log.at(at).bytes);
    }
    batch.chain_after = log.chain();
    if (std::exchange(disk_.epochs_due, false) || who.epochs != disk_.who.epochs) {
        batch.epochs = who.epochs;
        disk_.who = who;
    }
    disk_.handed = log.last();
    output_.persist(std::move(batch));
}

/// The whole copy takes the place of what the disk has. It must not lose what counts already, only
/// because nobody has told us yet that it does.
void clone::replace_disk() {
    const auto& log = followed();
    const bool ready = building_ ? building_->complete() : !who_.store.is_nil();
    if (!ready || disk_.handed > disk_.last || log.last() < disk_.reach) {
        return;
    }
    snapshot_image image;
    image.who = building_ ? building_->who() : who_;
    image.last = building_ ? building_->at() : applied_;
    image.chain = log.chain_at(image.last);
    image.writers = building_ ? building_->writers().list() : writers_.list();
    image.values = building_ ? &building_->values() : &state_;
    image.behind.first = image.last + 1;
    for (auto at = image.behind.first; at <= log.last(); ++at) {
        image.behind.entries.push_back(log.at(at).bytes);
    }
    image.behind.chain_after = log.chain();
    disk_.replacing = true;
    disk_.stale = false;
    disk_.next_who = image.who;
    disk_.next_last = log.last();
    output_.persist_snapshot(std::move(image));
}

void clone::persisted(instant now, sequence last, const error& problem) {
    const auto before = disk_.last;
    disk_.last = std::max(disk_.last, std::min(last, disk_.handed));
    if (problem) {
        output_.report(problem);
        disk_.handed = disk_.last;
        disk_.epochs_due = true;
        disk_.hold_until = now + failure_pause;
    }
    if (disk_.last != before) {
        ack_due_ = std::min(ack_due_, now);
    }
}

void clone::snapshot_persisted(instant now, const error& problem) {
    if (!std::exchange(disk_.replacing, false)) {
        return;
    }
    const bool stale = std::exchange(disk_.stale, false);
    if (problem) {
        output_.report(problem);
        disk_.hold_until = now + failure_pause;
        return;
    }
    if (disk_.next_who.store != disk_.who.store && !disk_.who.store.is_nil()) {
        election_.begin_store(now, disk_.next_who.epoch());
    }
    disk_.who = disk_.next_who;
    disk_.last = disk_.handed = disk_.next_last;
    // A newer snapshot may have begun meanwhile; then this is what it is to take the place of.
    (stale ? disk_.due_before : disk_.replace_due) = false;
    ack_due_ = std::min(ack_due_, now);
    vote(now);
}

// -- Elections ------------------------------------------------------------------------------------

/// The disk is about to have another store than the one that promises are for. Those go with it, in
/// one transaction: one that came to the disk behind that would count in the other store.
bool clone::changes_store() const noexcept {
    return disk_.replacing && disk_.next_who.store != disk_.who.store;
}

void clone::handle(instant now, const endpoint_id& from, const ask_vote_message& what) {
    if (promoting_ != 0 || what.store != disk_.who.store || what.store.is_nil()
        || changes_store()) {
        return;
    }
    if (const auto reply = election_.asked(now, from, what, rank())) {
        output_.send({&from, 1}, encode(options_.name, *reply));
    }
    vote(now);
}

void clone::handle(instant now, const vote_message& what) {
    if (what.store == who_.store) {
        election_.answered(what);
        vote(now);
    }
}

void clone::vote_persisted(instant now, const error& problem) {
    if (problem) {
        output_.report(problem);
    }
    if (const auto reply = election_.recorded(now, !problem)) {
        output_.send({&reply->to, 1}, encode(options_.name, reply->what));
    }
    vote(now);
}

/// Carries out what the election wants done.
void clone::vote(instant now) {
    while (promoting_ == 0) {
        const auto step = election_.tick(now, whole_on_disk());
        if (attached_ && promised_in(building_ ? building_->who().store : who_.store) > epoch_) {
            lose_master();  // We have promised not to follow it any more.
            attach_due_ = after(now, attach_pause_);
        }
        if (const auto* question = std::get_if<election::question>(&step)) {
            ask_vote_message out;
            out.store = who_.store;
            out.trial = question->trial;
            out.candidate = options_.elector;
            out.epoch = question->epoch;
            out.rank = rank();
            if (!standbys_.empty()) {
                output_.send(standbys_, encode(options_.name, out));
            }
        } else if (const auto* record = std::get_if<election::record>(&step)) {
            output_.persist_vote(record->what);
        } else if (const auto* victory = std::get_if<election::victory>(&step)) {
            begin_promotion(now, victory->epoch, options_.promotion_timeout);
        } else {
            return;
        }
    }
}

// -- Promotion ------------------------------------------------------------------------------------

error clone::promote(instant now, std::optional<std::chrono::nanoseconds> patience) {
    if (!options_.standby) {
        return {ec::invalid_configuration, "the clone of store " + options_.name
                                               + " is no standby: it has nothing on disk"};
    }
    if (promoting_ != 0) {
        if (patience) {
            promotion_due_ = std::max(promotion_due_, after(now, *patience));
        }
        return {};  // It is on its way.
    }
    if (who_.store.is_nil() || building_ || disk_.replace_due || !trusted_) {
        return {ec::stale_data, "the standby of store " + options_.name
                                    + " has no whole copy on its disk yet"};
    }
    election_.end(now);
    begin_promotion(now,
                    epoch_after_promotion(
                        std::max({who_.epoch(), newest_epoch_, election_.promised()}), options_.self),
                    patience.value_or(options_.promotion_timeout));
    return {};
}

void clone::begin_promotion(instant now, std::uint64_t epoch, std::chrono::nanoseconds patience) {
    promoting_ = epoch;
    promotion_problem_ = {};
    promotion_due_ = after(now, patience);
    ask_masters_due_ = now;
    lose_master();
    attach_due_ = never;
}

void clone::end_promotion(instant now, error why) {
    if (promoting_ == 0) {
        return;
    }
    promoting_ = 0;
    promotion_due_ = ask_masters_due_ = never;
    output_.report(why);
    promotion_problem_ = std::move(why);
    election_.end(now);
    attach_pause_ = attach_pause_min;
    attach_due_ = master_.is_nil() ? never : now;
}

/// It hears no master meanwhile, so that it has to ask whether there is a newer one.
void clone::look_after_promotion(instant now) {
    if (promoting_ == 0) {
        return;
    }
    if (now >= promotion_due_) {
        end_promotion(now, {ec::request_timeout,
                            "the standby of store " + options_.name
                                + " did not become master: its disk did not get done in time. It "
                                  "is a standby as before"});
    } else if (now >= ask_masters_due_) {
        ask_masters_due_ = now + ask_masters_interval;
        if (!candidates_.empty()) {
            output_.send(candidates_,
                         encode(options_.name, claim_message{who_.store, 0, log_.last()}));
        }
    }
}

void clone::handle(instant now, const endpoint_id& from, const claim_message& what) {
    if (promoting_ == 0 || what.store != who_.store) {
        return;
    }
    note_epoch(what.epoch);
    if (what.epoch > promoting_) {
        end_promotion(now, {ec::master_exists,
                            "the standby of store " + options_.name
                                + " did not become master: endpoint " + to_string(from)
                                + " has a newer one"});
    }
}

std::optional<std::uint64_t> clone::promotable() const {
    return promoting_ != 0 && whole_on_disk() ? std::optional{promoting_} : std::nullopt;
}

handover clone::release(std::vector<open_command>& commands) {
    for (auto number = first_number_; number <= last_number(); ++number) {
        auto& own = command_at(number);
        if (!own.done && own.to != 0) {
            commands.push_back({number, own.to, std::move(own.bytes)});
        }
    }
    commands_.clear();
    command_bytes_ = 0;
    handover out;
    out.who = std::move(who_);
    prune_epochs(out.who, log_.last());
    out.who.epochs.push_back({promoting_, log_.last() + 1});
    out.applied = applied_;
    out.writers = writers_.list();
    out.on_disk = disk_.last;
    out.handed_to_disk = disk_.handed;
    out.log = std::move(log_);
    return out;
}

}  // namespace bzmq::replica
