#include "endpoint/store_room.hpp"

#include <algorithm>

#include "endpoint/clock.hpp"
#include "endpoint/gone.hpp"

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

}  // namespace

store_room::store_room(const endpoint_id& self, node::hub& hub, outside around)
    : hub_(hub), around_(std::move(around)), host_(self, *this) {}

store_room::~store_room() { shutdown(); }

// -- Commands -------------------------------------------------------------------------------------

error store_room::queue(store_state& store, std::span<const std::byte> command,
                        write_state* state, std::uint64_t& number) {
    if (command.size() > replica::entry_bytes_max) {
        return {ec::message_too_big, "a command of " + std::to_string(command.size())
                                         + " bytes; at most "
                                         + std::to_string(replica::entry_bytes_max) + " fit"};
    }
    std::unique_lock lock{queue_mutex_};
    room_.wait(lock, [&] {
        return closed_ || queued_bytes_ == 0 || queued_bytes_ + command.size() <= queue_bytes_max;
    });
    if (closed_) {
        return gone();
    }
    number = store.next_number();
    waiting_.bytes.insert(waiting_.bytes.end(), command.begin(), command.end());
    waiting_.heads.push_back({store.id(), command.size(), state, number});
    queued_bytes_ += command.size();
    if (waiting_.heads.size() == 1) {
        around_.wake();  // Under the lock: after `close_queue` nobody touches the core any more.
    }
    return {};
}

void store_room::close_queue() {
    const std::lock_guard lock{queue_mutex_};
    closed_ = true;
    room_.notify_all();
}

void store_room::refuse(write_state* state, error why) {
    state->finish(std::move(why), 0, {});
    state->drop_ref();
}

/// Hands commands to the machines; true where more can go at once.
bool store_room::take_commands(instant now) {
    if (next_ == taken_.heads.size()) {
        taken_.heads.clear();
        taken_.bytes.clear();
        next_ = next_byte_ = 0;
        const std::lock_guard lock{queue_mutex_};
        taken_.heads.swap(waiting_.heads);
        taken_.bytes.swap(waiting_.bytes);
    }
    const auto wall = wall_now();
    std::size_t done = 0;
    bool held_up = false;
    while (next_ < taken_.heads.size() && done < turn_bytes) {
        const auto& head = taken_.heads[next_];
        if (!host_.ready(head.store)) {
            held_up = true;
            break;
        }
        const std::span<const std::byte> bytes{taken_.bytes.data() + next_byte_, head.size};
        if (const auto at = stores_.find(head.store); at != stores_.end()) {
            at->second.state->handed = head.number;
        }
        const auto problem = host_.submit(now, wall, head.store, ticket_of(head.state), bytes);
        if (problem != ec::none) {
            refuse(head.state, problem);
        }
        next_byte_ += head.size;
        done += head.size;
        ++next_;
    }
    if (done == 0) {
        return false;
    }
    const std::lock_guard lock{queue_mutex_};
    queued_bytes_ -= done;
    room_.notify_all();
    // What came meanwhile has woken nobody that slept.
    return !held_up && (next_ < taken_.heads.size() || !waiting_.heads.empty());
}

/// Lets readers that have written go on.
void store_room::note_settled() {
    for (const auto& [id, each] : stores_) {
        if (auto* machine = host_.master_of(id)) {
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
    return busy;
}

instant store_room::next_deadline() const { return host_.next_deadline(); }

bool store_room::drained() const {
    return next_ == taken_.heads.size() && queued_bytes_ == 0
           && std::all_of(stores_.begin(), stores_.end(), [](const auto& each) {
                  return !each.second.disk || each.second.disk->idle();
              });
}

// -- Coming and going -----------------------------------------------------------------------------

error store_room::attach_master(instant now, const std::shared_ptr<store_state>& store,
                                replica::master_options options, replica::master::start from,
                                std::unique_ptr<store_disk> disk) {
    now_ = now;
    auto& place = stores_[store->id()];
    place.state = store;
    auto problem = host_.attach_master(now, wall_now(), store->id(), std::move(options),
                                       std::move(from), store->values(), store->gate(), *this);
    if (problem) {
        stores_.erase(store->id());
        return problem;
    }
    if (disk) {
        disk->start([this, id = store->id()](replica::sequence last, const error& why) {
            around_.post([this, id, last, why] {
                const auto at = stores_.find(id);
                if (at == stores_.end()) {
                    return;
                }
                const auto verdict = at->second.disk->settled(last, why);
                if (verdict.tell) {
                    host_.persisted(now_, wall_now(), id, verdict.last, verdict.problem);
                }
            });
        });
        place.disk = std::move(disk);
    }
    return {};
}

void store_room::load_log(std::uint32_t id, const lmdb_tail& tail) {
    if (auto* machine = host_.master_of(id)) {
        for (const auto& each : tail.entries) {
            machine->load_log(each.number, each.chain, each.bytes);
        }
    }
}

error store_room::attach_clone(instant now, const std::shared_ptr<store_state>& store,
                               replica::clone_options options) {
    now_ = now;
    stores_[store->id()].state = store;
    auto problem = host_.attach_clone(now, store->id(), std::move(options), store->values(),
                                      store->gate(), *this);
    if (problem) {
        stores_.erase(store->id());
    }
    return problem;
}

void store_room::detach(std::uint32_t id, const error& why) {
    host_.detach(id);
    ended(id, why);
}

void store_room::shutdown() {
    close_queue();
    const auto why = gone();
    {
        const std::lock_guard lock{queue_mutex_};
        taken_.heads.insert(taken_.heads.end(), waiting_.heads.begin(), waiting_.heads.end());
        waiting_ = {};
    }
    for (; next_ < taken_.heads.size(); ++next_) {
        refuse(taken_.heads[next_].state, why);
    }
    while (!stores_.empty()) {
        detach(stores_.begin()->first, why);
    }
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
    if (const auto* machine = host.master_of(id)) {
        out.revision = machine->committed();
        out.hash = machine->chain();
        out.epoch = machine->who().epoch();
        out.synced = out.attached = true;
        for (const auto& each : machine->clones()) {
            out.clones.push_back({each.at, each.in_snapshot, each.acknowledged});
        }
    } else if (const auto* follower = host.clone_of(id)) {
        out.revision = follower->applied();
        out.hash = follower->chain();
        out.epoch = follower->who().epoch();
        out.synced = follower->status().synced;
        out.stale = follower->status().stale;
        out.attached = follower->status().attached;
        out.master_at = follower->status().master;
    }
    return out;
}

// -- What the machines want -----------------------------------------------------------------------

void store_room::send(std::span<const endpoint_id> to, std::vector<std::byte> message) {
    hub_.send_to_stores(now_, to, message);
}

void store_room::persist(replica::store_id store, replica::persist_batch batch) {
    if (const auto at = stores_.find(store); at != stores_.end() && at->second.disk) {
        at->second.disk->persist(std::move(batch));
    }
}

void store_room::answered(replica::ticket to, const replica::answer& what) {
    auto* state = state_of(to);
    state->finish(what.code, what.revision, what.value);
    state->drop_ref();
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
    if (const auto at = stores_.find(store); at != stores_.end()) {
        at->second.state->set_status(now);
    }
}

void store_room::services_changed(std::vector<std::string> services) {
    hub_.set_services(now_, std::move(services));
}

void store_room::ended(replica::store_id store, const error& why) {
    const auto at = stores_.find(store);
    if (at == stores_.end()) {
        return;
    }
    if (at->second.disk) {
        at->second.disk->close();
    }
    at->second.state->end(why);
    stores_.erase(at);
}

}  // namespace bzmq
