#include "bzmq/pool.hpp"

#include <algorithm>
#include <mutex>
#include <tuple>

namespace bzmq::zeek {
namespace {

/// FNV-1a over name, a zero byte and key, then the finaliser of splitmix64, without which names that
/// differ in their last digit only share the keys unevenly.
std::uint64_t weight(std::string_view name, std::string_view key) {
    std::uint64_t hash = 0xcbf29ce484222325U;
    const auto add = [&hash](unsigned char byte) {
        hash = (hash ^ byte) * 0x100000001b3U;
    };
    for (const char each : name) {
        add(static_cast<unsigned char>(each));
    }
    add(0);
    for (const char each : key) {
        add(static_cast<unsigned char>(each));
    }
    hash = (hash ^ (hash >> 30U)) * 0xbf58476d1ce4e5b9U;
    hash = (hash ^ (hash >> 27U)) * 0x94d049bb133111ebU;
    return hash ^ (hash >> 31U);
}

}  // namespace

std::string role_topic(std::string_view role) { return "/zeek/role/" + std::string{role} + "/"; }
std::string node_topic(std::string_view name) { return "/zeek/node/" + std::string{name} + "/"; }

std::string_view owner_of(std::string_view key, const std::vector<std::string>& names) {
    std::string_view best;
    std::uint64_t most = 0;
    for (const auto& each : names) {
        const auto mine = weight(each, key);
        if (best.empty() || mine > most || (mine == most && each < best)) {
            best = each;
            most = mine;
        }
    }
    return best;
}

struct pool::state {
    state(endpoint& on, std::string what)
        : node(on), role(std::move(what)), news(on.make_status_subscriber(true)) {}

    /// What the status subscriber tells decides whether to look.
    void refresh() {
        bool changed = !looked;
        for (const auto& each : news.poll()) {
            const auto* what = get_if<status>(&each);
            changed = changed
                      || (what != nullptr
                          && (what->code() == sc::endpoint_discovered
                              || what->code() == sc::endpoint_unreachable));
        }
        if (changed || news.dropped() != dropped) {
            look();
        }
    }
    void look() {
        looked = true;
        dropped = news.dropped();
        members.clear();
        names.clear();
        for (auto& each : node.topology()) {
            if (each.name == role || each.name.starts_with(role + "-")) {
                members.push_back({each.name, each.id, node_topic(each.name)});
            }
        }
        std::sort(members.begin(), members.end(), [](const auto& a, const auto& b) {
            return std::tie(a.name, a.id) < std::tie(b.name, b.id);
        });
        for (const auto& each : members) {
            names.push_back(each.name);
        }
    }

    endpoint& node;
    const std::string role;
    std::mutex mutex;
    status_subscriber news;
    bool looked = false;
    std::uint64_t dropped = 0;
    std::vector<pool_member> members;
    std::vector<std::string> names;
    std::size_t turn = 0;
};

pool::pool(endpoint& at, std::string role)
    : state_(std::make_unique<state>(at, std::move(role))) {}
pool::~pool() = default;

std::vector<pool_member> pool::members() {
    const std::lock_guard lock{state_->mutex};
    state_->refresh();
    return state_->members;
}

std::optional<pool_member> pool::next() {
    const std::lock_guard lock{state_->mutex};
    state_->refresh();
    if (state_->members.empty()) {
        return {};
    }
    return state_->members[state_->turn++ % state_->members.size()];
}

std::optional<pool_member> pool::for_key(std::string_view key) {
    const std::lock_guard lock{state_->mutex};
    state_->refresh();
    const auto owner = owner_of(key, state_->names);
    for (const auto& each : state_->members) {
        if (each.name == owner) {
            return each;
        }
    }
    return {};
}

bool pool::wait_for(std::size_t count, timespan timeout) {
    auto& node = state_->node;
    auto news = node.make_status_subscriber(true);
    using clock = std::chrono::steady_clock;
    const auto now = clock::now();
    const auto deadline =
        timeout >= clock::time_point::max() - now ? clock::time_point::max() : now + timeout;
    while (members().size() < count) {
        const auto left = deadline - clock::now();
        if (left <= timespan{0} || !news.get(std::min<timespan>(left, std::chrono::hours{1}))) {
            return members().size() >= count;
        }
    }
    return true;
}

}  // namespace bzmq::zeek
