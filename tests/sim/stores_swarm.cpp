#include "sim/stores_swarm.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <optional>

#include "sim/random.hpp"
#include "sim/stores_book.hpp"
#include "sim/stores_load.hpp"
#include "sim/stores_world.hpp"

namespace bzmq::sim::stores {
namespace {

using namespace std::chrono_literals;

enum fault : unsigned {
    fault_crash,
    fault_partition,
    fault_disk_full,
    fault_slow,
    fault_detach_clone,
    fault_detach_master,
    fault_rival,
    fault_network,
    fault_fail_over,
    fault_kinds
};

/// What one seed draws.
struct plan {
    unsigned endpoints = 3;
    std::vector<store_spec> stores;
    std::vector<bool> counted;
    unsigned clones = 5'000;  ///< of 10,000 endpoints have a clone of each store
    unsigned weights[fault_kinds]{};
    nanoseconds fault_gap = 500ms;
    nanoseconds storm = 10s;
    conditions calm;
    conditions stormy;
    nanoseconds view_delay = 500ms;
    nanoseconds disk_latency = 2ms;
    nanoseconds clocks = 0ns;  ///< apart at most
    load_options traffic;
};

/// Makes it a store with standbys, on some of the endpoints.
void draw_failover(prng& random, unsigned endpoints, store_spec& out) {
    if (endpoints < 3 || random.chance(1, 2)) {
        return;
    }
    out.durable = true;
    out.standbys.clear();
    out.bystanders.clear();
    out.over = random.chance(1, 2) ? failover::by_operator : failover::by_election;
    const auto count = static_cast<unsigned>(between(random, 3, std::min(endpoints, 5U)));
    std::vector<slot_index> places(endpoints);
    for (slot_index at = 0; at < endpoints; ++at) {
        places[at] = at;
    }
    for (auto left = count; left > 0; --left) {
        const auto pick = random.below(places.size());
        out.standbys.push_back(places[pick]);
        places.erase(places.begin() + static_cast<std::ptrdiff_t>(pick));
    }
    if (out.over == failover::by_election && random.chance(1, 3)) {
        out.bystanders = places;
    }
    const auto least = out.over == failover::by_election ? count - (count / 2 + 1) : 0;
    out.master.sync_replicas = static_cast<unsigned>(between(random, least, count - 1));
    static constexpr nanoseconds timeouts[] = {500ms, 1s, 3s};
    out.clone.failover_timeout = one_of(random, timeouts);
    out.master.heartbeat_interval = std::min(out.master.heartbeat_interval,
                                             nanoseconds{out.clone.failover_timeout / 4});
    if (random.chance(1, 3)) {
        out.clone.disk_backlog_bytes = between(random, 100, 4'000);
    }
}

store_spec draw_store(prng& random, unsigned number) {
    store_spec out;
    out.name = fmt::format("s{}", number);
    out.durable = random.chance(1, 2);
    static constexpr nanoseconds heartbeats[] = {100ms, 300ms, 1s};
    out.master.heartbeat_interval = one_of(random, heartbeats);
    out.master.clone_timeout = random.chance(1, 2) ? 10s : 2s;
    if (random.chance(1, 2)) {
        // Small bounds make rare things common.
        out.master.frame_bytes = between(random, 64, 1'024);
        out.master.window_bytes = between(random, 128, 4'096);
        out.master.log_bytes = between(random, 256, 16'384);
        out.master.unsettled_bytes = between(random, 512, 8'192);
        out.clone.frame_bytes = between(random, 64, 1'024);
        out.clone.window_bytes = between(random, 128, 4'096);
        out.clone.mutation_buffer_bytes = between(random, 1'024, 32'768);
    }
    static constexpr nanoseconds resyncs[] = {500ms, 2s, 10s};
    out.clone.resync_interval = one_of(random, resyncs);
    static constexpr nanoseconds stales[] = {1s, 5s, 300s};
    out.clone.stale_interval = one_of(random, stales);
    static constexpr nanoseconds buffers[] = {1s, 5s, 120s};
    out.clone.mutation_buffer_interval = one_of(random, buffers);
    if (random.chance(1, 3)) {
        out.master.writer_timeout = 2 * out.clone.mutation_buffer_interval;
    }
    return out;
}

/// One store whose masters hardly last.
void make_restless(prng& random, plan& out) {
    out.stores.resize(1);
    out.clones = std::min(out.clones, 6'000U);
    out.counted.resize(1);
    auto& store = out.stores.front();
    do {
        draw_failover(random, out.endpoints, store);
    } while (store.over != failover::by_election);
    store.clone.failover_timeout = between(random, nanoseconds{200ms}, nanoseconds{600ms});
    store.clone.resync_interval = 500ms;
    store.master.heartbeat_interval = 50ms;
    store.master.clone_timeout = 2s;
    std::fill(std::begin(out.weights), std::end(out.weights), 0U);
    out.weights[fault_crash] = 10;
    out.weights[fault_partition] = static_cast<unsigned>(random.below(20));
    out.weights[fault_disk_full] = static_cast<unsigned>(random.below(4));
    out.weights[fault_slow] = static_cast<unsigned>(random.below(4));
    out.fault_gap = between(random, nanoseconds{100ms}, nanoseconds{1s});
    out.storm = between(random, nanoseconds{10s}, nanoseconds{30s});
    out.calm.delay_mean = 1ms;
    out.calm.delay_min = 200us;
    const auto ordered = out.stormy.ordered;
    out.stormy = out.calm;
    out.stormy.lost = static_cast<unsigned>(random.below(1'000));
    out.stormy.ordered = ordered;
    out.view_delay = between(random, nanoseconds{10ms}, nanoseconds{500ms});
    out.traffic.gap = 10ms;
}

plan draw(prng& random) {
    plan out;
    out.endpoints = static_cast<unsigned>(between(random, 2, 7));
    for (auto more = between(random, 1, 3); more > 0; --more) {
        out.stores.push_back(draw_store(random, static_cast<unsigned>(out.stores.size())));
        draw_failover(random, out.endpoints, out.stores.back());
        out.counted.push_back(random.chance(2, 3));
    }
    static constexpr unsigned clones[] = {3'000, 6'000, 10'000};
    out.clones = one_of(random, clones);
    for (auto& weight : out.weights) {
        static constexpr unsigned weights[] = {0, 0, 1, 3, 10};
        weight = one_of(random, weights);
    }
    static constexpr nanoseconds gaps[] = {100ms, 500ms, 2s};
    out.fault_gap = one_of(random, gaps);
    out.storm = between(random, nanoseconds{3s}, nanoseconds{15s});
    static constexpr nanoseconds delays[] = {100us, 1ms, 20ms, 150ms};
    out.calm.delay_mean = one_of(random, delays);
    out.calm.delay_min = out.calm.delay_mean / 4;
    if (out.calm.delay_mean > 100ms) {
        for (auto& store : out.stores) {
            // A window for each round trip: a snapshot would take many minutes.
            store.master.window_bytes = std::max<std::size_t>(store.master.window_bytes, 8'192);
            store.clone.failover_timeout = std::max(store.clone.failover_timeout, nanoseconds{6s});
        }
    }
    out.stormy = out.calm;
    static constexpr unsigned rates[] = {0, 10, 300, 2'000};
    out.stormy.lost = one_of(random, rates);
    out.stormy.duplicated = one_of(random, rates);
    out.stormy.ordered = random.chance(1, 2);
    static constexpr nanoseconds views[] = {10ms, 500ms, 3s};
    out.view_delay = one_of(random, views);
    static constexpr nanoseconds disks[] = {200us, 5ms, 100ms};
    out.disk_latency = one_of(random, disks);
    static constexpr nanoseconds clocks[] = {0ns, 10ms, 2s, 600s};
    out.clocks = one_of(random, clocks);
    static constexpr nanoseconds writes[] = {2ms, 10ms, 50ms};
    out.traffic.gap = one_of(random, writes);
    static constexpr unsigned bursts[] = {0, 50, 300};
    out.traffic.bursts = one_of(random, bursts);
    static constexpr unsigned keys[] = {3, 30, 200};
    out.traffic.keys = one_of(random, keys);
    static constexpr std::size_t values[] = {8, 100, 1'500};
    out.traffic.value_bytes = one_of(random, values);
    out.traffic.at_masters = static_cast<unsigned>(random.below(8'000));
    if (out.endpoints >= 3 && random.chance(1, 4)) {
        make_restless(random, out);
    }
    return out;
}

class swarm {
  public:
    explicit swarm(const run_options& options)
        : random_(options.seed),
          plan_(draw(random_)),
          world_(random_.next()),
          book_(world_),
          load_(world_, book_, random_.next()) {
        world_.set_verbose(options.verbose);
        if (options.nodes) {
            plan_.endpoints = *options.nodes;
        }
    }

    run_report run() {
        build();
        storm();
        rest();
        run_report out;
        out.trace_hash = world_.trace_hash();
        out.events = world_.events();
        out.published = book_.writes();
        out.deliveries = book_.done();
        out.failures = book_.failures();
        if (!world_.complaint().empty()) {
            out.failures.push_back(world_.complaint());
        }
        out.summary = fmt::format(
            "{} endpoints, {} stores, delay {} ms, lost {}, doubled {}{}, faults {} each {} ms, "
            "writes each {} ms",
            plan_.endpoints, plan_.stores.size(), plan_.calm.delay_mean / 1ms, plan_.stormy.lost,
            plan_.stormy.duplicated, plan_.stormy.ordered ? "" : ", reordered",
            fmt::join(plan_.weights, "/"), plan_.fault_gap / 1ms, plan_.traffic.gap / 1ms);
        return out;
    }

  private:
    [[nodiscard]] bool sound() const {
        return book_.failures().empty() && world_.complaint().empty();
    }
    slot_index any_slot() { return static_cast<slot_index>(random_.below(world_.size())); }
    store_index any_store() { return static_cast<store_index>(random_.below(plan_.stores.size())); }

    void build() {
        world_.set_conditions(plan_.calm);
        world_.set_view_delay(plan_.view_delay);
        world_.set_disk_latency(plan_.disk_latency);
        for (unsigned i = 0; i < plan_.endpoints; ++i) {
            const auto at = world_.add_endpoint();
            world_.at(at).wall_offset = between(random_, nanoseconds{0}, plan_.clocks);
        }
        for (store_index store = 0; store < plan_.stores.size(); ++store) {
            const auto& spec = plan_.stores[store];
            world_.add_store(spec);
            home_.push_back(spec.over == failover::none ? any_slot() : spec.standbys.front());
            if (plan_.counted[store]) {
                book_.set_counted(store);
                load_.set_counted(store);
            }
            for (slot_index at = 0; at < world_.size(); ++at) {
                const bool standby = std::ranges::count(spec.standbys, at) != 0
                                     || std::ranges::count(spec.bystanders, at) != 0;
                if (chance(random_, plan_.clones) && !standby) {
                    clones_.insert({at, store});
                }
            }
        }
        maintain_again();
    }

    /// What an operator does: starts what is not there.
    void maintain() {
        for (store_index store = 0; store < home_.size(); ++store) {
            if (plan_.stores[store].over != failover::none) {
                maintain_standbys(store);
                continue;
            }
            const auto at = home_[store];
            if (world_.alive(at) && world_.at(at).find(store, true) == nullptr) {
                world_.attach_master(at, store);
            }
        }
        for (const auto& [at, store] : clones_) {
            if (world_.alive(at) && world_.at(at).find(store, false) == nullptr) {
                world_.attach_clone(at, store);
            }
        }
    }
    void maintain_standbys(store_index store) {
        const auto& spec = plan_.stores[store];
        for (const auto at : spec.bystanders) {
            if (world_.alive(at) && world_.at(at).find(store, false) == nullptr) {
                world_.attach_standby(at, store);
            }
        }
        for (const auto at : spec.standbys) {
            if (!world_.alive(at) || world_.at(at).find(store, true) != nullptr
                || world_.at(at).find(store, false) != nullptr) {
                continue;
            }
            // With electors the first one only begins the store; with an operator, who is master is
            // so again when it comes back.
            const bool begins = at == home_[store]
                                && (spec.over == failover::by_operator
                                    || !world_.disk(at, store).image().exists());
            if (begins) {
                world_.attach_master(at, store);
            } else {
                world_.attach_standby(at, store);
            }
        }
    }
    void maintain_again() {
        world_.after(between(random_, nanoseconds{1ms}, nanoseconds{400ms}), [this] {
            maintain();
            maintain_again();
        });
    }

    void storm() {
        if (random_.chance(1, 2)) {
            world_.run_for(3s);
        }
        world_.set_conditions(plan_.stormy);
        load_.start(plan_.traffic);
        strike_again();
        const auto end = world_.now() + plan_.storm;
        while (world_.now() < end && sound()) {
            world_.run_for(100ms);
        }
        storming_ = false;
        // An operator ends what has begun.
        world_.run_until([this] { return !sound() || !failing_over_; }, 120s, 100ms);
    }

    void strike_again() {
        world_.after(between(random_, nanoseconds{1us}, 2 * plan_.fault_gap), [this] {
            if (storming_) {
                strike();
                strike_again();
            }
        });
    }

    void strike() {
        if (const auto kind = weighted(random_, plan_.weights)) {
            strike(*kind);
        }
    }

    void strike(unsigned kind) {
        const auto at = any_slot();
        const auto store = any_store();
        const bool apart = kind == fault_crash || kind == fault_partition || kind == fault_network
                           || kind == fault_detach_master;
        if (failing_over_ && apart) {
            return;  // An operator looks after it.
        }
        switch (kind) {
            case fault_crash:
                world_.crash(at);
                world_.after(between(random_, nanoseconds{1ms}, nanoseconds{4s}),
                             [this, at] {
                                 if (taken_away_ != at) {
                                     world_.restart(at);
                                 }
                             });
                break;
            case fault_partition:
                cut_network();
                break;
            case fault_disk_full:
                if (plan_.stores[store].durable) {
                    const auto where = plan_.stores[store].over == failover::none ? home_[store] : at;
                    world_.set_disk_full(where, store, true);
                    world_.after(
                        between(random_, nanoseconds{1ms}, nanoseconds{2s}),
                        [this, store, where] { world_.set_disk_full(where, store, false); });
                }
                break;
            case fault_slow:
                world_.at(at).pace = random_.chance(1, 2) ? nanoseconds{10us}
                                                          : between(random_, nanoseconds{1ms},
                                                                    nanoseconds{600ms});
                break;
            case fault_detach_clone:
                detach(at, store, false);
                break;
            case fault_detach_master:
                detach(plan_.stores[store].over == failover::none ? home_[store] : at, store, true);
                if (!plan_.stores[store].durable && random_.chance(1, 2)) {
                    home_[store] = at;  // Elsewhere, a new one.
                }
                break;
            case fault_rival:
                if (!plan_.stores[store].durable && world_.alive(at)
                    && world_.at(at).find(store, true) == nullptr) {
                    world_.attach_master(at, store);
                }
                break;
            case fault_fail_over:
                begin_fail_over(store);
                break;
            case fault_network: {
                auto other = plan_.stormy;
                static constexpr unsigned rates[] = {0, 100, 4'000};
                other.lost = one_of(random_, rates);
                other.delay_mean *= between(random_, 1, 8);
                world_.set_conditions(other);
                break;
            }
            default:
                break;
        }
    }

    void detach(slot_index at, store_index store, bool master) {
        if (world_.alive(at)) {
            if (const auto* what = world_.at(at).find(store, master)) {
                world_.detach(at, what->id);
            }
        }
    }

    void cut_network() {
        std::vector<unsigned> groups(world_.size(), 0);
        if (random_.chance(1, 2)) {
            groups[any_slot()] = 1;
        } else {
            for (auto& group : groups) {
                group = static_cast<unsigned>(random_.below(2));
            }
        }
        world_.partition(std::move(groups));
        partitioned_ = true;
        const auto number = ++partitions_;
        world_.after(between(random_, nanoseconds{100ms}, nanoseconds{8s}), [this, number] {
            if (number == partitions_) {
                partitioned_ = false;
                world_.heal();
            }
        });
    }

    // -- Failover by an operator ------------------------------------------------------------------

    [[nodiscard]] bool all_whole(store_index store, slot_index master) {
        return std::ranges::all_of(plan_.stores[store].standbys, [&](slot_index at) {
            auto* standby = world_.clone_at(at, store);
            return at == master || (standby != nullptr && standby->stored() > 0);
        });
    }

    /// Takes the master away, by a crash or a partition, when all its standbys have a copy.
    void begin_fail_over(store_index store) {
        const auto& spec = plan_.stores[store];
        const auto master = world_.master_of(store);
        if (spec.over != failover::by_operator || failing_over_ || partitioned_ || !master
            || *master != home_[store] || !all_whole(store, *master)) {
            return;
        }
        for (slot_index at = 0; at < world_.size(); ++at) {
            if (!world_.alive(at)) {
                return;
            }
        }
        failing_over_ = true;
        ++partitions_;
        if (spec.master.sync_replicas == 0 && random_.chance(1, 3)) {
            // While it goes on: what only it has is orphaned.
        } else if (random_.chance(1, 2)) {
            taken_away_ = *master;
            world_.crash(*master);
        } else {
            std::vector<unsigned> groups(world_.size(), 0);
            groups[*master] = 1;
            world_.partition(std::move(groups));
        }
        world_.after(between(random_, nanoseconds{1ms}, nanoseconds{3s}),
                     [this, store, old = *master] { promote_best(store, old); });
    }

    void promote_best(store_index store, slot_index old) {
        std::optional<slot_index> best;
        for (const auto at : plan_.stores[store].standbys) {
            auto* standby = world_.clone_at(at, store);
            if (at != old && standby != nullptr
                && (!best || world_.clone_at(*best, store)->rank() < standby->rank())) {
                best = at;
            }
        }
        // All but the old one must be there, else the best of them may be away.
        if (!best || !all_whole(store, old) || world_.promote(*best, store)) {
            world_.after(100ms, [this, store, old] { promote_best(store, old); });
            return;
        }
        home_[store] = *best;
        world_.after(100ms, [this, store, old] { await_followers(store, old); });
    }

    /// The old one must not find anybody who still follows it.
    void await_followers(store_index store, slot_index old) {
        const auto home = home_[store];
        const auto* master = world_.master_at(home, store);
        const bool follow = std::ranges::all_of(plan_.stores[store].standbys, [&](slot_index at) {
            const auto* standby = world_.clone_at(at, store);
            return at == home || at == old
                   || (master != nullptr && standby != nullptr && standby->status().attached
                       && standby->status().master == world_.at(home).id
                       && standby->stored() >= master->who().epochs.back().first);
        });
        if (!follow) {
            world_.after(100ms, [this, store, old] { await_followers(store, old); });
            return;
        }
        world_.heal();
        world_.restart(old);
        failing_over_ = false;
        taken_away_.reset();
    }

    /// Where the electors cannot agree, as most of them never had a copy, an operator must choose.
    void help_electors() {
        for (store_index store = 0; store < home_.size(); ++store) {
            const auto& spec = plan_.stores[store];
            if (spec.over != failover::by_election || world_.master_of(store)) {
                continue;
            }
            std::optional<slot_index> best;
            unsigned with_copy = 0;
            for (const auto at : spec.standbys) {
                auto* standby = world_.clone_at(at, store);
                if (standby == nullptr || standby->who().store.is_nil()) {
                    continue;
                }
                ++with_copy;
                if (!best || world_.clone_at(*best, store)->rank() < standby->rank()) {
                    best = at;
                }
            }
            if (best && with_copy <= spec.standbys.size() / 2) {
                world_.promote(*best, store);
            }
        }
    }

    /// Everything heals, and comes to rest in bounded time.
    void rest() {
        ++partitions_;
        world_.heal();
        world_.set_conditions(plan_.calm);
        for (slot_index at = 0; at < world_.size(); ++at) {
            world_.restart(at);
            world_.at(at).pace = 10us;
            for (store_index store = 0; store < home_.size(); ++store) {
                world_.disk(at, store).set_full(false);
            }
        }
        if (random_.chance(1, 2)) {
            world_.run_for(between(random_, nanoseconds{0}, nanoseconds{3s}));
        }
        load_.stop();
        // What was on its way in the storm has come, and restarts are done.
        world_.run_for(5s);
        help_electors();
        if (!world_.run_until([this] { return !sound() || book_.unrest().empty(); }, 600s, 500ms)) {
            for (const auto& each : book_.unrest()) {
                book_.fail(each);
            }
        }
        if (sound()) {
            book_.judge();
        }
    }

    prng random_;
    plan plan_;
    world world_;
    book book_;
    load load_;
    std::vector<slot_index> home_;                         // of each store's master
    std::set<std::pair<slot_index, store_index>> clones_;  // wanted
    bool storming_ = true;
    bool failing_over_ = false;
    std::optional<slot_index> taken_away_;  ///< by the operator: no earlier crash's end brings it back
    bool partitioned_ = false;
    unsigned partitions_ = 0;
};

}  // namespace

run_report run_stores(const run_options& options) { return swarm{options}.run(); }

}  // namespace bzmq::sim::stores
