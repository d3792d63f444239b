// An endpoint's stores: coming and going, and what is for which. Who may be master of what is in
// host_roles.cpp.
#include <algorithm>
#include <utility>

#include "replica/host_store.hpp"

namespace bzmq::replica {
std::string service_of(std::string_view store) { return "store:" + std::string{store}; }
std::string standby_service_of(std::string_view store) { return "standby:" + std::string{store}; }

std::string elector_service_of(std::string_view store, std::string_view elector) {
    // Both names in full might be longer than a service's may be.
    const auto hash = stable_hash(std::as_bytes(std::span{store}),
                                  stable_hash(std::as_bytes(std::span{elector})));
    std::string out = "elector:";
    for (int shift = 60; shift >= 0; shift -= 4) {
        out += "0123456789abcdef"[hash >> shift & 15];
    }
    return out;
}

host::host(const endpoint_id& self, host_output& output) : self_(self), output_(output) {}
host::~host() = default;

host::store* host::find(store_id id) const {
    const auto at = stores_.find(id);
    return at == stores_.end() ? nullptr : at->second.get();
}

host::store* host::find(std::string_view name, bool is_master) const {
    const auto& in = is_master ? masters_ : clones_;
    const auto at = in.find(name);
    return at == in.end() ? nullptr : at->second;
}

void host::post(std::span<const endpoint_id> to, std::vector<std::byte> message) {
    std::vector<endpoint_id> others;
    bool here = false;
    for (const auto& each : to) {
        if (each == self_) {
            here = true;
        } else {
            others.push_back(each);
        }
    }
    if (here) {
        to_self_.push_back(message);
    }
    if (!others.empty()) {
        output_.send(others, std::move(message));
    }
}

// -- Coming and going -----------------------------------------------------------------------------

namespace {

error check_name(std::string_view name) {
    if (name.empty() || name.size() > store_name_bytes_max) {
        return {ec::invalid_topic, "a store's name has 1 to 255 bytes, not "
                                       + std::to_string(name.size())};
    }
    return {};
}

}  // namespace

error host::check_new_store(std::string_view name) const {
    if (auto problem = check_name(name)) {
        return problem;
    }
    if (stores_.size() >= stores_max) {
        return {ec::queue_full, "this endpoint has " + std::to_string(stores_max)
                                    + " masters and clones of stores, as many as it may have"};
    }
    return {};
}

error host::may_attach_master(std::string_view name, const directory& overlay) const {
    if (auto problem = check_new_store(name)) {
        return problem;
    }
    if (masters_.contains(name)) {
        return {ec::master_exists, "this endpoint has the master of store " + std::string{name}};
    }
    for (const auto& each : overlay.providers(service_of(name))) {
        if (each != self_) {
            return {ec::master_exists, "the master of store " + std::string{name}
                                           + " is at endpoint " + to_string(each)};
        }
    }
    return {};
}

error host::attach_master(instant now, timestamp wall, store_id id, master_options options,
                          master::start from, table& state, write_gate& gate,
                          const directory& overlay, std::optional<clone_options> fenced) {
    if (auto problem = ask_for_master(now, options.name, overlay)) {
        return problem;
    }
    if (auto problem = fenced ? check_failover(*fenced) : error{}) {
        return problem;
    }
    if (auto problem = check_elector(options.name, true, fenced ? &*fenced : nullptr)) {
        return problem;
    }
    if (fenced && !fenced->electors.empty()) {
        if (!options.durable || from.last > 0) {
            return {ec::invalid_configuration,
                    "store " + options.name + " has electors: a durable master begins it, and from "
                    "then on each of them attaches as a standby"};
        }
        options.electors = fenced->electors;
        options.sync_replicas = fenced->promoted.sync_replicas;
    }
    auto fresh = std::make_unique<store>(*this, id, options.name);
    fresh->state = &state;
    fresh->gate = &gate;
    fresh->when_fenced = std::move(fenced);
    fresh->as_master = std::make_unique<master>(std::move(options), std::move(from), state, gate,
                                                *fresh, now, wall);
    masters_[fresh->name] = fresh.get();
    const auto name = fresh->name;
    stores_[id] = std::move(fresh);
    tell_services();
    if (auto* beside = find(name, false)) {
        beside->as_clone->end_promotion(
            now, {ec::master_exists, "the standby of store " + name
                                         + " did not become master: this endpoint has another one now"});
        beside->as_clone->masters_are(now, {self_});
    }
    return {};
}

error host::attach_clone(instant now, store_id id, clone_options options, table& state,
                         write_gate& gate, const directory& overlay, master::start from,
                         vote_record promised) {
    if (auto problem = check_new_store(options.name)) {
        return problem;
    }
    if (clones_.contains(options.name)) {
        return {ec::master_exists, "this endpoint has a clone of store " + options.name};
    }
    if (auto problem = check_failover(options)) {
        return problem;
    }
    if (auto problem = check_elector(options.name, false, &options)) {
        return problem;
    }
    auto fresh = std::make_unique<store>(*this, id, options.name);
    fresh->state = &state;
    fresh->gate = &gate;
    handover held;
    held.who = std::move(from.who);
    held.applied = held.on_disk = held.handed_to_disk = from.last;
    held.writers = std::move(from.writers);
    held.log.reset(from.last, from.chain);
    const bool standby = options.standby;
    fresh->as_clone = std::make_unique<clone>(std::move(options), std::move(held),
                                              std::move(promised), state, gate, *fresh, now);
    clones_[fresh->name] = fresh.get();
    stores_[id] = std::move(fresh);
    if (standby) {
        tell_services();
    }
    view_changed(now, overlay);
    return {};
}

bool host::detach(store_id id) {
    auto* gone = find(id);
    if (gone == nullptr) {
        return false;
    }
    if (gone->as_master) {
        gone->as_master->close();
        masters_.erase(gone->name);
    } else {
        gone->as_clone->close();
        clones_.erase(gone->name);
    }
    const bool had_service = gone->as_master || gone->as_clone->options().standby;
    stores_.erase(id);
    if (had_service) {
        tell_services();
    }
    if (masters_.empty()) {
        claims_due_ = never;
    }
    return true;
}

void host::shutdown() {
    while (!stores_.empty()) {
        detach(stores_.begin()->first);
    }
}

void host::tell_services() {
    std::vector<std::string> services;
    for (const auto& [name, each] : masters_) {
        services.push_back(service_of(name));
    }
    for (const auto& [name, each] : clones_) {
        if (each->as_clone->options().standby) {
            services.push_back(standby_service_of(name));
        }
    }
    for (const auto& [id, each] : stores_) {
        if (const auto* how = each->elects()) {
            services.push_back(elector_service_of(each->name, how->elector));
        }
    }
    output_.services_changed(std::move(services));
}

void host::view_changed(instant now, const directory& overlay) {
    for (const auto& [id, each] : stores_) {
        each->masters = overlay.providers(service_of(each->name));
        std::erase(each->masters, self_);
        look_for_doubles(now, *each, overlay);
    }
    check_doubles(now);
    for (const auto& [name, each] : clones_) {
        each->as_clone->masters_are(
            now, masters_.contains(name) ? std::vector{self_} : each->masters);
        if (!each->as_clone->options().electors.empty()) {
            auto standbys = overlay.providers(standby_service_of(name));
            std::erase(standbys, self_);
            each->as_clone->standbys_are(std::move(standbys));
        }
    }
    send_claims(now);
}

// -- Commands -------------------------------------------------------------------------------------

ec host::submit(instant now, timestamp wall, store_id id, ticket to,
                std::span<const std::byte> command) {
    auto* at = find(id);
    if (at == nullptr) {
        return ec::no_such_master;
    }
    if (at->as_clone) {
        return at->as_clone->submit(now, to, command);
    }
    at->as_master->submit(now, wall, to, command);
    return ec::none;
}

bool host::ready(store_id id) const {
    const auto* at = find(id);
    return at == nullptr || !at->as_master || at->as_master->ready();
}

// -- Events ---------------------------------------------------------------------------------------

void host::received(instant now, timestamp wall, const endpoint_id& from,
                    std::span<const std::byte> message) {
    byte_reader in{message};
    const auto head = read_head(in);
    if (!head) {
        ++malformed_;
        return;
    }
    switch (head->type) {
        case message_type::attach:
        case message_type::ack:
        case message_type::write:
        case message_type::detach:
            if (auto* at = find(head->store, true)) {
                malformed_ += at->as_master->received(now, wall, from, head->type, in) ? 0 : 1;
                change_role(now, wall, *at);
            }
            break;
        case message_type::claim:
            if (auto* at = find(head->store, true)) {
                handle_claim(now, wall, *at, from, in);
            } else if ((at = find(head->store, false))) {
                malformed_ += at->as_clone->received(now, wall, from, head->type, in) ? 0 : 1;
            }
            break;
        case message_type::promote:
            if (!in.done()) {
                ++malformed_;
            } else if (auto* at = find(head->store, false)) {
                if (auto problem = promote(now, wall, at->id)) {
                    output_.report({problem.code(), "endpoint " + to_string(from)
                                                        + " asks us to take over: "
                                                        + problem.message()});
                }
            }
            break;
        default:
            if (auto* at = find(head->store, false)) {
                malformed_ += at->as_clone->received(now, wall, from, head->type, in) ? 0 : 1;
                change_role(now, wall, *at);
            }
    }
}

void host::persisted(instant now, timestamp wall, store_id id, sequence last,
                     const error& problem) {
    auto* at = find(id);
    if (at != nullptr && at->as_master) {
        at->as_master->persisted(now, wall, last, problem);
    } else if (at != nullptr) {
        at->as_clone->persisted(now, last, problem);
        change_role(now, wall, *at);
    }
}

void host::snapshot_persisted(instant now, store_id id, const error& problem) {
    if (auto* at = find(id); at != nullptr && at->as_clone) {
        at->as_clone->snapshot_persisted(now, problem);
    }
}

void host::vote_persisted(instant now, store_id id, const error& problem) {
    if (auto* at = find(id); at != nullptr && at->as_clone) {
        at->as_clone->vote_persisted(now, problem);
    }
}

void host::tick(instant now, timestamp wall) {
    if (now >= claims_due_) {
        send_claims(now);
    }
    if (now >= doubles_due_) {
        check_doubles(now);
    }
    for (const auto& [id, each] : stores_) {
        if (each->as_master) {
            if (now >= each->as_master->next_deadline()) {
                each->as_master->tick(now, wall);
            }
        } else if (now >= each->as_clone->next_deadline()) {
            each->as_clone->tick(now);
        }
    }
    change_roles(now, wall);
}

instant host::next_deadline() const {
    auto due = std::min(claims_due_, doubles_due_);
    for (const auto& [id, each] : stores_) {
        due = std::min(due, each->as_master ? each->as_master->next_deadline()
                                            : each->as_clone->next_deadline());
    }
    return due;
}

void host::flush(instant now, timestamp wall) {
    // What a clone here says to its master here, and the reverse, is heard at once.
    do {
        for (auto message = std::exchange(to_self_, {}); !message.empty(); message.pop_front()) {
            received(now, wall, self_, message.front());
        }
        for (const auto& [id, each] : stores_) {
            if (each->as_master) {
                each->as_master->flush(now, wall);
            } else {
                each->as_clone->flush(now);
            }
        }
        change_roles(now, wall);
    } while (!to_self_.empty());
}

master* host::master_of(store_id id) {
    auto* at = find(id);
    return at == nullptr ? nullptr : at->as_master.get();
}

clone* host::clone_of(store_id id) {
    auto* at = find(id);
    return at == nullptr ? nullptr : at->as_clone.get();
}

}  // namespace bzmq::replica
