#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "replica/host.hpp"

namespace bzmq::replica {

struct host::store final : store_output {
    store(host& owner_host, store_id number, std::string store_name)
        : owner(owner_host), id(number), name(std::move(store_name)) {}

    host& owner;
    store_id id;
    std::string name;
    std::unique_ptr<master> as_master;
    std::unique_ptr<clone> as_clone;
    std::vector<endpoint_id> masters;   // of its name, elsewhere
    std::optional<clone_options> when_fenced;
    instant refused_told_at{std::chrono::hours{-1}};  // that another one wanted to be master
    std::uint64_t refused = 0;          // and how often since
    instant second_told_at{std::chrono::hours{-1}};   // that another one is master, too
    struct doubled_name {
        std::vector<endpoint_id> at;
        instant since{};
        bool told = false;
    };
    std::map<std::string, doubled_name> doubles;  // names of electors that several go by
    table* state = nullptr;
    write_gate* gate = nullptr;

    /// Its elections; null where it has none.
    [[nodiscard]] const clone_options* elects() const noexcept {
        const auto* out = as_clone ? &as_clone->options() : when_fenced ? &*when_fenced : nullptr;
        return out == nullptr || out->electors.empty() ? nullptr : out;
    }

    void send(std::span<const endpoint_id> to, std::vector<std::byte> message) override {
        owner.post(to, std::move(message));
    }
    void persist(persist_batch batch) override { owner.output_.persist(id, std::move(batch)); }
    void persist_snapshot(snapshot_image image) override {
        owner.output_.persist_snapshot(id, std::move(image));
    }
    void persist_vote(vote_record what) override {
        owner.output_.persist_vote(id, std::move(what));
    }
    void orphaned(orphan_set what) override { owner.output_.orphaned(id, std::move(what)); }
    void answered(ticket to, const answer& what) override { owner.output_.answered(to, what); }
    void changed(const effect& what) override { owner.output_.changed(id, what); }
    [[nodiscard]] bool wants_changes() const override { return owner.output_.wants_changes(id); }
    void report(error what) override { owner.output_.report(std::move(what)); }
    void status_changed(const clone_status& now) override {
        owner.output_.status_changed(id, now);
    }
};

}  // namespace bzmq::replica
