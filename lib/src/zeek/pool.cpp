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
    const std::string* best = nullptr;
    std::uint64_t most = 0;
    for (const auto& each : names) {
        const auto mine = weight(each, key);
        if (best == nullptr || mine > most || (mine == most && each < *best)) {
            best = &each;
            most = mine;
        }
    }
    return best != nullptr ? std::string_view{*best} : std::string_view{};
}

struct pool::state {
    state(endpoint& on, std::string_view role) : node(on), topic(role_topic(role)) {}

    /// Locked, with what the endpoint knows now. It is asked without the lock, which a callback on its
    /// thread may want.
    std::unique_lock<std::mutex> refreshed() {
        // Before the look: what changes during it is seen by the next.
        const auto version = node.overlay_version();
        std::unique_lock lock{mutex};
        if (seen == version) {
            return lock;
        }
        lock.unlock();
        auto found = look();
        lock.lock();
        if (!seen || *seen < version) {  // Else another thread has looked later than this one.
            members = std::move(found);
            names.clear();
            for (const auto& each : members) {
                names.push_back(each.name);
            }
            seen = version;
        }
        return lock;
    }
    std::vector<pool_member> look() const {
        std::vector<pool_member> found;
        const auto self = node.node_id();
        for (auto& each : node.topology()) {
            // Known is not enough: what is published before a way is found reaches nobody.
            const bool in_reach = each.id == self || !each.next_hop.is_nil();
            if (in_reach && std::find(each.filter.begin(), each.filter.end(), topic)
                                != each.filter.end()) {
                found.push_back({each.name, each.id, node_topic(each.name)});
            }
        }
        std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
            return std::tie(a.name, a.id) < std::tie(b.name, b.id);
        });
        return found;
    }

    endpoint& node;
    const std::string topic;
    std::mutex mutex;
    std::optional<std::uint64_t> seen;
    std::vector<pool_member> members;
    std::vector<std::string> names;
    std::size_t turn = 0;
};

pool::pool(endpoint& at, std::string role) : state_(std::make_unique<state>(at, role)) {}
pool::~pool() = default;

std::vector<pool_member> pool::members() {
    const auto lock = state_->refreshed();
    return state_->members;
}

std::optional<pool_member> pool::next() {
    const auto lock = state_->refreshed();
    if (state_->members.empty()) {
        return {};
    }
    return state_->members[state_->turn++ % state_->members.size()];
}

std::optional<pool_member> pool::for_key(std::string_view key) {
    const auto lock = state_->refreshed();
    const auto owner = owner_of(key, state_->names);
    for (const auto& each : state_->members) {
        if (each.name == owner) {
            return each;
        }
    }
    return {};
}

bool pool::wait_for(std::size_t count, timespan timeout) {
    using clock = std::chrono::steady_clock;
    const auto now = clock::now();
    const auto deadline =
        timeout >= clock::time_point::max() - now ? clock::time_point::max() : now + timeout;
    for (;;) {
        const auto known = state_->node.overlay_version();
        if (members().size() >= count) {
            return true;
        }
        const auto left = deadline - clock::now();
        if (left <= timespan{0} || !state_->node.await_overlay_change(known, left)) {
            return members().size() >= count;
        }
    }
}

}  // namespace bzmq::zeek
