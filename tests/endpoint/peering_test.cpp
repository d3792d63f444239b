// Peerings: how they begin and end, and what is told of them.
#include "endpoint/scratch.hpp"
#include "endpoint/support.hpp"

#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>

namespace bzmq::testing {
namespace {

using status_codes = std::vector<sc>;

TEST(peering, the_program_of_the_issue_works) {
    int argc = 1;
    char name[] = "program";
    char* argv[] = {name, nullptr};
    configuration cfg;
    cfg.init(argc, argv);
    endpoint ep{std::move(cfg)};
    auto ssub = ep.make_status_subscriber(true);
    auto port = ep.listen("127.0.0.1", 0);
    ASSERT_NE(port, 0);
    endpoint other;
    ASSERT_TRUE(other.peer("127.0.0.1", port));
    auto stat = ssub.get();
    EXPECT_TRUE(is<status>(stat));
    EXPECT_EQ(get<status>(stat), sc::endpoint_discovered);
    EXPECT_EQ(get<status>(stat).context().node, other.node_id());
}

TEST(peering, who_reads_of_a_change_finds_another_overlay_version) {
    auto hub = make("hub");
    auto statuses = hub.make_status_subscriber(true);
    const auto port = hub.listen("127.0.0.1", 0);
    for (int i = 0; i < 10; ++i) {
        const auto before = hub.overlay_version();
        auto other = make("other");
        other.peer_nosync("127.0.0.1", port);
        read_until(statuses, sc::endpoint_discovered, other.node_id());
        const auto with = hub.overlay_version();
        EXPECT_GT(with, before);
        other.shutdown();
        read_until(statuses, sc::endpoint_unreachable, other.node_id());
        EXPECT_GT(hub.overlay_version(), with);
    }
}

TEST(peering, discovery_comes_before_the_peer_and_the_peer_before_its_data) {
    auto a = make("a");
    auto b = make("b");
    auto statuses = b.make_status_subscriber(true);
    auto messages = b.make_subscriber({"/t"});
    join(a, b);
    ASSERT_TRUE(a.wait_for_subscriber("/t"));
    EXPECT_EQ(a.publish("/t", 1U), ec::none);
    ASSERT_TRUE(messages.get(patience));
    // Both were told by the time the message was there.
    const auto seen = statuses.poll();
    ASSERT_EQ(codes(seen), (status_codes{sc::endpoint_discovered, sc::peer_added}));
    EXPECT_EQ(get<status>(seen[1]).context().node, a.node_id());
    EXPECT_EQ(get<status>(seen[1]).context().name, "a");
}

TEST(peering, both_sides_peering_keeps_one_link) {
    auto a = make("a");
    auto b = make("b");
    const auto port_a = a.listen("127.0.0.1", 0);
    const auto port_b = b.listen("127.0.0.1", 0);
    a.peer_nosync("127.0.0.1", port_b);
    b.peer_nosync("127.0.0.1", port_a);
    ASSERT_TRUE(a.await_peer(b.node_id(), patience));
    ASSERT_TRUE(b.await_peer(a.node_id(), patience));
    const auto settled = [](const endpoint& ep) {
        const auto all = ep.peers();
        return all.size() == 1 && all[0].state == peer_status::peered;
    };
    EXPECT_TRUE(eventually([&] { return settled(a) && settled(b); }));
    error why;
    EXPECT_TRUE(a.peer("127.0.0.1", port_b, 1s, patience, &why)) << to_string(why);
    EXPECT_TRUE(b.peer("127.0.0.1", port_a, 1s, patience, &why)) << to_string(why);
}

TEST(peering, unpeer_tells_both_sides_removed_then_unreachable) {
    auto a = make("a");
    auto b = make("b");
    auto at_a = a.make_status_subscriber(true);
    auto at_b = b.make_status_subscriber(true);
    const auto port = join(a, b);
    const status_codes begin{sc::endpoint_discovered, sc::peer_added};
    EXPECT_EQ(codes(read_until(at_a, sc::peer_added)), begin);
    EXPECT_EQ(codes(read_until(at_b, sc::peer_added)), begin);
    EXPECT_TRUE(a.unpeer("127.0.0.1", port));
    const status_codes end{sc::peer_removed, sc::endpoint_unreachable};
    EXPECT_EQ(codes(read_until(at_a, sc::endpoint_unreachable)), end);
    EXPECT_EQ(codes(read_until(at_b, sc::endpoint_unreachable)), end);
    EXPECT_FALSE(a.unpeer("127.0.0.1", port));
    EXPECT_TRUE(a.peers().empty());
}

TEST(peering, an_endpoint_that_goes_is_removed_and_not_lost) {
    auto b = make("b");
    auto at_b = b.make_status_subscriber(true);
    {
        auto a = make("a");
        join(a, b);
        // Who comes and goes at once may never be told of.
        EXPECT_EQ(codes(read_until(at_b, sc::peer_added)),
                  (status_codes{sc::endpoint_discovered, sc::peer_added}));
    }
    EXPECT_EQ(codes(read_until(at_b, sc::endpoint_unreachable)),
              (status_codes{sc::peer_removed, sc::endpoint_unreachable}));
}

TEST(peering, one_attempt_at_nobody_fails_with_unavailable) {
    auto a = make("a");
    auto errors = a.make_status_subscriber();
    auto gone = make("gone");
    const auto port = gone.listen("127.0.0.1", 0);
    gone.shutdown();
    error why;
    EXPECT_FALSE(a.peer("127.0.0.1", port, 0s, &why));
    EXPECT_EQ(why, ec::peer_unavailable) << to_string(why);
    read_until(errors, ec::peer_unavailable);
    EXPECT_TRUE(a.peers().empty());
}

TEST(peering, retry_succeeds_once_the_listener_appears) {
    auto a = make("a");
    auto errors = a.make_status_subscriber();
    std::uint16_t port = 0;
    {
        auto first = make("first");
        port = first.listen("127.0.0.1", 0);
    }
    a.peer_nosync("127.0.0.1", port, 1s);
    read_until(errors, ec::peer_unavailable);
    auto b = make("b");
    ASSERT_EQ(b.listen("127.0.0.1", port), port);
    EXPECT_TRUE(a.await_peer(b.node_id(), patience));
}

TEST(peering, a_timeout_ends_the_attempts) {
    auto a = make("a");
    std::uint16_t port = 0;
    {
        auto gone = make("gone");
        port = gone.listen("127.0.0.1", 0);
    }
    error why;
    EXPECT_FALSE(a.peer("127.0.0.1", port, 1s, 50ms, &why));
    EXPECT_EQ(why, ec::peer_unavailable) << to_string(why);
    EXPECT_TRUE(a.peers().empty());
}

/// A port at which nobody listens.
std::uint16_t dead_port() {
    auto gone = make("gone");
    return gone.listen("127.0.0.1", 0);
}

TEST(peering, who_refuses_for_good_ends_the_wait) {
    auto a = make("a");
    const auto own = a.listen("127.0.0.1", 0);
    error why;
    EXPECT_FALSE(a.peer("127.0.0.1", own, {}, &why));
    EXPECT_EQ(why, ec::peer_invalid) << to_string(why);
    auto options = named("b");
    options.domain = "other";
    endpoint b{configuration{options}};
    EXPECT_FALSE(a.peer("127.0.0.1", b.listen("127.0.0.1", 0), {}, &why));
    EXPECT_EQ(why, ec::peer_incompatible) << to_string(why);
    EXPECT_TRUE(eventually([&] { return a.peers().empty(); })) << "it has stopped dialling";
}

TEST(peering, a_standing_peering_goes_on_where_the_other_side_refuses_for_good) {
    auto a = make("a");
    auto errors = a.make_status_subscriber();
    auto options = named("b");
    options.domain = "other";
    std::optional<endpoint> b{std::in_place, configuration{options}};
    const auto port = b->listen("127.0.0.1", 0);
    a.peer_nosync("127.0.0.1", port, 10ms);
    read_until(errors, ec::peer_incompatible);
    error why;
    EXPECT_FALSE(a.peer("127.0.0.1", port, {}, &why));
    EXPECT_EQ(why, ec::peer_incompatible) << to_string(why);
    b.reset();
    auto mended = make("mended");
    ASSERT_TRUE(eventually([&] { return mended.listen("127.0.0.1", port) == port; }));
    EXPECT_TRUE(a.await_peer(mended.node_id(), patience));
}

TEST(peering, one_attempt_beside_a_standing_peering_has_its_own_outcome) {
    auto a = make("a");
    auto errors = a.make_status_subscriber();
    const auto port = dead_port();
    a.peer_nosync("127.0.0.1", port, 1h);
    read_until(errors, ec::peer_unavailable);
    error why;
    EXPECT_FALSE(a.peer("127.0.0.1", port, 0s, &why));
    EXPECT_EQ(why, ec::peer_unavailable) << to_string(why);
    EXPECT_EQ(a.peers().size(), 1U) << "the other goes on";
    auto b = make("b");
    ASSERT_EQ(b.listen("127.0.0.1", port), port);
    EXPECT_TRUE(a.peer("127.0.0.1", port, 0s, &why)) << to_string(why);
}

TEST(peering, a_timeout_ends_no_attempts_but_its_own) {
    auto a = make("a");
    const auto port = dead_port();
    a.peer_nosync("127.0.0.1", port, 10ms);
    error why;
    EXPECT_FALSE(a.peer("127.0.0.1", port, 1s, 50ms, &why));
    EXPECT_EQ(why, ec::peer_unavailable) << to_string(why);
    auto b = make("b");
    ASSERT_EQ(b.listen("127.0.0.1", port), port);
    EXPECT_TRUE(a.await_peer(b.node_id(), patience));
}

TEST(peering, who_waits_goes_on_when_another_call_gives_up) {
    auto a = make("a");
    const auto port = dead_port();
    error why;
    bool peered = false;
    std::thread waiting{[&] { peered = a.peer("127.0.0.1", port, 10ms, &why); }};
    EXPECT_TRUE(eventually([&] { return !a.peers().empty(); }));
    EXPECT_FALSE(a.peer("127.0.0.1", port, 0s));
    EXPECT_FALSE(a.peer("127.0.0.1", port, 1s, 20ms));
    auto b = make("b");
    EXPECT_EQ(b.listen("127.0.0.1", port), port);
    waiting.join();
    EXPECT_TRUE(peered) << to_string(why);
}

TEST(peering, a_peering_without_waiting_goes_on_when_the_one_attempt_beside_it_fails) {
    auto a = make("a");
    auto errors = a.make_status_subscriber();
    const auto port = dead_port();
    ASSERT_TRUE(a.peer_url_nosync("tcp://127.0.0.1:" + std::to_string(port), {{}, 0s, {}}));
    read_until(errors, ec::peer_unavailable);
    a.peer_nosync("127.0.0.1", port, 10ms);
    auto b = make("b");
    ASSERT_EQ(b.listen("127.0.0.1", port), port);
    EXPECT_TRUE(a.await_peer(b.node_id(), patience));
}

TEST(peering, unpeer_cancels_an_attempt_that_somebody_waits_for) {
    auto a = make("a");
    std::uint16_t port = 0;
    {
        auto gone = make("gone");
        port = gone.listen("127.0.0.1", 0);
    }
    error why;
    bool peered = true;
    std::thread waiting{[&] { peered = a.peer("127.0.0.1", port, 1s, &why); }};
    EXPECT_TRUE(eventually([&] { return !a.peers().empty(); }));
    EXPECT_TRUE(a.unpeer("127.0.0.1", port));
    waiting.join();
    EXPECT_FALSE(peered);
    EXPECT_EQ(why, ec::cancelled);
}

TEST(peering, listens_at_several_places_and_says_why_not) {
    auto a = make("a");
    const auto first = a.listen("127.0.0.1", 0);
    const auto second = a.listen("localhost", 0);
    EXPECT_NE(first, 0);
    EXPECT_NE(second, 0);
    EXPECT_NE(first, second);
    const auto path = "ipc://" + ::testing::TempDir() + "bzmq_peering_test_"
                      + to_string(a.node_id()).substr(0, 8);
    ASSERT_TRUE(a.listen_url(path));
    EXPECT_EQ(a.listeners().size(), 3U);
    error why;
    EXPECT_EQ(a.listen("127.0.0.1", first, &why), 0);
    EXPECT_EQ(why, ec::address_in_use);
    EXPECT_EQ(a.listen("no such host!", 1, &why), 0);
    EXPECT_EQ(why, ec::invalid_address);
    auto b = make("b");
    EXPECT_TRUE(b.peer("127.0.0.1", second, 1s, patience) || b.peer("::1", second, 1s, patience));
    auto c = make("c");
    const auto reached = c.peer_url(path);
    ASSERT_TRUE(reached) << to_string(reached.error());
    EXPECT_EQ(*reached, a.node_id());
}

TEST(peering, what_was_dialled_by_name_goes_by_that_name) {
    auto a = make("a");
    auto b = make("b");
    auto news = b.make_status_subscriber(true);
    const auto url = "tcp://localhost:" + std::to_string(a.listen("127.0.0.1", 0));
    const auto reached = b.peer_url(url, {{}, 1s, patience});
    ASSERT_TRUE(reached) << to_string(reached.error());
    const auto peers = b.peers();
    ASSERT_EQ(peers.size(), 1U);
    EXPECT_EQ(peers[0].peer.address, url);
    EXPECT_EQ(get<status>(read_until(news, sc::peer_added).back()).context().address, url);
    EXPECT_TRUE(b.unpeer_url(url));
    EXPECT_EQ(get<status>(read_until(news, sc::peer_removed).back()).context().address, url);
}

TEST(peering, other_machines_need_keys_unless_told_otherwise) {
    auto a = make("a");
    error why;
    EXPECT_EQ(a.listen("", 0, &why), 0);
    EXPECT_EQ(why, ec::insecure_listener);
    EXPECT_EQ(a.listen("0.0.0.0", 0, &why), 0);
    EXPECT_EQ(why, ec::insecure_listener);
    auto options = named("b");
    options.allow_insecure_listen = true;
    endpoint b{configuration{options}};
    EXPECT_NE(b.listen("0.0.0.0", 0, &why), 0) << to_string(why);
}

TEST(peering, the_configuration_opens_listeners_and_dials) {
    auto options = named("a");
    options.listen = {"tcp://127.0.0.1:0"};
    endpoint a{configuration{options}};
    ASSERT_EQ(a.listeners().size(), 1U);
    options = named("b");
    options.peers = {{a.listeners()[0], {}, {}}};
    endpoint b{configuration{options}};
    EXPECT_TRUE(b.await_peer(a.node_id(), patience));
    EXPECT_EQ(a.name(), "a");
}

TEST(peering, a_wrong_configuration_throws) {
    auto options = named("a");
    options.peer_timeout = options.heartbeat_interval;
    EXPECT_THROW(endpoint{configuration{options}}, endpoint_error);
    options = named("a");
    options.listen = {"tcp://0.0.0.0:0"};
    try {
        endpoint refused{configuration{options}};
        FAIL() << "it listens";
    } catch (const endpoint_error& problem) {
        EXPECT_EQ(problem.why(), ec::insecure_listener);
    }
    options = named("a");
    options.cert = "/nonexistent.key_secret";
    EXPECT_THROW(endpoint{configuration{options}}, endpoint_error);
}

// -- Keys -----------------------------------------------------------------------------------------

class keys : public ::testing::Test {
  protected:
    std::string make_key(const std::string& name) {
        const auto prefix = ::testing::TempDir() + "bzmq_"
                            + std::to_string(::getpid()) + "_" + name;
        EXPECT_TRUE(write_certificate(prefix, *generate_certificate(), true));
        return prefix;
    }
    static endpoint with_cert(const std::string& name, const std::string& prefix,
                              const std::string& server = {}) {
        auto options = named(name);
        options.cert = prefix + ".key_secret";
        options.server_key = server.empty() ? server : server + ".key";
        return endpoint{configuration{options}};
    }
};

TEST_F(keys, endpoints_that_share_a_certificate_peer_and_talk) {
    const auto shared = make_key("shared");
    auto a = with_cert("a", shared);
    auto b = with_cert("b", shared);
    auto messages = b.make_subscriber({"/t"});
    EXPECT_NE(b.listen("0.0.0.0", 0), 0);
    join(a, b);
    ASSERT_TRUE(a.wait_for_subscriber("/t"));
    EXPECT_EQ(a.publish("/t", "secret"), ec::none);
    const auto got = messages.get(patience);
    ASSERT_TRUE(got);
    EXPECT_EQ(got->text(), "secret");
    EXPECT_EQ(b.peers().at(0).public_key.size(), key_text_size);
}

TEST_F(keys, a_key_that_is_not_allowed_is_refused_and_both_sides_know) {
    const auto server = make_key("server");
    const auto stranger = make_key("stranger");
    auto b = with_cert("b", server);
    auto at_b = b.make_status_subscriber();
    const auto port = b.listen("127.0.0.1", 0);
    auto a = with_cert("a", stranger, server);
    error why;
    EXPECT_FALSE(a.peer("127.0.0.1", port, 0s, &why));
    EXPECT_EQ(why, ec::peer_not_authenticated) << to_string(why);
    const auto seen = read_until(at_b, ec::peer_not_authenticated);
    ASSERT_FALSE(seen.empty());
    const auto key = load_certificate(stranger + ".key")->public_key;
    EXPECT_NE(get<error>(seen.back()).message().find(key), std::string::npos)
        << to_string(seen.back());
    EXPECT_TRUE(b.peers().empty());
    EXPECT_EQ(b.metrics().refused_peers, 1U);
}

TEST_F(keys, every_endpoint_sees_the_keys_of_all) {
    std::string prefixes[3] = {make_key("one"), make_key("two"), make_key("three")};
    std::vector<endpoint> all;
    for (const auto& each : prefixes) {
        auto options = named(each);
        options.cert = each + ".key_secret";
        options.allow_any_client = true;
        all.emplace_back(configuration{options});
    }
    for (std::size_t i = 0; i + 1 < all.size(); ++i) {
        const auto url = "tcp://127.0.0.1:" + std::to_string(all[i].listen("127.0.0.1", 0));
        const auto done = all[i + 1].peer_url(url, {prefixes[i] + ".key", {}, patience});
        ASSERT_TRUE(done) << to_string(done.error());
    }
    for (const auto& seen_by : all) {
        ASSERT_TRUE(eventually([&] { return seen_by.topology().size() == all.size(); }));
        for (std::size_t i = 0; i < all.size(); ++i) {
            const auto key = load_certificate(prefixes[i] + ".key")->public_key;
            EXPECT_TRUE(eventually([&] {
                const auto nodes = seen_by.topology();
                return std::any_of(nodes.begin(), nodes.end(), [&](const auto& each) {
                    return each.id == all[i].node_id() && each.public_key == key;
                });
            })) << i;
        }
    }
}

TEST_F(keys, a_refused_key_ends_a_wait_that_would_try_again) {
    const auto server = make_key("server");
    auto b = with_cert("b", server);
    const auto port = b.listen("127.0.0.1", 0);
    auto a = with_cert("a", make_key("stranger"), server);
    error why;
    EXPECT_FALSE(a.peer("127.0.0.1", port, {}, &why));
    EXPECT_EQ(why, ec::peer_not_authenticated) << to_string(why);
    EXPECT_TRUE(a.peers().empty());
}

TEST_F(keys, one_place_cannot_be_expected_to_have_two_keys) {
    const auto own = make_key("own");
    const auto other = load_certificate(make_key("other") + ".key")->public_key;
    auto b = with_cert("b", own);
    auto a = with_cert("a", own);
    const auto port = join(a, b);
    const auto url = "tcp://127.0.0.1:" + std::to_string(port);
    const auto refused = a.peer_url(url, {other, {}, {}});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error(), ec::invalid_configuration) << to_string(refused.error());
    EXPECT_FALSE(a.peer_url_nosync(url, {other, {}, {}}));
    EXPECT_TRUE(a.peer_url(url, {load_certificate(own + ".key")->public_key, {}, {}}))
        << "our own key is what is expected where none is named";
    EXPECT_TRUE(a.unpeer_url(url));
    EXPECT_TRUE(a.peer_url_nosync(url, {other, {}, {}}));
}

TEST_F(keys, an_endpoint_without_keys_does_not_get_in_and_both_sides_know) {
    const auto server = make_key("server");
    auto b = with_cert("b", server);
    auto at_b = b.make_status_subscriber();
    const auto port = b.listen("127.0.0.1", 0);
    auto a = make("a");
    error why;
    EXPECT_FALSE(a.peer("127.0.0.1", port, 0s, patience, &why));
    EXPECT_TRUE(why);
    EXPECT_TRUE(b.peers().empty());
    const auto told = get<error>(read_until(at_b, ec::peer_incompatible).back()).message();
    EXPECT_NE(told.find("tcp://127.0.0.1:"), std::string::npos) << told;
    EXPECT_NE(told.find("CURVE"), std::string::npos) << told;
}

TEST_F(keys, a_listener_that_is_taken_for_another_tells_its_operator) {
    auto b = with_cert("b", make_key("server"));
    auto at_b = b.make_status_subscriber();
    const auto port = b.listen("127.0.0.1", 0);
    auto a = with_cert("a", make_key("client"), make_key("another"));
    EXPECT_FALSE(a.peer("127.0.0.1", port, 0s, patience));
    const auto told = get<error>(read_until(at_b, ec::peer_incompatible).back()).message();
    EXPECT_NE(told.find("server_key"), std::string::npos) << told;
}

TEST_F(keys, whoever_names_a_server_key_is_encrypted_or_does_not_connect) {
    const auto key = make_key("server") + ".key";
    auto plain = make("plain");
    const auto url = "tcp://127.0.0.1:" + std::to_string(plain.listen("127.0.0.1", 0));
    auto a = make("a");
    for (const auto& named : {key, load_certificate(key)->public_key}) {
        const auto done = a.peer_url(url, {named, 0s, patience});
        ASSERT_FALSE(done);
        EXPECT_EQ(done.error(), ec::invalid_configuration);
        EXPECT_NE(done.error().message().find("server_key: expected a cert too"), std::string::npos)
            << to_string(done.error());
        EXPECT_FALSE(a.peer_url_nosync(url, {named, {}, {}}));
    }
    EXPECT_TRUE(a.peers().empty());
    auto options = named("b");
    options.server_key = key;
    EXPECT_THROW(endpoint{configuration{options}}, endpoint_error);
    options = named("c");
    options.peers = {{url, key, {}}};
    EXPECT_THROW(endpoint{configuration{options}}, endpoint_error);
}

TEST_F(keys, a_key_that_cannot_be_read_starts_no_endpoint_and_its_option_is_named) {
    const auto problem_of = [&](const std::function<void(endpoint_options&)>& change) {
        auto options = named("a");
        options.cert = make_key("own") + ".key_secret";
        change(options);
        try {
            const endpoint started{configuration{options}};
        } catch (const endpoint_error& problem) {
            return to_string(problem.why());
        }
        return std::string{"it starts"};
    };
    const std::string missing = "nope: No such file or directory";
    const std::string expected =
        "cannot_open_file: server_key: expected 40 characters of Z85 or the path of a .key file: ";
    EXPECT_EQ(problem_of([](auto& o) { o.cert = "nope"; }), "cannot_open_file: cert: " + missing);
    EXPECT_EQ(problem_of([](auto& o) { o.allow = "nope"; }), "cannot_open_file: allow: " + missing);
    EXPECT_EQ(problem_of([](auto& o) { o.server_key = "nope"; }), expected + missing)
        << "though nobody is dialled";
    EXPECT_EQ(problem_of([](auto& o) {
                  o.peers = {{"tcp://127.0.0.1:1", "nope", {}}};
                  o.listen = {"ipc:///nonexistent/socket"};
              }),
              expected + missing)
        << "before it listens";
}

TEST_F(keys, a_bad_file_among_the_allowed_is_told_once_and_keeps_no_removed_key) {
    const scratch folder;
    const auto server = make_key("server");
    const auto client = make_key("client");
    const auto allowed = folder.path + "/client.key";
    std::filesystem::copy_file(client + ".key", allowed);
    auto options = named("b");
    options.cert = server + ".key_secret";
    options.allow = folder.path;
    endpoint b{configuration{options}};
    auto news = b.make_status_subscriber(true);
    const auto port = b.listen("127.0.0.1", 0);
    auto a = with_cert("a", client, server);
    error why;
    ASSERT_TRUE(a.peer("127.0.0.1", port, 0s, patience, &why)) << to_string(why);
    std::ofstream{folder.path + "/z.key"} << "junk\n";
    std::filesystem::remove(allowed);
    const auto told = get<error>(read_until(news, ec::invalid_certificate).back()).message();
    EXPECT_NE(told.find("z.key:1: not a key in Z85"), std::string::npos) << told;
    EXPECT_TRUE(eventually([&] { return b.peers().empty() && !a.reachable(b.node_id()); }));
    EXPECT_FALSE(a.peer("127.0.0.1", port, 0s, patience, &why));
    EXPECT_EQ(why, ec::peer_not_authenticated) << to_string(why);
    // It has looked again by the time that it has seen this.
    std::filesystem::copy_file(client + ".key", allowed);
    ASSERT_TRUE(eventually([&] { return a.peer("127.0.0.1", port, 0s, patience); }));
    std::filesystem::remove(allowed);
    EXPECT_TRUE(eventually([&] { return b.peers().empty(); }));
    for (const auto& each : news.poll()) {
        if (const auto* problem = get_if<error>(&each)) {
            EXPECT_NE(problem->code(), ec::invalid_certificate) << to_string(*problem);
        }
    }
}

TEST(peering, a_listener_ends_with_its_links_and_its_port_is_free) {
    auto a = make("a");
    auto b = make("b");
    join(b, a);
    ASSERT_TRUE(a.await_peer(b.node_id(), patience));
    const auto url = a.listeners().at(0);
    EXPECT_FALSE(a.stop_listening("tcp://127.0.0.1:1"));
    EXPECT_FALSE(a.stop_listening("no url"));
    EXPECT_TRUE(a.stop_listening(url));
    EXPECT_FALSE(a.stop_listening(url));
    EXPECT_TRUE(a.listeners().empty());
    EXPECT_TRUE(eventually([&] { return !a.reachable(b.node_id()); }));
    auto c = make("c");
    ASSERT_TRUE(eventually([&] { return c.listen_url(url).has_value(); }));
    EXPECT_TRUE(c.await_peer(b.node_id(), patience)) << "who had dialled finds who listens there now";
}

TEST(peering, a_wait_for_other_subscriptions_ends_with_the_change) {
    auto a = make("a");
    auto b = make("b");
    join(a, b);
    ASSERT_TRUE(a.await_peer(b.node_id(), patience));
    EXPECT_FALSE(a.await_subscriptions({}, 20ms));
    std::optional<subscriber> there{b.make_subscriber({"/t"})};
    ASSERT_TRUE(a.await_subscriptions({}, patience));
    EXPECT_EQ(a.peer_subscriptions(), (std::vector<std::string>{"/t"}));
    std::thread leaves{[&] { there.reset(); }};
    EXPECT_TRUE(a.await_subscriptions({"/t"}, patience));
    leaves.join();
    EXPECT_TRUE(a.peer_subscriptions().empty());
}

TEST(peering, subscriptions_to_which_no_path_leads_are_not_told) {
    auto options = named("m");
    options.forwarding = false;
    endpoint m{configuration{options}};
    auto a = make("a");
    auto c = make("c");
    auto there = c.make_subscriber({"/far"});
    auto near = m.make_subscriber({"/near"});
    join(a, m);
    join(c, m);
    ASSERT_TRUE(there.wait_ready(patience));
    ASSERT_TRUE(eventually([&] { return !a.subscriptions_of(c.node_id()).empty(); }));
    ASSERT_TRUE(a.wait_for_subscriber("/near", 1, patience));
    EXPECT_EQ(a.peer_subscriptions(), std::vector<std::string>{"/near"});
    EXPECT_FALSE(a.await_subscriptions({"/near"}, 20ms));
    join(a, c);
    EXPECT_TRUE(a.await_subscriptions({"/near"}, patience)) << "now a path leads there";
    EXPECT_EQ(a.peer_subscriptions(), (std::vector<std::string>{"/far", "/near"}));
}

TEST(peering, what_is_published_when_a_subscription_shows_arrives) {
    for (int round = 0; round < 10; ++round) {
        auto options = named("a");
        options.forwarding = false;
        endpoint a{configuration{options}};
        options.name = "b";
        endpoint b{configuration{options}};
        auto messages = b.make_subscriber({"/t"});
        const auto port = b.listen("127.0.0.1", 0);
        a.peer_nosync("127.0.0.1", port);
        ASSERT_TRUE(a.await_subscriptions({}, patience));
        a.publish("/t", round);
        // In order per publisher: if the first is lost, the last one comes without it.
        ASSERT_TRUE(a.wait_for_subscriber("/t", 1, patience));
        a.publish("/t", "last");
        const auto got = messages.get(patience);
        ASSERT_TRUE(got);
        EXPECT_EQ(got->value(), data{round});
    }
}

}  // namespace
}  // namespace bzmq::testing
