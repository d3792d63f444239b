#include "endpoint/store_room.hpp"

#include <algorithm>
#include <new>
#include <system_error>
#include <utility>

#include "endpoint/clock.hpp"
#include "endpoint/gone.hpp"
#include "replica/messages.hpp"

namespace bzmq {
namespace {

// What one turn decides at most, so that messages are not kept waiting.
constexpr std::size_t turn_bytes = std::size_t{1} << 20;

replica::ticket ticket_of(write_state* state) {
    return static_cast<replica::ticket>(reinterpret_cast<std::uintptr_t>(state));
}

write_state* state_of(replica::ticket ticket) {
    return reinterpret_cast<write_state*>(static_cast<std::uintptr_t>(ticket));
}

/// Why a machine did not even take a command.
error refusal(ec code) {
    switch (code) {
        case ec::message_too_big:
            return {code, "larger than the clone's `mutation_buffer_bytes`"};
        case ec::queue_full:
            return {code, "the clone's `mutation_buffer_bytes` are full"};
        default:
            return code;
    }
}

/// Why a command that was taken changed nothing: the machines know codes only.
error why_nothing_changed(ec code) {
    switch (code) {
        case ec::no_such_key:
            return {code, "nothing is under the key"};
        case ec::key_exists:
            return {code, "something is under the key already"};
        case ec::revision_mismatch:
            return {code, "what is under the key is of another revision"};
        case ec::type_clash:
            return {code, "this cannot be done to a value of that type"};
        case ec::invalid_data:
            return {code, "what would come of it is out of range, or the vector has no such element"};
        default:
            return code;
    }
}

/// Hands a machine the log that its disk has.
template <class T>
void load_log(T& machine, const lmdb_tail& tail) {
    for (const auto& each : tail.entries) {
        machine.load_log(each.number, each.chain, each.bytes);
    }
}

}  // namespace

store_room::store_room(const endpoint_id& self, node::hub& hub, outside around)
    : self_(self), hub_(hub), around_(std::move(around)), host_(self, *this) {}

store_room::~store_room() { abandon(gone()); }

// -- Commands -------------------------------------------------------------------------------------

void store_room::commands_came(std::uint32_t store) {
    const std::lock_guard lock{ready_mutex_};
    if (closed_) {
        return;
    }
    if (std::find(ready_.begin(), ready_.end(), store) != ready_.end()) {
        return;
    }
    ready_.push_back(store);  // There is room: see `make_room`.
    if (ready_.size() == 1) {
        around_.wake();  // Under the lock: once it is closed nobody touches the core any more.
    }
}

/// Hands commands to the machines; true where more can go at once.
bool store_room::take_commands(instant now) {
    {
        const std::lock_guard lock{ready_mutex_};
        for (const auto id : ready_) {
            const auto at = stores_.find(id);
            if (at != stores_.end() && !std::exchange(at->second.listed, true)) {
                busy_.push_back(id);
            }
        }
        ready_.clear();
    }
    if (busy_.empty()) {
        return false;
    }
    const auto wall = wall_now();
    auto budget = turn_bytes;
    bool more = false;
    // Whoever gets nothing of this turn is among the first in the next.
    std::vector<std::uint32_t> left;
    std::vector<std::uint32_t> served;
    for (const auto id : std::exchange(busy_, {})) {
        const auto at = stores_.find(id);
        if (at == stores_.end()) {
            continue;
        }
        if (budget == 0) {
            left.push_back(id);
            more = true;
            continue;
        }
        switch (take_commands(now, wall, id, at->second, budget)) {
            case progress::done:
                at->second.listed = false;
                break;
            case progress::more:
                more = true;
                [[fallthrough]];
            case progress::held_up:
                served.push_back(id);
        }
    }
    busy_ = std::move(left);
    busy_.insert(busy_.end(), served.begin(), served.end());
    return more;
}

store_room::progress store_room::take_commands(instant now, timestamp wall, std::uint32_t id,
                                               held& of, std::size_t& budget) {
    auto& queue = of.state->queue();
    while (true) {
        if (of.next == of.taken.heads.size()) {
            of.taken.heads.clear();
            of.taken.bytes.clear();
            of.next = of.next_byte = 0;
            queue.take(of.taken);
            if (of.taken.empty()) {
                return progress::done;
            }
        }
        std::size_t commands = 0;
        std::size_t bytes = 0;
        bool held_up = false;
        while (of.next < of.taken.heads.size() && bytes < budget) {
            if (!host_.ready(id)) {
                held_up = true;
                break;
            }
            const auto head = of.taken.heads[of.next];
            const std::span<const std::byte> command{of.taken.bytes.data() + of.next_byte, head.size};
            ++of.next;
            of.next_byte += head.size;
            ++commands;
            bytes += head.size;
            of.state->handed = head.number;
            submit(now, wall, id, head.state, command);
        }
        queue.release(commands, bytes);
        budget -= std::min(budget, bytes);
        if (held_up) {
            return progress::held_up;
        }
        if (budget == 0) {
            return of.next < of.taken.heads.size() || !queue.empty() ? progress::more
                                                                     : progress::done;
        }
    }
}

void store_room::submit(instant now, timestamp wall, std::uint32_t id, write_state* state,
                        std::span<const std::byte> command) {
    error problem;
    try {
        problem = refusal(host_.submit(now, wall, id, ticket_of(state), command));
    } catch (...) {
        // The machine may have the ticket or not: the reference that goes with it is given up, so
        // that it can neither be dropped twice nor leave anybody waiting.
        state->add_ref();
        finish(state, ec::unspecified, 0, {});
        throw;
    }
    if (problem) {
        finish(state, std::move(problem), 0, {});
    }
}

/// Refuses what waits in its queue, which must be closed.
void store_room::end_commands(held& of, const error& why) noexcept {
    while (true) {
        for (; of.next < of.taken.heads.size(); ++of.next) {
            finish(of.taken.heads[of.next].state, why, 0, {});
        }
        of.taken.heads.clear();
        of.next = 0;
        of.state->queue().take(of.taken);
        if (of.taken.empty()) {
            return;
        }
    }
}

/// Takes over the reference that the queue had.
void store_room::finish(write_state* state, error problem, std::uint64_t revision,
                        std::span<const std::byte> value) noexcept {
    to_wake_ |= write_gates::set{1} << state->gate();
    if (state->finish(std::move(problem), revision, value)) {
        try {
            to_call_back_.push_back(state);
            return;
        } catch (const std::bad_alloc&) {  // Then at once.
            static_cast<void>(state->call_back());
        }
    }
    state->drop_ref();
}

void store_room::call_back() {
    wake();
    while (!to_call_back_.empty()) {
        for (auto* state : std::exchange(to_call_back_, {})) {
            auto thrown = state->call_back();
            state->drop_ref();
            if (thrown) {
                report(std::move(thrown));
            }
        }
        wake();  // The callbacks may have ended some.
    }
    for (const auto& [id, each] : stores_) {
        each.state->serve_reads();
    }
}

/// Lets readers that have written go on.
void store_room::note_settled() {
    for (auto& [id, each] : stores_) {
        if (auto* machine = host_.master_of(id)) {
            if (each.master_from && machine->committed() >= *each.master_from) {
                each.master_from.reset();
                each.stale = false;
                each.state->set_role(true);
                around_.tell(sc::store_promoted,
                             "store " + each.state->name() + ": this standby is its master now, of epoch "
                                 + std::to_string(machine->who().epoch()));
            }
            if (machine->committed() == machine->last()) {
                each.state->settle(each.state->handed);
            } else {
                each.state->settle_later(each.state->handed, machine->last());
                each.state->committed(machine->committed());
            }
        } else if (auto* follower = host_.clone_of(id)) {
            each.state->set_clock_offset(follower->clock_offset());
        }
    }
}

// -- Turns ----------------------------------------------------------------------------------------

bool store_room::turn(instant now) {
    now_ = now;
    if (stores_.empty()) {
        inbox_.clear();
        call_back();
        return false;
    }
    const auto wall = wall_now();
    if (const auto version = hub_.routing_version(); version != seen_version_) {
        seen_version_ = version;
        host_.view_changed(now, *this);
    }
    for (auto& [from, message] : std::exchange(inbox_, {})) {
        host_.received(now, wall, from, message.span());
    }
    const bool busy = take_commands(now);
    if (now >= host_.next_deadline()) {
        host_.tick(now, wall);
    }
    host_.flush(now, wall);
    note_settled();
    call_back();
    return busy;
}

instant store_room::next_deadline() const {
    auto due = host_.next_deadline();
    for (const auto& [id, each] : stores_) {
        due = std::min(due, each.state->reads_due());
    }
    return due;
}

bool store_room::drained() const {
    return std::all_of(stores_.begin(), stores_.end(), [](const auto& each) {
        const auto& of = each.second;
        return of.next == of.taken.heads.size() && of.state->queue().empty()
               && (!of.disk || of.disk->idle());
    });
}

// -- Coming and going -----------------------------------------------------------------------------

error store_room::attach_master(instant now, const std::shared_ptr<store_state>& store,
                                replica::master_options options, opened_disk from,
                                replica::clone_options fenced) {
    if (closed_) {
        return gone();
    }
    now_ = now;
    auto& place = stores_[store->id()];
    place.state = store;
    make_room();
    place.disk = std::move(from.disk);
    auto problem = host_.attach_master(now, wall_now(), store->id(), std::move(options),
                                       std::move(from.from), store->values(), store->gate(), *this,
                                       std::move(fenced));
    if (problem) {
        close(std::move(place.disk));
        stores_.erase(store->id());
        return problem;
    }
    load_log(*host_.master_of(store->id()), from.tail);
    return {};
}

error store_room::attach_clone(instant now, const std::shared_ptr<store_state>& store,
                               replica::clone_options options, opened_disk from) {
    if (closed_) {
        return gone();
    }
    now_ = now;
    auto& place = stores_[store->id()];
    place.state = store;
    make_room();
    place.disk = std::move(from.disk);
    auto problem = host_.attach_clone(now, store->id(), std::move(options), store->values(),
                                      store->gate(), *this, std::move(from.from),
                                      std::move(from.promised));
    if (problem) {
        close(std::move(place.disk));
        stores_.erase(store->id());
        return problem;
    }
    load_log(*host_.clone_of(store->id()), from.tail);
    return {};
}

error store_room::promote(instant now, std::uint32_t id, timespan patience) {
    if (host_.master_of(id) != nullptr) {
        return {};
    }
    now_ = now;
    return host_.promote(now, wall_now(), id, patience);
}

std::optional<error> store_room::promotion(std::uint32_t id) const {
    auto& host = const_cast<replica::host&>(host_);
    if (host.master_of(id) != nullptr) {
        const auto& state = stores_.at(id).state;
        return state->is_master() ? std::optional{error{}} : std::nullopt;
    }
    const auto* follower = host.clone_of(id);
    if (follower == nullptr) {
        return closed_ ? gone() : error{ec::no_such_master, "the store is gone"};
    }
    if (follower->promoting()) {
        return std::nullopt;
    }
    if (follower->promotion_problem()) {
        return follower->promotion_problem();
    }
    return error{ec::master_exists, "a newer master has taken its place"};
}

error store_room::promotion_so_far(std::uint32_t id) const {
    if (auto over = promotion(id)) {
        return *std::move(over);
    }
    const bool master = const_cast<replica::host&>(host_).master_of(id) != nullptr;
    return {ec::request_timeout, master ? "it is about to be master: the disk takes its time"
                                        : "it is not master yet; its promotion goes on"};
}

void store_room::ask_to_promote(instant now, std::string_view store, const endpoint_id& at) {
    hub_.send_to_stores(now, {&at, 1}, replica::encode_promote(store), false);
}

void store_room::persisted(std::uint32_t id, const store_disk::outcome& what) {
    const auto at = stores_.find(id);
    if (at == stores_.end() || !at->second.disk) {
        return;
    }
    auto& disk = *at->second.disk;
    switch (what.what) {
        case store_disk::outcome::kind::entries: {
            const auto verdict = disk.settled(what.last, what.problem);
            if (verdict.tell) {
                failure_ = verdict.problem;
                host_.persisted(now_, wall_now(), id, verdict.last, verdict.problem);
                failure_ = {};
            }
            break;
        }
        case store_disk::outcome::kind::snapshot:
            disk.snapshot_settled(what.problem);
            host_.snapshot_persisted(now_, id, what.problem);
            break;
        case store_disk::outcome::kind::vote:
            host_.vote_persisted(now_, id, what.problem);
            break;
        case store_disk::outcome::kind::orphans:
            report({ec::stale_data, "store " + at->second.state->name() + ": " + what.report});
    }
}

std::unique_ptr<store_disk> store_room::detach(std::uint32_t id, const error& why) {
    host_.detach(id);
    return release(id, why);
}

/// What is left of a store whose machine is gone.
std::unique_ptr<store_disk> store_room::release(std::uint32_t id, const error& why) {
    const auto at = stores_.find(id);
    if (at == stores_.end()) {
        return {};
    }
    auto gone = std::move(at->second);
    stores_.erase(at);
    gone.state->queue().close(why);
    end_commands(gone, why);  // Takes no memory: whatever else fails, nobody waits for these.
    wake();
    gone.state->end(why);
    return std::move(gone.disk);
}

void store_room::close(std::unique_ptr<store_disk> disk) {
    if (!disk) {
        return;
    }
    const std::shared_ptr<store_disk> kept{std::move(disk)};
    try {
        closers_.emplace_back([kept] { kept->close(); });
    } catch (const std::system_error&) {
        kept->close();
    }
}

void store_room::shutdown(const error& why) {
    close_doors();
    while (!stores_.empty()) {
        close(detach(stores_.begin()->first, why));
    }
    call_back();
}

void store_room::abandon(const error& why) noexcept {
    silent_ = true;
    close_doors();
    // Without memory or in any other trouble, whoever waits still has to be told.
    const auto attempt = [](const auto& step) noexcept {
        try {
            step();
        } catch (...) {  // NOLINT(bugprone-empty-catch): there is nobody left to tell.
        }
    };
    while (!stores_.empty()) {
        const auto id = stores_.begin()->first;
        attempt([&] { host_.detach(id); });
        attempt([&] { close(release(id, why)); });
        stores_.erase(id);
    }
    attempt([&] { call_back(); });
    for (auto& each : closers_) {
        each.join();
    }
    closers_.clear();
}

/// So that whoever has queued a command can always tell the core of it.
void store_room::make_room() {
    const std::lock_guard lock{ready_mutex_};
    ready_.reserve(ready_.size() + stores_.size());
}

void store_room::close_doors() {
    const std::lock_guard lock{ready_mutex_};
    closed_ = true;
}

std::shared_ptr<store_state> store_room::find(std::string_view name, bool master) const {
    for (const auto& [id, each] : stores_) {
        if (each.state->name() == name && each.state->is_master() == master) {
            return each.state;
        }
    }
    return nullptr;
}

void store_room::follow(instant now, std::uint32_t id) {
    if (auto* follower = host_.clone_of(id)) {
        follower->accept_new_store(now);
    }
}

bool store_room::idle(std::uint32_t id) const {
    auto& host = const_cast<replica::host&>(host_);
    if (const auto* machine = host.master_of(id)) {
        return machine->idle();
    }
    const auto* follower = host.clone_of(id);
    return follower != nullptr && follower->idle();
}

store_info store_room::info(std::uint32_t id) const {
    store_info out;
    const auto at = stores_.find(id);
    if (at == stores_.end()) {
        return out;
    }
    auto& host = const_cast<replica::host&>(host_);
    const auto& state = *at->second.state;
    out.name = state.name();
    out.master = state.is_master();
    out.backend = state.kind();
    auto& values = at->second.state->values();
    out.entries = values.size();
    out.bytes = values.bytes();
    out.commits = at->second.disk ? at->second.disk->commits() : 0;
    if (const auto* machine = host.master_of(id)) {
        out.revision = machine->committed();
        out.hash = machine->chain();
        out.epoch = machine->who().epoch();
        out.synced = out.attached = true;
        out.master_at = self_;
        for (const auto& each : machine->clones()) {
            out.clones.push_back({each.at, each.in_snapshot, each.standby, each.acknowledged, each.stored});
        }
    } else if (const auto* follower = host.clone_of(id)) {
        out.standby = follower->options().standby;
        out.revision = follower->applied();
        out.hash = follower->chain();
        out.epoch = follower->who().epoch();
        out.synced = follower->status().synced;
        out.stale = follower->status().stale;
        out.attached = follower->status().attached;
        out.master_at = follower->status().master;
        const auto arrived = follower->arrived();
        out.arrived_entries = arrived.entries;
        out.arrived_bytes = arrived.bytes;
        out.arriving_entries = static_cast<std::size_t>(arrived.total);
    }
    return out;
}

// -- What the machines want -----------------------------------------------------------------------

void store_room::send(std::span<const endpoint_id> to, std::vector<std::byte> message) {
    if (!silent_) {
        hub_.send_to_stores(now_, to, message, replica::in_order(message));
    }
}

void store_room::persist(replica::store_id store, replica::persist_batch batch) {
    if (const auto at = stores_.find(store); at != stores_.end() && at->second.disk) {
        at->second.disk->persist(std::move(batch));
    }
}

void store_room::answered(replica::ticket to, const replica::answer& what) {
    error problem{what.code};
    try {
        // The machines know codes; who wrote wants to know why, and what the disk said.
        problem = failure_ && what.code == failure_.code() ? failure_ : why_nothing_changed(what.code);
    } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): then the code alone.
    }
    finish(state_of(to), std::move(problem), what.revision, what.value);
}

void store_room::changed(replica::store_id store, const replica::effect& what) {
    if (const auto at = stores_.find(store); at != stores_.end()) {
        at->second.state->tell(what);
    }
}

bool store_room::wants_changes(replica::store_id store) const {
    const auto at = stores_.find(store);
    return at != stores_.end() && at->second.state->wants_events();
}

void store_room::report(error what) { around_.report(std::move(what)); }

void store_room::status_changed(replica::store_id store, const replica::clone_status& now) {
    const auto at = stores_.find(store);
    if (at == stores_.end()) {
        return;
    }
    auto& its = at->second;
    its.state->set_status(now);
    if (std::exchange(its.stale, now.stale) != now.stale) {
        around_.tell(now.stale ? sc::store_stale : sc::store_fresh,
                     "store " + its.state->name()
                         + (now.stale ? ": no word from its master for too long, so reads fail"
                                      : ": its master is heard of again"));
    }
}

void store_room::services_changed(std::vector<std::string> services) {
    if (!silent_) {
        hub_.set_services(now_, std::move(services));
    }
}

void store_room::persist_snapshot(replica::store_id store, replica::snapshot_image image) {
    if (const auto at = stores_.find(store); at != stores_.end() && at->second.disk) {
        at->second.disk->persist_snapshot(std::move(image));
    }
}

void store_room::persist_vote(replica::store_id store, replica::vote_record what) {
    if (const auto at = stores_.find(store); at != stores_.end() && at->second.disk) {
        at->second.disk->persist_vote(std::move(what));
    }
}

void store_room::orphaned(replica::store_id store, replica::orphan_set what) {
    const auto at = stores_.find(store);
    if (at == stores_.end()) {
        return;
    }
    auto& disk = at->second.disk;
    // Now: when the file is there, this store or its endpoint may not be any more.
    report({ec::stale_data,
            "writes " + std::to_string(what.first) + " to " + std::to_string(what.last) + " of store "
                + at->second.state->name()
                + " were only here: its new master does not have them. "
                + (disk ? "They go to a file in the store's folder"
                        : "They are given up, since this store has no disk")});
    if (disk) {
        disk->keep_orphans(std::move(what));
    }
}

void store_room::promoted(replica::store_id store, const replica::identity&) {
    if (const auto at = stores_.find(store); at != stores_.end()) {
        at->second.master_from = host_.master_of(store)->last();
    }
}

/// The host has reported why.
void store_room::demoted(replica::store_id store, const error&) {
    if (const auto at = stores_.find(store); at != stores_.end()) {
        at->second.master_from.reset();
        at->second.state->set_role(false);
    }
}

void store_room::ended(replica::store_id store, const error& why) {
    close(release(store, why));
}

}  // namespace bzmq
