#include "overlay/link_state.hpp"

#include "base/assert.hpp"
#include "overlay/filter.hpp"
#include "overlay/growth.hpp"
#include "overlay/limits.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
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
    const bool in_form =
        std::none_of(links.begin(), links.end(),
                     [&](const neighbour& link) {
                         return link.id.is_nil() || link.id == record.origin;
                     })
        && std::adjacent_find(links.begin(), links.end(),
                              [](const neighbour& a, const neighbour& b) { return b.id <= a.id; })
               == links.end();
    if (in_form) {
        return;
    }
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

/// What the service begins with that tells an endpoint's key.
constexpr std::string_view key_prefix = "key:";

/// Where a node has more links than this, one of them is searched for by halving.
constexpr std::size_t scanned_links_max = 16;

/// How a sequence number relates to that of the record held, 0 where there is none.
freshness compare(std::uint64_t known, std::uint64_t sequence) {
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

/// What a connected node adds to the digest hash.
std::uint64_t hash_where_recorded(const digest_entry& entry) noexcept {
    return entry.topology != 0 || entry.filter != 0 ? hash_of(entry) : 0;
}

}  // namespace

std::string key_service(std::string_view public_key) {
    return std::string{key_prefix}.append(public_key);
}

std::string_view key_among(const std::vector<std::string>& services) noexcept {
    std::string_view found;
    for (const std::string_view each : services) {
        if (each.starts_with(key_prefix) && (found.empty() || each < found)) {
            found = each;
        }
    }
    return found.empty() ? found : found.substr(key_prefix.size());
}

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
    nodes_.front().connected = true;
    connected_.push_back(self_index());
}

freshness link_state_db::apply(topology_record record, instant now) {
    now_ = std::max(now_, now);
    if (record.origin.is_nil() || record.sequence == 0) {
        return freshness::older;
    }
    const auto known = find(record.origin);
    if (known) {
        const auto fresh = compare(nodes_[*known].topology_sequence, record.sequence);
        if (fresh != freshness::newer) {
            return fresh;
        }
    }
    normalise(record);
    if (!room_for(record)) {
        return freshness::refused;
    }
    const node_index origin = known ? *known : intern(record.origin);
    const bool other_edges = relink(origin, record.neighbours);
    node& held = nodes_[origin];
    if (other_edges || held.flags != record.flags) {
        ++topology_version_;
    }
    held.flags = record.flags;
    held.name = std::move(record.name);
    news_of(held, held.topology_sequence, record.sequence);
    return freshness::newer;
}

freshness link_state_db::apply(filter_record record, instant now) {
    now_ = std::max(now_, now);
    if (record.origin.is_nil() || record.sequence == 0) {
        return freshness::older;
    }
    const auto known = find(record.origin);
    if (known) {
        const auto fresh = compare(nodes_[*known].filter_sequence, record.sequence);
        if (fresh != freshness::newer) {
            return fresh;
        }
    }
    const node_index origin = index_of(record.origin);
    if (origin == no_node) {
        return freshness::refused;
    }
    normalise(record);
    node& held = nodes_[origin];
    if (held.filter_sequence == 0 || prefixes(origin) != record.prefixes
        || bridges(origin) != record.bridges || services(origin) != record.services) {
        ++filter_version_;
        held.filter.reset();
        if (!record.prefixes.empty() || !record.bridges.empty() || !record.services.empty()) {
            held.filter = std::make_unique<subscriptions>(
                subscriptions{std::move(record.prefixes), std::move(record.bridges),
                              std::move(record.services)});
        }
    }
    news_of(held, held.filter_sequence, record.sequence);
    return freshness::newer;
}

/// A record of `origin` has just replaced the one before it: `sequence`, one of its two.
void link_state_db::news_of(node& origin, std::uint64_t& sequence, std::uint64_t now_is) {
    if (origin.connected) {
        hash_ -= hash_where_recorded(digest_of(origin));
    }
    sequence = now_is;
    if (origin.connected) {
        hash_ += hash_where_recorded(digest_of(origin));
    }
    origin.lost = now_;  // Heard of just now: its age starts anew.
    oldest_known_ = false;
}

/// Makes `neighbours`, in the form that the database keeps, the claims of `origin`. What stays as
/// it is costs nothing but a look. True where a link that both ends claim has come, gone or changed
/// its cost.
bool link_state_db::relink(node_index origin, const std::vector<neighbour>& neighbours) {
    thread_local std::vector<link> fresh;
    thread_local std::vector<node_index> added, dropped, recosted;
    fresh.clear();
    added.clear();
    dropped.clear();
    recosted.clear();
    const auto old = nodes_[origin].links();  // Stays where it is when nodes_ grows.
    std::size_t at = 0;
    for (const neighbour& wanted : neighbours) {
        for (; at < old.size() && nodes_[old[at].to].id < wanted.id; ++at) {
            dropped.push_back(old[at].to);
        }
        if (at < old.size() && nodes_[old[at].to].id == wanted.id) {
            fresh.push_back(old[at++]);
            if (fresh.back().claimed != wanted.cost) {
                fresh.back().claimed = wanted.cost;
                recosted.push_back(fresh.back().to);
            }
        } else {
            const auto to = intern(wanted.id);
            fresh.push_back({static_cast<std::uint16_t>(to), false, wanted.cost, 0});
            added.push_back(to);
        }
    }
    for (; at < old.size(); ++at) {
        dropped.push_back(old[at].to);
    }
    if (added.empty() && dropped.empty() && recosted.empty()) {
        return false;
    }
    bool other_edges = false;
    for (const auto to : dropped) {
        --nodes_[to].claims;
        if (link* back = link_between(to, origin); back != nullptr) {
            back->returned = false;
            parted_ = other_edges = true;
        }
    }
    if (fresh.size() != old.size()) {
        nodes_[origin].link_array =
            fresh.empty() ? nullptr : std::make_unique<link[]>(fresh.size());
        nodes_[origin].link_count = static_cast<std::uint32_t>(fresh.size());
    }
    std::copy(fresh.begin(), fresh.end(), nodes_[origin].link_array.get());
    const auto agree = [&](node_index to) {
        link* back = link_between(to, origin);
        if (back == nullptr) {
            return false;
        }
        link* there = link_between(origin, to);
        const auto cost = std::max(there->claimed, back->claimed);
        const bool other = !there->returned || there->cost != cost;
        there->returned = back->returned = true;
        there->cost = back->cost = cost;
        return other;
    };
    for (const auto to : added) {
        ++nodes_[to].claims;
        if (agree(to)) {
            other_edges = true;
            joined_.push_back({origin, to});
        }
    }
    for (const auto to : recosted) {
        other_edges = agree(to) || other_edges;
    }
    return other_edges;
}

/// The claim that `from` makes on a link to `to`, if any.
link_state_db::link* link_state_db::link_between(node_index from, node_index to) const noexcept {
    const auto links = nodes_[from].links();
    auto found = links.begin();
    if (links.size() <= scanned_links_max) {
        found = std::find_if(links.begin(), links.end(),
                             [&](const link& each) { return each.to == to; });
    } else {
        found = std::lower_bound(
            links.begin(), links.end(), nodes_[to].id,
            [&](const link& each, const endpoint_id& id) { return nodes_[each.to].id < id; });
    }
    return found != links.end() && found->to == to ? &*found : nullptr;
}

node_index link_state_db::index_of(const endpoint_id& id) {
    if (const auto known = find(id)) {
        return *known;
    }
    return id.is_nil() || index_.size() >= nodes_max ? no_node : intern(id);
}

std::optional<node_index> link_state_db::find(const endpoint_id& id) const {
    return index_.find(id, id_lookup());
}

endpoint_id link_state_db::id_of(node_index index) const noexcept {
    return index < nodes_.size() ? nodes_[index].id : endpoint_id{};
}

std::optional<topology_record> link_state_db::topology(node_index index) const {
    if (index >= nodes_.size() || nodes_[index].topology_sequence == 0) {
        return std::nullopt;
    }
    const node& of = nodes_[index];
    topology_record out{of.id, of.topology_sequence, of.name, of.flags, {}};
    out.neighbours.reserve(of.link_count);
    for (const link& each : of.links()) {
        out.neighbours.push_back({nodes_[each.to].id, each.claimed});
    }
    return out;
}

std::optional<filter_record> link_state_db::filter(node_index index) const {
    if (filter_sequence(index) == 0) {
        return std::nullopt;
    }
    const node& of = nodes_[index];
    return filter_record{of.id, of.filter_sequence, prefixes(index), bridges(index), services(index)};
}

std::string_view link_state_db::name(node_index index) const noexcept {
    return index < nodes_.size() ? std::string_view{nodes_[index].name} : std::string_view{};
}

std::uint32_t link_state_db::flags(node_index index) const noexcept {
    return index < nodes_.size() ? nodes_[index].flags : 0;
}

bool link_state_db::claims_link(node_index from, node_index to) const noexcept {
    return from < nodes_.size() && to < nodes_.size() && link_between(from, to) != nullptr;
}

std::uint64_t link_state_db::filter_sequence(node_index index) const noexcept {
    return index < nodes_.size() ? nodes_[index].filter_sequence : 0;
}

const std::vector<std::string>& link_state_db::prefixes(node_index index) const noexcept {
    static const std::vector<std::string> none;
    return index < nodes_.size() && nodes_[index].filter ? nodes_[index].filter->prefixes : none;
}

const std::vector<bridge>& link_state_db::bridges(node_index index) const noexcept {
    static const std::vector<bridge> none;
    return index < nodes_.size() && nodes_[index].filter ? nodes_[index].filter->bridges : none;
}

const std::vector<std::string>& link_state_db::services(node_index index) const noexcept {
    static const std::vector<std::string> none;
    return index < nodes_.size() && nodes_[index].filter ? nodes_[index].filter->services : none;
}

std::vector<edge> link_state_db::edges(node_index index) const {
    std::vector<edge> out;
    each_edge(index, [&](const edge& each) { out.push_back(each); });
    return out;
}

bool link_state_db::connected(node_index index) const {
    refresh();
    return index < nodes_.size() && nodes_[index].connected;
}

std::span<const node_index> link_state_db::connected_nodes() const {
    refresh();
    return connected_;
}

std::vector<digest_entry> link_state_db::digest() const {
    std::vector<digest_entry> out;
    out.reserve(connected_nodes().size());
    for (const node_index index : connected_nodes()) {
        if (nodes_[index].has_records()) {
            out.push_back(digest_of(nodes_[index]));
        }
    }
    return out;
}

std::uint64_t link_state_db::digest_hash() const {
    refresh();
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
    const auto by_id = [&](const missing_records& a, const missing_records& b) {
        return nodes_[a.node].id < nodes_[b.node].id;
    };
    if (!std::is_sorted(out.begin(), out.end(), by_id)) {
        std::sort(out.begin(), out.end(), by_id);
    }
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
            unlink(index);
            old.topology_sequence = old.filter_sequence = 0;
            old.flags = 0;
            old.name = {};
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
        index_.erase(nodes_[index].id, id_lookup());
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
        // Nearly always everybody is connected; then nobody need be looked at.
        const node_index looked_at = connected_.size() == index_.size() ? 0 : slot_count();
        for (node_index index = 1; index < looked_at; ++index) {
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
    if (const auto known = find(id)) {
        return *known;
    }
    const auto made = free_.empty() ? slot_count() : free_.back();
    if (free_.empty()) {
        make_room(nodes_, nodes_.size() + 1);
        nodes_.emplace_back();
    } else {
        free_.pop_back();
    }
    index_.insert(id, made, id_lookup());
    nodes_[made].id = id;
    nodes_[made].lost = now_;
    oldest_known_ = false;
    return made;
}

/// Takes back the claims that `from` makes.
void link_state_db::unlink(node_index from) {
    for (const link& each : nodes_[from].links()) {
        --nodes_[each.to].claims;
        if (link* back = link_between(each.to, from); back != nullptr) {
            back->returned = false;
        }
    }
    nodes_[from].link_array.reset();
    nodes_[from].link_count = 0;
}

void link_state_db::update_connected() const {
    if (parted_ || joined_.size() > nodes_.size()) {
        find_connected();
    } else {
        grow_connected();
    }
    parted_ = false;
    joined_.clear();
}

/// Edges have only been added: goes on from where they lead out of what is connected.
void link_state_db::grow_connected() const {
    thread_local std::vector<node_index> gained;
    gained.clear();
    const auto meet = [&](node_index index) {
        if (!nodes_[index].connected) {
            nodes_[index].connected = true;
            gained.push_back(index);
        }
    };
    std::size_t done = 0;
    for (const auto& [from, to] : joined_) {
        if (nodes_[from].connected != nodes_[to].connected) {
            meet(from);
            meet(to);
        }
        // Here and not at the end: the next pair may hang on what this one has brought.
        for (; done < gained.size(); ++done) {
            returned_links(gained[done], [&](const edge& each) { meet(each.to); });
        }
    }
    now_connected(gained);
}

/// Edges have been lost: looks at all.
void link_state_db::find_connected() const {
    thread_local std::vector<std::uint8_t> met;
    thread_local std::vector<node_index> all, gained;
    met.assign(nodes_.size(), 0);
    met[self_index()] = 1;
    all.assign(1, self_index());
    for (std::size_t done = 0; done < all.size(); ++done) {
        returned_links(all[done], [&](const edge& each) {
            if (met[each.to] == 0) {
                met[each.to] = 1;
                all.push_back(each.to);
            }
        });
    }
    const auto before = connected_.size();
    std::erase_if(connected_, [&](node_index index) {
        if (met[index] != 0) {
            return false;
        }
        hash_ -= hash_where_recorded(digest_of(nodes_[index]));
        nodes_[index].connected = false;
        nodes_[index].lost = now_;
        return true;
    });
    oldest_known_ = oldest_known_ && connected_.size() == before;
    gained.clear();
    for (const node_index index : all) {
        if (!nodes_[index].connected) {
            nodes_[index].connected = true;
            gained.push_back(index);
        }
    }
    now_connected(gained);
}

/// Adds nodes that have just been marked as connected to what is kept about those; sorts `gained`.
void link_state_db::now_connected(std::vector<node_index>& gained) const {
    if (gained.empty()) {
        return;
    }
    oldest_known_ = false;
    for (const node_index index : gained) {
        hash_ += hash_where_recorded(digest_of(nodes_[index]));
    }
    const auto by_id = [&](node_index a, node_index b) { return nodes_[a].id < nodes_[b].id; };
    std::sort(gained.begin(), gained.end(), by_id);
    const auto before = static_cast<std::ptrdiff_t>(connected_.size());
    make_room(connected_, connected_.size() + gained.size());
    connected_.insert(connected_.end(), gained.begin(), gained.end());
    std::inplace_merge(connected_.begin(), connected_.begin() + before, connected_.end(), by_id);
}

}  // namespace bzmq::overlay
