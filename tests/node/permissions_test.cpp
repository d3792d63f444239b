// What a key may not publish or receive does not pass its link, and holds nothing up.
#include "node/permissions.hpp"

#include "node/pipes.hpp"

namespace bzmq::node {
namespace {

constexpr delivery_mode both[] = {delivery_mode::best_effort, delivery_mode::reliable};
using texts = std::vector<std::string>;

link_rules may_publish(texts prefixes) { return {std::move(prefixes), {}, {}}; }
link_rules may_hear(texts prefixes) { return {{}, std::move(prefixes), {}}; }

permissions only(std::string key, link_rules rules) {
    permissions out;
    EXPECT_TRUE(out.add(std::move(key), std::move(rules)));
    return out;
}

/// Hosts in a row, each with a key of its own ("key 0" ...); the last one wants every topic.
struct row : pipes {
    explicit row(std::size_t count, std::size_t part_bytes = 0)
        : pipes(count, [part_bytes](hub_options& options) {
              options.public_key = "key " + options.name.substr(1);
              options.part_bytes = part_bytes;
          }) {
        for (std::size_t i = 0; i < count; ++i) {
            keys.push_back("key " + std::to_string(i));
        }
        at(count - 1).add_subscriber(now, 1, {""});
        for (std::size_t i = 0; i + 1 < count; ++i) {
            peer(i, i + 1);
        }
        run();
    }
    void allow(std::size_t at_host, permissions rules) {
        at(at_host).set_permissions(now, std::move(rules));
    }
    /// Several in one section: (topic, payload).
    void publish_together(std::size_t from,
                          const std::vector<std::pair<std::string, std::string>>& all,
                          delivery_mode mode) {
        std::vector<std::byte> bytes;
        std::string_view topic;
        for (const auto& [name, payload] : all) {
            const bool same = !bytes.empty() && name == topic;
            const auto where = bytes.size();
            bytes.resize(where + wire::record_size(name, payload.size(), same));
            auto* to = wire::put_record_head(bytes.data() + where, name, payload.size(), same);
            std::memcpy(to, payload.data(), payload.size());
            topic = name;
        }
        const auto batch = shared_bytes::copy_of(bytes);
        EXPECT_EQ(at(from).publish(now, timestamp{}, mode, batch, 0), batch.size());
        at(from).flush(now);
    }
    const texts& received(std::size_t i) { return hosts[i]->received; }
    std::size_t told(std::size_t i, std::string_view text) {
        return static_cast<std::size_t>(std::count_if(
            hosts[i]->notices.begin(), hosts[i]->notices.end(),
            [&](const std::string& each) { return each.find(text) != std::string::npos; }));
    }
};

TEST(permissions, a_key_has_its_own_rules_or_those_of_every_key) {
    permissions rules;
    EXPECT_TRUE(rules.add("a", may_publish({"/b", "/a/x", "/a"})));
    EXPECT_TRUE(rules.add("*", may_hear({})));
    EXPECT_TRUE(rules.add("free", {}));
    EXPECT_FALSE(rules.add("a", {})) << "it has some";
    ASSERT_TRUE(rules.of("a"));
    EXPECT_EQ(rules.of("a")->publish, (texts{"/a", "/b"}));
    EXPECT_FALSE(rules.of("a")->subscribe);
    ASSERT_TRUE(rules.of("z"));
    EXPECT_EQ(rules.of("z")->subscribe, texts{});
    EXPECT_FALSE(rules.of("free")) << "nothing is forbidden: its links look at nothing";
    EXPECT_FALSE(permissions{}.of("a"));
}

/// Of what the first of three publishes only /a comes through the one in the middle, with these rules.
void expect_only_a_to_pass(const permissions& rules) {
    for (const auto mode : both) {
        row net{3};
        net.allow(1, rules);
        for (const auto* topic : {"/a/1", "/b/1", "/a/2", "/c"}) {
            net.publish(0, topic, "x", mode);
            net.run();
        }
        EXPECT_EQ(net.received(2), (texts{"/a/1=x", "/a/2=x"}));
        EXPECT_EQ(net.at(1).counters().dropped_forbidden, 2U);
        EXPECT_EQ(net.at(2).counters().malformed, 0U);
        EXPECT_EQ(net.at(0).buffered_bytes(), 0U) << "nobody tries again";
        EXPECT_EQ(net.at(0).counters().retransmitted, 0U);
    }
}

TEST(permissions, what_a_key_may_not_publish_goes_no_further) {
    expect_only_a_to_pass(only("key 0", may_publish({"/a"})));
}

TEST(permissions, what_a_key_may_not_receive_is_not_sent_to_it) {
    expect_only_a_to_pass(only("key 2", may_hear({"/a"})));
}

TEST(permissions, who_publishes_what_its_neighbour_may_not_receive_leaves_no_hole) {
    for (const auto mode : both) {
        row net{2};
        net.allow(0, only("*", may_hear({"/a"})));
        for (const auto* topic : {"/a/1", "/b/1", "/b/2", "/a/2"}) {
            net.publish(0, topic, "x", mode);
        }
        net.run();
        EXPECT_EQ(net.received(1), (texts{"/a/1=x", "/a/2=x"}));
        EXPECT_EQ(net.at(1).counters().gaps, 0U);
        EXPECT_EQ(net.at(0).counters().dropped_forbidden, 2U);
        EXPECT_EQ(net.at(0).peers().front().dropped_messages, 2U);
        EXPECT_EQ(net.at(0).buffered_bytes(), 0U);
    }
}

TEST(permissions, of_messages_that_travel_together_those_that_are_allowed_go_on) {
    const std::vector<std::pair<std::string, std::string>> some = {
        {"/b", "0"}, {"/a", "1"}, {"/a", "2"}, {"/b", "3"}, {"/b", "4"}, {"/a", "5"}, {"/a", "6"}};
    const texts left = {"/a=1", "/a=2", "/a=5", "/a=6"};
    for (const auto mode : both) {
        row in{3};
        in.allow(1, only("key 0", may_publish({"/a"})));
        row out{3};
        out.allow(1, only("key 2", may_hear({"/a"})));
        row own{2};
        own.allow(0, only("key 1", may_hear({"/a"})));
        for (auto* net : {&in, &out, &own}) {
            net->publish_together(0, some, mode);
            net->publish(0, "/a", "last", mode);
            net->run();
            auto all = left;
            all.emplace_back("/a=last");
            EXPECT_EQ(net->received(net->hosts.size() - 1), all);
            EXPECT_EQ(net->at(net == &own ? 0 : 1).counters().dropped_forbidden, 3U);
            EXPECT_EQ(net->at(0).buffered_bytes(), 0U);
        }
    }
}

TEST(permissions, a_section_in_parts_is_judged_as_a_whole) {
    for (const auto mode : both) {
        row net{3, 1'000};
        net.allow(1, only("key 0", may_publish({"/a"})));
        const std::string large(10'000, 'x');
        net.publish_together(0, {{"/b", large}, {"/a", large}, {"/b", large}, {"/a", "end"}}, mode);
        net.run();
        EXPECT_EQ(net.received(2), (texts{"/a=" + large, "/a=end"}));
    }
}

TEST(permissions, a_link_without_rules_carries_everything) {
    row net{3};
    net.at(0).add_subscriber(net.now, 7, {"/"});
    net.run();
    auto rules = only("key 2", may_hear({}));
    EXPECT_TRUE(rules.add("another key", may_publish({})));
    net.allow(1, rules);
    net.publish(1, "/a", "1");
    net.publish(2, "/b", "2");
    net.run();
    EXPECT_EQ(net.received(0), (texts{"/a=1", "/b=2"}));
    EXPECT_EQ(net.received(2), texts{"/b=2"}) << "its own, here";
}

TEST(permissions, whoever_the_origin_is_the_key_of_the_link_counts) {
    row net{4};
    net.allow(2, only("key 1", may_publish({"/a"})));  // What 0 publishes comes by 1.
    net.publish(0, "/b", "x");
    net.publish(0, "/a", "y");
    net.run();
    EXPECT_EQ(net.received(3), texts{"/a=y"});
}

TEST(permissions, a_message_to_one_endpoint_is_judged_too) {
    row net{2};
    net.allow(1, only("key 0", may_publish({"/a"})));
    for (const auto* topic : {"/b", "/a"}) {
        EXPECT_EQ(net.at(0).publish_to(net.now, timestamp{}, pipes::id(1),
                                       delivery_mode::best_effort, one_record(topic, "x")),
                  ec::none);
    }
    net.run();
    EXPECT_EQ(net.received(1), texts{"/a=x"});
}

TEST(permissions, new_rules_hold_for_links_that_are_up) {
    row net{2};
    const auto send = [&](const char* payload) {
        net.publish(0, "/a", payload, delivery_mode::reliable);
        net.run();
    };
    send("1");
    net.allow(1, only("key 0", may_publish({})));
    send("2");
    net.allow(1, only("key 0", may_publish({"/a"})));
    send("3");
    net.allow(1, {});
    send("4");
    EXPECT_EQ(net.received(1), (texts{"/a=1", "/a=3", "/a=4"}));
}

TEST(permissions, what_comes_though_forbidden_is_told_once_a_second_with_key_and_topic) {
    row net{2};
    net.allow(1, only("key 0", may_publish({})));
    for (int i = 0; i < 40; ++i) {
        net.publish(0, "/secret\n" + std::string(1'000, 't'), "x");
        net.run(100ms);
    }
    EXPECT_EQ(net.at(1).counters().dropped_forbidden, 40U);
    EXPECT_GE(net.told(1, "forbidden"), 4U);
    EXPECT_LE(net.told(1, "forbidden"), 5U);
    const auto& text = net.hosts[1]->notices.back();
    EXPECT_NE(text.find("\"n0\" (" + to_string(pipes::id(0))), std::string::npos) << text;
    EXPECT_NE(text.find("key key 0"), std::string::npos) << text;
    EXPECT_NE(text.find("\"/secret?ttt"), std::string::npos) << text;
    EXPECT_LT(text.size(), 400U) << text;
}

TEST(permissions, what_does_not_go_out_is_told_once_a_minute) {
    row net{2};
    net.allow(0, only("key 1", may_hear({})));
    for (int i = 0; i < 70; ++i) {
        net.publish(0, "/a", "x");
        net.run(1s);
    }
    EXPECT_EQ(net.at(0).counters().dropped_forbidden, 70U);
    EXPECT_EQ(net.told(0, "forbidden"), 2U);
}

TEST(permissions, messages_that_nobody_can_count_do_not_come_in) {
    row net{3};
    net.allow(1, only("key 0", may_publish({"/a"})));
    record_facts lie;
    lie.of_one_topic = 5;
    const auto one = one_record("/a", "x");
    net.at(0).publish(net.now, timestamp{}, delivery_mode::best_effort, one, 0, lie);
    net.publish(0, "/a", "after");
    net.run();
    EXPECT_EQ(net.received(2), texts{"/a=after"});
    EXPECT_EQ(net.at(1).counters().malformed, 1U);
    EXPECT_EQ(net.at(2).counters().malformed, 0U);
}

TEST(permissions, stores_pass_by_their_names_both_ways) {
    row net{3};
    net.allow(1, only("key 0", {{}, {}, texts{"shared"}}));
    const auto message = [](std::string_view store) {
        return std::string{"\7"} + static_cast<char>(store.size()) + std::string{store} + "body";
    };
    const auto send = [&](std::size_t from, std::size_t to, const std::string& text, bool in_order) {
        const endpoint_id receiver = pipes::id(to);
        net.at(from).send_to_stores(net.now, {&receiver, 1},
                                    std::as_bytes(std::span{text.data(), text.size()}), in_order);
        net.run();
    };
    for (const bool in_order : {true, false}) {
        send(0, 2, message("shared"), in_order);
        send(0, 2, message("private"), in_order);
        send(2, 0, message("shared"), in_order);
        send(2, 0, message("private"), in_order);
        send(1, 0, message("private"), in_order);
        send(2, 1, message("private"), in_order);
    }
    EXPECT_EQ(net.hosts[2]->store_messages, texts(2, message("shared")));
    EXPECT_EQ(net.hosts[0]->store_messages, texts(2, message("shared")));
    EXPECT_EQ(net.hosts[1]->store_messages, texts(2, message("private")));
    EXPECT_EQ(net.at(1).counters().dropped_forbidden, 6U);
    for (const auto* way : {"from it 1 message", "to it 1 message"}) {
        EXPECT_GE(net.told(1, way + std::string{", the first of the store \"private\""}), 1U) << way;
    }
    net.at(0).ping(net.now, 7, pipes::id(2));
    net.run();
    EXPECT_EQ(net.hosts[0]->pongs.size(), 1U);
}

}  // namespace
}  // namespace bzmq::node
