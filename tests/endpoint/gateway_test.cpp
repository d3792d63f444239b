#include "bzmq/gateway.hpp"

#include <gtest/gtest.h>

#include "bzmq/bzmq.hpp"

namespace bzmq {
namespace {

using namespace std::chrono_literals;

configuration in_domain(const std::string& domain, const std::string& name) {
    configuration cfg;
    cfg.options().domain = domain;
    cfg.options().name = name;
    return cfg;
}

/// east — gateway(s) — west, one endpoint on either side.
struct two_domains {
    endpoint east{in_domain("east", "east")};
    endpoint west{in_domain("west", "west")};
    std::uint16_t east_port = east.listen("127.0.0.1", 0);
    std::uint16_t west_port = west.listen("127.0.0.1", 0);

    void join(gateway& gate) const {
        ASSERT_TRUE(gate.one().peer("127.0.0.1", east_port, 1s, 20s));
        ASSERT_TRUE(gate.other().peer("127.0.0.1", west_port, 1s, 20s));
    }
};

TEST(gateway, passes_messages_both_ways_and_hides_either_side) {
    two_domains net;
    gateway gate{{in_domain("east", "gate"), in_domain("west", "gate")}};
    net.join(gate);
    auto in_west = net.west.make_subscriber({"/to-west/"});
    auto in_east = net.east.make_subscriber({"/to-east/"});
    ASSERT_TRUE(net.east.wait_for_subscriber("/to-west/x", 1, 20s));
    ASSERT_TRUE(net.west.wait_for_subscriber("/to-east/x", 1, 20s));
    for (int i = 0; i < 100; ++i) {
        EXPECT_EQ(net.east.publish("/to-west/x", data{i}, delivery_mode::reliable), ec::none);
        EXPECT_EQ(net.west.publish("/to-east/x", data{i}, delivery_mode::reliable), ec::none);
    }
    for (auto* to : {&in_west, &in_east}) {
        const auto got = to->get(std::size_t{100}, 20s);
        ASSERT_EQ(got.size(), 100U);
        for (int i = 0; i < 100; ++i) {
            EXPECT_EQ(got[static_cast<std::size_t>(i)].value(), data{i});
            EXPECT_EQ(got[static_cast<std::size_t>(i)].origin(), gate.node_id());
        }
    }
    EXPECT_EQ(net.east.topology().size(), 2U);
    EXPECT_FALSE(net.east.reachable(net.west.node_id()));
    EXPECT_TRUE(gate.active());
}

/// The values that come, up to the text "end".
std::vector<data> up_to_the_end(subscriber& from) {
    std::vector<data> out;
    for (;;) {
        const auto got = from.get(20s);
        if (!got) {
            ADD_FAILURE() << "no end after " << out.size() << " messages";
            return out;
        }
        if (got->value() == data{"end"}) {
            return out;
        }
        out.push_back(got->value());
    }
}

class gateway_in : public testing::TestWithParam<delivery_mode> {};
INSTANTIATE_TEST_SUITE_P(both_modes, gateway_in,
                         testing::Values(delivery_mode::best_effort, delivery_mode::reliable),
                         [](const auto& mode) {
                             return mode.param == delivery_mode::reliable ? "reliable"
                                                                          : "best_effort";
                         });

TEST_P(gateway_in, passes_each_message_once_where_both_sides_subscribe_to_the_same) {
    two_domains net;
    gateway gate{{in_domain("east", "gate"), in_domain("west", "gate")}};
    net.join(gate);
    auto in_west = net.west.make_subscriber({"/t/"});
    auto in_east = net.east.make_subscriber({"/t/"});
    ASSERT_TRUE(net.east.wait_for_subscriber("/t/x", 1, 20s));
    ASSERT_TRUE(net.west.wait_for_subscriber("/t/x", 1, 20s));
    std::vector<data> sent;
    for (int i = 0; i < 20; ++i) {
        ASSERT_EQ(net.east.publish("/t/x", data{i}, GetParam()), ec::none);
        sent.emplace_back(i);
    }
    // Whatever came round would come before an end that is published after it.
    ASSERT_EQ(net.east.publish("/t/x", data{"end"}, GetParam()), ec::none);
    EXPECT_EQ(up_to_the_end(in_west), sent);
    EXPECT_EQ(up_to_the_end(in_east), sent);
    ASSERT_EQ(net.west.publish("/t/x", data{"end"}, GetParam()), ec::none);
    EXPECT_EQ(up_to_the_end(in_east), std::vector<data>{});
    EXPECT_EQ(up_to_the_end(in_west), std::vector<data>{});
    EXPECT_EQ(gate.one().metrics().published, 1U);
    EXPECT_EQ(gate.other().metrics().published, 21U);
}

TEST_P(gateway_in, brings_nothing_back_to_its_domain_while_another_comes_and_goes) {
    two_domains net;
    gateway gate{{in_domain("east", "g1"), in_domain("west", "g1")}};
    net.join(gate);
    auto in_west = net.west.make_subscriber({"/t/"});
    auto in_east = net.east.make_subscriber({"/t/"});
    ASSERT_TRUE(net.east.wait_for_subscriber("/t/x", 1, 20s));
    ASSERT_TRUE(net.west.wait_for_subscriber("/t/x", 1, 20s));
    std::vector<data> sent;
    const auto send = [&] {
        ASSERT_EQ(net.east.publish("/t/x", data{static_cast<int>(sent.size())}, GetParam()),
                  ec::none);
        sent.emplace_back(static_cast<int>(sent.size()));
    };
    // Sends until both domains have so many endpoints and a gateway that takes the topic.
    const auto send_until = [&](std::size_t nodes) {
        const auto deadline = std::chrono::steady_clock::now() + 20s;
        while (net.east.topology().size() != nodes || net.west.topology().size() != nodes
               || !net.east.wait_for_subscriber("/t/x", 1, 0s)
               || !net.west.wait_for_subscriber("/t/x", 1, 0s)) {
            ASSERT_LT(std::chrono::steady_clock::now(), deadline);
            send();
        }
        for (int i = 0; i < 200; ++i) {
            send();
        }
    };
    for (int round = 0; round < 5; ++round) {
        gateway second{{in_domain("east", "g2"), in_domain("west", "g2")}};
        net.join(second);
        send_until(3);
        second.shutdown();
        send_until(2);
        ASSERT_FALSE(HasFatalFailure());
    }
    ASSERT_EQ(net.east.publish("/t/x", data{"end"}, GetParam()), ec::none);
    EXPECT_EQ(up_to_the_end(in_east), sent);
    // Twice at most, where both worked for a moment: no storm.
    EXPECT_LE(up_to_the_end(in_west).size(), 2 * sent.size());
    ASSERT_EQ(net.west.publish("/t/x", data{"end"}, GetParam()), ec::none);
    EXPECT_EQ(up_to_the_end(in_east), std::vector<data>{}) << "came back to its own domain";
}

TEST(gateway, hides_agents_from_each_other) {
    endpoint manager{in_domain("east", "manager")};
    const auto port = manager.listen("127.0.0.1", 0);
    auto outside = in_domain("west", "gate");
    outside.options().hide_peers = true;
    gateway gate{{in_domain("east", "gate"), std::move(outside)}};
    ASSERT_TRUE(gate.one().peer("127.0.0.1", port, 1s, 20s));
    const auto agents_port = gate.other().listen("127.0.0.1", 0);
    auto up = manager.make_subscriber({"/up/"});
    std::vector<std::unique_ptr<endpoint>> agents;
    std::vector<subscriber> inboxes;
    for (int i = 0; i < 8; ++i) {
        agents.push_back(std::make_unique<endpoint>(in_domain("west", "agent")));
        inboxes.push_back(agents.back()->make_subscriber({"/down/"}));
        ASSERT_TRUE(agents.back()->peer("127.0.0.1", agents_port, 1s, 20s));
        ASSERT_TRUE(agents.back()->wait_for_subscriber("/up/x", 1, 20s));
    }
    ASSERT_TRUE(gate.other().wait_for_subscriber("/down/x", 8, 20s));
    ASSERT_TRUE(manager.wait_for_subscriber("/down/x", 1, 20s));
    EXPECT_EQ(manager.publish("/down/x", data{7}, delivery_mode::reliable), ec::none);
    for (auto& each : inboxes) {
        const auto got = each.get(20s);
        ASSERT_TRUE(got);
        EXPECT_EQ(got->value(), data{7});
    }
    for (auto& each : agents) {
        EXPECT_EQ(each->topology().size(), 2U);
        EXPECT_EQ(each->publish("/up/x", data{1}, delivery_mode::reliable), ec::none);
    }
    EXPECT_EQ(up.get(std::size_t{8}, 20s).size(), 8U);
}

TEST(gateway, lets_only_the_allowed_topics_pass) {
    two_domains net;
    gateway_options options{in_domain("east", "gate"), in_domain("west", "gate")};
    options.from_one = std::vector<std::string>{"/public/"};
    gateway gate{std::move(options)};
    net.join(gate);
    auto in_west = net.west.make_subscriber({"/"});
    ASSERT_TRUE(net.east.wait_for_subscriber("/public/x", 1, 20s));
    EXPECT_EQ(net.east.wait_for_subscriber("/secret/x", 1, 0s), false);
    net.east.publish("/secret/x", data{1}, delivery_mode::reliable);
    net.east.publish("/public/x", data{2}, delivery_mode::reliable);
    const auto got = in_west.get(20s);
    ASSERT_TRUE(got);
    EXPECT_EQ(got->topic(), "/public/x");
}

TEST(gateway, one_of_two_parallel_gateways_works_and_the_other_takes_over) {
    two_domains net;
    auto first = std::make_unique<gateway>(
        gateway_options{in_domain("east", "g1"), in_domain("west", "g1")});
    auto second = std::make_unique<gateway>(
        gateway_options{in_domain("east", "g2"), in_domain("west", "g2")});
    net.join(*first);
    net.join(*second);
    auto in_west = net.west.make_subscriber({"/t/"});
    // Settled when exactly one of them is seen to take the topic.
    const auto settled = [&] {
        const auto deadline = std::chrono::steady_clock::now() + 20s;
        while (std::chrono::steady_clock::now() < deadline) {
            if (first->active() != second->active()
                && net.east.wait_for_subscriber("/t/x", 1, 1s)
                && !net.east.wait_for_subscriber("/t/x", 2, 100ms)) {
                return true;
            }
        }
        return false;
    };
    ASSERT_TRUE(settled());
    net.east.publish("/t/x", data{1}, delivery_mode::reliable);
    const auto got = in_west.get(20s);
    ASSERT_TRUE(got);
    EXPECT_EQ(got->value(), data{1});
    EXPECT_FALSE(in_west.get(200ms)) << "both gateways passed it";
    (first->active() ? first : second).reset();
    ASSERT_TRUE(net.east.wait_for_subscriber("/t/x", 1, 20s));
    net.east.publish("/t/x", data{2}, delivery_mode::reliable);
    const auto again = in_west.get(20s);
    ASSERT_TRUE(again);
    EXPECT_EQ(again->value(), data{2});
}

TEST(gateway, refuses_to_join_a_domain_with_itself) {
    EXPECT_THROW((gateway{{in_domain("east", "g"), in_domain("east", "g")}}), endpoint_error);
    EXPECT_THROW((gateway{{in_domain("", "g"), in_domain("east", "g")}}), endpoint_error);
}

}  // namespace
}  // namespace bzmq
