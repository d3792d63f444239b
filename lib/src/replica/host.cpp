#include "replica/host.hpp"

#include <algorithm>
#include <tuple>

namespace bzmq::replica {
namespace {

constexpr auto claim_interval = std::chrono::seconds{1};

}  // namespace

std::string service_of(std::string_view store) { return "store:" + std::string{store}; }

struct host::store final : store_output {
    store(host& owner_host, store_id number, std::string store_name)
        : owner(owner_host), id(number), name(std::move(store_name)) {}

    host& owner;
    store_id id;
    std::string name;
    std::unique_ptr<master> as_master;
    std::unique_ptr<clone> as_clone;
    std::vector<endpoint_id> rivals;  // other masters of its name

    void send(std::span<const endpoint_id> to, std::vector<std::byte> message) override {
        owner.post(to, std::move(message));
    }
    void persist(persist_batch batch) override { owner.output_.persist(id, std::move(batch)); }
    void answered(ticket to, const answer& what) override { owner.output_.answered(to, what); }
    void changed(const effect& what) override { owner.output_.changed(id, what); }
    [[nodiscard]] bool wants_changes() const override { return owner.output_.wants_changes(id); }
    void report(error what) override { owner.output_.report(std::move(what)); }
    void status_changed(const clone_status& now) override {
        owner.output_.status_changed(id, now);
    }
};

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

error host::attach_master(instant now, timestamp wall, store_id id, master_options options,
                          master::start from, table& state, write_gate& gate,
                          const directory& overlay) {
    if (auto problem = check_name(options.name)) {
        return problem;
    }
    if (masters_.contains(options.name)) {
        return {ec::master_exists, "this endpoint has the master of store " + options.name};
    }
    for (const auto& each : overlay.providers(service_of(options.name))) {
        if (each != self_) {
            return {ec::master_exists, "the master of store " + options.name + " is at endpoint "
                                           + to_string(each)};
        }
    }
    auto fresh = std::make_unique<store>(*this, id, options.name);
    fresh->as_master = std::make_unique<master>(std::move(options), std::move(from), state, gate,
                                                *fresh, now, wall);
    masters_[fresh->name] = fresh.get();
    const auto name = fresh->name;
    stores_[id] = std::move(fresh);
    tell_services();
    if (auto* beside = find(name, false)) {
        beside->as_clone->master_is(now, self_);
    }
    return {};
}

error host::attach_clone(instant now, store_id id, clone_options options, table& state,
                         write_gate& gate, const directory& overlay) {
    if (auto problem = check_name(options.name)) {
        return problem;
    }
    if (clones_.contains(options.name)) {
        return {ec::master_exists, "this endpoint has a clone of store " + options.name};
    }
    auto fresh = std::make_unique<store>(*this, id, options.name);
    fresh->as_clone = std::make_unique<clone>(std::move(options), state, gate, *fresh, now);
    clones_[fresh->name] = fresh.get();
    stores_[id] = std::move(fresh);
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
    const bool was_master = gone->as_master != nullptr;
    stores_.erase(id);
    if (was_master) {
        tell_services();
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
    output_.services_changed(std::move(services));
}

void host::view_changed(instant now, const directory& overlay) {
    for (const auto& [name, each] : clones_) {
        const auto known = overlay.providers(service_of(name));
        endpoint_id who;
        if (masters_.contains(name)) {
            who = self_;
        } else if (!known.empty()) {
            // Where there are two for a moment, the one that we follow stays it.
            const auto& present = each->as_clone->status().master;
            who = std::find(known.begin(), known.end(), present) != known.end() ? present
                                                                                : known.front();
        }
        each->as_clone->master_is(now, who);
    }
    for (const auto& [name, each] : masters_) {
        each->rivals = overlay.providers(service_of(name));
        std::erase(each->rivals, self_);
    }
    send_claims(now);
}

/// Repeated until only one is left: claims may get lost.
void host::send_claims(instant now) {
    claims_due_ = never;
    for (const auto& [name, each] : masters_) {
        if (!each->rivals.empty()) {
            post(each->rivals, encode(name, each->as_master->claim()));
            claims_due_ = now + claim_interval;
        }
    }
}

/// Of two masters of one name only one may stay.
void host::handle_claim(store& ours, const endpoint_id& from, byte_reader& in) {
    const auto theirs = read_claim(in);
    if (!theirs) {
        ++malformed_;
        return;
    }
    if (std::find(ours.rivals.begin(), ours.rivals.end(), from) == ours.rivals.end()) {
        return;  // It gets ours as soon as the overlay tells of it.
    }
    const auto mine = ours.as_master->claim();
    const auto rank = [&](const claim_message& claim) {
        // One store: the newer epoch fences the older. Two stores: the fuller one stays.
        return std::tuple{mine.store == theirs->store ? claim.epoch : 0, claim.last};
    };
    const auto a = rank(mine);
    const auto b = rank(*theirs);
    const bool lose = a != b ? a < b : from < self_;
    if (!lose) {
        output_.report({ec::master_exists, "endpoint " + to_string(from) + " has a second master of store "
                                               + ours.name + "; it must give way to ours"});
        post({&from, 1}, encode(ours.name, mine));
        return;
    }
    const error why{ec::master_exists, "the master of store " + ours.name + " at endpoint "
                                           + to_string(from) + " takes precedence over ours"};
    output_.report(why);
    const auto id = ours.id;
    detach(id);
    output_.ended(id, why);
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
    receive_one(now, wall, from, message);
}

void host::receive_one(instant now, timestamp wall, const endpoint_id& from,
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
                at->as_master->received(now, wall, from, head->type, in);
            }
            break;
        case message_type::claim:
            if (auto* at = find(head->store, true)) {
                handle_claim(*at, from, in);
            }
            break;
        default:
            if (auto* at = find(head->store, false)) {
                at->as_clone->received(now, wall, from, head->type, in);
            }
    }
}

void host::persisted(instant now, timestamp wall, store_id id, sequence last,
                     const error& problem) {
    if (auto* at = find(id); at != nullptr && at->as_master) {
        at->as_master->persisted(now, wall, last, problem);
    }
}

void host::tick(instant now, timestamp wall) {
    if (now >= claims_due_) {
        send_claims(now);
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
}

instant host::next_deadline() const {
    auto due = claims_due_;
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
            receive_one(now, wall, self_, message.front());
        }
        for (const auto& [id, each] : stores_) {
            if (each->as_master) {
                each->as_master->flush(now, wall);
            } else {
                each->as_clone->flush(now);
            }
        }
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
