#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "data/msgpack_codec.hpp"
#include "data/ordered_codec.hpp"
#include "replica/host.hpp"
#include "replica/paper_disk.hpp"

/// Endpoints with stores, and messages between them that arrive at once, or not at all, as told.
namespace bzmq::replica::testing {

inline std::vector<std::byte> key_of(const data& value) {
    std::vector<std::byte> out;
    EXPECT_TRUE(encode_ordered(value, out));
    return out;
}
inline std::vector<std::byte> packed(const data& value) {
    std::vector<std::byte> out;
    EXPECT_TRUE(encode(value, out));
    return out;
}

/// The bytes of a command. `value` is the operand, `index` that of `insert_pair`.
inline std::vector<std::byte> make_command(operation what, const data& key = {},
                                           const data& value = {}, const data& index = {},
                                           std::optional<timespan> expiry = {},
                                           sequence revision = 0) {
    const auto k = key_of(key);
    const auto v = packed(value);
    const auto i = packed(index);
    std::vector<std::byte> out;
    put_command(out, {what, k, v, i, revision, expiry, {}});
    return out;
}

class world;

struct place final : host_output {
    place(world& in, endpoint_id self);

    void send(std::span<const endpoint_id> to, std::vector<std::byte> message) override;
    void persist(store_id store, persist_batch batch) override;
    void persist_snapshot(store_id store, snapshot_image image) override;
    void persist_vote(store_id store, vote_record what) override;
    void orphaned(store_id, orphan_set what) override {
        orphans.push_back({what.first, what.last, what.entries.size(), std::move(what.values)});
    }
    void promoted(store_id store, const identity& who) override { epochs[store] = who.epoch(); }
    void demoted(store_id store, const error& why) override { demotions[store] = why; }
    void answered(ticket to, const answer& what) override {
        answers[to] = what.code;
        revisions[to] = what.revision;
        if (!what.value.empty()) {
            values[to] = *decode(what.value);
        }
    }
    void changed(store_id, const effect& what) override { changes.push_back(what); }
    [[nodiscard]] bool wants_changes(store_id) const override { return watching; }
    void report(error what) override { reports.push_back(std::move(what)); }
    void status_changed(store_id store, const clone_status& now) override { statuses[store] = now; }
    void services_changed(std::vector<std::string> now) override { services = std::move(now); }
    void ended(store_id store, const error& why) override { ends[store] = why; }

    struct held {
        table values;
        no_gate gate;
    };
    store_id master(const std::string& name, master_options options = {}, error* why = nullptr,
                    std::optional<clone_options> fenced = {});
    store_id clone(const std::string& name, clone_options options = {});
    /// With what its disk has.
    store_id standby(const std::string& name, clone_options options = {});
    /// Its process dies and starts again, without stores. What the disk was not yet told to have done
    /// is on it, or is not.
    void restart(bool disk_has_all = true);
    /// The disk does what it was told; false where that was nothing.
    bool write_disk();
    [[nodiscard]] replica::master& master_of(store_id store) { return *stores->master_of(store); }
    [[nodiscard]] replica::clone& clone_of(store_id store) { return *stores->clone_of(store); }
    [[nodiscard]] paper_disk& disk_of(const std::string& name) { return disks[name]; }
    ec write(store_id store, ticket to, const std::vector<std::byte>& bytes);
    [[nodiscard]] std::map<data, data> content(store_id store) const {
        std::map<data, data> out;
        tables.at(store)->values.for_each([&](const item& each) {
            out.emplace(*decode_ordered(each.key()), *decode(each.value()));
        });
        return out;
    }

    world& around;
    endpoint_id id;
    std::map<store_id, std::unique_ptr<held>> tables;
    std::unique_ptr<host> stores;
    std::map<ticket, ec> answers;
    std::map<ticket, sequence> revisions;
    std::map<ticket, data> values;
    std::map<store_id, std::string> names;
    std::map<std::string, paper_disk> disks;
    struct disk_work {
        std::function<void()> write;
        std::function<void(const error&)> answer;
    };
    std::deque<disk_work> work;
    bool disk_waits = false;  ///< and does nothing
    bool disk_full = false;
    struct orphan_note {
        sequence first, last;
        std::size_t entries;
        std::vector<item_ptr> values;
    };
    std::vector<orphan_note> orphans;
    std::map<store_id, std::uint64_t> epochs;
    std::map<store_id, error> demotions;
    std::vector<effect> changes;
    bool watching = false;
    std::vector<error> reports;
    std::map<store_id, clone_status> statuses;
    std::vector<std::string> services;
    std::map<store_id, error> ends;
    store_id last_store = 0;
    std::map<endpoint_id, std::vector<std::string>> sight;  ///< what others offer, as last told
};

class world final : public directory {
  public:
    place& add() {
        const auto number = static_cast<std::uint8_t>(places.size() + 1);
        const endpoint_id id{endpoint_id::bytes_type{number}};
        places.push_back(std::make_unique<place>(*this, id));
        return *places.back();
    }
    [[nodiscard]] std::vector<endpoint_id> providers(std::string_view service) const override {
        std::vector<endpoint_id> out;
        for (const auto& each : places) {
            if (!cut_off(looker, each->id)
                && std::find(each->services.begin(), each->services.end(), service)
                != each->services.end()) {
                out.push_back(each->id);
            }
        }
        return out;
    }
    /// Tells an endpoint what others offer, where it has changed.
    void look_around(place& one) {
        std::map<endpoint_id, std::vector<std::string>> sight;
        for (const auto& each : places) {
            if (!cut_off(one.id, each->id)) {
                sight[each->id] = each->services;
            }
        }
        if (sight != one.sight) {
            one.sight = std::move(sight);
            looker = one.id;
            one.stores->view_changed(now, *this);
        }
    }
    /// Carries messages until there are none.
    void settle() {
        for (int round = 0; round < 10'000; ++round) {
            bool wrote = false;
            for (const auto& each : places) {
                look_around(*each);
                each->stores->tick(now, wall);
                each->stores->flush(now, wall);
                wrote = each->write_disk() || wrote;
            }
            if (mail.empty() && !wrote) {
                return;
            }
            for (auto letters = std::exchange(mail, {}); !letters.empty(); letters.pop_front()) {
                auto& letter = letters.front();
                if (lose && lose(letter.message)) {
                    continue;
                }
                deliver(letter);
            }
        }
        ADD_FAILURE() << "the talk does not end";
    }
    [[nodiscard]] bool cut_off(const endpoint_id& a, const endpoint_id& b) const {
        return apart.contains(a) != apart.contains(b);
    }
    struct letter {
        endpoint_id from, to;
        std::vector<std::byte> message;
    };
    void deliver(const letter& what) {
        for (const auto& each : places) {
            if (each->id == what.to && !cut_off(what.from, what.to)) {
                each->stores->received(now, wall, what.from, what.message);
            }
        }
    }
    void pass(std::chrono::nanoseconds time) {
        const auto until = now + time;
        while (now < until) {
            const auto step = std::min<std::chrono::nanoseconds>(until - now, std::chrono::milliseconds{50});
            now += step;
            wall += step;
            settle();
        }
    }

    std::vector<std::unique_ptr<place>> places;
    std::deque<letter> mail;
    std::function<bool(std::span<const std::byte>)> lose;
    std::set<endpoint_id> apart;  ///< those only reach one another
    endpoint_id looker;           ///< whose view is asked for
    instant now{std::chrono::hours{1}};
    timestamp wall{std::chrono::hours{500'000}};
};

inline place::place(world& in, endpoint_id self)
    : around(in), id(self), stores(std::make_unique<host>(self, *this)) {}

inline void place::send(std::span<const endpoint_id> to, std::vector<std::byte> message) {
    for (const auto& each : to) {
        around.mail.push_back({id, each, message});
    }
}

inline bool place::write_disk() {
    const bool something = !work.empty() && !disk_waits;
    while (!work.empty() && !disk_waits) {
        const auto next = std::move(work.front());
        work.pop_front();
        if (disk_full) {
            work.clear();
            next.answer({ec::backend_failure, "the disk is full"});
        } else {
            next.write();
            next.answer({});
        }
    }
    return something;
}

inline void place::persist(store_id store, persist_batch batch) {
    auto& on = disks[names[store]];
    work.push_back({[&on, batch] { on.write(batch); }, [this, &on, store](const error& problem) {
                        stores->persisted(around.now, around.wall, store, on.last(), problem);
                    }});
}

inline void place::persist_snapshot(store_id store, snapshot_image image) {
    auto& on = disks[names[store]];
    // The values are only there now.
    auto copy = std::make_shared<table>();
    image.values->for_each([&](const item& each) {
        copy->put(item_ptr::share(&each));
    });
    image.values = nullptr;
    work.push_back({[&on, image, copy]() mutable {
                        image.values = copy.get();
                        on.replace(image);
                    },
                    [this, store](const error& problem) {
                        stores->snapshot_persisted(around.now, store, problem);
                    }});
}

inline void place::persist_vote(store_id store, vote_record what) {
    auto& on = disks[names[store]];
    work.push_back({[&on, what] { on.vote = what; }, [this, store](const error& problem) {
                        stores->vote_persisted(around.now, store, problem);
                    }});
}

inline void place::restart(bool disk_has_all) {
    for (const auto& each : std::exchange(work, {})) {
        if (disk_has_all) {
            each.write();
        }
    }
    auto bytes = id.bytes();
    ++bytes[1];
    id = endpoint_id{bytes};
    services.clear();
    sight.clear();
    stores = std::make_unique<host>(id, *this);
}

inline store_id place::master(const std::string& name, master_options options, error* why,
                              std::optional<clone_options> fenced) {
    options.name = name;
    const auto store = ++last_store;
    tables[store] = std::make_unique<held>();
    names[store] = name;
    master::start from;
    auto bytes = id.bytes();
    bytes[15] = static_cast<std::uint8_t>(store);
    from.who.store = endpoint_id{bytes};
    if (options.durable) {
        auto& on = disks[name];
        if (on.who.store.is_nil()) {
            on.who.store = from.who.store;
        }
        on.who.epochs.push_back({epoch_after_start(on.who.epoch(), id), on.last() + 1});
        from = on.load(tables[store]->values);
    } else {
        from.who.epochs = {{epoch_after_start(0, from.who.store), 1}};
    }
    if (fenced) {
        fenced->name = name;
        fenced->self = endpoint_id{bytes};
        fenced->standby = true;
    }
    around.looker = id;
    const auto problem = stores->attach_master(around.now, around.wall, store, options, from,
                                               tables[store]->values, tables[store]->gate, around,
                                               std::move(fenced));
    if (!problem && options.durable) {
        disks[name].load_log(*stores->master_of(store));
    }
    if (why != nullptr) {
        *why = problem;
    } else {
        EXPECT_FALSE(problem) << to_string(problem);
    }
    return store;
}

inline store_id place::clone(const std::string& name, clone_options options) {
    options.name = name;
    const auto store = ++last_store;
    auto bytes = id.bytes();
    bytes[14] = static_cast<std::uint8_t>(store);
    options.self = endpoint_id{bytes};
    tables[store] = std::make_unique<held>();
    around.looker = id;
    const auto problem = stores->attach_clone(around.now, store, options, tables[store]->values,
                                              tables[store]->gate, around);
    EXPECT_FALSE(problem) << to_string(problem);
    return store;
}

inline store_id place::standby(const std::string& name, clone_options options) {
    options.name = name;
    options.standby = true;
    const auto store = ++last_store;
    auto bytes = id.bytes();
    bytes[14] = static_cast<std::uint8_t>(store);
    options.self = endpoint_id{bytes};
    options.seed = bytes[0];
    tables[store] = std::make_unique<held>();
    names[store] = name;
    auto& on = disks[name];
    around.looker = id;
    const auto problem = stores->attach_clone(around.now, store, options, tables[store]->values,
                                              tables[store]->gate, around,
                                              on.load(tables[store]->values), on.vote);
    EXPECT_FALSE(problem) << to_string(problem);
    on.load_log(clone_of(store));
    return store;
}

inline ec place::write(store_id store, ticket to, const std::vector<std::byte>& bytes) {
    return stores->submit(around.now, around.wall, store, to, bytes);
}

}  // namespace bzmq::replica::testing
