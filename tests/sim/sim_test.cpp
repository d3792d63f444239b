#include <gtest/gtest.h>

#include "sim/checkers.hpp"
#include "sim/network.hpp"
#include "sim/random.hpp"
#include "sim/scenario.hpp"
#include "sim/topologies.hpp"
#include "sim/workload.hpp"
#include "wire/records.hpp"

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

namespace bzmq::sim {
namespace {

using namespace std::chrono_literals;

/// A network with equal costs whose edges are dialled at once, with a ledger and a workload.
struct world {
    network net;
    ledger book{net};
    workload load{net, book, 7};

    explicit world(std::uint32_t nodes, const std::vector<edge>& edges = {}, std::uint64_t seed = 1)
        : net(seed) {
        node::hub_options options;
        options.link_cost = 1;
        options.retry_max = 1s;
        for (std::uint32_t i = 0; i < nodes; ++i) {
            net.add_node(options);
        }
        for (const auto& [from, to] : edges) {
            net.add_target(from, to);
        }
    }
    node::subscriber_id subscribe(node_index at, std::vector<std::string> prefixes) {
        return net.add_subscriber(at, {std::move(prefixes), 0, {}});
    }
    [[nodiscard]] bool settles(nanoseconds limit = 30s) {
        return net.run_until([this] { return check_views(net, true).empty(); }, limit, 10ms);
    }
    [[nodiscard]] bool all_come(nanoseconds limit = 30s) {
        return net.run_until([this] { return load.stuck().empty() && book.outstanding() == 0; },
                             limit, 10ms);
    }
    [[nodiscard]] std::string trouble() const {
        std::string out = net.complaint();
        for (const auto& failure : book.failures()) {
            out += failure + "\n";
        }
        for (const auto& one : book.missing(3)) {
            out += one + "\n";
        }
        return out;
    }
    [[nodiscard]] std::uint64_t sum(std::uint64_t node::hub_counters::*what) {
        std::uint64_t out = 0;
        for (node_index at = 0; at < net.size(); ++at) {
            out += net.alive(at) ? net.hub_of(at).counters().*what : 0;
        }
        return out;
    }
};

const std::vector<edge> diamond{{0, 1}, {1, 3}, {0, 2}, {2, 3}};

// -- The simulator itself -------------------------------------------------------------------------

TEST(simulator, a_seed_repeats_exactly) {
    for (const std::uint64_t seed : {3, 44, 104}) {
        const auto first = run_swarm({seed, {}, false});
        const auto second = run_swarm({seed, {}, false});
        EXPECT_EQ(first.trace_hash, second.trace_hash) << seed;
        EXPECT_EQ(first.events, second.events) << seed;
    }
    EXPECT_NE(run_swarm({1, {}, false}).trace_hash, run_swarm({2, {}, false}).trace_hash);
}

TEST(canary, views_that_differ_from_the_truth_are_found) {
    world here{3, {{0, 1}, {1, 2}}};
    here.subscribe(2, {"/a"});
    EXPECT_FALSE(check_views(here.net, true).empty()) << "nobody is connected yet";
    ASSERT_TRUE(here.settles());
    here.net.crash(2, false);
    EXPECT_FALSE(check_views(here.net, true).empty()) << "nobody has noticed yet";
}

TEST(canary, a_lost_reliable_message_is_found) {
    world here{2, {{0, 1}}};
    here.subscribe(1, {"/a"});
    ASSERT_TRUE(here.settles());
    here.book.prepare(here.book.next(here.net.life_of(0), delivery_mode::reliable), "/a");
    EXPECT_FALSE(here.all_come(5s)) << "the ledger waits for what was never sent";
    EXPECT_EQ(here.book.missing(10).size(), 1U);
}

class canary_delivery : public testing::Test {
  protected:
    /// Tells the ledger that node 1 got a message, as a broken hub might.
    void deliver(std::uint64_t number, const std::string& topic, std::uint8_t hops = 1) {
        const identity who{here.net.life_of(0), delivery_mode::best_effort, number, no_life};
        const auto payload = encode(who, 0);
        std::vector<std::byte> bytes(wire::record_size(topic, payload.size(), false));
        std::copy(payload.begin(), payload.end(),
                  wire::put_record_head(bytes.data(), topic, payload.size(), false));
        auto* batch = new message_batch;
        const batch_ptr owner{batch};
        batch->records = shared_bytes::copy_of(bytes);
        batch->origin = here.net.id_of(who.origin);
        batch->count = 1;
        batch->hops = hops;
        here.book.delivered(here.net.life_of(1), std::span{&subscriber, 1}, *batch);
    }
    void SetUp() override {
        subscriber = here.subscribe(1, {"/a"});
        ASSERT_TRUE(here.settles());
        for (int i = 0; i < 3; ++i) {
            here.book.prepare(here.book.next(here.net.life_of(0), delivery_mode::best_effort),
                              "/a");
        }
        ASSERT_TRUE(here.book.failures().empty());
    }
    [[nodiscard]] bool failed_with(const std::string& text) const {
        const auto& all = here.book.failures();
        return std::any_of(all.begin(), all.end(), [&](const std::string& one) {
            return one.find(text) != std::string::npos;
        });
    }
    world here{2, {{0, 1}}};
    node::subscriber_id subscriber = 0;
};

TEST_F(canary_delivery, what_is_right_passes) {
    deliver(1, "/a");
    deliver(3, "/a");
    EXPECT_TRUE(here.book.failures().empty()) << here.trouble();
}
TEST_F(canary_delivery, a_duplicate_is_found) {
    deliver(2, "/a");
    deliver(2, "/a");
    EXPECT_TRUE(failed_with("twice"));
}
TEST_F(canary_delivery, a_wrong_order_is_found) {
    deliver(2, "/a");
    deliver(1, "/a");
    EXPECT_TRUE(failed_with(" after 2"));
}
TEST_F(canary_delivery, a_message_nobody_published_is_found) {
    deliver(4, "/a");
    EXPECT_TRUE(failed_with("not published"));
}
TEST_F(canary_delivery, a_delivery_without_a_subscription_is_found) {
    here.net.set_filter(1, subscriber, {"/b"});
    deliver(1, "/a");
    EXPECT_TRUE(failed_with("match"));
}
TEST_F(canary_delivery, data_of_an_endpoint_out_of_reach_is_found) {
    here.net.crash(0, true);
    here.net.run_for(5s);
    deliver(1, "/a");
    EXPECT_TRUE(failed_with("not within its reach"));
}

TEST(canary, best_effort_is_not_reliable) {
    // On links that lose frames and break, best effort must lose what the ledger would demand of
    // reliable mode; otherwise the faults do not bite.
    world here{4, diamond};
    here.subscribe(3, {"/"});
    ASSERT_TRUE(here.settles());
    here.book.set_calm(true);
    for (int i = 0; i < 500; ++i) {
        here.load.publish(0, delivery_mode::best_effort, {"/a"});
        if (i % 20 == 0) {
            here.net.break_random_connection(telling::nobody);
        }
        here.net.run_for(20ms);
    }
    EXPECT_FALSE(here.all_come(20s)) << "nothing was lost";
}

// -- Named scenarios ------------------------------------------------------------------------------

TEST(scenario, a_relay_repairs_the_tree_when_its_next_hop_dies) {
    // 0 - 1 - 2 - 4 and 1 - 3 - 4: node 1 relays to 4 by one of two equal ways.
    world here{5, {{0, 1}, {1, 2}, {1, 3}, {2, 4}, {3, 4}}};
    here.subscribe(4, {"/a"});
    ASSERT_TRUE(here.settles());
    const auto id = here.net.id_of(here.net.life_of(4));
    here.load.publish(0, delivery_mode::reliable, {"/a"});
    ASSERT_TRUE(here.all_come());
    // Whichever way it takes, it dies while node 0 does not know yet.
    node_index victim = 2;
    for (const auto& entry : here.net.hub_of(1).topology()) {
        if (entry.id == id && entry.next_hop == here.net.id_of(here.net.life_of(3))) {
            victim = 3;
        }
    }
    here.book.set_calm(true);
    here.net.crash(victim, true);
    const auto lost = [&] {
        return here.book.count(here.net.life_of(1), sc::peer_lost, victim) > 0;
    };
    // Frames that are on their way from 0 when 1 hears of the loss need the repair.
    while (!lost()) {
        here.net.run_for(10us);
    }
    here.load.publish(0, delivery_mode::best_effort, {"/a"});
    EXPECT_TRUE(here.all_come(5s)) << here.trouble();
    EXPECT_TRUE(here.book.failures().empty()) << here.trouble();
}

TEST(scenario, traffic_survives_a_killed_relay_in_reliable_mode) {
    world here{4, diamond};
    here.subscribe(3, {"/a"});
    ASSERT_TRUE(here.settles());
    for (int i = 0; i < 200; ++i) {
        here.load.publish(0, delivery_mode::reliable, {"/a", "/a/x"});
        here.net.run_for(1ms);
        if (i == 50) {
            here.net.crash(1, true);
        }
        if (i == 100) {
            here.net.restart(1);
        }
        if (i == 150) {
            here.net.run_for(2s);
            here.net.crash(2, false);
        }
    }
    EXPECT_TRUE(here.all_come()) << here.trouble();
    EXPECT_EQ(here.book.deliveries(), here.book.prepared());
    EXPECT_TRUE(here.book.failures().empty()) << here.trouble();
}

TEST(scenario, both_sides_peering_keep_one_link) {
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
        world here{2, {{0, 1}, {1, 0}}, seed};
        here.net.run_for(10s);
        EXPECT_EQ(here.net.open_connections(), 1U) << seed;
        EXPECT_EQ(check_views(here.net, true), std::vector<std::string>{}) << seed;
        EXPECT_EQ(here.book.count(0, sc::peer_added, 1), 1U) << seed;
        EXPECT_EQ(here.book.count(0, sc::peer_lost, 1), 0U) << seed;
        EXPECT_TRUE(here.book.failures().empty()) << here.trouble();
    }
}

TEST(scenario, views_agree_after_a_partition_heals) {
    for (const auto how : {cut::hold, cut::hold_one, cut::reset, cut::vanish}) {
        world here{
            8, {{0, 1}, {1, 2}, {2, 3}, {3, 0}, {4, 5}, {5, 6}, {6, 7}, {7, 4}, {0, 4}, {2, 6}}};
        ASSERT_TRUE(here.settles());
        here.net.partition({0, 0, 0, 0, 1, 1, 1, 1}, how);
        here.net.run_for(8s);
        EXPECT_FALSE(here.net.hub_of(0).reachable(here.net.id_of(here.net.life_of(5))));
        // Both halves change while they are apart.
        here.subscribe(1, {"/a"});
        here.subscribe(5, {"/b"});
        here.net.run_for(2s);
        here.net.heal_partition();
        EXPECT_TRUE(here.settles()) << check_views(here.net, true).front();
        EXPECT_TRUE(here.book.failures().empty()) << here.trouble();
    }
}

TEST(scenario, a_half_open_link_is_lost_within_the_peer_timeout) {
    world here{2, {{0, 1}}};
    ASSERT_TRUE(here.settles());
    here.net.run_for(5s);
    ASSERT_TRUE(here.net.break_connection(0, 1, telling::nobody));
    const auto cut_at = here.net.now();
    const auto both_know = [&] {
        return here.book.count(0, sc::peer_lost, 1) == 1
               && here.book.count(1, sc::peer_lost, 0) == 1;
    };
    EXPECT_TRUE(here.net.run_until(both_know, 10s, 1ms));
    EXPECT_LE(here.net.now() - cut_at, here.net.options_of(0).peer_timeout + 10ms);
    EXPECT_TRUE(here.settles());
}

TEST(scenario, a_frozen_relay_is_passed_by) {
    world here{4, diamond};
    here.subscribe(3, {"/a"});
    ASSERT_TRUE(here.settles());
    here.net.freeze(1, 8s);
    for (int i = 0; i < 100; ++i) {
        here.load.publish(0, delivery_mode::reliable, {"/a"});
        here.net.run_for(10ms);
    }
    EXPECT_TRUE(here.all_come(6s)) << here.trouble();
    EXPECT_TRUE(here.settles());
    EXPECT_TRUE(here.book.failures().empty()) << here.trouble();
}

TEST(scenario, data_sent_before_leaving_arrives_before_the_goodbye) {
    world here{2, {{0, 1}}};
    here.subscribe(1, {"/a"});
    ASSERT_TRUE(here.settles());
    here.book.set_calm(true);
    for (int i = 0; i < 100; ++i) {
        here.load.publish(0, delivery_mode::best_effort, {"/a"});
    }
    const auto published = here.book.prepared();
    here.net.leave(0, 5s);
    here.net.run_for(6s);
    EXPECT_EQ(here.book.deliveries(), published);
    EXPECT_EQ(here.book.count(1, sc::peer_removed, 0), 1U);
    EXPECT_EQ(here.book.count(1, sc::peer_lost, 0), 0U);
    EXPECT_TRUE(here.book.failures().empty()) << here.trouble();
}

TEST(scenario, a_session_heals_loss_duplication_and_reordering) {
    world here{3, {{0, 1}, {1, 2}}};
    here.subscribe(2, {"/a"});
    ASSERT_TRUE(here.settles());
    auto conditions = here.net.conditions();
    conditions.lost = conditions.duplicated = conditions.reordered = 1'000;
    here.net.set_conditions(conditions);
    here.book.set_calm(true);  // The session heals best effort too, as long as the link stands.
    for (int i = 0; i < 500; ++i) {
        here.load.publish(0, delivery_mode::best_effort, {"/a"});
        here.net.run_for(2ms);
    }
    here.net.set_conditions({});
    EXPECT_TRUE(here.all_come()) << here.trouble();
    EXPECT_TRUE(here.book.failures().empty()) << here.trouble();
}

TEST(scenario, one_slow_subscriber_stalls_nobody_else_and_memory_stays_bounded) {
    network net{5};
    ledger book{net};
    workload load{net, book, 5};
    node::hub_options options;
    options.link_cost = 1;
    options.peer_queue_bytes = 256 * 1024;
    options.link_window_bytes = 64 * 1024;
    options.frame_bytes = 8 * 1024;
    for (int i = 0; i < 3; ++i) {
        net.add_node(options);
    }
    net.add_target(1, 0);
    net.add_target(2, 0);
    net.add_subscriber(1, {{"/a"}, 4, 50ms});  // blocks
    net.add_subscriber(2, {{"/a"}, 0, {}});
    net.run_for(2s);
    const std::string topic = "/a";
    std::vector<std::string> batch(20, topic);
    for (int i = 0; i < 3'000; ++i) {
        load.publish(0, delivery_mode::best_effort, batch);
        net.run_for(500us);
    }
    EXPECT_GT(net.hub_of(0).counters().dropped_overflow, 0U);
    // One queue, what is in flight, and what waits for acknowledgement.
    EXPECT_LT(book.buffered_high(), 256U * 1024 + 4 * 64 * 1024);
    EXPECT_EQ(net.hub_of(2).counters().delivered, net.hub_of(0).counters().published);
    EXPECT_TRUE(book.failures().empty());
}

TEST(scenario, a_subscription_costs_no_more_than_its_flood) {
    prng random{9};
    for (unsigned kind = 0; kind < topology_kinds; ++kind) {
        world here{12, make_topology(static_cast<topology_kind>(kind), 12, 4, random)};
        ASSERT_TRUE(here.settles());
        here.net.run_for(5s);
        EXPECT_EQ(check_flood_cost(here.net, 5), std::nullopt) << kind;
    }
}

TEST(scenario, a_thousand_endpoints_converge) {
    prng random{11};
    world here{1'000, make_topology(topology_kind::random_degree, 1'000, 4, random)};
    here.subscribe(999, {"/far"});
    const auto agree = [&] {
        const auto hash = here.net.hub_of(0).view_hash();
        for (node_index at = 1; at < here.net.size(); ++at) {
            if (here.net.hub_of(at).view_hash() != hash) {
                return false;
            }
        }
        return here.net.hub_of(0).topology().size() == here.net.size();
    };
    ASSERT_TRUE(here.net.run_until(agree, 60s, 100ms));
    EXPECT_TRUE(here.net.run_until([&] { return here.net.hub_of(0).receiver_count("/far/x") == 1; },
                                   10s, 100ms));
    here.net.run_for(3s);
    here.book.set_calm(true);
    here.load.publish(0, delivery_mode::best_effort, {"/far/x"});
    EXPECT_TRUE(here.all_come(10s)) << here.trouble();
}

}  // namespace
}  // namespace bzmq::sim
