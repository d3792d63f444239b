#include <gtest/gtest.h>

#include <chrono>

#include "sim/random.hpp"
#include "sim/stores_book.hpp"
#include "sim/stores_load.hpp"
#include "sim/stores_swarm.hpp"
#include "sim/stores_world.hpp"

namespace bzmq::sim::stores {
namespace {

using namespace std::chrono_literals;
using replica::operation;

/// Endpoints with one store: its master at the first one, clones at the others.
struct scene {
    world net;
    book notes{net};
    load writers{net, notes, 5};
    store_index store = 0;

    explicit scene(unsigned endpoints, store_spec spec = {}, std::uint64_t seed = 1) : net(seed) {
        spec.name = "s";
        net.set_view_delay(50ms);
        store = net.add_store(std::move(spec));
        for (unsigned i = 0; i < endpoints; ++i) {
            net.add_endpoint();
        }
        notes.set_counted(store);
        writers.set_counted(store);
        EXPECT_FALSE(net.attach_master(0, store));
        for (slot_index at = 1; at < endpoints; ++at) {
            EXPECT_FALSE(net.attach_clone(at, store));
        }
    }
    [[nodiscard]] bool rests(nanoseconds limit = 60s) {
        return net.run_until([this] { return notes.unrest().empty(); }, limit, 50ms);
    }
    void write_for(nanoseconds span, load_options options = {}) {
        writers.start(options);
        net.run_for(span);
        writers.stop();
    }
    [[nodiscard]] std::string trouble() {
        notes.judge();
        auto out = net.complaint();
        for (const auto& each : notes.failures()) {
            out += each + "\n";
        }
        for (const auto& each : notes.unrest()) {
            out += each + "\n";
        }
        return out;
    }
};

TEST(store_simulator, a_seed_repeats_exactly) {
    for (const std::uint64_t seed : {3, 7, 21}) {
        const auto first = run_stores({seed, {}, false});
        const auto second = run_stores({seed, {}, false});
        EXPECT_EQ(first.trace_hash, second.trace_hash) << seed;
        EXPECT_EQ(first.events, second.events) << seed;
        EXPECT_EQ(first.deliveries, second.deliveries) << seed;
    }
    EXPECT_NE(run_stores({1, {}, false}).trace_hash, run_stores({2, {}, false}).trace_hash);
}

TEST(store_scene, clones_become_equal_to_their_master) {
    scene here{4};
    here.write_for(5s);
    EXPECT_TRUE(here.rests());
    EXPECT_EQ(here.trouble(), "");
    EXPECT_GT(here.notes.done(), 100U);
}

TEST(store_scene, every_write_is_done_once_over_a_network_that_loses_and_doubles) {
    scene here{4};
    conditions bad;
    bad.lost = 2'000;
    bad.duplicated = 2'000;
    bad.ordered = false;
    here.net.set_conditions(bad);
    here.write_for(10s);
    here.net.set_conditions({});
    EXPECT_TRUE(here.rests());
    EXPECT_EQ(here.trouble(), "");
}

TEST(store_scene, a_durable_master_keeps_what_it_acknowledged_over_crashes) {
    store_spec spec;
    spec.durable = true;
    scene here{3, spec};
    for (int round = 0; round < 10; ++round) {
        here.write_for(1s);
        here.net.crash(0);
        here.net.run_for(300ms);
        here.net.restart(0);
        EXPECT_TRUE(here.net.run_until([&] { return !here.net.attach_master(0, here.store); }, 10s,
                                       100ms));
    }
    EXPECT_TRUE(here.rests());
    EXPECT_EQ(here.trouble(), "");
}

TEST(store_scene, a_clone_in_the_smaller_part_goes_stale_and_catches_up) {
    store_spec spec;
    spec.clone.stale_interval = 2s;
    scene here{3, spec};
    here.write_for(1s);
    EXPECT_TRUE(here.rests());
    here.net.partition({0, 0, 1});
    here.write_for(5s);
    EXPECT_TRUE(here.net.clone_at(2, here.store)->status().stale);
    EXPECT_TRUE(here.net.clone_at(2, here.store)->status().synced);
    EXPECT_LT(here.net.clone_at(2, here.store)->applied(),
              here.net.master_at(0, here.store)->last());
    here.net.heal();
    EXPECT_TRUE(here.rests());
    EXPECT_EQ(here.trouble(), "");
}

TEST(store_scene, snapshots_and_gaps_all_the_time_change_nothing) {
    store_spec spec;
    spec.master.log_bytes = 500;
    spec.master.window_bytes = 600;
    spec.master.frame_bytes = 200;
    spec.clone.window_bytes = 300;
    spec.clone.frame_bytes = 100;
    scene here{4, spec};
    conditions bad;
    bad.lost = 500;
    here.net.set_conditions(bad);
    for (int round = 0; round < 5; ++round) {
        here.write_for(2s);
        here.net.partition({0, 1, 0, 1});
        here.write_for(4s);
        here.net.heal();
    }
    here.net.set_conditions({});
    EXPECT_TRUE(here.rests(300s));
    EXPECT_EQ(here.trouble(), "");
}

TEST(store_scene, a_full_disk_stops_writes_and_nothing_else) {
    store_spec spec;
    spec.durable = true;
    scene here{3, spec};
    here.write_for(1s);
    here.net.set_disk_full(0, here.store, true);
    here.write_for(3s);
    here.net.set_disk_full(0, here.store, false);
    here.write_for(1s);
    EXPECT_TRUE(here.rests());
    EXPECT_EQ(here.trouble(), "");
}

/// The book must find what is wrong: it is told of states that nobody had.
TEST(store_canary, a_state_that_no_master_had_is_found) {
    lineage line;
    const replica::identity who{endpoint_id{endpoint_id::bytes_type{1}}, {{10, 1}, {20, 4}}};
    EXPECT_EQ(line.note(who, 3, 333), "");
    EXPECT_EQ(line.note(who, 4, 444), "");
    EXPECT_EQ(line.note(who, 4, 444), "");
    EXPECT_NE(line.note(who, 4, 445), "") << "one entry, two states";
    EXPECT_EQ(line.hash_at(who, 9), 444U);
    EXPECT_EQ(line.hash_at({who.store, {{10, 1}}}, 9), 333U) << "the fourth entry is another one";
    line.note_committed(who, 4);
    EXPECT_TRUE(line.committed(who, 4));
    EXPECT_FALSE(line.committed(who, 5));
    EXPECT_TRUE(line.committed({who.store, {{10, 1}}}, 3));
    EXPECT_FALSE(line.committed({who.store, {{10, 1}}}, 4));
}

TEST(store_canary, a_lost_acknowledged_write_is_found_unless_it_was_handed_out) {
    lineage line;
    const replica::identity who{endpoint_id{endpoint_id::bytes_type{1}}, {{10, 1}}};
    line.note_acknowledged({10, 5});
    EXPECT_FALSE(line.lost(who, 5));
    EXPECT_TRUE(line.lost(who, 4));
    const replica::identity heir{who.store, {{10, 1}, {30, 5}}};
    EXPECT_TRUE(line.lost(heir, 9)) << "its fifth entry is another one";
    line.note_orphans(who, 5, 7);
    EXPECT_FALSE(line.lost(heir, 9));
}

TEST(store_canary, a_write_without_an_answer_is_found) {
    scene here{2};
    EXPECT_TRUE(here.rests());
    write_note note;
    note.by = here.net.at(0).find(here.store, true)->id;
    here.notes.submitting(note);
    EXPECT_FALSE(here.rests(2s));
}

TEST(store_canary, a_write_that_shows_twice_is_found) {
    scene here{2};
    EXPECT_TRUE(here.rests());
    const auto id = here.net.at(0).find(here.store, true)->id;
    write_note note;
    note.store = here.store;
    note.by = id;
    note.tagged = {key_bytes(data{"v0"})};
    const auto to = here.notes.submitting(note);
    const auto push = make_command(operation::push, data{"v0"}, data{count{to}});
    here.net.submit(0, id, to, push);
    here.net.submit(0, id, 0, push);
    EXPECT_TRUE(here.rests());
    EXPECT_NE(here.trouble(), "");
}

}  // namespace
}  // namespace bzmq::sim::stores
