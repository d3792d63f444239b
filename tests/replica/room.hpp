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
    void persist(store_id store, persist_batch batch) override {
        disk[store].push_back(std::move(batch));
    }
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
    store_id master(const std::string& name, master_options options = {}, error* why = nullptr);
    store_id clone(const std::string& name, clone_options options = {});
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
    std::map<store_id, std::deque<persist_batch>> disk;
    std::vector<effect> changes;
    bool watching = false;
    std::vector<error> reports;
    std::map<store_id, clone_status> statuses;
    std::vector<std::string> services;
    std::map<store_id, error> ends;
    store_id last_store = 0;
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
            if (std::find(each->services.begin(), each->services.end(), service)
                != each->services.end()) {
                out.push_back(each->id);
            }
        }
        return out;
    }
    /// Carries messages until there are none.
    void settle() {
        for (int round = 0; round < 10'000; ++round) {
            for (const auto& each : places) {
                each->stores->view_changed(now, *this);
                each->stores->tick(now, wall);
                each->stores->flush(now, wall);
            }
            if (mail.empty()) {
                return;
            }
            for (auto letters = std::exchange(mail, {}); !letters.empty(); letters.pop_front()) {
                auto& letter = letters.front();
                if (lose && lose(letter.message)) {
                    continue;
                }
                for (const auto& each : places) {
                    if (each->id == letter.to) {
                        each->stores->received(now, wall, letter.from, letter.message);
                    }
                }
            }
        }
        ADD_FAILURE() << "the talk does not end";
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

    struct letter {
        endpoint_id from, to;
        std::vector<std::byte> message;
    };
    std::vector<std::unique_ptr<place>> places;
    std::deque<letter> mail;
    std::function<bool(std::span<const std::byte>)> lose;
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

inline store_id place::master(const std::string& name, master_options options, error* why) {
    options.name = name;
    const auto store = ++last_store;
    tables[store] = std::make_unique<held>();
    master::start from;
    auto bytes = id.bytes();
    bytes[15] = static_cast<std::uint8_t>(store);
    from.who = {endpoint_id{bytes}, {{1, 1}}};
    const auto problem = stores->attach_master(around.now, around.wall, store, options, from,
                                               tables[store]->values, tables[store]->gate, around);
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
    const auto problem = stores->attach_clone(around.now, store, options, tables[store]->values,
                                              tables[store]->gate, around);
    EXPECT_FALSE(problem) << to_string(problem);
    return store;
}

inline ec place::write(store_id store, ticket to, const std::vector<std::byte>& bytes) {
    return stores->submit(around.now, around.wall, store, to, bytes);
}

}  // namespace bzmq::replica::testing
