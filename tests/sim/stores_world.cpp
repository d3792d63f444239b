#include "sim/stores_world.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sim/random.hpp"

namespace bzmq::sim::stores {
namespace {

using namespace std::chrono_literals;

// Turns of one endpoint that may follow one another without time passing between its deadlines.
constexpr std::uint64_t spins_max = 10'000;

endpoint_id random_id(prng& random) {
    endpoint_id::bytes_type bytes;
    for (auto& each : bytes) {
        each = static_cast<std::uint8_t>(random.below(256));
    }
    return endpoint_id{bytes};
}

}  // namespace

// -- Endpoints ------------------------------------------------------------------------------------

machine* endpoint::find(store_index store, bool master) {
    for (const auto& [number, each] : machines) {
        if (each->store == store && each->master == master) {
            return each.get();
        }
    }
    return nullptr;
}

machine* endpoint::find(replica::store_id number) {
    const auto at = machines.find(number);
    return at == machines.end() ? nullptr : at->second.get();
}

timestamp endpoint::wall() const {
    return timestamp{std::chrono::seconds{1'790'000'000} + around_.now() + wall_offset};
}

void endpoint::send(std::span<const endpoint_id> to, std::vector<std::byte> message) {
    const auto shared = shared_bytes::copy_of(message);
    for (const auto& each : to) {
        around_.post(slot_, each, shared);
    }
}

virtual_disk& endpoint::disk_of(replica::store_id store) {
    const auto* what = find(store);
    if (what == nullptr || !around_.stores()[what->store].durable) {
        around_.complain(fmt::format("e{} persists a store that is not durable", slot_));
    }
    const auto index = what == nullptr ? store_index{0} : what->store;
    around_.after(nanoseconds{0}, [this, index, its_life = life] {
        if (alive() && life == its_life) {
            around_.write_disk(slot_, index);
        }
    });
    return around_.disk(slot_, index);
}

void endpoint::persist(replica::store_id store, replica::persist_batch batch) {
    disk_of(store).persist(std::move(batch));
}

void endpoint::persist_snapshot(replica::store_id store, replica::snapshot_image image) {
    if (around_.verbose()) {
        around_.say(fmt::format("e{} writes a snapshot of {} at {} and {} entries", slot_,
                                around_.stores()[find(store)->store].name, image.last,
                                image.behind.entries.size()));
    }
    disk_of(store).persist(image);
}

void endpoint::persist_vote(replica::store_id store, replica::vote_record what) {
    disk_of(store).persist(std::move(what));
}

void endpoint::orphaned(replica::store_id store, replica::orphan_set what) {
    const auto asked = what.last - what.first + 1;
    const auto has = what.entries.size();
    // The oldest entries may be gone from memory: what they left in the table has its place.
    const auto misplaced = [&](const replica::item_ptr& each) {
        return each->revision() < what.first || each->revision() + has > what.last;
    };
    if (has > asked || (has == asked && !what.values.empty())
        || std::any_of(what.values.begin(), what.values.end(), misplaced)) {
        around_.complain(fmt::format("e{} has {} orphans and {} values from {} to {}", slot_, has,
                                     what.values.size(), what.first, what.last));
    }
    around_.watcher_->orphaned(slot_, *find(store), what.first, what.last);
}

void endpoint::promoted(replica::store_id store, const replica::identity& who) {
    auto& what = *find(store);
    what.master = true;
    if (around_.verbose()) {
        around_.say(fmt::format("e{} is master of {} now, epoch {:x} from {}", slot_,
                                around_.stores()[what.store].name, who.epoch(),
                                who.epochs.back().first));
    }
    around_.watcher_->promoted(slot_, what);
}

void endpoint::demoted(replica::store_id store, const error&) {
    auto& what = *find(store);
    what.master = false;
    if (around_.verbose()) {
        around_.say(fmt::format("e{} is not master of {} any more", slot_,
                                around_.stores()[what.store].name));
    }
    around_.watcher_->demoted(slot_, what);
}

void endpoint::answered(replica::ticket to, const replica::answer& what) {
    if (around_.verbose()) {
        around_.say(fmt::format("e{} answers ticket {}: {}, entry {}", slot_, to,
                                bzmq::to_string(what.code), what.revision));
    }
    around_.watcher_->answered(slot_, to, what);
}

void endpoint::changed(replica::store_id store, const replica::effect& what) {
    if (const auto* held = find(store)) {
        around_.watcher_->changed(slot_, *held, what);
    }
}

bool endpoint::wants_changes(replica::store_id store) const {
    const auto at = machines.find(store);
    return at != machines.end() && (at->second->master || watches);
}

void endpoint::report(error what) {
    if (around_.verbose()) {
        around_.say(fmt::format("e{} reports {}", slot_, bzmq::to_string(what)));
    }
    around_.watcher_->reported(slot_, what);
}

void endpoint::services_changed(std::vector<std::string> now) {
    services = std::move(now);
    view[id] = services;
    view_dirty = true;
    around_.refresh_views();
}

void endpoint::ended(replica::store_id store, const error&) { ended_ones.push_back(store); }

std::vector<endpoint_id> endpoint::providers(std::string_view service) const {
    std::vector<endpoint_id> out;
    for (const auto& [who, offers] : view) {
        if (std::find(offers.begin(), offers.end(), service) != offers.end()) {
            out.push_back(who);
        }
    }
    return out;
}

// -- The world ------------------------------------------------------------------------------------

world::world(std::uint64_t seed) : random_(seed), id_random_(seed ^ 0x5deece66dULL) {}

void world::say(const std::string& line) const {
    const auto ms = std::chrono::duration<double, std::milli>(now_ - 1h).count();
    fmt::print(stderr, "{:12.3f} {}\n", ms, line);
}

void world::complain(const std::string& what) {
    if (complaint_.empty()) {
        complaint_ = what;
    }
}

store_index world::add_store(store_spec what) {
    what.master.name = what.clone.name = what.name;
    what.master.durable = what.durable;
    stores_.push_back(std::move(what));
    return static_cast<store_index>(stores_.size() - 1);
}

slot_index world::add_endpoint() {
    const auto slot = static_cast<slot_index>(slots_.size());
    slots_.push_back(std::make_unique<endpoint>(*this, slot));
    restart(slot);
    return slot;
}

replica::master::start world::load(endpoint& one, store_index store, machine& into) {
    replica::master::start from;
    if (!stores_[store].durable) {
        from.who.store = random_id(id_random_);
        from.who.epochs = {{replica::epoch_after_start(0, from.who.store), 1}};
        return from;
    }
    auto& image = disk(static_cast<slot_index>(slot_of_.at(one.id)), store).image();
    if (!image.exists()) {
        image.who.store = random_id(id_random_);
    }
    image.who.epochs.push_back(
        {replica::epoch_after_start(image.who.epoch(), one.id), image.last + 1});
    for (const auto& [key, value] : image.values) {
        into.values.put(replica::item_ptr::make(key, value.bytes, value.expiry, value.revision));
    }
    from.who = image.who;
    from.last = image.last;
    from.chain = image.chain;
    for (const auto& [index, each] : image.writers) {
        from.writers.push_back(each);
    }
    return from;
}

error world::attach_master(slot_index slot, store_index store) {
    auto& one = at(slot);
    // A start that would be refused leaves the disk as it was.
    if (!one.providers(replica::service_of(stores_[store].name)).empty()) {
        return one.host->ask_for_master(now_, stores_[store].name, one);
    }
    const auto number = ++last_machine_;
    auto& fresh = *(one.machines[number] = std::make_unique<machine>());
    fresh.store = store;
    fresh.master = true;
    fresh.id = number;
    auto from = load(one, store, fresh);
    const auto last = from.last;
    std::optional<replica::clone_options> fenced;
    if (stores_[store].over != failover::none) {
        fenced = standby_options(slot, store);
    }
    auto problem = one.host->attach_master(now_, one.wall(), number, stores_[store].master,
                                           std::move(from), fresh.values, fresh.gate, one,
                                           std::move(fenced));
    if (problem) {
        complain("a master is refused: " + bzmq::to_string(problem));
        one.machines.erase(number);
        return problem;
    }
    if (stores_[store].durable) {
        const auto& log = disk(slot, store).image().log;
        auto at_entry = last - log.size();
        for (const auto& each : log) {
            one.host->master_of(number)->load_log(++at_entry, each.chain, each.entry.span());
        }
    }
    if (verbose_) {
        say(fmt::format("e{} attaches the master of {} at entry {}", slot, stores_[store].name,
                        last));
    }
    watcher_->attached(slot, fresh);
    wake(slot, now_);
    return {};
}

error world::attach_clone(slot_index slot, store_index store) {
    auto& one = at(slot);
    const auto number = ++last_machine_;
    auto& fresh = *(one.machines[number] = std::make_unique<machine>());
    fresh.store = store;
    fresh.id = number;
    auto options = stores_[store].clone;
    options.self = random_id(id_random_);
    auto problem = one.host->attach_clone(now_, number, std::move(options), fresh.values,
                                          fresh.gate, one);
    if (problem) {
        one.machines.erase(number);
        return problem;
    }
    if (verbose_) {
        say(fmt::format("e{} attaches a clone of {}", slot, stores_[store].name));
    }
    watcher_->attached(slot, fresh);
    wake(slot, now_);
    return {};
}

replica::clone_options world::standby_options(slot_index slot, store_index store) {
    const auto& spec = stores_[store];
    auto options = spec.clone;
    options.self = random_id(id_random_);
    options.standby = true;
    options.promoted = spec.master;
    options.seed = id_random_.next();
    if (spec.over == failover::by_election && std::ranges::count(spec.standbys, slot) != 0) {
        options.elector = fmt::format("e{}", slot);
        for (const auto each : spec.standbys) {
            options.electors.push_back(fmt::format("e{}", each));
        }
    }
    return options;
}

error world::attach_standby(slot_index slot, store_index store) {
    auto& one = at(slot);
    const auto number = ++last_machine_;
    auto& fresh = *(one.machines[number] = std::make_unique<machine>());
    fresh.store = store;
    fresh.id = number;
    const auto& image = disk(slot, store).image();
    replica::master::start from;
    from.who = image.who;
    from.last = image.last;
    from.chain = image.chain;
    for (const auto& [key, value] : image.values) {
        fresh.values.put(replica::item_ptr::make(key, value.bytes, value.expiry, value.revision));
    }
    for (const auto& [index, each] : image.writers) {
        from.writers.push_back(each);
    }
    auto problem = one.host->attach_clone(now_, number, standby_options(slot, store), fresh.values,
                                          fresh.gate, one, std::move(from), image.vote);
    if (problem) {
        complain(bzmq::to_string(problem));
        one.machines.erase(number);
        return problem;
    }
    auto at_entry = image.last - image.log.size();
    for (const auto& each : image.log) {
        one.host->clone_of(number)->load_log(++at_entry, each.chain, each.entry.span());
    }
    if (verbose_) {
        say(fmt::format("e{} attaches a standby of {} at entry {}", slot, stores_[store].name,
                        image.last));
    }
    watcher_->attached(slot, fresh);
    wake(slot, now_);
    return {};
}

std::optional<slot_index> world::master_of(store_index store) {
    std::optional<slot_index> out;
    for (slot_index slot = 0; slot < slots_.size(); ++slot) {
        const auto* master = master_at(slot, store);
        if (master != nullptr
            && (!out || master_at(*out, store)->who().epoch() < master->who().epoch())) {
            out = slot;
        }
    }
    return out;
}

void world::detach(slot_index slot, replica::store_id id) {
    auto& one = at(slot);
    if (verbose_) {
        say(fmt::format("e{} detaches machine {}", slot, id));
    }
    const auto& what = *one.find(id);
    const bool keeps = what.master ? stores_[what.store].durable
                                   : one.host->clone_of(id)->options().standby;
    one.host->detach(id);
    watcher_->gone(slot, what, false);
    if (keeps) {
        disk(slot, what.store).close();
    }
    one.machines.erase(id);
    wake(slot, now_);
}

error world::promote(slot_index slot, store_index store) {
    auto& one = at(slot);
    const auto* what = one.find(store, false);
    const auto problem = one.host->promote(now_, one.wall(), what->id);
    finish_call(slot);
    wake(slot, now_);
    return problem;
}

ec world::submit(slot_index slot, replica::store_id id, replica::ticket to,
                 std::span<const std::byte> command) {
    auto& one = at(slot);
    const auto problem = one.host->submit(now_, one.wall(), id, to, command);
    finish_call(slot);
    wake(slot, now_);
    return problem;
}

replica::master* world::master_at(slot_index slot, store_index store) {
    auto& one = at(slot);
    const auto* what = one.alive() ? one.find(store, true) : nullptr;
    return what == nullptr ? nullptr : one.host->master_of(what->id);
}

replica::clone* world::clone_at(slot_index slot, store_index store) {
    auto& one = at(slot);
    const auto* what = one.alive() ? one.find(store, false) : nullptr;
    return what == nullptr ? nullptr : one.host->clone_of(what->id);
}

virtual_disk& world::disk(slot_index slot, store_index store) {
    auto& held = slots_[slot]->disks[store];
    if (!held) {
        held = std::make_unique<virtual_disk>(
            stores_[store].master.log_bytes,
            [this, store](const disk_image& image) { watcher_->on_disk(store, image); });
    }
    return *held;
}

void world::write_disk(slot_index slot, store_index store) {
    auto& held = disk(slot, store);
    if (!held.begin()) {
        return;
    }
    const auto life = at(slot).life;
    after(delay(random_, disk_latency_ / 4, disk_latency_), [this, slot, store, life] {
        auto& one = at(slot);
        if (!one.alive() || one.life != life) {
            return;
        }
        auto& its = disk(slot, store);
        for (const auto& verdict : its.finish()) {
            one.inbox.push_back({{}, {}, store, verdict});
            wake(slot, now_);
        }
        if (!its.complaint().empty()) {
            complain(fmt::format("e{}: {}", slot, its.complaint()));
        }
        write_disk(slot, store);
    });
}

// -- Faults ---------------------------------------------------------------------------------------

void world::crash(slot_index slot) {
    auto& one = at(slot);
    if (!one.alive()) {
        return;
    }
    if (verbose_) {
        say(fmt::format("e{} crashes", slot));
    }
    for (const auto& [number, each] : one.machines) {
        watcher_->gone(slot, *each, true);
    }
    for (const auto& [store, disk] : one.disks) {
        disk->crash(random_);
    }
    slot_of_.erase(one.id);
    one.host.reset();
    one.machines.clear();
    one.inbox.clear();
    one.services.clear();
    refresh_views();
}

void world::restart(slot_index slot) {
    auto& one = at(slot);
    if (one.alive()) {
        return;
    }
    ++one.life;
    one.id = random_id(id_random_);
    slot_of_[one.id] = slot;
    one.host = std::make_unique<replica::host>(one.id, one);
    one.view.clear();
    one.wake_at = never;
    one.busy_until = now_;
    one.watches = random_.chance(1, 2);
    // What it hears first is what some neighbour knows.
    const auto told_by = static_cast<slot_index>(random_.below(slots_.size()));
    if (told_by != slot && alive(told_by)) {
        one.view = at(told_by).view;
    }
    if (verbose_) {
        say(fmt::format("e{} starts as {}", slot, to_string(one.id).substr(0, 8)));
    }
    refresh_views();
}

void world::partition(std::vector<unsigned> groups) {
    if (verbose_) {
        say(groups.empty() ? "the network heals" : fmt::format("partition {}", fmt::join(groups, "")));
    }
    groups_ = std::move(groups);
    refresh_views();
}

void world::set_disk_full(slot_index slot, store_index store, bool full) {
    if (verbose_) {
        say(fmt::format("e{}: the disk of {} is {}", slot, stores_[store].name,
                        full ? "full" : "not full any more"));
    }
    disk(slot, store).set_full(full);
}

void world::refresh_views() {
    for (slot_index slot = 0; slot < slots_.size(); ++slot) {
        after(between(random_, nanoseconds{1ms}, view_delay_), [this, slot] { refresh_view(slot); });
    }
}

void world::refresh_view(slot_index slot) {
    auto& one = at(slot);
    if (!one.alive()) {
        return;
    }
    std::map<endpoint_id, std::vector<std::string>> now;
    for (slot_index other = 0; other < slots_.size(); ++other) {
        if (alive(other) && (other == slot || !cut_off(slot, other))) {
            now[at(other).id] = at(other).services;
        }
    }
    if (now != one.view) {
        one.view = std::move(now);
        one.view_dirty = true;
        wake(slot, now_);
    }
}

// -- Messages -------------------------------------------------------------------------------------

void world::post(slot_index from, const endpoint_id& to, const shared_bytes& message) {
    ++messages_;
    const auto known = slot_of_.find(to);
    if (known == slot_of_.end()) {
        return;
    }
    const auto slot = known->second;
    if (cut_off(from, slot) || chance(random_, conditions_.lost)) {
        if (verbose_) {
            say(fmt::format("e{} -> e{} LOST {}", from, slot, describe(message.span())));
        }
        return;
    }
    const auto sender = at(from).id;
    for (int copies = chance(random_, conditions_.duplicated) ? 2 : 1; copies > 0; --copies) {
        auto when = now_ + delay(random_, conditions_.delay_min, conditions_.delay_mean);
        if (conditions_.ordered) {
            auto& last = last_arrival_[{from, slot}];
            when = last = std::max(when, last);
        }
        schedule(when, [this, from, slot, sender, to, message] {
            auto& one = at(slot);
            if (!one.alive() || one.id != to || cut_off(from, slot)) {
                return;
            }
            if (verbose_) {
                say(fmt::format("e{} -> e{} {}", from, slot, describe(message.span())));
            }
            mix(replica::stable_hash(message.span(), slot));
            one.inbox.push_back({sender, message, 0, {}});
            wake(slot, now_);
        });
    }
}

void world::hear(endpoint& one, endpoint::input& what) {
    if (!what.from.is_nil()) {
        one.host->received(now_, one.wall(), what.from, what.message.span());
        return;
    }
    const auto& verdict = what.verdict;
    if (verdict.problem && verdict.what == virtual_disk::kind::batch) {
        disk(slot_of_.at(one.id), what.store).resume();
    }
    for (const auto& [number, held] : one.machines) {
        const bool keeps = held->store == what.store
                           && (held->master || one.host->clone_of(number)->options().standby);
        if (!keeps) {
            continue;
        }
        switch (verdict.what) {
            case virtual_disk::kind::batch:
                one.host->persisted(now_, one.wall(), number, verdict.last, verdict.problem);
                break;
            case virtual_disk::kind::snapshot:
                one.host->snapshot_persisted(now_, number, verdict.problem);
                break;
            case virtual_disk::kind::vote:
                one.host->vote_persisted(now_, number, verdict.problem);
                break;
        }
        return;
    }
}

/// What an output may not do from inside a call is done now.
void world::finish_call(slot_index slot) {
    auto& one = at(slot);
    for (const auto number : std::exchange(one.ended_ones, {})) {
        if (const auto* what = one.find(number)) {
            watcher_->gone(slot, *what, false);
            one.machines.erase(number);
        }
    }
}

void world::turn(slot_index slot) {
    auto& one = at(slot);
    if (std::exchange(one.view_dirty, false)) {
        one.host->view_changed(now_, one);
    }
    const bool idle = one.inbox.empty();
    for (auto inputs = std::exchange(one.inbox, {}); !inputs.empty(); inputs.pop_front()) {
        hear(one, inputs.front());
    }
    if (now_ >= one.host->next_deadline()) {
        one.host->tick(now_, one.wall());
    }
    one.host->flush(now_, one.wall());
    finish_call(slot);
    watcher_->turn_ended(slot);
    one.busy_until = now_ + one.pace;
    const auto due = one.host->next_deadline();
    one.spins = idle && due <= now_ ? one.spins + 1 : 0;
    if (one.spins > spins_max) {
        complain(fmt::format("e{} is never done: its deadline does not move on", slot));
    }
    wake(slot, due);
}

/// Gives the endpoint a turn at `when`, or when it is free.
void world::wake(slot_index slot, instant when) {
    auto& one = at(slot);
    if (!one.alive() || when == never) {
        return;
    }
    when = std::max({when, one.busy_until, now_});
    if (when >= one.wake_at) {
        return;
    }
    one.wake_at = when;
    schedule(when, [this, slot, life = one.life, when] {
        auto& its = at(slot);
        if (its.alive() && its.life == life && its.wake_at == when) {
            its.wake_at = never;
            turn(slot);
        }
    });
}

// -- Time -----------------------------------------------------------------------------------------

void world::mix(std::uint64_t value) {
    trace_ = (trace_ ^ value ^ static_cast<std::uint64_t>(now_.count())) * 0x100000001b3ULL;
}

void world::schedule(instant at, std::function<void()> action) {
    heap_.push_back({at, ++last_sequence_, std::move(action)});
    std::push_heap(heap_.begin(), heap_.end(), later{});
}

void world::run_until(instant until) {
    while (!heap_.empty() && heap_.front().at <= until && complaint_.empty()) {
        std::pop_heap(heap_.begin(), heap_.end(), later{});
        const auto next = std::move(heap_.back());
        heap_.pop_back();
        now_ = std::max(now_, next.at);
        ++events_run_;
        next.action();
    }
    now_ = std::max(now_, until);
}

bool world::run_until(const std::function<bool()>& done, nanoseconds limit, nanoseconds step) {
    const auto end = now_ + limit;
    while (!done()) {
        if (now_ >= end || !complaint_.empty()) {
            return false;
        }
        run_for(step);
    }
    return true;
}

}  // namespace bzmq::sim::stores
