#include "overlay/link_state.hpp"

#include "base/assert.hpp"
#include "overlay/filter.hpp"
#include "overlay/limits.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <tuple>
#include <utility>

namespace bzmq::overlay {
namespace {

/// Adds up the prefixes of a record against their limits.
struct filter_size {
    std::size_t prefixes = 0;
    std::size_t bytes = 0;

    bool add(const std::vector<std::string>& more) noexcept {
        prefixes += more.size();
        for (const std::string& prefix : more) {
            if (prefix.size() > prefix_bytes_max) {
                return false;
            }
            bytes += prefix.size();
        }
        return prefixes <= prefixes_max && bytes <= filter_bytes_max;
    }
};

void normalise(topology_record& record) {
    auto& links = record.neighbours;
    std::erase_if(
        links, [&](const neighbour& link) { return link.id.is_nil() || link.id == record.origin; });
    std::sort(links.begin(), links.end(), [](const neighbour& a, const neighbour& b) {
        return std::tie(a.id, a.cost) < std::tie(b.id, b.cost);
    });
    const auto same = [](const neighbour& a, const neighbour& b) { return a.id == b.id; };
    links.erase(std::unique(links.begin(), links.end(), same), links.end());
}

void normalise(filter_record& record) {
    record.prefixes = minimise(std::move(record.prefixes));
    auto& bridges = record.bridges;
    std::stable_sort(bridges.begin(), bridges.end(),
                     [](const bridge& a, const bridge& b) { return a.domain_tag < b.domain_tag; });
    std::vector<bridge> merged;
    for (bridge& next : bridges) {
        if (!merged.empty() && merged.back().domain_tag == next.domain_tag) {
            auto& into = merged.back().prefixes;
            std::move(next.prefixes.begin(), next.prefixes.end(), std::back_inserter(into));
        } else {
            merged.push_back(std::move(next));
        }
    }
    bridges = std::move(merged);
    for (bridge& each : bridges) {
        each.prefixes = minimise(std::move(each.prefixes));
    }
    auto& services = record.services;
    std::sort(services.begin(), services.end());
    services.erase(std::unique(services.begin(), services.end()), services.end());
}

/// A node that was met or lost less than this ago may be connected again in a moment. Much shorter
/// than any age at which records are forgotten, so that the forgotten do not come back for long.
constexpr auto recent = std::chrono::seconds{5};

/// How a sequence number relates to that of the record held, if any.
template <class record>
freshness compare(const std::optional<record>& held, std::uint64_t sequence) {
    const std::uint64_t known = held ? held->sequence : 0;
    return sequence > known    ? freshness::newer
           : sequence == known ? freshness::same
                               : freshness::older;
}

std::uint64_t mix(std::uint64_t value) noexcept {
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
    return value ^ (value >> 31);
}

std::uint64_t hash_of(const digest_entry& entry) noexcept {
    std::uint64_t half = 0;
    std::uint64_t hash = 0x9e3779b97f4a7c15ULL;
    for (const std::size_t offset : {0, 8}) {
        std::memcpy(&half, entry.origin.bytes().data() + offset, sizeof half);
        hash = mix(hash ^ half);
    }
    return mix(mix(hash ^ entry.topology) ^ entry.filter);
}

}  // namespace

bool valid(const topology_record& record) noexcept {
    return !record.origin.is_nil() && record.sequence != 0 && record.sequence <= sequence_max
           && record.name.size() <= name_bytes_max
           && record.neighbours.size() <= neighbours_max;
}

bool valid(const filter_record& record) noexcept {
    filter_size size;
    if (record.origin.is_nil() || record.sequence == 0 || record.sequence > sequence_max
        || record.bridges.size() > bridges_max
        || record.services.size() > services_max || !size.add(record.prefixes)
        || std::any_of(record.services.begin(), record.services.end(), [](const auto& name) {
               return name.empty() || name.size() > service_bytes_max;
           })) {
        return false;
    }
    return std::all_of(record.bridges.begin(), record.bridges.end(), [&](const bridge& each) {
        size.bytes += each.domain_tag.size();
        return each.domain_tag.size() <= domain_tag_bytes_max && size.add(each.prefixes);
    });
}

link_state_db::link_state_db(const endpoint_id& self) {
    BZMQ_ASSERT(!self.is_nil());
    intern(self);
}

freshness link_state_db::apply(topology_record record, instant now) {
    now_ = std::max(now_, now);
    if (record.origin.is_nil() || record.sequence == 0) {
        return freshness::older;
    }
    const auto known = find(record.origin);
    if (known) {
        const auto fresh = compare(nodes_[*known].topology, record.sequence);
        if (fresh != freshness::newer) {
            return fresh;
        }
    }
    normalise(record);
    if (!room_for(record)) {
        return freshness::refused;
    }
    const node_index origin = intern(record.origin);
    const auto& held = nodes_[origin].topology;
    const bool same_links = held && held->neighbours == record.neighbours;
    if (!same_links || held->flags != record.flags) {
        ++topology_version_;
    }
    if (!same_links) {
        std::vector<node_index> links;
        links.reserve(record.neighbours.size());
        for (const neighbour& link : record.neighbours) {
            links.push_back(intern(link.id));
            ++nodes_[links.back()].claims;
        }
        unlink(nodes_[origin]);
        nodes_[origin].links = std::move(links);
    }
    nodes_[origin].topology = std::move(record);
    nodes_[origin].lost = now_;  // Heard of just now: its age starts anew.
    hash_known_ = oldest_known_ = false;
    return freshness::newer;
}

freshness link_state_db::apply(filter_record record, instant now) {
    now_ = std::max(now_, now);
    if (record.origin.is_nil() || record.sequence == 0) {
        return freshness::older;
    }
    const auto known = find(record.origin);
    if (known) {
        const auto fresh = compare(nodes_[*known].filter, record.sequence);
        if (fresh != freshness::newer) {
            return fresh;
        }
    }
    const node_index origin = index_of(record.origin);
    if (origin == no_node) {
        return freshness::refused;
    }
    normalise(record);
    auto& held = nodes_[origin].filter;
    if (!held || held->prefixes != record.prefixes || held->bridges != record.bridges
        || held->services != record.services) {
        ++filter_version_;
    }
    held = std::move(record);
    nodes_[origin].lost = now_;
    hash_known_ = oldest_known_ = false;
    return freshness::newer;
}

node_index link_state_db::index_of(const endpoint_id& id) {
    if (const auto known = find(id)) {
        return *known;
    }
    return id.is_nil() || index_.size() >= nodes_max ? no_node : intern(id);
}

std::optional<node_index> link_state_db::find(const endpoint_id& id) const {
    const auto known = index_.find(id);
    return known == index_.end() ? std::nullopt : std::optional{known->second};
}

endpoint_id link_state_db::id_of(node_index index) const noexcept {
    return index < nodes_.size() ? nodes_[index].id : endpoint_id{};
}

const topology_record* link_state_db::topology(node_index index) const noexcept {
    return index < nodes_.size() && nodes_[index].topology ? &*nodes_[index].topology : nullptr;
}

const filter_record* link_state_db::filter(node_index index) const noexcept {
    return index < nodes_.size() && nodes_[index].filter ? &*nodes_[index].filter : nullptr;
}

const link_graph& link_state_db::graph() const {
    refresh();
    return graph_;
}

bool link_state_db::connected(node_index index) const {
    refresh();
    return index < nodes_.size() && nodes_[index].connected;
}

std::span<const node_index> link_state_db::connected_nodes() const {
    refresh();
    if (!connected_sorted_) {
        std::sort(connected_.begin(), connected_.end(),
                  [&](node_index a, node_index b) { return nodes_[a].id < nodes_[b].id; });
        connected_sorted_ = true;
    }
    return connected_;
}

std::vector<digest_entry> link_state_db::digest() const {
    std::vector<digest_entry> out;
    for (const node_index index : connected_nodes()) {
        if (nodes_[index].has_records()) {
            out.push_back(digest_of(nodes_[index]));
        }
    }
    return out;
}

std::uint64_t link_state_db::digest_hash() const {
    refresh();
    if (!hash_known_) {
        hash_ = 0;
        for (const node_index index : connected_) {
            hash_ += nodes_[index].has_records() ? hash_of(digest_of(nodes_[index])) : 0;
        }
        hash_known_ = true;
    }
    return hash_;
}

std::vector<missing_records> link_state_db::newer_than(std::span<const digest_entry> theirs) const {
    refresh();
    std::vector<node_index> candidates = connected_;
    std::vector<std::pair<std::uint64_t, std::uint64_t>> known(nodes_.size());
    for (const digest_entry& entry : theirs) {
        const auto index = find(entry.origin);
        if (!index) {
            continue;
        }
        auto& [topology, filter] = known[*index];
        topology = std::max(topology, entry.topology);
        filter = std::max(filter, entry.filter);
        if (!nodes_[*index].connected) {
            candidates.push_back(*index);
        }
    }
    for (node_index index = 1; index < nodes_.size(); ++index) {
        if (!nodes_[index].connected && now_ - nodes_[index].lost < recent) {
            candidates.push_back(index);
        }
    }
    std::vector<missing_records> out;
    for (const node_index index : candidates) {
        const digest_entry ours = digest_of(nodes_[index]);
        const auto& [topology, filter] = known[index];
        const missing_records missing{index, ours.topology > topology, ours.filter > filter};
        if (missing.topology || missing.filter) {
            out.push_back(missing);
        }
    }
    std::sort(out.begin(), out.end(), [&](const missing_records& a, const missing_records& b) {
        return nodes_[a.node].id < nodes_[b.node].id;
    });
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
}

std::vector<forgotten_node> link_state_db::forget_stale(instant now,
                                                        std::chrono::nanoseconds max_age) {
    now_ = std::max(now_, now);
    std::vector<forgotten_node> out;
    if (next_expiry(max_age) > now_) {
        return out;
    }
    const instant latest = now_ - max_age;
    for (node_index index = 1; index < nodes_.size(); ++index) {
        node& old = nodes_[index];
        if (may_age(index) && old.lost <= latest && old.has_records()) {
            out.push_back({old.id, index});
            unlink(old);
            old.topology.reset();
            old.filter.reset();
        }
    }
    // Only now is it settled whom nobody claims any more.
    std::vector<node_index> unused;
    for (node_index index = 1; index < nodes_.size(); ++index) {
        if (may_age(index) && nodes_[index].lost <= latest && !nodes_[index].has_records()) {
            unused.push_back(index);
        }
    }
    for (const node_index index : unused) {
        out.push_back({nodes_[index].id, index});
        index_.erase(nodes_[index].id);
        nodes_[index] = node{};
        free_.push_back(index);
    }
    std::sort(out.begin(), out.end(),
              [](const forgotten_node& a, const forgotten_node& b) { return a.id < b.id; });
    out.erase(std::unique(out.begin(), out.end()), out.end());
    ++topology_version_;
    ++filter_version_;
    oldest_known_ = false;
    return out;
}

instant link_state_db::next_expiry(std::chrono::nanoseconds max_age) const {
    refresh();
    if (!oldest_known_) {
        oldest_ = never;
        for (node_index index = 1; index < nodes_.size(); ++index) {
            if (may_age(index)) {
                oldest_ = std::min(oldest_, nodes_[index].lost);
            }
        }
        oldest_known_ = true;
    }
    return oldest_ == never || max_age > never - std::max(oldest_, instant{}) ? never
                                                                              : oldest_ + max_age;
}

/// Not connected, and either with records to drop or with an index that nobody needs.
bool link_state_db::may_age(node_index index) const noexcept {
    const node& of = nodes_[index];
    return index != 0 && !of.id.is_nil() && !of.connected && (of.has_records() || of.claims == 0);
}

bool link_state_db::room_for(const topology_record& record) const {
    if (index_.size() + record.neighbours.size() + 1 <= nodes_max) {
        return true;
    }
    const auto unknown = static_cast<std::size_t>(
        std::count_if(record.neighbours.begin(), record.neighbours.end(),
                      [&](const neighbour& link) { return !find(link.id); }));
    return index_.size() + unknown + (find(record.origin) ? 0 : 1) <= nodes_max;
}

node_index link_state_db::intern(const endpoint_id& id) {
    const auto next = free_.empty() ? static_cast<node_index>(nodes_.size()) : free_.back();
    const auto [entry, made] = index_.try_emplace(id, next);
    if (!made) {
        return entry->second;
    }
    if (free_.empty()) {
        if (nodes_.size() == nodes_.capacity()) {
            // Doubling would leave a large overlay with half of its memory unused.
            nodes_.reserve(nodes_.size() + nodes_.size() / 8 + 16);
        }
        nodes_.emplace_back();
    } else {
        free_.pop_back();
    }
    nodes_[next].id = id;
    nodes_[next].lost = now_;
    oldest_known_ = false;
    return next;
}

/// Takes back the claims that `from` makes.
void link_state_db::unlink(node& from) {
    for (const node_index to : from.links) {
        --nodes_[to].claims;
    }
    from.links.clear();
}

void link_state_db::refresh() const {
    if (graph_version_ != topology_version_) {
        graph_version_ = topology_version_;
        build_graph();
        mark_connected();
        connected_sorted_ = hash_known_ = oldest_known_ = false;
    }
}

/// Lists the claims by the node that they name, then keeps those that it returns. Both steps go by
/// ascending index, and so the edges come out in order without sorting.
void link_state_db::build_graph() const {
    // Buffers of the thread: for each database its own they would be a tenth of all its memory.
    thread_local std::vector<link_graph::edge> incoming;  // claims by the node named: from whom
    thread_local std::vector<std::uint32_t> incoming_first;
    thread_local std::vector<link_graph::edge> claimed;  // by the node named: by whom last
    thread_local std::vector<link_graph::edge> edges;
    const std::size_t count = nodes_.size();
    auto& at = graph_.first_;
    at.assign(count + 1, 0);
    for (const node& from : nodes_) {
        for (const node_index to : from.links) {
            ++at[to + 1];
        }
    }
    for (std::size_t i = 0; i < count; ++i) {
        at[i + 1] += at[i];
    }
    incoming.resize(at.back());
    incoming_first.assign(at.begin(), at.end() - 1);
    for (node_index from = 0; from < count; ++from) {
        const node& origin = nodes_[from];
        for (std::size_t i = 0; i < origin.links.size(); ++i) {
            incoming[incoming_first[origin.links[i]]++] = {from,
                                                             origin.topology->neighbours[i].cost};
        }
    }
    edges.clear();
    claimed.assign(count, {no_node, 0});
    for (node_index from = 0; from < count; ++from) {
        const node& origin = nodes_[from];
        for (std::size_t i = 0; i < origin.links.size(); ++i) {
            claimed[origin.links[i]] = {from, origin.topology->neighbours[i].cost};
        }
        const std::size_t begin = at[from];
        const std::size_t end = incoming_first[from];
        at[from] = static_cast<std::uint32_t>(edges.size());
        for (std::size_t i = begin; i < end; ++i) {
            const auto& claim = incoming[i];
            if (claimed[claim.to].to == from) {
                edges.push_back({claim.to, std::max(claim.cost, claimed[claim.to].cost)});
            }
        }
    }
    at.back() = static_cast<std::uint32_t>(edges.size());
    graph_.edges_.assign(edges.begin(), edges.end());
}

void link_state_db::mark_connected() const {
    thread_local std::vector<std::uint8_t> was_connected;
    was_connected.clear();
    for (const node& each : nodes_) {
        was_connected.push_back(each.connected);
        each.connected = false;
    }
    connected_.assign(1, self_index());
    nodes_.front().connected = true;
    for (std::size_t done = 0; done < connected_.size(); ++done) {
        for (const auto& edge : graph_.edges(connected_[done])) {
            if (!nodes_[edge.to].connected) {
                nodes_[edge.to].connected = true;
                connected_.push_back(edge.to);
            }
        }
    }
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
        if (was_connected[i] != 0 && !nodes_[i].connected) {
            nodes_[i].lost = now_;
        }
    }
}

}  // namespace bzmq::overlay
