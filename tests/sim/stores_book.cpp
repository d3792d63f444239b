#include "sim/stores_book.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "data/msgpack_codec.hpp"

namespace bzmq::sim::stores {
namespace {

// How much a machine may hold beyond what its options say: one more frame or entry of each kind.
constexpr std::size_t slack_bytes = 16 * 1024;

std::uint64_t hash_of(const replica::item_ptr& what) {
    return what ? value_hash(what->key(), what->value(), what->expiry(), what->revision()) : 0;
}

/// The tags in a vector, oldest first.
std::vector<replica::ticket> tags_of(const replica::item* held) {
    std::vector<replica::ticket> out;
    if (held != nullptr) {
        if (const auto value = decode(held->value()); value && is<vector>(*value)) {
            for (const auto& each : get<vector>(*value)) {
                out.push_back(get<count>(each));
            }
        }
    }
    return out;
}

}  // namespace

// -- Lineages -------------------------------------------------------------------------------------

log_place place_of(const replica::identity& who, replica::sequence number) {
    log_place out{0, number};
    for (const auto& each : who.epochs) {
        if (each.first <= number) {
            out.epoch = each.epoch;
        }
    }
    return out;
}

std::string lineage::note(const replica::identity& who, replica::sequence number,
                          std::uint64_t hash) {
    const auto at = place_of(who, number);
    const auto [entry, fresh] = states_[at.epoch].emplace(number, hash);
    return fresh || entry->second == hash
               ? std::string{}
               : fmt::format("entry {} of epoch {:x} leads to two states", number, at.epoch);
}

void lineage::note_committed(const replica::identity& who, replica::sequence number) {
    auto until = number;
    for (auto at = who.epochs.rbegin(); at != who.epochs.rend(); ++at) {
        if (at->first <= until) {
            auto& known = committed_[at->epoch];
            known = std::max(known, until);
            until = at->first - 1;
        }
    }
}

std::uint64_t lineage::hash_at(const replica::identity& who, replica::sequence number) const {
    auto until = number;
    for (auto at = who.epochs.rbegin(); at != who.epochs.rend(); ++at) {
        if (at->first > until) {
            continue;
        }
        if (const auto known = states_.find(at->epoch); known != states_.end()) {
            auto state = known->second.upper_bound(until);
            if (state != known->second.begin()) {
                return std::prev(state)->second;
            }
        }
        until = at->first - 1;
    }
    return 0;  // Nothing has changed since the store was made.
}

bool lineage::committed(const replica::identity& who, replica::sequence number) const {
    const auto known = committed_.find(place_of(who, number).epoch);
    return number == 0 || (known != committed_.end() && number <= known->second);
}

void lineage::note_acknowledged(log_place at) {
    acknowledged_[at.epoch].insert(at.number);
}

void lineage::note_orphans(const replica::identity& who, replica::sequence first,
                           replica::sequence last) {
    for (auto number = first; number <= last; ++number) {
        orphans_.insert(place_of(who, number));
    }
}

bool lineage::note_master(std::uint64_t epoch, replica::store_id machine) {
    return masters_.emplace(epoch, machine).first->second == machine;
}

std::optional<log_place> lineage::lost(const replica::identity& who,
                                       replica::sequence last) const {
    for (const auto& [epoch, numbers] : acknowledged_) {
        for (auto at = numbers.rbegin(); at != numbers.rend(); ++at) {
            if (*at <= last && place_of(who, *at).epoch == epoch) {
                break;  // It has those before, too.
            }
            if (!orphans_.contains({epoch, *at})) {
                return log_place{epoch, *at};
            }
        }
    }
    return std::nullopt;
}

// -- The book -------------------------------------------------------------------------------------

std::string book::name(slot_index at, const machine& what) const {
    return fmt::format("{} of {} at e{}", what.master ? "the master" : "the clone",
                       around_.stores()[what.store].name, at);
}

void book::fail(std::string what) {
    if (around_.verbose()) {
        around_.say("FAILURE " + what);
    }
    if (failures_.size() < 20) {
        failures_.push_back(std::move(what));
    }
}

replica::ticket book::submitting(write_note what) {
    notes_.push_back(std::move(what));
    return notes_.size();
}

void book::attached(slot_index at, const machine& what) {
    shadows_[what.id].hash = state_hash(what.values);
    if (what.master) {
        begin_master(at, what);
        check_lost(at, what, *around_.at(at).host->master_of(what.id));
    }
}

bool book::may_lose(store_index store) const {
    const auto& spec = around_.stores()[store];
    return spec.over != failover::none && spec.master.sync_replicas == 0;
}

void book::check_lost(slot_index at, const machine& what, const replica::master& its) {
    if (may_lose(what.store)) {
        return;  // Until the former master is back and has said what it had.
    }
    if (const auto gap = lineages_[its.who().store].lost(its.who(), its.last())) {
        fail(fmt::format("{} starts at entry {} without entry {} of epoch {:x}, acknowledged",
                         name(at, what), its.last(), gap->number, gap->epoch));
    }
}

void book::promoted(slot_index at, const machine& what) {
    begin_master(at, what);
    check_lost(at, what, *around_.at(at).host->master_of(what.id));
}

void book::demoted(slot_index at, const machine& what) {
    auto& its = shadows_.at(what.id);
    settle_shadow(at, what, its);
    its.seen = 0;
    const auto& was = *around_.at(at).host->clone_of(what.id);
    lineages_[was.who().store].note_committed(was.who(), was.applied());
}

void book::orphaned(slot_index at, const machine& what, replica::sequence first,
                    replica::sequence last) {
    const auto& who = around_.at(at).host->clone_of(what.id)->who();
    if (around_.verbose()) {
        around_.say(fmt::format("e{} gives up entries {} to {} of {}", at, first, last,
                                around_.stores()[what.store].name));
    }
    if (around_.stores()[what.store].master.sync_replicas == 0) {
        lineages_[who.store].note_orphans(who, first, last);
    }
}

void book::begin_master(slot_index at, const machine& what) {
    auto& its = shadows_[what.id];
    its.open = false;
    auto& machine = *around_.at(at).host->master_of(what.id);
    const auto& who = machine.who();
    auto& line = lineages_[who.store];
    its.store = who.store;
    its.hash = state_hash(what.values);
    its.at = its.seen = machine.committed();
    if (!line.note_master(who.epoch(), what.id)) {
        fail(fmt::format("{} is the second master of epoch {:x}", name(at, what), who.epoch()));
    }
    if (machine.committed() > 0) {
        if (const auto wrong = line.note(who, machine.committed(), its.hash); !wrong.empty()) {
            fail(name(at, what) + ": " + wrong);
        }
    }
    line.note_committed(who, machine.committed());
}

void book::gone(slot_index at, const machine& what, bool crashed) {
    shadows_.erase(what.id);
    for (std::size_t i = 0; i < notes_.size(); ++i) {
        auto& note = notes_[i];
        if (note.by == what.id && note.now == write_note::fate::open) {
            if (!crashed) {
                fail(fmt::format("{} ended without an answer to ticket {}", name(at, what), i + 1));
            }
            note.now = write_note::fate::unknown;
        }
    }
}

void book::answered(slot_index at, replica::ticket to, const replica::answer& said) {
    if (to == 0 || to > notes_.size()) {
        fail(fmt::format("e{} answers ticket {}, which nobody has", at, to));
        return;
    }
    auto& note = notes_[to - 1];
    if (note.now != write_note::fate::open) {
        fail(fmt::format("e{} answers ticket {} again", at, to));
        return;
    }
    switch (said.code) {
        case ec::none:
            note.now = write_note::fate::done;
            ++done_;
            break;
        case ec::request_timeout:
            note.now = write_note::fate::unknown;
            return;
        default:
            note.now = write_note::fate::failed;
            return;
    }
    if (const auto* what = around_.at(at).find(note.by)) {
        check_visible(at, *what, to, said);
    }
}

/// What is answered must be there for whoever asks at the same place.
void book::check_visible(slot_index at, const machine& what, replica::ticket to,
                         const replica::answer& said) {
    auto& note = notes_[to - 1];
    auto& host = *around_.at(at).host;
    const auto& who = what.master ? host.master_of(what.id)->who() : host.clone_of(what.id)->who();
    const auto shown = what.master ? host.master_of(what.id)->committed()
                                   : host.clone_of(what.id)->applied();
    note.done_in = who.store;
    if (said.revision > shown) {
        fail(fmt::format("{} answers ticket {} as entry {} and shows {}", name(at, what), to,
                         said.revision, shown));
    }
    if (said.revision > 0) {
        lineages_[who.store].note_acknowledged(place_of(who, said.revision));
    }
    if (std::find(counted_.begin(), counted_.end(), what.store) == counted_.end()) {
        return;
    }
    for (const auto& key : note.tagged) {
        const auto tags = tags_of(what.values.find(key));
        if (std::find(tags.begin(), tags.end(), to) == tags.end()) {
            fail(fmt::format("{} answers ticket {} and does not show it", name(at, what), to));
        }
    }
}

void book::settle_shadow(slot_index at, const machine& what, shadow& its) {
    if (!std::exchange(its.open, false)) {
        return;
    }
    const auto* master = around_.at(at).host->master_of(what.id);
    const auto& who = master != nullptr ? master->who() : around_.at(at).host->clone_of(what.id)->who();
    if (const auto wrong = lineages_[who.store].note(who, its.at, its.hash); !wrong.empty()) {
        fail(name(at, what) + ": " + wrong);
    }
}

void book::changed(slot_index at, const machine& what, const replica::effect& effect) {
    auto& its = shadows_.at(what.id);
    if (what.master) {
        const auto number = around_.at(at).host->master_of(what.id)->committed();
        if (number != its.at) {
            settle_shadow(at, what, its);
        }
        its.at = number;
        its.open = true;
    }
    if (effect.kind == replica::change_kind::clear) {
        its.hash = 0;
    } else {
        its.hash += hash_of(effect.after) - hash_of(effect.before);
    }
}

void book::on_disk(store_index store, const disk_image& image) {
    if (around_.verbose()) {
        around_.say(fmt::format("disk of {}: {} {}", around_.stores()[store].name, image.last,
                                describe_entry(image.log.back().entry.span())));
    }
    if (const auto wrong = lineages_[image.who.store].note(image.who, image.last, image.hash);
        !wrong.empty()) {
        fail(fmt::format("the disk of {}: {}", around_.stores()[store].name, wrong));
    }
}

void book::reported(slot_index at, const error& what) {
    // Two masters meet where a partition heals, and disks fill up. Nothing else may happen.
    // Where writes count before any standby has them, failover may take back what clones show.
    const auto& stores = around_.stores();
    bool lossy = false;
    for (store_index store = 0; store < stores.size(); ++store) {
        lossy = lossy || (what == ec::stale_data && may_lose(store)
                          && what.message().find("store " + stores[store].name) != std::string::npos);
    }
    // A memory master begins an empty store, for which its clones give up what they have.
    const bool begun_anew = what == ec::stale_data
                            && std::ranges::any_of(stores, [&](const auto& each) {
                                   return !each.durable && what.message().find(
                                       "store " + each.name + " ") != std::string::npos;
                               });
    if (what != ec::master_exists && what != ec::backend_failure && !lossy && !begun_anew) {
        fail(fmt::format("e{} reports {}", at, bzmq::to_string(what)));
    }
}

void book::turn_ended(slot_index at) {
    auto& one = around_.at(at);
    for (const bool masters : {true, false}) {
        for (const auto& [number, each] : one.machines) {
            if (each->master != masters) {
                continue;
            }
            if (masters) {
                check_master(at, *each, *one.host->master_of(number));
            } else {
                check_clone(at, *each, *one.host->clone_of(number));
            }
        }
    }
}

void book::check_master(slot_index at, const machine& what, replica::master& its) {
    auto& shade = shadows_.at(what.id);
    settle_shadow(at, what, shade);
    auto& line = lineages_[its.who().store];
    if (its.committed() != shade.seen) {
        shade.seen = its.committed();
        line.note_committed(its.who(), its.committed());
        if (state_hash(what.values) != shade.hash) {
            fail(fmt::format("{} changed at entry {} otherwise than it told", name(at, what),
                             its.committed()));
        }
    }
    const auto& options = around_.stores()[what.store].master;
    const auto& spec = around_.stores()[what.store];
    // A standby brings what its disk kept waiting, and its own commands, which become entries.
    const auto inherited = spec.over != failover::none
                               ? spec.clone.disk_backlog_bytes + 64 * spec.clone.mutation_buffer_bytes
                               : 0;
    if (its.log_bytes()
        > options.log_bytes + options.unsettled_bytes + inherited + slack_bytes) {
        fail(fmt::format("{} keeps {} bytes of log", name(at, what), its.log_bytes()));
    }
}

void book::check_clone(slot_index at, const machine& what, replica::clone& its) {
    auto& shade = shadows_.at(what.id);
    const auto& options = around_.stores()[what.store].clone;
    const auto& sent = around_.stores()[what.store].master;
    if (its.command_bytes() > options.mutation_buffer_bytes + slack_bytes) {
        fail(fmt::format("{} keeps {} bytes of commands", name(at, what), its.command_bytes()));
    }
    const auto unsettled = (sent.sync_replicas > 0 ? 2 * (sent.unsettled_bytes + sent.log_bytes)
                                                         + 64 * options.mutation_buffer_bytes
                                                   : 0)
                           + (its.options().standby ? options.disk_backlog_bytes : 0);
    if (its.waiting_bytes()
        > 4 * (sent.window_bytes + sent.frame_bytes) + unsettled + slack_bytes) {
        fail(fmt::format("{} keeps {} bytes of entries", name(at, what), its.waiting_bytes()));
    }
    const auto& who = its.who();
    if (!its.status().synced || who.epochs.empty()
        || (its.applied() == shade.seen && who.store == shade.store && ++shade.looks % 64 != 0)) {
        return;
    }
    if (who.store == shade.store && its.applied() < shade.seen && !may_lose(what.store)) {
        fail(fmt::format("{} went back from entry {} to {}", name(at, what), shade.seen,
                         its.applied()));
    }
    shade.seen = its.applied();
    shade.store = who.store;
    const auto hash = state_hash(what.values);
    const auto& line = lineages_[who.store];
    if (hash != line.hash_at(who, its.applied())) {
        fail(fmt::format("{} shows at entry {} what no master ever had", name(at, what),
                         its.applied()));
    }
    if (!line.committed(who, its.applied())) {
        fail(fmt::format("{} shows entry {}, which its master did not yet", name(at, what),
                         its.applied()));
    }
    if (around_.at(at).watches && hash != shade.hash) {
        fail(fmt::format("{} changed up to entry {} otherwise than it told", name(at, what),
                         its.applied()));
    }
}

}  // namespace bzmq::sim::stores
