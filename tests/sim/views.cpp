#include "sim/checkers.hpp"
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <deque>
#include <map>
#include <set>

namespace bzmq::sim {
namespace {

using namespace std::chrono_literals;

constexpr unsigned far = 0xffffffff;
constexpr std::size_t problems_max = 8;

/// The overlay as it should be: who is alive and peers with whom.
struct truth {
    std::vector<std::vector<node_index>> links;

    explicit truth(network& net) : links(net.size()) {
        for (node_index at = 0; at < net.size(); ++at) {
            if (!net.alive(at)) {
                continue;
            }
            for (const auto to : net.neighbours(at)) {
                if (net.alive(to) && to != at) {
                    links[at].push_back(to);
                }
            }
        }
    }
    [[nodiscard]] std::vector<unsigned> distances(node_index from) const {
        std::vector<unsigned> out(links.size(), far);
        std::deque<node_index> queue{from};
        out[from] = 0;
        while (!queue.empty()) {
            const auto at = queue.front();
            queue.pop_front();
            for (const auto to : links[at]) {
                if (out[to] == far) {
                    out[to] = out[at] + 1;
                    queue.push_back(to);
                }
            }
        }
        return out;
    }
};

class view_check {
  public:
    view_check(network& net, bool equal_costs)
        : net_(net), truth_(net), equal_costs_(equal_costs) {}

    std::vector<std::string> run() {
        for (node_index at = 0; at < net_.size() && problems_.size() < problems_max; ++at) {
            if (net_.alive(at)) {
                check_node(at);
            }
        }
        return std::move(problems_);
    }

  private:
    void problem(node_index at, const std::string& what) {
        problems_.push_back(fmt::format("n{}#{}: {}", at, net_.life_of(at), what));
    }

    void check_node(node_index at) {
        const auto distances = truth_.distances(at);
        check_peers(at);
        check_topology(at, distances);
        check_reach(at, distances);
        const auto hash = net_.hub_of(at).view_hash();
        for (node_index other = 0; other < at; ++other) {
            if (distances[other] != far) {
                if (hash != net_.hub_of(other).view_hash()) {
                    problem(at, fmt::format("its view hash differs from n{}'s", other));
                }
                break;
            }
        }
    }

    void check_peers(node_index at) {
        std::multiset<endpoint_id> have;
        for (const auto& peer : net_.hub_of(at).peers()) {
            if (peer.state == node::peer_state::peered) {
                have.insert(peer.id);
            }
        }
        std::multiset<endpoint_id> want;
        for (const auto to : truth_.links[at]) {
            want.insert(net_.id_of(net_.life_of(to)));
        }
        if (have != want) {
            problem(at, fmt::format("peers with [{}] instead of [{}]", names(have), names(want)));
        }
    }

    void check_topology(node_index at, const std::vector<unsigned>& distances) {
        std::map<endpoint_id, topology_node> have;
        for (auto& one : net_.hub_of(at).topology()) {
            if (!have.try_emplace(one.id, one).second) {
                problem(at, "its topology names an endpoint twice");
            }
        }
        for (node_index to = 0; to < net_.size(); ++to) {
            if (distances[to] == far) {
                continue;
            }
            const auto found = have.find(net_.id_of(net_.life_of(to)));
            if (found == have.end()) {
                problem(at, fmt::format("its topology lacks n{}", to));
                continue;
            }
            check_entry(at, to, found->second, distances[to]);
            have.erase(found);
        }
        for (const auto& [id, one] : have) {
            problem(at, fmt::format("its topology has {}, which is out of reach", name(id)));
        }
    }

    void check_entry(node_index at, node_index to, const topology_node& entry,
                     unsigned distance) {
        std::set<endpoint_id> have;
        for (const auto& link : entry.links) {
            have.insert(link.to);
        }
        std::set<endpoint_id> want;
        for (const auto peer : truth_.links[to]) {
            want.insert(net_.id_of(net_.life_of(peer)));
        }
        if (have != want || entry.links.size() != have.size()) {
            problem(at, fmt::format("sees n{} linked to [{}] instead of [{}]", to, names(have),
                                    names(want)));
        }
        if (minimal(entry.filter) != net_.true_filter(to)) {
            problem(at, fmt::format("sees n{} subscribe to [{}] instead of [{}]", to,
                                    fmt::join(entry.filter, " "),
                                    fmt::join(net_.true_filter(to), " ")));
        }
        if (equal_costs_ && entry.distance != distance) {
            problem(at, fmt::format("sees n{} {} links away instead of {}", to, entry.distance,
                                    distance));
        }
        if (entry.name != net_.options_of(to).name) {
            problem(at, fmt::format("calls n{} {}", to, entry.name));
        }
        if (at == to ? !entry.next_hop.is_nil() : !is_peer(at, entry.next_hop)) {
            problem(at,
                    fmt::format("goes to n{} by {}, which is no peer", to, name(entry.next_hop)));
        }
    }

    void check_reach(node_index at, const std::vector<unsigned>& distances) {
        auto& hub = net_.hub_of(at);
        for (const auto* topic : {"/a", "/a/xy", "/b/y/z", "/node/10", "/c"}) {
            std::size_t want = 0;
            for (node_index to = 0; to < net_.size(); ++to) {
                if (to != at && distances[to] != far && matches(net_.true_filter(to), topic)) {
                    ++want;
                }
            }
            if (hub.receiver_count(topic) != want) {
                problem(at, fmt::format("counts {} receivers of {} instead of {}",
                                        hub.receiver_count(topic), topic, want));
            }
        }
        for (life_index life = 0; life < net_.lives(); ++life) {
            const bool want = net_.is_current(life) && distances[net_.home_of(life)] != far;
            if (life != net_.life_of(at) && hub.reachable(net_.id_of(life)) != want) {
                problem(at, fmt::format("takes {} for {}reachable", name(net_.id_of(life)),
                                        want ? "un" : ""));
            }
            if (want
                && minimal(hub.filter_of(net_.id_of(life)))
                       != net_.true_filter(net_.home_of(life))) {
                problem(at, fmt::format("has another filter of {}", name(net_.id_of(life))));
            }
        }
    }

    [[nodiscard]] bool is_peer(node_index at, const endpoint_id& id) const {
        return std::any_of(truth_.links[at].begin(), truth_.links[at].end(),
                           [&](node_index to) { return net_.id_of(net_.life_of(to)) == id; });
    }
    [[nodiscard]] std::string name(const endpoint_id& id) const {
        const auto life = net_.find_life(id);
        return life == no_life ? "nobody" : fmt::format("n{}#{}", net_.home_of(life), life);
    }
    template <class ids>
    [[nodiscard]] std::string names(const ids& all) const {
        std::vector<std::string> out;
        for (const auto& id : all) {
            out.push_back(name(id));
        }
        std::sort(out.begin(), out.end());
        return fmt::format("{}", fmt::join(out, " "));
    }

    network& net_;
    truth truth_;
    bool equal_costs_;
    std::vector<std::string> problems_;
};

}  // namespace

std::vector<std::string> check_views(network& net, bool equal_costs) {
    return view_check{net, equal_costs}.run();
}

std::uint64_t control_bytes(network& net) {
    std::uint64_t sum = 0;
    for (node_index at = 0; at < net.size(); ++at) {
        if (net.alive(at)) {
            sum += net.hub_of(at).counters().control_bytes;
        }
    }
    return sum;
}

std::optional<std::string> check_flood_cost(network& net, node_index at) {
    const truth now{net};
    const auto distances = now.distances(at);
    std::size_t nodes = 0;
    std::size_t ends = 0;
    for (node_index to = 0; to < net.size(); ++to) {
        if (distances[to] != far) {
            ++nodes;
            ends += now.links[to].size();
        }
    }
    if (nodes < 2 || matches(net.true_filter(at), "/flood/cost")) {
        return std::nullopt;  // Nobody to tell, or nothing new to say.
    }
    const auto own = [&] { return net.hub_of(at).counters().control_bytes; };
    const auto before = control_bytes(net);
    const auto own_before = own();
    const auto id = net.add_subscriber(at, {{"/flood/cost"}, 0, {}});
    net.run_for(2s);
    const auto total = control_bytes(net) - before;
    // The origin sends the record once over each of its links and never again.
    const auto record = (own() - own_before) / now.links[at].size();
    net.remove_subscriber(at, id);
    net.run_for(2s);
    const auto most = ends - nodes + 1;
    if (record == 0 || total > most * record) {
        return fmt::format(
            "one subscription of n{} cost {} control bytes, {} records of {} bytes are allowed", at,
            total, most, record);
    }
    return std::nullopt;
}

}  // namespace bzmq::sim
