#include "sim/scenario.hpp"

#include "sim/checkers.hpp"
#include "sim/network.hpp"
#include "sim/random.hpp"
#include "sim/workload.hpp"
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace bzmq::sim {
namespace {

using namespace std::chrono_literals;

enum fault : unsigned {
    fault_break,
    fault_crash,
    fault_leave,
    fault_partition,
    fault_freeze,
    fault_slow,
    fault_retarget,
    fault_clog,
    fault_kinds
};

/// What one seed draws.
struct plan {
    topology_kind kind = topology_kind::ring;
    std::uint32_t nodes = 3;
    unsigned both_sides = 0;  ///< edges of 10,000 that are dialled from both ends
    bool equal_costs = true;
    node::hub_options hub;
    link_conditions calm;
    link_conditions stormy;
    unsigned weights[fault_kinds]{};  ///< how often each fault comes, beside the others
    nanoseconds fault_gap = 500ms;
    nanoseconds storm = 20s;
    workload_options traffic;
    unsigned blocking = 0;  ///< subscribers of 10,000 that block
    bool small_queues = false;
};

plan draw(const run_options& options, prng& random) {
    plan out;
    out.kind = static_cast<topology_kind>(random.below(topology_kinds));
    const auto nodes = between(random, 3, random.chance(1, 3) ? 20 : 8);
    out.nodes = options.nodes.value_or(static_cast<std::uint32_t>(nodes));
    static constexpr unsigned both[] = {0, 0, 2'000, 10'000};
    out.both_sides = one_of(random, both);
    out.equal_costs = random.chance(2, 3);
    out.hub.link_cost = out.equal_costs ? 1 : 0;
    out.hub.retry_max = 2s;
    out.hub.local_delivery = random.chance(3, 4);
    if (random.chance(1, 3)) {
        // Small bounds make rare things common.
        out.hub.frame_bytes = 1'024;
        out.hub.link_window_bytes = 8 * 1'024;
        out.hub.reliable_window_bytes = 8 * 1'024;
    }
    if (random.chance(1, 4)) {
        out.hub.reliable_hold = 4s;
    }
    if (random.chance(1, 5)) {
        // Queues that run over, in every policy.
        out.small_queues = true;
        out.hub.peer_queue_bytes = between(random, 4, 64) * 1'024;
        out.hub.peer_overflow = static_cast<overflow_policy>(random.below(4));
    }
    static constexpr nanoseconds delays[] = {100us, 1ms, 20ms};
    out.calm.delay_mean = one_of(random, delays);
    out.calm.delay_min = out.calm.delay_mean / 4;
    out.stormy = out.calm;
    if (random.chance(1, 4)) {
        static constexpr unsigned rates[] = {0, 10, 200, 2'000};
        out.stormy.lost = one_of(random, rates);
        out.stormy.duplicated = one_of(random, rates);
        out.stormy.reordered = one_of(random, rates);
    }
    for (auto& weight : out.weights) {
        static constexpr unsigned weights[] = {0, 0, 1, 3, 10};
        weight = one_of(random, weights);
    }
    static constexpr nanoseconds gaps[] = {50ms, 300ms, 1s, 4s};
    out.fault_gap = one_of(random, gaps);
    out.storm = between(random, nanoseconds{3s}, nanoseconds{20s});
    static constexpr nanoseconds publish_gaps[] = {3ms, 20ms, 100ms};
    out.traffic.publish_gap = one_of(random, publish_gaps);
    static constexpr nanoseconds filter_gaps[] = {0ns, 100ms, 1s};
    out.traffic.filter_gap = one_of(random, filter_gaps);
    static constexpr unsigned reliable[] = {0, 5'000, 10'000};
    out.traffic.reliable = one_of(random, reliable);
    static constexpr unsigned unicast[] = {0, 1'000, 5'000};
    out.traffic.unicast = one_of(random, unicast);
    static constexpr std::size_t paddings[] = {0, 100, 3'000};
    out.traffic.padding = one_of(random, paddings);
    out.blocking = random.chance(1, 5) ? 3'000 : 0;
    prng also{options.seed ^ 0x7061727473};  // Apart, so that the other seeds stay as they were.
    if (also.chance(1, 3)) {
        static constexpr std::size_t parts[] = {60, 500, 2'000};
        out.hub.part_bytes = one_of(also, parts);
        out.traffic.padding = also.chance(2, 3) ? 3'000 : out.traffic.padding;
    }
    return out;
}

class swarm {
  public:
    explicit swarm(const run_options& options)
        : random_(options.seed),
          plan_(draw(options, random_)),
          net_(random_.next()),
          book_(net_),
          load_(net_, book_, random_.next()) {
        net_.set_verbose(options.verbose);
    }

    run_report run() {
        build();
        if (storm() && heal() && calm()) {
            questions();
        }
        load_.stop();
        run_report out;
        out.trace_hash = net_.trace_hash();
        out.events = net_.events();
        out.published = book_.prepared();
        out.deliveries = book_.deliveries();
        out.failures = book_.failures();
        if (!net_.complaint().empty()) {
            out.failures.push_back(net_.complaint());
        }
        out.summary = fmt::format(
            "{} of {} nodes, {}, hostile {}/{}/{}, faults {} each {} ms, traffic each {} ms{}",
            to_string(plan_.kind), plan_.nodes,
            plan_.equal_costs ? "equal costs" : "measured costs", plan_.stormy.lost,
            plan_.stormy.duplicated, plan_.stormy.reordered, fmt::join(plan_.weights, "/"),
            plan_.fault_gap / 1ms, plan_.traffic.publish_gap / 1ms,
            plan_.blocking > 0 ? ", blocking subscribers" : "");
        if (plan_.hub.part_bytes > 0) {
            out.summary += fmt::format(", parts of {} bytes", plan_.hub.part_bytes);
        }
        if (plan_.small_queues) {
            out.summary += fmt::format(", {} at {} bytes", to_string(plan_.hub.peer_overflow),
                                       plan_.hub.peer_queue_bytes);
        }
        return out;
    }

  private:
    [[nodiscard]] bool sound() const {
        return book_.failures().empty() && net_.complaint().empty();
    }
    node_index any_node() { return static_cast<node_index>(random_.below(net_.size())); }

    void build() {
        net_.set_conditions(plan_.calm);
        for (std::uint32_t i = 0; i < plan_.nodes; ++i) {
            const auto at = net_.add_node(plan_.hub);
            for (auto count = random_.below(3); count > 0; --count) {
                subscriber_options subscriber{random_filter(random_), 0, {}};
                if (chance(random_, plan_.blocking)) {
                    subscriber.queue_batches = between(random_, 1, 20);
                    subscriber.pace = between(random_, nanoseconds{100us}, nanoseconds{30ms});
                }
                net_.add_subscriber(at, std::move(subscriber));
            }
        }
        for (const auto& [from, to] : make_topology(plan_.kind, plan_.nodes, 4, random_)) {
            const bool turned = random_.chance(1, 4);
            net_.add_target(turned ? to : from, turned ? from : to);
            if (chance(random_, plan_.both_sides)) {
                net_.add_target(turned ? from : to, turned ? to : from);
            }
            if (random_.chance(1, 3)) {
                net_.run_for(between(random_, nanoseconds{0ns}, nanoseconds{50ms}));
            }
        }
        if (random_.chance(1, 2)) {
            net_.run_for(2s);
        }
    }

    bool storm() {
        net_.set_conditions(plan_.stormy);
        load_.start(plan_.traffic);
        strike_again();
        const auto end = net_.now() + plan_.storm;
        while (net_.now() < end && sound()) {
            net_.run_for(200ms);
        }
        storming_ = false;
        load_.stop();
        return sound();
    }

    void strike_again() {
        net_.after(between(random_, nanoseconds{1us}, 2 * plan_.fault_gap), [this] {
            if (storming_) {
                strike();
                strike_again();
            }
        });
    }

    void strike() {
        const auto kind = weighted(random_, plan_.weights);
        if (!kind) {
            return;
        }
        switch (*kind) {
            case fault_break:
                net_.break_random_connection(static_cast<telling>(random_.below(4)));
                break;
            case fault_crash: {
                const auto at = any_node();
                net_.crash(at, random_.chance(2, 3));
                net_.after(between(random_, nanoseconds{1ms}, nanoseconds{6s}),
                           [this, at] { net_.restart(at); });
                break;
            }
            case fault_leave: {
                const auto at = any_node();
                net_.leave(at, 2s);
                net_.after(between(random_, nanoseconds{2100ms}, nanoseconds{6s}),
                           [this, at] { net_.restart(at); });
                break;
            }
            case fault_partition:
                cut_network();
                break;
            case fault_freeze:
                net_.freeze(any_node(), between(random_, nanoseconds{10ms}, nanoseconds{8s}));
                break;
            case fault_slow:
                net_.set_pace(any_node(), random_.chance(1, 2) ? nanoseconds{10us}
                                                               : between(random_, nanoseconds{1ms},
                                                                         nanoseconds{400ms}));
                break;
            case fault_retarget:
                retarget();
                break;
            case fault_clog: {
                auto conditions = plan_.stormy;
                if (random_.chance(1, 2)) {
                    conditions.bytes_per_second = between(random_, 20'000, 2'000'000);
                    conditions.delay_mean *= 10;
                }
                net_.set_conditions(conditions);
                break;
            }
            default:
                break;
        }
    }

    void cut_network() {
        std::vector<unsigned> groups(net_.size(), 0);
        if (random_.chance(1, 2)) {
            groups[any_node()] = 1;
        } else {
            for (auto& group : groups) {
                group = static_cast<unsigned>(random_.below(2));
            }
        }
        net_.partition(std::move(groups), static_cast<cut>(random_.below(4)));
        const auto number = ++partitions_;
        net_.after(between(random_, nanoseconds{100ms}, nanoseconds{12s}), [this, number] {
            if (number == partitions_) {
                net_.heal_partition();
            }
        });
    }

    void retarget() {
        const auto from = any_node();
        const auto to = any_node();
        if (from == to) {
            return;
        }
        if (net_.dials(from, to)) {
            net_.remove_target(from, to);
        } else if (random_.chance(1, 3)) {
            net_.add_target(from, to);
        }
    }

    bool heal() {
        ++partitions_;
        net_.heal_partition();
        net_.set_conditions(plan_.calm);
        for (node_index at = 0; at < net_.size(); ++at) {
            net_.set_pace(at, 10us);
        }
        // Those that leave are gone after 2 s, and frozen ones thaw after 8 s.
        net_.run_for(8s);
        for (node_index at = 0; at < net_.size(); ++at) {
            net_.restart(at);
        }
        return settle();
    }

    /// Waits until views agree with the truth and every message due has come.
    bool settle() {
        const auto views_agree = [this] {
            return !sound() || check_views(net_, plan_.equal_costs).empty();
        };
        if (!net_.run_until(views_agree, patience(), 500ms)) {
            for (const auto& problem : check_views(net_, plan_.equal_costs)) {
                book_.fail("after quiet " + problem);
            }
        }
        const auto all_came = [this] {
            book_.excuse_cut_off();
            return !sound() || (load_.stuck().empty() && book_.outstanding() == 0);
        };
        if (!net_.run_until(all_came, patience(), 200ms)) {
            for (const auto& one : book_.missing(5)) {
                book_.fail(one);
            }
            for (const auto& one : load_.stuck()) {
                book_.fail(one);
            }
        }
        return sound();
    }

    [[nodiscard]] nanoseconds patience() const {
        if (plan_.blocking > 0 || plan_.small_queues) {
            return 600s;
        }
        // Parts go one each round trip: of 60 bytes some 50 KB/s, and on a long line megabytes may wait
        // at each link (seed 1736 needs 570 s; 7750, with parts of 500 bytes, more than a minute).
        return plan_.hub.part_bytes > 0 && plan_.hub.part_bytes < 1000 ? 900s : 60s;
    }

    bool calm() {
        net_.run_for(plan_.hub.handshake_timeout + 2 * plan_.hub.retry_max);
        // Measured costs may change, and be flooded, at any time.
        if (plan_.equal_costs) {
            if (const auto wrong = check_flood_cost(net_, any_node())) {
                book_.fail(*wrong);
            }
        }
        // Blocking subscribers push back on best effort too, where peers drop: not when calm.
        // Where measured costs change a path, the slower one may lag behind `reorder_hold`.
        const bool steady = plan_.equal_costs || plan_.calm.delay_mean < 20ms;
        book_.set_calm(steady && plan_.blocking == 0 && !plan_.small_queues);
        auto traffic = plan_.traffic;
        traffic.filter_gap = 0ns;
        traffic.publish_gap = 10ms;
        load_.start(traffic);
        net_.run_for(3s);
        load_.stop();
        book_.set_calm(false);
        return sound() && settle();
    }

    /// A confirmed filter is known everywhere, and pings take the shortest way.
    void questions() {
        const auto from = any_node();
        const auto patience = plan_.blocking > 0 ? 300s : 10s;
        net_.add_subscriber(from, {{"/confirmed"}, 0, {}});
        const auto before = net_.confirmations().size();
        net_.with(from, [&](node::hub& hub) { hub.confirm_filter(net_.now(), 77); });
        const auto confirmed = [&] { return net_.confirmations().size() > before; };
        if (!net_.run_until(confirmed, patience, 1ms)) {
            book_.fail(fmt::format("n{} never got its filter confirmed", from));
        }
        for (node_index at = 0; at < net_.size(); ++at) {
            const auto id = net_.id_of(net_.life_of(from));
            if (net_.hub_of(at).reachable(id)
                && minimal(net_.hub_of(at).filter_of(id)) != net_.true_filter(from)) {
                book_.fail(fmt::format("n{} does not know the filter of n{}, which is confirmed",
                                       at, from));
            }
        }
        ask_everybody(from, patience);
    }

    void ask_everybody(node_index from, nanoseconds patience) {
        std::vector<topology_node> asked;
        for (auto& one : net_.hub_of(from).topology()) {
            if (one.id != net_.id_of(net_.life_of(from))) {
                net_.with(from,
                          [&](node::hub& hub) { hub.ping(net_.now(), asked.size(), one.id); });
                asked.push_back(std::move(one));
            }
        }
        if (!net_.run_until([&] { return net_.pongs().size() == asked.size(); }, patience, 50ms)) {
            book_.fail(
                fmt::format("n{} got {} of {} pongs", from, net_.pongs().size(), asked.size()));
        }
        for (const auto& pong : net_.pongs()) {
            const auto& one = asked.at(pong.request);
            if (pong.path.empty() || pong.path.back() != one.id || pong.path.front() != one.next_hop
                || pong.path.size() != one.distance) {
                book_.fail(fmt::format("n{} pings {} over {} links instead of {}", from, one.name,
                                       pong.path.size(), one.distance));
            }
        }
    }

    prng random_;
    plan plan_;
    network net_;
    ledger book_;
    workload load_;
    bool storming_ = true;
    unsigned partitions_ = 0;
};

}  // namespace

run_report run_swarm(const run_options& options) {
    return swarm{options}.run();
}

}  // namespace bzmq::sim
