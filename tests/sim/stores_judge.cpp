// What must hold of stores at rest.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "data/msgpack_codec.hpp"
#include "data/ordered_codec.hpp"
#include "sim/stores_book.hpp"

namespace bzmq::sim::stores {
namespace {

using namespace std::chrono_literals;
using fate = write_note::fate;

// Past its time an item is gone within so much, clocks that differ included.
constexpr auto expiry_slack = 3s;

std::string text_of(std::span<const std::byte> key) {
    const auto value = decode_ordered(key);
    return value && is<std::string>(*value) ? get<std::string>(*value) : "?";
}

}  // namespace

std::vector<std::string> book::unrest() const {
    std::vector<std::string> out;
    std::map<store_index, replica::master*> masters;
    for (slot_index at = 0; at < around_.size(); ++at) {
        for (const auto& [number, each] : around_.at(at).machines) {
            if (each->master) {
                auto*& known = masters[each->store];
                if (known != nullptr) {
                    out.push_back(name(at, *each) + " is one of two");
                }
                known = around_.at(at).host->master_of(number);
                if (!known->idle()) {
                    out.push_back(name(at, *each) + " is not idle");
                }
            }
        }
    }
    for (slot_index at = 0; at < around_.size(); ++at) {
        for (const auto& [number, each] : around_.at(at).machines) {
            const auto* master = masters[each->store];
            if (master == nullptr) {
                out.push_back(name(at, *each) + " has no master");
            } else if (!each->master) {
                const auto& its = *around_.at(at).host->clone_of(number);
                if (!its.status().attached || !its.status().synced || its.status().stale
                    || !its.idle() || its.in_snapshot() || its.who().store != master->who().store
                    || its.applied() != master->last() || master->last() != master->committed()) {
                    out.push_back(fmt::format("{} stands at {} of {}{}{}{}{}{}", name(at, *each),
                                              its.applied(), master->last(),
                                              its.status().attached ? "" : ", detached",
                                              its.status().synced ? "" : ", never synced",
                                              its.status().stale ? ", stale" : "",
                                              its.idle() ? "" : ", with commands",
                                              its.in_snapshot() ? ", in a snapshot" : ""));
                }
            }
        }
    }
    for (std::size_t i = 0; i < notes_.size(); ++i) {
        if (notes_[i].now == fate::open) {
            out.push_back(fmt::format("ticket {} has no answer", i + 1));
            break;
        }
    }
    return out;
}

void book::judge() {
    for (slot_index at = 0; at < around_.size(); ++at) {
        for (const auto& [number, each] : around_.at(at).machines) {
            if (each->master) {
                judge_store(each->store, *each, *around_.at(at).host->master_of(number));
            }
        }
    }
}

void book::judge_store(store_index store, const machine& what, replica::master& its) {
    const auto& name_of = around_.stores()[store].name;
    const auto hash = state_hash(what.values);
    for (slot_index at = 0; at < around_.size(); ++at) {
        const auto* copy = around_.clone_at(at, store);
        if (copy == nullptr) {
            continue;
        }
        if (copy->options().standby && copy->stored() != its.last()) {
            fail(fmt::format("the standby of {} at e{} has {} of {} entries on disk", name_of, at,
                             copy->stored(), its.last()));
        }
        if (copy->chain() != its.chain()) {
            fail(fmt::format("the clone of {} at e{} has another log than the master", name_of, at));
        }
        if (state_hash(around_.at(at).find(store, false)->values) != hash) {
            fail(fmt::format("the clone of {} at e{} has another state than the master", name_of,
                             at));
        }
    }
    if (const auto gap = lineages_[its.who().store].lost(its.who(), its.last())) {
        fail(fmt::format("entry {} of epoch {:x} of {} was acknowledged and is lost", gap->number,
                         gap->epoch, name_of));
    }
    judge_disks(store, its);
    const auto oldest = timestamp{std::chrono::seconds{1'790'000'000} + around_.now() - expiry_slack};
    what.values.for_each([&](const replica::item& each) {
        if (each.expired(oldest)) {
            fail(fmt::format("{} of {} does not expire", text_of(each.key()), name_of));
        }
    });
    if (std::find(counted_.begin(), counted_.end(), store) == counted_.end()) {
        return;
    }
    std::vector<const write_note*> notes(notes_.size());
    for (std::size_t i = 0; i < notes_.size(); ++i) {
        notes[i] = notes_[i].store == store ? &notes_[i] : nullptr;
    }
    judge_tags(name_of, what.values, its.who().store, notes);
    judge_counters(name_of, what.values, its.who().store, notes);
}

/// Standbys have on disk what the master has.
void book::judge_disks(store_index store, const replica::master& its) {
    const auto& spec = around_.stores()[store];
    if (spec.over == failover::none) {
        return;
    }
    for (const auto at : spec.standbys) {
        const auto& image = around_.disk(at, store).image();
        if (image.last != its.last() || image.chain != its.chain()
            || image.who.store != its.who().store
            || image.hash != lineages_[its.who().store].hash_at(its.who(), its.last())
            || replica::rank_of(image.who, image.last) != replica::rank_of(its.who(), its.last())) {
            const auto rank = replica::rank_of(image.who, image.last);
            const auto due = replica::rank_of(its.who(), its.last());
            fail(fmt::format("the disk of {} at e{} has entries up to {:x}/{} instead of {:x}/{}, or "
                             "others",
                             spec.name, at, rank.epoch, rank.last, due.epoch, due.last));
        }
    }
}

/// Each command has had its effect once at most, in its writer's order; each acknowledged one has.
void book::judge_tags(const std::string& name_of, const replica::table& values,
                      const endpoint_id& store, const std::vector<const write_note*>& notes) {
    std::map<std::vector<std::byte>, std::vector<replica::ticket>> held;
    values.for_each([&](const replica::item& each) {
        const auto key = text_of(each.key());
        if (!key.starts_with('v')) {
            return;
        }
        auto& tags = held[{each.key().begin(), each.key().end()}];
        const auto value = decode(each.value());
        std::map<replica::store_id, replica::ticket> newest;
        for (const auto& one : get<vector>(*value)) {
            const auto to = get<count>(one);
            tags.push_back(to);
            const auto* note = to > 0 && to <= notes.size() ? notes[to - 1] : nullptr;
            if (note == nullptr || note->now == fate::failed) {
                fail(fmt::format("{} of {} shows ticket {}, which failed", key, name_of, to));
                continue;
            }
            if (auto& last = newest[note->by]; to <= last) {
                fail(fmt::format("{} of {} shows ticket {} behind {}", key, name_of, to, last));
            } else {
                last = to;
            }
        }
    });
    for (std::size_t i = 0; i < notes.size(); ++i) {
        if (notes[i] == nullptr || notes[i]->tagged.empty()) {
            continue;
        }
        std::size_t found = 0;
        for (const auto& key : notes[i]->tagged) {
            const auto& tags = held[key];
            found += static_cast<std::size_t>(std::count(tags.begin(), tags.end(), i + 1));
        }
        const bool must = notes[i]->now == fate::done && notes[i]->done_in == store
                          && !may_lose(notes[i]->store);
        if ((must && found == 0) || (found > 0 && found != notes[i]->tagged.size())) {
            fail(fmt::format("ticket {} had {} of {} effects on {}", i + 1, found,
                             notes[i]->tagged.size(), name_of));
        }
    }
}

void book::judge_counters(const std::string& name_of, const replica::table& values,
                          const endpoint_id& store, const std::vector<const write_note*>& notes) {
    std::map<std::vector<std::byte>, std::pair<std::uint64_t, std::uint64_t>> bounds;
    for (const auto* note : notes) {
        if (note == nullptr || note->counter.empty()) {
            continue;
        }
        auto& [least, most] = bounds[note->counter];
        const bool done_here = note->now == fate::done && note->done_in == store;
        least += done_here && !may_lose(note->store) ? note->amount : 0;
        most += done_here || note->now == fate::unknown ? note->amount : 0;
    }
    for (const auto& [key, range] : bounds) {
        const auto* held = values.find(key);
        const auto value = held != nullptr ? get<count>(*decode(held->value())) : 0;
        if (value < range.first || value > range.second) {
            fail(fmt::format("{} of {} counts {}, not between {} and {}", text_of(key), name_of,
                             value, range.first, range.second));
        }
    }
}

}  // namespace bzmq::sim::stores
