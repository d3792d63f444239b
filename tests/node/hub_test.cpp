// The hub over perfect pipes: what must hold even before anything goes wrong. Faults are the
// simulator's business (tests/sim).
#include "node/hub.hpp"

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <optional>

#include <gtest/gtest.h>

#include "node/pipes.hpp"
#include "overlay/record_codec.hpp"
#include "wire/frames.hpp"
#include "wire/records.hpp"

namespace bzmq::node {
namespace {

TEST(hub, discovers_then_adds_a_peer_and_delivers) {
    pipes net{2};
    net.at(1).add_subscriber(net.now, 1, {"/a"});
    net.peer(0, 1);
    ASSERT_EQ(net.hosts[0]->notices.size(), 2U) << net.hosts[0]->notices.front();
    EXPECT_EQ(net.hosts[0]->notices[0].substr(0, 19), "endpoint_discovered");
    EXPECT_EQ(net.hosts[0]->notices[1].substr(0, 10), "peer_added");
    EXPECT_EQ(net.at(0).receiver_count("/a/b"), 1U);
    net.publish(0, "/a/b", "x");
    net.publish(0, "/b", "y");
    net.run();
    EXPECT_EQ(net.hosts[1]->received, std::vector<std::string>{"/a/b=x"});
}

TEST(hub, refuses_more_peers_than_its_record_may_name) {
    pipes net{4, [](hub_options& options) { options.peers_max = 2; }};
    net.peer(1, 0);
    net.peer(2, 0);
    const auto of_2 = net.last_target;
    net.peer(3, 0);
    EXPECT_EQ(net.at(3).target_status(net.last_target).last_error, ec::peer_unavailable);
    EXPECT_NE(net.at(3).target_status(net.last_target).last_error.message().find(
                  "2 peers, as many as an endpoint may have"),
              std::string::npos);
    EXPECT_EQ(net.at(0).topology().size(), 3U);
    EXPECT_TRUE(net.at(1).reachable(pipes::id(2)));
    net.peer(0, 3);  // Nor does it take one more that it dials itself.
    EXPECT_EQ(net.at(0).topology().size(), 3U);
    net.at(0).remove_target(net.now, net.last_target);
    net.peer(1, 0);  // A second link to a peer that it has is none more.
    EXPECT_EQ(net.at(0).topology().size(), 3U);
    net.at(2).remove_target(net.now, of_2);
    net.run(20s);  // Whoever was refused tries again.
    EXPECT_TRUE(net.at(0).reachable(pipes::id(3)));
}

TEST(hub, tries_again_after_the_fixed_pause_where_there_is_one) {
    pipes net{2};
    net.at(0).add_target(net.now, 77, "n1", true, 7s);
    net.dials[77] = 1;
    const auto begun = net.now;
    for (int failure = 1; failure <= 5; ++failure) {
        net.at(0).tick(net.now);
        ASSERT_EQ(net.queue.size(), 1U) << "dials when it is due";
        net.queue.clear();
        net.at(0).connect_failed(net.now, 77, error{ec::peer_unavailable});
        net.now = begun + failure * 7s - 1ns;
        net.at(0).tick(net.now);
        EXPECT_TRUE(net.queue.empty()) << "not before";
        net.now += 1ns;
    }
    net.run();
    EXPECT_TRUE(net.at(0).reachable(pipes::id(1)));
}

TEST(hub, keeps_one_link_when_both_sides_peer) {
    pipes net{2};
    net.peer(0, 1);
    net.peer(1, 0);
    net.run(3s);
    EXPECT_EQ(net.far.size(), 2U);
    EXPECT_EQ(net.at(0).peers().size(), 1U);
    EXPECT_EQ(net.at(1).peers().size(), 1U);
    EXPECT_EQ(net.hosts[0]->notices.size(), 2U);
    EXPECT_EQ(net.hosts[1]->notices.size(), 2U);
}

TEST(hub, routes_across_a_ring_once_and_around_a_cut) {
    pipes net{5};
    for (std::size_t i = 0; i < 5; ++i) {
        net.peer(i, (i + 1) % 5);
    }
    net.at(2).add_subscriber(net.now, 1, {"t"});
    net.at(3).add_subscriber(net.now, 1, {"t"});
    net.run();
    for (std::size_t i = 0; i < 5; ++i) {
        EXPECT_EQ(net.at(i).view_hash(), net.at(0).view_hash());
    }
    net.publish(0, "t", "1");
    net.run();
    EXPECT_EQ(net.hosts[2]->received, std::vector<std::string>{"t=1"});
    EXPECT_EQ(net.hosts[3]->received, std::vector<std::string>{"t=1"});
    net.cut(1, 2);
    net.publish(0, "t", "2");
    net.run();
    EXPECT_EQ(net.hosts[2]->received, (std::vector<std::string>{"t=1", "t=2"}));
    EXPECT_EQ(net.hosts[3]->received, (std::vector<std::string>{"t=1", "t=2"}));
}

TEST(hub, pings_across_hops_and_tells_the_path) {
    pipes net{3};
    net.peer(0, 1);
    net.peer(1, 2);
    net.run();
    net.at(0).ping(net.now, 7, pipes::id(2));
    net.run();
    ASSERT_EQ(net.hosts[0]->pongs.size(), 1U);
    EXPECT_EQ(net.hosts[0]->pongs[0], (std::vector<endpoint_id>{pipes::id(1), pipes::id(2)}));
    net.at(0).confirm_filter(net.now, 9);
    net.run();
    EXPECT_EQ(net.hosts[0]->confirmed, 1U);
}

TEST(hub, reliable_messages_survive_a_relay_that_vanishes) {
    pipes net{4};
    net.link_diamond();
    net.at(3).add_subscriber(net.now, 1, {"t"});
    net.run();
    std::vector<std::string> expected;
    for (int i = 0; i < 100; ++i) {
        net.publish(0, "t", std::to_string(i), delivery_mode::reliable);
        expected.push_back("t=" + std::to_string(i));
        if (i == 50) {
            net.cut(1, 3);
            net.cut(0, 1);
        }
    }
    net.run(3s);
    EXPECT_EQ(net.hosts[3]->received, expected);
}

TEST(hub, sends_what_a_broken_link_held_by_another_way) {
    pipes net{4};
    net.link_diamond();
    net.at(3).add_subscriber(net.now, 1, {"t"});
    net.run();
    std::vector<std::string> expected;
    for (int i = 0; i < 50; ++i) {
        net.publish(0, "t", std::to_string(i));
        expected.push_back("t=" + std::to_string(i));
    }
    // Nothing has left yet, whichever of the two ways it was to take.
    net.cut(0, net.next_hop(0, 3));
    net.run(3s);
    EXPECT_EQ(net.hosts[3]->received, expected);
}

/// Of three messages from 0 to 3 the first has come, the second is late on a path that is cut behind
/// it, and the third goes another way. The first relay of the old path.
auto leave_one_on_the_old_path(pipes& net) {
    net.link_diamond();
    net.at(3).add_subscriber(net.now, 1, {"t"});
    net.run();
    net.publish(0, "t", "1");
    net.run(5ms);
    const auto relay = net.next_hop(0, 3);
    net.slow_down(relay, 3);
    net.publish(0, "t", "2");
    net.run(5ms);
    net.reachable = false;
    net.cut(0, relay);
    net.publish(0, "t", "3");
    return relay;
}

TEST(hub, what_takes_a_new_path_waits_for_what_is_still_on_the_old_one) {
    pipes net{4};
    const auto relay = leave_one_on_the_old_path(net);
    net.publish(0, "t", "4");
    net.run(100ms);
    EXPECT_NE(net.next_hop(0, 3), relay);
    EXPECT_EQ(net.hosts[3]->received, std::vector<std::string>{"t=1"}) << "overtaken, not lost";
    net.hurry();
    net.run(5ms);
    EXPECT_EQ(net.hosts[3]->received, (std::vector<std::string>{"t=1", "t=2", "t=3", "t=4"}));
    EXPECT_EQ(net.at(3).counters().dropped_late, 0U);
    EXPECT_EQ(net.at(3).counters().gaps, 0U);
}

TEST(hub, what_an_old_path_never_brings_is_waited_for_only_so_long) {
    pipes net{4};
    leave_one_on_the_old_path(net);
    net.run(hub_options{}.reorder_hold + 10ms);
    EXPECT_EQ(net.hosts[3]->received, (std::vector<std::string>{"t=1", "t=3"}));
    EXPECT_EQ(net.at(3).counters().gaps, 1U);
    net.hurry();
    net.run(5ms);
    EXPECT_EQ(net.hosts[3]->received, (std::vector<std::string>{"t=1", "t=3"})) << "never behind";
    EXPECT_EQ(net.at(3).counters().dropped_late, 1U);
}

TEST(hub, what_is_lost_on_the_same_path_holds_nothing_up) {
    pipes net{3, [](hub_options& options) {
        if (options.self == pipes::id(1)) {
            options.peer_queue_bytes = 1;  // The relay takes one section at a time.
        }
    }};
    net.peer(0, 1);
    net.peer(1, 2);
    net.at(2).add_subscriber(net.now, 1, {"t"});
    net.run();
    net.publish(0, "t", "1");
    net.run(5ms);
    for (const auto* each : {"2", "dropped"}) {  // In one frame.
        const auto bytes = one_record("t", each);
        net.at(0).publish(net.now, timestamp{}, delivery_mode::best_effort, bytes, 0);
    }
    net.run(5ms);
    ASSERT_EQ(net.at(1).counters().dropped_overflow, 1U);
    net.publish(0, "t", "4");
    net.run(5ms);
    EXPECT_EQ(net.hosts[2]->received, (std::vector<std::string>{"t=1", "t=2", "t=4"}));
    EXPECT_EQ(net.at(2).counters().gaps, 1U);
}

TEST(hub, reliable_messages_wait_for_a_receiver_that_comes_back) {
    pipes net{2};
    net.at(1).add_subscriber(net.now, 1, {"t"});
    net.peer(0, 1);
    net.reachable = false;
    net.cut(0, 1);
    net.run(1s);
    ASSERT_FALSE(net.at(0).reachable(pipes::id(1)));
    net.publish(0, "t", "lost");
    net.publish(0, "t", "kept", delivery_mode::reliable);
    EXPECT_EQ(net.at(0).counters().no_receiver, 1U);
    EXPECT_GT(net.at(0).buffered_bytes(), 0U);
    net.reachable = true;
    net.run(4s);
    EXPECT_EQ(net.hosts[1]->received, std::vector<std::string>{"t=kept"});
    EXPECT_EQ(net.at(0).buffered_bytes(), 0U);
}

TEST(hub, reliable_messages_do_not_wait_for_an_endpoint_that_left_or_for_ever) {
    pipes net{3};
    net.at(1).add_subscriber(net.now, 1, {"t"});
    net.at(2).add_subscriber(net.now, 1, {"u"});
    net.peer(0, 1);
    net.peer(0, 2);
    net.at(1).shutdown(net.now);
    net.run(3s);
    net.publish(0, "t", "x", delivery_mode::reliable);
    EXPECT_EQ(net.at(0).counters().no_receiver, 1U);
    EXPECT_EQ(net.at(0).buffered_bytes(), 0U);
    net.reachable = false;
    net.cut(0, 2);
    net.run(1s);
    net.publish(0, "u", "x", delivery_mode::reliable);
    EXPECT_GT(net.at(0).buffered_bytes(), 0U);
    net.run(hub_options{}.reliable_hold);
    EXPECT_EQ(net.at(0).buffered_bytes(), 0U);
    EXPECT_EQ(net.at(0).counters().dropped_no_path, 1U);
    net.publish(0, "u", "x", delivery_mode::reliable);
    EXPECT_EQ(net.at(0).counters().no_receiver, 2U);
}

TEST(hub, a_peering_without_retry_fails_at_a_goodbye_during_the_handshake) {
    pipes net{2};
    net.dials[1] = 1;
    net.reachable = false;
    net.at(0).add_target(net.now, 1, "n1", false);
    net.at(0).tick(net.now);
    net.at(0).link_opened(net.now, 7, 1, "n1", "");
    net.at(0).frame_received(
        net.now, 7, shared_bytes::copy_of(wire::encode(wire::goodbye_frame{ec::none, "bye"})));
    net.run(5s);
    EXPECT_EQ(net.at(0).target_status(1).progress, hub::target_progress::failed);
}

TEST(hub, does_not_take_its_own_absence_for_its_peers_silence) {
    pipes net{2};
    net.peer(0, 1);
    net.now += 60s;  // Both were suspended.
    net.run(1s);
    EXPECT_TRUE(net.at(0).reachable(pipes::id(1)));
    EXPECT_EQ(net.hosts[0]->notices.size(), 2U);
    // A peer that says nothing from then on is lost in time.
    for (const auto end = net.now + hub_options{}.peer_timeout + 2s; net.now < end; net.now += 1ms) {
        net.at(0).tick(net.now);
        net.queue.clear();
    }
    EXPECT_FALSE(net.at(0).reachable(pipes::id(1)));
}

TEST(hub, a_hello_that_is_repeated_at_once_draws_one_welcome) {
    pipes net{2};
    net.peer(0, 1);
    // Repeats of a hello within the pause draw no further welcome.
    wire::hello_frame hello;
    hello.id = pipes::id(7);
    const auto frame = shared_bytes::copy_of(wire::encode(wire::frame_type::hello, hello));
    net.at(0).link_opened(net.now, 900, no_target, "somebody", "");
    net.queue.clear();
    for (int i = 0; i < 100; ++i) {
        net.at(0).frame_received(net.now, 900, frame);
    }
    EXPECT_EQ(net.queue.size(), 1U);
    net.now += 500ms;
    net.at(0).frame_received(net.now, 900, frame);
    EXPECT_EQ(net.queue.size(), 2U);
}

/// The first of two ignores credit: its windows are too large for any receiver's taste.
void without_credit(hub_options& options) {
    options.reliable_hold = 60s;
    if (options.self == pipes::id(0)) {
        options.link_window_bytes = options.reliable_window_bytes = options.peer_queue_bytes =
            std::size_t{1} << 30;
    }
}
constexpr std::size_t mib = 1 << 20;

TEST(hub, ends_a_link_whose_peer_sends_to_a_full_subscriber_without_credit) {
    pipes net{2, without_credit};
    net.at(1).add_subscriber(net.now, 1, {"t"});
    net.peer(0, 1);
    auto& sink = *net.hosts[1];
    sink.full = true;
    const auto publish = [&](int count) {
        for (int i = 0; i < count; ++i) {
            net.publish(0, "t", std::string(mib, 'x'));
            net.run(2ms);
        }
    };
    publish(60);
    EXPECT_EQ(sink.received.size(), 60U) << "as much may come";
    publish(30);
    EXPECT_EQ(net.at(1).counters().ignored_credit, 1U);
    EXPECT_LE(sink.received_bytes, 67 * mib);
    ASSERT_GE(sink.notices.size(), 3U);
    EXPECT_EQ(sink.notices[2].substr(0, 9), "peer_lost");
    EXPECT_NE(sink.notices[2].find("ignores credit"), std::string::npos) << sink.notices[2];
    // Coming again brings no further window.
    for (int again = 0; again < 3; ++again) {
        net.run(15s);
        publish(90);
    }
    EXPECT_LE(sink.received_bytes, 67 * mib);
    EXPECT_GT(net.at(1).counters().dropped_overflow, 0U);
    // Once the subscriber has room, all is as before.
    net.run(30s);
    sink.full = false;
    net.at(1).subscriber_drained(net.now, 1);
    net.run(1s);
    const auto before = sink.received.size();
    publish(3);
    net.run();
    EXPECT_EQ(sink.received.size(), before + 3);
}

TEST(hub, refuses_reliable_sections_without_credit_until_there_is_room) {
    pipes net{2, without_credit};
    net.at(1).add_subscriber(net.now, 1, {"t"});
    net.peer(0, 1);
    auto& sink = *net.hosts[1];
    sink.full = true;
    for (int i = 0; i < 90; ++i) {
        net.publish(0, "t", std::string(mib, 'x') + std::to_string(i), delivery_mode::reliable);
        net.run(2ms);
    }
    net.run(2s);
    EXPECT_LE(sink.received_bytes, 65 * mib);
    sink.full = false;
    net.at(1).subscriber_drained(net.now, 1);
    net.run(2s);
    ASSERT_EQ(sink.received.size(), 90U);
    for (std::size_t i = 0; i < 90; ++i) {
        EXPECT_EQ(sink.received[i].substr(2 + mib), std::to_string(i));
    }
}

TEST(hub, gives_up_a_peer_that_talks_but_answers_nothing) {
    pipes net{2};
    net.peer(0, 1);
    net.at(1).add_subscriber(net.now, 1, {"t"});
    net.run();
    net.reachable = false;
    // What 0 sends goes nowhere from now on, and 1 goes on about its own time.
    wire::heartbeat_frame beat;
    const auto link = std::find_if(net.far.begin(), net.far.end(), [](const auto& end) {
                          return end.first.first == 0;
                      })->first.second;
    net.publish(0, "t", "x");
    const auto began = net.now;
    for (; net.at(0).reachable(pipes::id(1)) && net.now < began + 60s; net.now += 10ms) {
        net.at(0).frame_received(net.now, link, shared_bytes::copy_of(wire::encode(beat)));
        net.at(0).tick(net.now);
        net.queue.clear();
    }
    EXPECT_GT(net.now, began + 2 * hub_options{}.peer_timeout);
    EXPECT_LE(net.now, began + 5 * hub_options{}.peer_timeout + 20ms);
    const auto& notices = net.hosts[0]->notices;
    EXPECT_TRUE(std::any_of(notices.begin(), notices.end(), [](const std::string& each) {
        return each.find("answers nothing") != std::string::npos;
    }));
}

TEST(hub, what_stores_say_has_a_bound_at_a_relay_be_it_large_and_unmarked) {
    for (const bool in_order : {true, false}) {
        pipes net{3, [](hub_options& options) { options.peer_queue_bytes = mib; }};
        net.peer(0, 1);
        net.peer(1, 2);
        net.run();
        net.slow_down(1, 2);
        const std::vector<std::byte> message(200 * 1024);
        const endpoint_id to[] = {pipes::id(2)};
        for (int i = 0; i < 50; ++i) {
            net.at(0).send_to_stores(net.now, to, message, in_order);
            net.run(5ms);
        }
        EXPECT_EQ(net.at(0).counters().dropped_store, 0U);
        EXPECT_GT(net.at(1).counters().dropped_store, 30U) << "in order: " << in_order;
        EXPECT_LT(net.at(1).buffered_bytes(), 3 * mib) << "in order: " << in_order;
    }
}

TEST(hub, a_backlog_of_stores_costs_no_message) {
    for (const auto policy : {overflow_policy::drop_newest, overflow_policy::drop_oldest,
                              overflow_policy::block, overflow_policy::disconnect}) {
        pipes net{2, [&](hub_options& options) {
            options.peer_queue_bytes = mib;
            options.peer_overflow = policy;
        }};
        net.at(1).add_subscriber(net.now, 1, {"t"});
        net.peer(0, 1);
        net.run();
        net.slow_down(0, 1);
        const std::vector<std::byte> message(200 * 1024);
        const endpoint_id to[] = {pipes::id(1)};
        for (int i = 0; i < 20; ++i) {
            net.at(0).send_to_stores(net.now, to, message, true);
        }
        net.run(5ms);
        ASSERT_GT(net.at(0).counters().dropped_store, 0U) << "more than the bound waits";
        net.publish(0, "t", "x");
        net.publish(0, "t", "y");
        EXPECT_EQ(net.at(0).counters().dropped_overflow, 0U);
        net.hurry();
        net.run();
        EXPECT_EQ(net.hosts[1]->received, (std::vector<std::string>{"t=x", "t=y"}));
    }
}

TEST(hub, copies_of_what_a_slow_link_still_holds_do_not_fill_it) {
    for (const std::size_t relays : {0, 1}) {
        pipes net{2 + relays, [](hub_options& options) {
            options.peer_timeout = options.reliable_hold = 60s;
        }};
        net.at(1 + relays).add_subscriber(net.now, 1, {"t"});
        net.peer(0, 1);
        if (relays > 0) {
            net.peer(1, 2);
        }
        net.run();
        net.slow_down(relays, relays + 1);
        std::vector<std::string> expected;
        for (int i = 0; i < 5; ++i) {
            const auto size = i % 2 == 0 ? mib : 10;
            net.publish(0, "t", std::string(size, static_cast<char>('a' + i)),
                        delivery_mode::reliable);
            expected.push_back("t=" + std::string(size, static_cast<char>('a' + i)));
        }
        net.run(30s);
        EXPECT_LT(net.at(relays).buffered_bytes(), (relays > 0 ? 4 : 7) * mib)
            << "a relay holds each once, an origin also for repeats";
        EXPECT_GT(net.at(relays).counters().spared_copies, 5U);
        EXPECT_EQ(net.at(0).counters().retransmitted > 0, relays > 0);
        net.hurry();
        net.run(3s);
        EXPECT_TRUE(net.hosts[1 + relays]->received == expected);
        EXPECT_EQ(net.at(0).buffered_bytes(), 0U);
    }
}

/// A record in a block that is counted while anybody holds it.
struct counted_block : byte_block {
    static inline int alive = 0;
    shared_bytes record;

    explicit counted_block(std::size_t bytes) : record(one_record("t", std::string(bytes, 'x'))) {
        data = const_cast<std::byte*>(record.data());
        capacity = record.size();
        dispose = [](byte_block* base) noexcept { delete static_cast<counted_block*>(base); };
        ++alive;
    }
    ~counted_block() { --alive; }
};

TEST(hub, keeps_nothing_of_the_peers_that_it_cut_off_because_their_queues_were_full) {
    pipes net{2, [](hub_options& options) {
        options.peer_overflow = overflow_policy::disconnect;
        options.peer_queue_bytes = 256 * 1024;
        options.link_window_bytes = 128 * 1024;
    }};
    net.at(1).add_subscriber(net.now, 1, {"t"});
    net.peer(0, 1);
    const auto& counters = net.at(0).counters();
    for (int cut = 1; cut <= 200; ++cut) {
        ASSERT_TRUE(net.at(0).reachable(pipes::id(1))) << "comes again, after " << cut - 1;
        // Nothing leaves meanwhile, and then the peer takes its time.
        for (int i = 0; net.at(0).reachable(pipes::id(1)) && i < 1'000; ++i) {
            auto* block = new counted_block{1'000};
            const shared_bytes record{block_ptr{block}, block->data, block->capacity};
            net.at(0).publish(net.now, timestamp{}, delivery_mode::best_effort, record, 0);
            net.at(0).tick(net.now);
        }
        ASSERT_FALSE(net.at(0).reachable(pipes::id(1)));
        EXPECT_EQ(net.at(0).buffered_bytes(), 0U);
        net.run(400ms);
        EXPECT_EQ(counted_block::alive, 0);
        EXPECT_EQ(net.at(0).peers().size(), 1U);
        EXPECT_EQ(net.at(1).peers().size(), 1U);
        EXPECT_EQ(net.far.size(), 2U);
    }
    EXPECT_GT(counters.dropped_overflow, 200U * 256);
    EXPECT_EQ(counters.dropped_no_path, 0U);
    // What had left before a cut arrives; the end of it is found out and sent again, or dropped.
    EXPECT_GE(counters.dropped_overflow + net.hosts[1]->received.size(), counters.published);
}

TEST(hub, counts_the_messages_that_a_reliable_stream_gives_up) {
    pipes net{2};
    net.at(1).add_subscriber(net.now, 1, {"t"});
    net.peer(0, 1);
    net.reachable = false;
    net.cut(0, 1);
    net.run(1s);
    std::vector<std::byte> five;
    for (int i = 0; i < 5; ++i) {
        const auto one = one_record("t", "x");
        five.insert(five.end(), one.data(), one.data() + one.size());
    }
    net.at(0).publish(net.now, timestamp{}, delivery_mode::reliable, shared_bytes::copy_of(five), 0);
    net.run(hub_options{}.reliable_hold);
    EXPECT_EQ(net.at(0).counters().dropped_no_path, 5U);
}

TEST(hub, takes_topics_for_another_domain_without_subscribing_itself) {
    pipes net{3};
    net.peer(0, 1);
    net.peer(1, 2);
    net.at(2).set_bridge(net.now, 1, "west", {"/west"});
    net.at(1).add_subscriber(net.now, 1, {"/mid"});
    net.run();
    EXPECT_TRUE(net.at(0).filter_of(pipes::id(2)).empty());
    EXPECT_EQ(net.at(0).gateways_to("west"), std::vector<endpoint_id>{pipes::id(2)});
    EXPECT_EQ(net.at(0).aggregate_filter(""), (std::vector<std::string>{"/mid", "/west"}));
    EXPECT_EQ(net.at(0).aggregate_filter("west"), std::vector<std::string>{"/mid"});
    net.publish(0, "/west/1", "x");
    net.run();
    EXPECT_EQ(net.hosts[2]->received, std::vector<std::string>{"/west/1=x"});
    EXPECT_TRUE(net.hosts[1]->received.empty());
}

TEST(hub, its_topology_is_of_those_within_reach) {
    // 0 - 1 - 2 - 3, and 1 relays nothing.
    pipes net{4, [](hub_options& options) { options.forwarding = options.self != pipes::id(1); }};
    net.peer(0, 1);
    net.peer(1, 2);
    net.peer(2, 3);
    net.run(5s);
    const auto distances = [&](std::size_t at) {
        std::map<endpoint_id, std::uint32_t> out;
        for (const auto& each : net.at(at).topology()) {
            EXPECT_TRUE(net.at(at).reachable(each.id) || each.id == pipes::id(at));
            out[each.id] = each.distance;
        }
        return out;
    };
    using seen = std::map<endpoint_id, std::uint32_t>;
    EXPECT_EQ(distances(0), (seen{{pipes::id(0), 0}, {pipes::id(1), 1}}));
    EXPECT_EQ(distances(1), (seen{{pipes::id(0), 1}, {pipes::id(1), 0}, {pipes::id(2), 1},
                                  {pipes::id(3), 2}}));
    EXPECT_EQ(distances(3), (seen{{pipes::id(1), 2}, {pipes::id(2), 1}, {pipes::id(3), 0}}));
}

TEST(hub, hides_its_peers_from_each_other_at_no_cost_to_them) {
    pipes net{5, [](hub_options& options) { options.hide_peers = options.self == pipes::id(0); }};
    net.at(0).add_subscriber(net.now, 1, {"/up"});
    for (std::size_t agent : {1U, 2U, 3U}) {
        net.at(agent).add_subscriber(net.now, 1, {"/down/" + std::to_string(agent)});
        net.peer(agent, 0);
    }
    net.run(5s);
    const auto bytes_of = [&](std::size_t at) { return net.at(at).counters().control_bytes; };
    const auto before = bytes_of(0);
    net.peer(4, 0);
    const auto one_more = bytes_of(0) - before;
    net.run(5s);
    EXPECT_EQ(bytes_of(0), before + one_more);  // Views that differ by design are not compared.
    EXPECT_EQ(net.at(0).topology().size(), 5U);
    for (std::size_t agent : {1U, 2U, 3U, 4U}) {
        EXPECT_EQ(net.at(agent).topology().size(), 2U);
        EXPECT_TRUE(net.at(agent).reachable(pipes::id(0)));
    }
    EXPECT_LT(one_more, 400U);  // For the one that came; nothing for the three others.

    net.publish(0, "/down/2", "x");
    net.publish(1, "/up", "y", delivery_mode::reliable);
    net.publish(1, "/down/3", "of no concern");
    net.run();
    EXPECT_EQ(net.hosts[2]->received, std::vector<std::string>{"/down/2=x"});
    EXPECT_EQ(net.hosts[0]->received, std::vector<std::string>{"/up=y"});
    EXPECT_TRUE(net.hosts[3]->received.empty());

    net.at(0).add_subscriber(net.now, 1, {"/higher"});
    net.run();
    for (std::size_t agent : {1U, 2U, 3U, 4U}) {
        EXPECT_EQ(net.at(agent).filter_of(pipes::id(0)), std::vector<std::string>{"/higher"});
    }
    net.cut(0, 1);
    net.run(5s);  // It dials again.
    EXPECT_EQ(net.at(0).topology().size(), 5U);
    EXPECT_EQ(net.at(1).topology().size(), 2U);
    net.publish(0, "/down/1", "z");
    net.run();
    EXPECT_EQ(net.hosts[1]->received, std::vector<std::string>{"/down/1=z"});
}

TEST(hub, shuts_down_with_a_goodbye_after_its_data) {
    pipes net{2};
    net.at(1).add_subscriber(net.now, 1, {"t"});
    net.peer(0, 1);
    net.publish(0, "t", "last");
    net.at(0).shutdown(net.now);
    net.run();
    EXPECT_TRUE(net.at(0).drained());
    EXPECT_EQ(net.hosts[1]->received, std::vector<std::string>{"t=last"});
    ASSERT_EQ(net.hosts[1]->notices.size(), 4U);
    EXPECT_EQ(net.hosts[1]->notices[2].substr(0, 12), "peer_removed");
    EXPECT_EQ(net.hosts[1]->notices[3].substr(0, 20), "endpoint_unreachable");
}

// -- Keys -----------------------------------------------------------------------------------------

/// 0 is a server, 1 some endpoint, 2 an impostor that calls itself by the id of 1, and the others
/// are who they say. All tell and show the keys "key 0", "key 1" ...
struct keyed_pipes : pipes {
    explicit keyed_pipes(std::size_t count, bool tell = true)
        : pipes(count, [tell](hub_options& options) {
              options.forget_after = 2s;
              if (tell) {
                  options.public_key = "key " + options.name.substr(1);
              }
              if (options.name == "n2") {
                  options.self = pipes::id(1);
              }
          }) {
        for (std::size_t i = 0; i < count; ++i) {
            keys.push_back("key " + std::to_string(i));
        }
    }
    /// What the notices of host `i` say of a peer that was not authenticated.
    std::string refusal(std::size_t i) {
        for (const auto& each : hosts[i]->notices) {
            if (each.starts_with("peer_not_authenticated")) {
                return each;
            }
        }
        return {};
    }
    bool knows_as(std::size_t i, std::size_t other, std::string_view key) {
        for (const auto& each : at(i).topology()) {
            if (each.id == id(other)) {
                return each.public_key == key;
            }
        }
        return false;
    }
};

TEST(hub, nobody_takes_a_peering_over_with_another_key) {
    for (const bool tell : {true, false}) {
        keyed_pipes net{3, tell};
        net.at(1).add_subscriber(net.now, 1, {"t"});
        net.at(2).add_subscriber(net.now, 1, {"t"});
        net.peer(1, 0);
        net.peer(2, 0);
        const auto at_impostor = net.at(2).target_status(net.last_target);
        EXPECT_EQ(at_impostor.last_error, ec::peer_not_authenticated);
        const auto told = net.refusal(0);
        for (const auto* each : {"key 1", "key 2", "from n2"}) {
            EXPECT_NE(told.find(each), std::string::npos) << each << ": " << told;
        }
        net.publish(0, "t", "x");
        net.run();
        EXPECT_EQ(net.hosts[1]->received, std::vector<std::string>{"t=x"});
        EXPECT_TRUE(net.hosts[2]->received.empty());
        EXPECT_TRUE(net.knows_as(0, 1, "key 1"));
    }
}

TEST(hub, who_dials_refuses_an_id_that_stands_under_another_key_too) {
    keyed_pipes net{3};
    net.peer(0, 1);
    net.peer(0, 2);
    EXPECT_EQ(net.at(0).target_status(net.last_target).last_error, ec::peer_not_authenticated);
    net.cut(0, 1);
    net.run();
    EXPECT_TRUE(net.knows_as(0, 1, "key 1")) << "and the right one comes again";
}

TEST(hub, a_key_is_remembered_for_as_long_as_its_endpoint) {
    keyed_pipes net{3, false};
    net.peer(1, 0);
    net.at(1).remove_target(net.now, net.last_target);
    net.run(100ms);
    ASSERT_FALSE(net.at(0).reachable(pipes::id(1)));
    net.peer(2, 0);
    EXPECT_EQ(net.at(2).target_status(net.last_target).last_error, ec::peer_not_authenticated);
    EXPECT_FALSE(net.at(0).reachable(pipes::id(1)));
    net.run(20s);
    EXPECT_TRUE(net.knows_as(0, 1, "key 2")) << "nobody else goes by that id any more";
}

TEST(hub, an_id_that_the_overlay_knows_by_another_key_is_refused) {
    keyed_pipes net{4};
    net.peer(1, 3);
    net.peer(3, 0);
    ASSERT_TRUE(net.knows_as(0, 1, "key 1")) << "by its record";
    net.peer(2, 0);
    EXPECT_EQ(net.at(2).target_status(net.last_target).last_error, ec::peer_not_authenticated);
    net.peer(0, 2);
    EXPECT_EQ(net.at(0).target_status(net.last_target).last_error, ec::peer_not_authenticated);
    EXPECT_EQ(net.next_hop(0, 1), 3U);
    net.peer(1, 0);
    EXPECT_EQ(net.next_hop(0, 1), 1U);
}

TEST(hub, endpoints_with_one_key_are_several) {
    pipes shared{4, [](hub_options& options) { options.public_key = "the key"; }};
    shared.keys.assign(4, "the key");
    shared.link_diamond();
    EXPECT_EQ(shared.at(0).topology().size(), 4U);
    for (const auto& each : shared.at(0).topology()) {
        EXPECT_EQ(each.public_key, "the key");
    }
    for (const auto& host : shared.hosts) {
        for (const auto& each : host->notices) {
            EXPECT_EQ(each.find("not_authenticated"), std::string::npos) << each;
        }
    }
}

/// A link of a peer of id 7 and key "key 7", whose frames the test writes itself.
void raw_hello(pipes& net, const overlay::filter_record& filter) {
    wire::hello_frame hello;
    hello.id = pipes::id(7);
    hello.filter = overlay::encode(filter);
    net.at(0).link_opened(net.now, 99, no_target, "from 7", "key 7");
    net.at(0).frame_received(
        net.now, 99, shared_bytes::copy_of(wire::encode(wire::frame_type::hello, hello)));
    net.at(0).frame_received(net.now, 99, shared_bytes::copy_of(wire::encode_ready()));
    net.run(10ms);
}

TEST(hub, a_record_with_another_key_than_its_owner_has_shown_is_dropped) {
    keyed_pipes net{2};
    net.peer(1, 0);
    raw_hello(net, {pipes::id(1), 1'000, {"/stolen"}, {}, {overlay::key_service("key 7")}});
    EXPECT_TRUE(net.at(0).filter_of(pipes::id(1)).empty());
    EXPECT_TRUE(net.knows_as(0, 1, "key 1"));
    EXPECT_EQ(net.at(0).peers().size(), 2U);
}

TEST(hub, who_tells_another_key_of_itself_than_it_shows_is_refused) {
    keyed_pipes net{1};
    raw_hello(net, {pipes::id(7), 1, {}, {}, {overlay::key_service("key 8")}});
    EXPECT_NE(net.refusal(0).find("key 8"), std::string::npos) << net.refusal(0);
    EXPECT_TRUE(net.at(0).peers().empty());
}

// -- Limits of one peering ------------------------------------------------------------------------

/// Publishes `count` messages at 0 while nothing leaves.
void pile_up(pipes& net, int count) {
    for (int i = 0; i < count; ++i) {
        const auto bytes = one_record("t", std::string(1'000, 'x'));
        net.at(0).publish(net.now, timestamp{}, delivery_mode::best_effort, bytes, 0);
    }
}
const peer_view& peer_of(const std::vector<peer_view>& all, std::size_t i) {
    return *std::find_if(all.begin(), all.end(),
                         [&](const auto& each) { return each.id == pipes::id(i); });
}

TEST(hub, each_peering_has_bounds_and_a_policy_of_its_own) {
    pipes net{4};
    for (std::size_t i = 1; i < 4; ++i) {
        net.at(i).add_subscriber(net.now, 1, {"t"});
    }
    net.peer(0, 1);
    net.peer(0, 2, {overflow_policy::drop_newest, {}, 10, {}});
    net.peer(0, 3, {overflow_policy::disconnect, 50'000, {}, {}});
    const auto to_3 = net.last_target;
    pile_up(net, 40);
    EXPECT_TRUE(net.at(0).reachable(pipes::id(3)));
    pile_up(net, 60);
    EXPECT_EQ(net.at(0).target_status(to_3).progress, hub::target_progress::trying);
    const auto peers = net.at(0).peers();
    EXPECT_EQ(peer_of(peers, 1).queue_messages, 100U);
    EXPECT_EQ(peer_of(peers, 1).dropped_messages, 0U);
    EXPECT_EQ(peer_of(peers, 2).queue_messages, 10U);
    EXPECT_EQ(peer_of(peers, 2).dropped_messages, 90U);
    net.run();
    EXPECT_EQ(net.hosts[1]->received.size(), 100U);
    EXPECT_EQ(net.hosts[2]->received.size(), 10U);
}

TEST(hub, one_peering_may_block_while_others_drop) {
    pipes net{3, [](hub_options& options) { options.peer_queue_messages = 20; }};
    net.at(1).add_subscriber(net.now, 1, {"t"});
    net.at(2).add_subscriber(net.now, 1, {"only 2"});
    net.peer(0, 1, {overflow_policy::block, {}, {}, {}});
    net.peer(0, 2);
    pile_up(net, 30);
    EXPECT_EQ(net.at(0).counters().published, 20U) << "the publisher waits for that peer";
    EXPECT_FALSE(net.at(0).publish_ready(delivery_mode::best_effort));
    const auto other = one_record("only 2", "x");
    for (int i = 0; i < 30; ++i) {
        net.at(0).publish(net.now, timestamp{}, delivery_mode::best_effort, other, 0);
    }
    EXPECT_EQ(net.at(0).counters().published, 50U);
    EXPECT_EQ(net.at(0).counters().dropped_overflow, 10U);
}

TEST(hub, the_limits_of_a_peering_hold_for_the_link_that_stands_in_for_it) {
    pipes net{2};
    net.at(0).add_subscriber(net.now, 1, {"t"});
    net.at(1).add_subscriber(net.now, 1, {"t"});
    net.peer(0, 1);
    net.peer(1, 0, {{}, {}, 7, 55});  // Finds the link that 0 has dialled.
    net.run(1s);
    const auto peers = net.at(1).peers();
    ASSERT_EQ(peers.size(), 1U);
    EXPECT_FALSE(peers[0].outgoing);
    EXPECT_EQ(peers[0].cost, 55U);
    for (int i = 0; i < 30; ++i) {
        const auto bytes = one_record("t", "x");
        net.at(1).publish(net.now, timestamp{}, delivery_mode::best_effort, bytes, 0);
    }
    EXPECT_EQ(net.at(1).peers()[0].dropped_messages, 23U);
}

TEST(hub, the_cost_of_a_peering_decides_which_way_is_taken) {
    pipes net{4};
    net.peer(0, 1, {{}, {}, {}, 500});
    net.peer(1, 3);
    net.peer(0, 2);
    net.peer(2, 3);
    net.run(2s);
    EXPECT_EQ(net.next_hop(0, 3), 2U);
    EXPECT_EQ(peer_of(net.at(0).peers(), 1).cost, 500U);
}

TEST(hub, dials_at_once_when_asked_between_two_attempts) {
    pipes net{2};
    net.reachable = false;
    net.at(0).add_target(net.now, 77, "n1", true, 1h);
    net.dials[77] = 1;
    net.run(10ms);
    EXPECT_EQ(net.at(0).target_status(77).failed_attempts, 1U);
    net.at(0).dial_now(net.now, 77);
    net.run(10ms);
    EXPECT_EQ(net.at(0).target_status(77).failed_attempts, 2U);
    net.at(0).set_retry(net.now, 77, false);
    net.at(0).dial_now(net.now, 77);
    net.run(10ms);
    EXPECT_EQ(net.at(0).target_status(77).progress, hub::target_progress::failed);
    net.reachable = true;
    net.at(0).dial_now(net.now, 77);
    net.run();
    EXPECT_EQ(net.at(0).target_status(77).progress, hub::target_progress::peered);
}

}  // namespace
}  // namespace bzmq::node
