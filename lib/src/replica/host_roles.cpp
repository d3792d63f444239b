// Who is master of a store: claims, promotion and fencing, and electors that are there twice.
#include <algorithm>
#include <utility>

#include "replica/host_store.hpp"

namespace bzmq::replica {
namespace {

using namespace std::chrono_literals;

constexpr auto claim_interval = 1s;
// An endpoint that wants to be a second master again and again says so this often at most, and who
// is told of one reports it this often at most.
constexpr auto refusal_interval = 1s;
constexpr auto refusal_report_interval = 10s;
// An elector that starts again may be there twice until the overlay knows that the former one is
// gone. Two that stay so long are two.
constexpr auto doubles_grace = 10s;

}  // namespace

// -- Claims ---------------------------------------------------------------------------------------

error host::ask_for_master(instant now, std::string_view name, const directory& overlay) {
    auto problem = may_attach_master(name, overlay);
    if (problem != ec::master_exists || masters_.contains(name)) {
        return problem;
    }
    std::erase_if(refused_,
                  [&](const auto& each) { return now >= each.second + refusal_interval; });
    auto others = overlay.providers(service_of(name));
    std::erase(others, self_);
    if (!others.empty() && refused_.size() < stores_max && refused_.emplace(name, now).second) {
        output_.send(others, encode(name, claim_message{}));
    }
    return problem;
}

/// Repeated until only one is left: claims may get lost.
void host::send_claims(instant now) {
    claims_due_ = never;
    for (const auto& [name, each] : masters_) {
        if (!each->masters.empty()) {
            post(each->masters, encode(name, each->as_master->claim()));
            claims_due_ = now + claim_interval;
        }
    }
}

/// Another endpoint wanted to be master as well, and was refused there.
void host::note_refused(instant now, store& ours, const endpoint_id& from) {
    ++ours.refused;
    if (now < ours.refused_told_at + refusal_report_interval) {
        return;
    }
    ours.refused_told_at = now;
    const auto times = std::exchange(ours.refused, 0);
    output_.report({ec::master_exists,
                    "endpoint " + to_string(from) + " wanted to be a second master of store "
                        + ours.name + " and was refused; ours stays"
                        + (times > 1 ? ". There were " + std::to_string(times)
                                           + " such attempts since the last report"
                                     : "")});
}

/// Of two masters of one name only one may stay.
void host::handle_claim(instant now, timestamp wall, store& ours, const endpoint_id& from,
                        byte_reader& in) {
    const auto theirs = read_claim(in);
    if (!theirs) {
        ++malformed_;
        return;
    }
    if (from == self_) {
        return;  // A standby of ours, that is not master as long as we are.
    }
    if (theirs->store.is_nil()) {
        note_refused(now, ours, from);
        return;
    }
    const auto mine = ours.as_master->claim();
    if (theirs->epoch == 0) {
        post({&from, 1}, encode(ours.name, mine));  // It only asks.
        return;
    }
    ours.as_master->note_epoch(theirs->store, theirs->epoch);
    if (ours.as_master->fenced()) {
        change_role(now, wall, ours);
        return;
    }
    if (mine.store == theirs->store && mine.epoch > theirs->epoch) {
        post({&from, 1}, encode(ours.name, mine));
        return;
    }
    // Two stores: the fuller one stays.
    const bool lose = mine.last != theirs->last ? mine.last < theirs->last : from < self_;
    if (!lose) {
        if (now >= ours.second_told_at + refusal_report_interval) {
            ours.second_told_at = now;
            output_.report({ec::master_exists, "endpoint " + to_string(from)
                                                   + " has a second master of store " + ours.name
                                                   + "; it must give way to ours"});
        }
        post({&from, 1}, encode(ours.name, mine));
        return;
    }
    if (std::find(ours.masters.begin(), ours.masters.end(), from) == ours.masters.end()) {
        return;  // It may be gone: it gets ours as soon as the overlay tells of it.
    }
    post({&from, 1}, encode(ours.name, mine));  // So that the other one tells its operator as well.
    end_role(ours, {ec::master_exists, "the master of store " + ours.name + " at endpoint "
                                           + to_string(from) + " takes precedence over ours"});
}

void host::end_role(store& ours, const error& why) {
    output_.report(why);
    const auto id = ours.id;
    detach(id);
    output_.ended(id, why);
}

// -- Electors -------------------------------------------------------------------------------------

/// One endpoint has a master and a clone of a store on two disks: not under one elector's name.
error host::check_elector(std::string_view name, bool is_master,
                          const clone_options* options) const {
    const auto* beside = find(name, !is_master);
    const auto* other = beside != nullptr ? beside->elects() : nullptr;
    if (options != nullptr && other != nullptr && !options->electors.empty()
        && options->elector == other->elector) {
        return {ec::invalid_configuration, "the elector \"" + options->elector + "\" of store "
                                               + std::string{name}
                                               + " is at this endpoint already"};
    }
    return {};
}

/// Which names of electors are there more than once?
void host::look_for_doubles(instant now, store& each, const directory& overlay) {
    const auto* how = each.elects();
    std::map<std::string, store::doubled_name> found;
    for (const auto& name : how != nullptr ? how->electors : std::vector<std::string>{}) {
        auto at = overlay.providers(elector_service_of(each.name, name));
        std::erase(at, self_);
        if (name == how->elector) {
            at.push_back(self_);
        }
        if (at.size() < 2) {
            continue;
        }
        const auto before = each.doubles.find(name);
        auto& now_there = found[name];
        now_there.since = now;
        if (before != each.doubles.end()) {
            now_there = before->second;
        }
        now_there.at = std::move(at);
    }
    each.doubles = std::move(found);
    apply_doubles(each);
}

/// Votes are not counted at once: that costs an election some time at most. Replicas still are,
/// until it is sure: writes would wait whenever a standby starts again.
void host::apply_doubles(store& each) {
    std::set<std::string, std::less<>> names;
    for (const auto& [name, what] : each.doubles) {
        if (each.as_clone || what.told) {
            names.insert(name);
        }
    }
    if (each.as_clone) {
        each.as_clone->doubled_electors(std::move(names));
    } else {
        each.as_master->doubled_electors(std::move(names));
    }
}

void host::check_doubles(instant now) {
    doubles_due_ = never;
    for (const auto& [id, each] : stores_) {
        for (auto& [name, what] : each->doubles) {
            if (what.told) {
                continue;
            }
            if (now < what.since + doubles_grace) {
                doubles_due_ = std::min(doubles_due_, what.since + doubles_grace);
                continue;
            }
            what.told = true;
            std::string who;
            for (const auto& one : what.at) {
                who += (who.empty() ? "" : ", ") + to_string(one);
            }
            output_.report({ec::invalid_configuration,
                            "several endpoints go by the name \"" + name
                                + "\" among the electors of store " + each->name + ": " + who
                                + ". Until one is left, its votes and its disk do not count"});
            apply_doubles(*each);
        }
    }
}

// -- Failover -------------------------------------------------------------------------------------

error host::promote(instant now, timestamp wall, store_id id,
                    std::optional<std::chrono::nanoseconds> patience) {
    auto* at = find(id);
    if (at == nullptr || !at->as_clone) {
        return {ec::no_such_master, "there is no clone to be promoted"};
    }
    if (masters_.contains(at->name)) {
        return {ec::master_exists, "this endpoint has the master of store " + at->name};
    }
    if (auto problem = at->as_clone->promote(now, patience)) {
        return problem;
    }
    change_role(now, wall, *at);
    return {};
}

/// A standby that is ready becomes master, and a master that has heard of a newer one a clone; or it
/// is gone thereafter.
void host::change_role(instant now, timestamp wall, store& ours) {
    if (ours.as_clone && ours.as_clone->promotable() && !masters_.contains(ours.name)) {
        begin_mastership(now, wall, ours);
    } else if (ours.as_master && ours.as_master->fenced()) {
        fence(now, ours, {ec::master_exists, "a newer master of store " + ours.name
                                                 + " has taken the place of ours"});
    }
}

void host::change_roles(instant now, timestamp wall) {
    for (auto at = stores_.begin(); at != stores_.end();) {
        const auto id = at->first;
        change_role(now, wall, *at->second);
        at = stores_.upper_bound(id);  // It may have ended, and one beside it with it.
    }
}

void host::begin_mastership(instant now, timestamp wall, store& ours) {
    auto old = std::move(ours.as_clone);
    const auto& was = old->options();
    auto options = was.promoted;
    options.name = ours.name;
    options.durable = true;
    options.electors = was.electors;
    std::vector<open_command> commands;
    auto held = old->release(commands);
    const auto who = held.who;
    ours.as_master = std::make_unique<master>(std::move(options), std::move(held), *ours.state,
                                              *ours.gate, ours, now, wall);
    ours.when_fenced = was;
    ours.when_fenced->self = old->writer();  // Names of writers that it had before are spent.
    clones_.erase(ours.name);
    masters_[ours.name] = &ours;
    apply_doubles(ours);
    output_.promoted(ours.id, who);
    for (const auto& each : commands) {
        ours.as_master->adopt(each.to, old->writer(), each.number, each.bytes);
    }
    tell_services();
    send_claims(now);
}

/// The master stops at once, and follows the newer one. Where there is a clone of its name beside it,
/// that one goes: it is the master that has what the newer one may lack.
void host::fence(instant now, store& ours, const error& why) {
    if (!ours.when_fenced) {
        end_role(ours, why);
        return;
    }
    if (auto* beside = find(ours.name, false)) {
        end_role(*beside, {ec::master_exists, "the clone of store " + ours.name
                                                  + " ends, since the master beside it is a clone now: "
                                                    "a newer master has taken its place"});
    }
    output_.report(why);
    const bool durable = ours.as_master->durable();
    const auto newest = ours.as_master->newest_epoch();
    ours.as_master->close(ec::request_timeout);
    auto held = ours.as_master->release();
    ours.as_master.reset();
    masters_.erase(ours.name);
    auto options = *ours.when_fenced;
    options.name = ours.name;
    options.standby = options.standby && durable;
    options.self = next_writer(options.self);
    ours.when_fenced->self = options.self;
    ours.as_clone = std::make_unique<clone>(std::move(options), std::move(held),
                                            vote_record{newest, {}}, *ours.state, *ours.gate, ours, now);
    ours.as_clone->note_epoch(newest);
    clones_[ours.name] = &ours;
    apply_doubles(ours);
    output_.demoted(ours.id, why);
    tell_services();
    ours.as_clone->masters_are(now, ours.masters);
}

}  // namespace bzmq::replica
