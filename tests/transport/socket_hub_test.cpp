#include "transport/socket_hub.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zmq.h>

#include "transport/block_pool.hpp"
#include "transport/test_hub.hpp"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <thread>

namespace bzmq::transport {
namespace {

using namespace std::chrono_literals;

certificate new_certificate() {
    return generate_certificate().value();
}
security secured(const certificate& own) {
    return {own, std::nullopt, false};
}

std::string temporary_directory() {
    std::string path = std::filesystem::temp_directory_path() / "bzmq-transport-XXXXXX";
    return ::mkdtemp(path.data());
}

/// Connects `from` to a new listener of `to`, which greets as the session layer does; returns the
/// link at both ends.
std::pair<link_id, link_id> join(test_hub& from, test_hub& to,
                                 const std::string& url = "tcp://127.0.0.1:*",
                                 std::string_view server_key = {}) {
    const auto info = to.hub.listen(url);
    EXPECT_TRUE(info) << to_string(info.error());
    const auto before_from = from.links.size();
    const auto before_to = to.links.size();
    EXPECT_TRUE(from.hub.connect(7, info->url, server_key, 5s));
    EXPECT_TRUE(drive({&from, &to}, [&] { return from.links.size() > before_from; }));
    const auto out = from.links.back().link;
    from.hub.send(out, shared_bytes::copy_of("hello"));
    EXPECT_TRUE(
        drive({&from, &to}, [&] { return to.links.size() > before_to && !to.frames.empty(); }));
    EXPECT_EQ(to.frames.back().bytes.view(), "hello");
    to.frames.clear();
    return {out, to.links.back().link};
}

void exchange(test_hub& a, link_id at_a, test_hub& b, link_id at_b) {
    const std::string big(200'000, 'x');
    a.hub.send(at_a, shared_bytes::copy_of("ping"));
    a.hub.send(at_a, shared_bytes::copy_of(big));
    ASSERT_TRUE(drive({&a, &b}, [&] { return b.frames.size() == 2; }));
    EXPECT_EQ(b.frames[0].bytes.view(), "ping");
    EXPECT_EQ(b.frames[1].bytes.view(), big);
    b.hub.send(at_b, b.frames[1].bytes);
    b.hub.send(at_b, shared_bytes::copy_of("pong"));
    ASSERT_TRUE(drive({&a, &b}, [&] { return a.frames.size() == 2; }));
    EXPECT_EQ(a.frames[0].bytes.view(), big);
    EXPECT_EQ(a.frames[1].bytes.view(), "pong");
}

/// A plain TCP connection to a port of this machine.
int raw_connection(std::uint16_t port) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) {
        ::close(fd);
        return -1;
    }
    return fd;
}

/// A child process that runs `body`, which gets and returns a port over pipes; it never returns
/// into the test.
struct child {
    pid_t pid = -1;
    int to = -1, from = -1;

    explicit child(const std::function<void(int in, int out)>& body) {
        int down[2], up[2];
        EXPECT_EQ(::pipe(down), 0);
        EXPECT_EQ(::pipe(up), 0);
        pid = ::fork();
        if (pid == 0) {
            body(down[0], up[1]);
            ::_exit(0);
        }
        to = down[1];
        from = up[0];
        ::close(down[0]);
        ::close(up[1]);
    }
    void kill() {
        if (pid > 0) {
            ::kill(pid, SIGKILL);
            ::waitpid(pid, nullptr, 0);
            pid = -1;
        }
    }
    ~child() {
        kill();
        ::close(to);
        ::close(from);
    }
};

TEST(socket_hub, frames_cross_a_plain_link_both_ways) {
    test_hub a, b;
    const auto [at_a, at_b] = join(a, b);
    EXPECT_TRUE(a.links[0].outgoing);
    EXPECT_EQ(a.links[0].from, 7U);
    EXPECT_FALSE(b.links[0].outgoing);
    EXPECT_THAT(b.links[0].address, testing::MatchesRegex("tcp://127.0.0.1:[0-9]+"));
    EXPECT_EQ(b.links[0].key, "");
    exchange(a, at_a, b, at_b);
}

TEST(socket_hub, frames_cross_an_encrypted_link_between_owners_of_one_certificate) {
    const auto shared = new_certificate();
    test_hub a{secured(shared)}, b{secured(shared)};
    const auto [at_a, at_b] = join(a, b);
    EXPECT_EQ(a.links[0].key, shared.public_key);
    EXPECT_EQ(b.links[0].key, shared.public_key);
    exchange(a, at_a, b, at_b);
}

TEST(socket_hub, a_key_in_the_allow_list_gets_in_until_it_is_removed) {
    const auto ours = new_certificate(), theirs = new_certificate(), next = new_certificate();
    const auto path = temporary_directory() + "/allowed";
    std::ofstream{path} << theirs.public_key << "  # worker\n";
    test_hub listener{security{ours, allow_list::load(path).value(), false}};
    test_hub worker{secured(theirs)}, other{secured(next)};
    const auto [at_worker, at_listener] =
        join(worker, listener, "tcp://127.0.0.1:*", ours.public_key);
    EXPECT_EQ(listener.links[0].key, theirs.public_key);
    exchange(worker, at_worker, listener, at_listener);

    std::ofstream{path} << next.public_key << "\n";
    EXPECT_TRUE(listener.hub.reload_allowed().value());
    EXPECT_TRUE(drive({&worker, &listener},
                      [&] { return !listener.closed.empty() && !worker.closed.empty(); }));
    EXPECT_EQ(listener.closed.at(0).second, ec::peer_not_authenticated);
    join(other, listener, "tcp://127.0.0.1:*", ours.public_key);

    std::filesystem::remove(path);
    EXPECT_EQ(listener.hub.reload_allowed().error(), ec::cannot_open_file);
}

TEST(socket_hub, a_stranger_is_refused_and_both_sides_learn_it) {
    const auto ours = new_certificate(), theirs = new_certificate();
    test_hub listener{secured(ours)}, stranger{secured(theirs)};
    const auto info = listener.hub.listen("tcp://127.0.0.1:0").value();
    ASSERT_TRUE(stranger.hub.connect(3, info.url, ours.public_key, 5s));
    ASSERT_TRUE(drive({&listener, &stranger},
                      [&] { return !stranger.failed.empty() && !listener.refused.empty(); }));
    EXPECT_EQ(stranger.failed[0].first, 3U);
    EXPECT_EQ(stranger.failed[0].second, ec::peer_not_authenticated)
        << to_string(stranger.failed[0].second);
    EXPECT_EQ(listener.refused[0].key, theirs.public_key);
    EXPECT_EQ(listener.refused[0].address, "127.0.0.1");
    EXPECT_TRUE(listener.links.empty());
}

TEST(socket_hub, any_key_gets_in_where_the_owner_says_so) {
    const auto ours = new_certificate(), theirs = new_certificate();
    test_hub listener{security{ours, std::nullopt, true}}, client{secured(theirs)};
    join(client, listener, "tcp://127.0.0.1:*", ours.public_key);
    EXPECT_EQ(listener.links[0].key, theirs.public_key);
}

TEST(socket_hub, a_listener_with_another_key_than_expected_is_not_connected_to) {
    const auto ours = new_certificate();
    test_hub listener{security{ours, std::nullopt, true}}, client{secured(new_certificate())};
    const auto info = listener.hub.listen("tcp://127.0.0.1:*").value();
    ASSERT_TRUE(client.hub.connect(3, info.url, new_certificate().public_key, 5s));
    ASSERT_TRUE(drive({&listener, &client}, [&] { return !client.failed.empty(); }));
    EXPECT_EQ(client.failed[0].second, ec::peer_disconnect_during_handshake);
    EXPECT_THAT(client.failed[0].second.message(), testing::HasSubstr("key"));
    EXPECT_TRUE(client.links.empty());
    ASSERT_TRUE(drive({&listener, &client}, [&] { return !listener.handshakes.empty(); }));
    EXPECT_THAT(listener.handshakes[0].why, testing::HasSubstr("server_key"));
}

TEST(socket_hub, plain_and_encrypted_do_not_mix) {
    for (const bool listener_secured : {true, false}) {
        const auto own = secured(new_certificate());
        test_hub listener{listener_secured ? own : security{}};
        test_hub client{listener_secured ? security{} : own};
        const auto info = listener.hub.listen("tcp://127.0.0.1:*").value();
        ASSERT_TRUE(client.hub.connect(3, info.url, {}, 5s));
        ASSERT_TRUE(drive({&listener, &client}, [&] { return !client.failed.empty(); }));
        // Which of the two depends on who reads the other's greeting first.
        EXPECT_THAT(client.failed[0].second.code(),
                    testing::AnyOf(ec::peer_incompatible, ec::peer_disconnect_during_handshake));
        EXPECT_THAT(client.failed[0].second.message(), testing::HasSubstr("CURVE"));
        EXPECT_TRUE(listener.links.empty());
        ASSERT_TRUE(drive({&listener, &client}, [&] { return !listener.handshakes.empty(); }));
        EXPECT_THAT(listener.handshakes[0].address, testing::StartsWith("tcp://127.0.0.1:"));
        EXPECT_THAT(listener.handshakes[0].why, testing::HasSubstr("CURVE"));
    }
}

TEST(socket_hub, failed_handshakes_are_told_of_once_a_second) {
    test_hub listener{secured(new_certificate())};
    const auto info = listener.hub.listen("tcp://127.0.0.1:*").value();
    const auto start = std::chrono::steady_clock::now();
    std::set<std::string> from;
    for (int i = 0; i < 30; ++i) {
        const int fd = raw_connection(info.port);
        ASSERT_GE(fd, 0);
        sockaddr_in own{};
        socklen_t size = sizeof own;
        ASSERT_EQ(::getsockname(fd, reinterpret_cast<sockaddr*>(&own), &size), 0);
        from.insert("tcp://127.0.0.1:" + std::to_string(ntohs(own.sin_port)));
        ASSERT_TRUE(drive({&listener}, [&] {
            return listener.hub.counters().accepted_connections == from.size();
        }));
        ::close(fd);
    }
    std::size_t told = 0;
    ASSERT_TRUE(drive({&listener}, [&] {
        told = 0;
        for (const auto& each : listener.handshakes) {
            told += each.count;
        }
        return told == from.size();
    }));
    const auto took = std::chrono::steady_clock::now() - start;
    EXPECT_LE(listener.handshakes.size(), 2U + static_cast<std::size_t>(took / 1s));
    EXPECT_TRUE(from.contains(listener.handshakes.back().address))
        << listener.handshakes.back().address;
    EXPECT_EQ(listener.hub.counters().failed_handshakes, told);
}

TEST(socket_hub, a_refused_connection_is_told_at_once) {
    test_hub a;
    std::string url;
    {
        test_hub gone;
        url = gone.hub.listen("tcp://127.0.0.1:*").value().url;
    }
    const auto start = std::chrono::steady_clock::now();
    ASSERT_TRUE(a.hub.connect(4, url, {}, 10s));
    ASSERT_TRUE(drive({&a}, [&] { return !a.failed.empty(); }));
    EXPECT_EQ(a.failed[0].second, ec::peer_unavailable);
    EXPECT_LT(std::chrono::steady_clock::now() - start, 2s);
    // The target may be tried again.
    ASSERT_TRUE(a.hub.connect(4, url, {}, 10s));
    ASSERT_TRUE(drive({&a}, [&] { return a.failed.size() == 2; }));
}

TEST(socket_hub, a_silent_listener_ends_the_attempt_in_time) {
    const int mute = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    ASSERT_EQ(::bind(mute, reinterpret_cast<sockaddr*>(&at), size), 0);
    ASSERT_EQ(::listen(mute, 5), 0);
    ::getsockname(mute, reinterpret_cast<sockaddr*>(&at), &size);
    test_hub a;
    ASSERT_TRUE(
        a.hub.connect(4, "tcp://127.0.0.1:" + std::to_string(ntohs(at.sin_port)), {}, 200ms));
    ASSERT_TRUE(drive({&a}, [&] { return !a.failed.empty(); }));
    EXPECT_EQ(a.failed[0].second, ec::peer_timeout);
    ::close(mute);
}

TEST(socket_hub, names_are_resolved_and_unknown_ones_told) {
    test_hub a, b;
    const auto info = b.hub.listen("tcp://localhost:*").value();
    ASSERT_TRUE(a.hub.connect(1, "tcp://localhost:" + std::to_string(info.port), {}, 5s));
    EXPECT_TRUE(drive({&a, &b}, [&] { return !a.links.empty(); }));
    ASSERT_TRUE(a.hub.connect(2, "tcp://no-such-host.invalid:7", {}, 20s));
    EXPECT_TRUE(drive(
        {&a}, [&] { return !a.failed.empty(); }, 25s));
    EXPECT_THAT(a.failed.at(0).second.code(),
                testing::AnyOf(ec::peer_unavailable, ec::peer_timeout));
}

TEST(socket_hub, localhost_reaches_a_listener_on_ipv6_only) {
    test_hub a, b;
    const auto info = b.hub.listen("tcp://[::1]:*");
    if (!info) {
        GTEST_SKIP() << "no IPv6 here: " << to_string(info.error());
    }
    EXPECT_THAT(info->url, testing::StartsWith("tcp://[::1]:"));
    ASSERT_TRUE(a.hub.connect(1, "tcp://localhost:" + std::to_string(info->port), {}, 5s));
    ASSERT_TRUE(drive({&a, &b}, [&] { return !a.links.empty(); }));
    a.hub.send(a.links[0].link, shared_bytes::copy_of("hello"));
    ASSERT_TRUE(drive({&a, &b}, [&] { return !b.links.empty(); }));
    EXPECT_THAT(b.links[0].address, testing::StartsWith("tcp://[::1]:"));
}

TEST(socket_hub, a_wildcard_listener_is_reached_over_ipv4) {
    test_hub a, b;
    const auto info = b.hub.listen("tcp://*:0").value();
    ASSERT_NE(info.port, 0);
    ASSERT_TRUE(a.hub.connect(1, "tcp://127.0.0.1:" + std::to_string(info.port), {}, 5s));
    ASSERT_TRUE(drive({&a, &b}, [&] { return !a.links.empty(); }));
    a.hub.send(a.links[0].link, shared_bytes::copy_of("hello"));
    ASSERT_TRUE(drive({&a, &b}, [&] { return !b.links.empty(); }));
    EXPECT_THAT(b.links[0].address, testing::StartsWith("tcp://127.0.0.1:"));
}

TEST(socket_hub, ipc_links_work_and_end) {
    const auto url = "ipc://" + temporary_directory() + "/socket";
    test_hub a, b, thief;
    const auto [at_a, at_b] = join(a, b, url);
    exchange(a, at_a, b, at_b);
    const auto second = thief.hub.listen(url);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error(), ec::address_in_use);
    a.hub.close(at_a);
    EXPECT_TRUE(drive({&a, &b}, [&] { return !b.closed.empty(); }));
}

TEST(socket_hub, an_ipc_listener_deletes_nothing_but_its_own_socket) {
    const auto folder = temporary_directory();
    const auto path = folder + "/socket";
    const auto url = "ipc://" + path;
    test_hub hub;
    std::ofstream{path} << "precious";
    EXPECT_EQ(hub.hub.listen(url).error(), ec::address_in_use);
    EXPECT_TRUE(std::filesystem::is_regular_file(path));
    EXPECT_EQ(hub.hub.listen("ipc://" + folder).error(), ec::address_in_use);
    std::filesystem::remove(path);

    const auto listener = hub.hub.listen(url).value();
    EXPECT_TRUE(std::filesystem::is_socket(path));
    hub.hub.stop_listening(listener.id);
    EXPECT_FALSE(std::filesystem::exists(path));
    {
        test_hub other;
        ASSERT_TRUE(other.hub.listen(url));
    }
    EXPECT_FALSE(std::filesystem::exists(path)) << "nor at the hub's end";
    {
        test_hub other;
        ASSERT_TRUE(other.hub.listen(url));
        std::filesystem::remove(path);
        std::ofstream{path} << "somebody else's";
    }
    EXPECT_TRUE(std::filesystem::is_regular_file(path));
    std::filesystem::remove_all(folder);
}

TEST(socket_hub, addresses_in_use_and_malformed_ones_are_named) {
    test_hub a;
    const auto taken = a.hub.listen("tcp://127.0.0.1:*").value().url;
    const auto again = a.hub.listen(taken);
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error(), ec::address_in_use);
    EXPECT_THAT(again.error().message(), testing::HasSubstr(taken));
    for (const char* bad : {"", "tcp://", "tcp://127.0.0.1", "tcp://127.0.0.1:99999",
                            "tcp://1.2.3:4", "udp://127.0.0.1:1", "tcp://[::1", "tcp://::1:5",
                            "ipc://", "tcp://203.0.113.7:0", "tcp://a b:1"}) {
        const auto result = a.hub.listen(bad);
        ASSERT_FALSE(result) << bad;
        EXPECT_EQ(result.error(), ec::invalid_address) << bad;
    }
    EXPECT_EQ(a.hub.connect(1, "tcp://127.0.0.1:0", {}, 1s).error(), ec::invalid_address);
    EXPECT_EQ(a.hub.connect(1, "tcp://127.0.0.1:1", "short", 1s).error(), ec::invalid_certificate);
}

TEST(socket_hub, closing_lets_the_last_frames_go_and_the_other_end_sees_them_first) {
    for (const bool from_listener : {false, true}) {
        test_hub a, b;
        auto [at_a, at_b] = join(a, b);
        if (from_listener) {
            for (int i = 0; i < 100; ++i) {
                b.hub.send(at_b, shared_bytes::copy_of(std::string(10'000, 'x')));
            }
            b.hub.close(at_b);
            ASSERT_TRUE(drive({&a, &b}, [&] { return !a.closed.empty(); }));
            EXPECT_EQ(a.frames.size(), 100U);
            EXPECT_TRUE(b.closed.empty());
        } else {
            for (int i = 0; i < 100; ++i) {
                a.hub.send(at_a, shared_bytes::copy_of(std::string(10'000, 'x')));
            }
            a.hub.close(at_a);
            ASSERT_TRUE(drive({&a, &b}, [&] { return !b.closed.empty(); }));
            EXPECT_EQ(b.frames.size(), 100U);
            EXPECT_TRUE(a.closed.empty());
        }
    }
}

TEST(socket_hub, a_stopped_listener_ends_its_links) {
    test_hub a, b;
    const auto [at_a, at_b] = join(a, b);
    b.hub.stop_listening(b.links[0].from);
    EXPECT_TRUE(drive({&a, &b}, [&] { return !a.closed.empty() && !b.closed.empty(); }));
    EXPECT_EQ(b.closed.at(0).first, at_b);
    EXPECT_EQ(b.closed.at(0).second, ec::shutting_down);
    EXPECT_EQ(a.closed.at(0).first, at_a);
    b.hub.send(at_b, shared_bytes::copy_of("late"));
    a.hub.send(at_a, shared_bytes::copy_of("late"));
    EXPECT_EQ(b.hub.counters().dropped_frames, 1U);
}

TEST(socket_hub, a_link_may_be_closed_from_within_its_callbacks) {
    test_hub a, b;
    const auto [at_a, at_b] = join(a, b);
    std::size_t count = 0;
    b.on_frame = [&](link_id link, const shared_bytes&) {
        ++count;
        b.hub.close(link, false);
    };
    for (int i = 0; i < 50; ++i) {
        a.hub.send(at_a, shared_bytes::copy_of("frame"));
    }
    ASSERT_TRUE(drive({&a, &b}, [&] { return !a.closed.empty(); }));
    EXPECT_EQ(count, 1U);

    test_hub c;
    const auto [at_c, at_b2] = join(c, a);
    c.on_frame = [&](link_id link, const shared_bytes&) {
        ++count;
        c.hub.close(link);
    };
    a.hub.send(at_b2, shared_bytes::copy_of("one"));
    a.hub.send(at_b2, shared_bytes::copy_of("two"));
    ASSERT_TRUE(drive({&a, &c}, [&] { return a.closed.size() == 2; }));
    EXPECT_EQ(count, 2U);
    EXPECT_TRUE(c.closed.empty());
    static_cast<void>(at_c);
    static_cast<void>(at_b);
}

TEST(socket_hub, a_listener_may_be_stopped_from_within_its_callbacks) {
    test_hub a, b;
    const auto [at_a, at_b] = join(a, b);
    b.on_frame = [&](link_id, const shared_bytes&) { b.hub.stop_listening(b.links[0].from); };
    a.hub.send(at_a, shared_bytes::copy_of("stop"));
    a.hub.send(at_a, shared_bytes::copy_of("more"));
    EXPECT_TRUE(drive({&a, &b}, [&] { return !a.closed.empty() && !b.closed.empty(); }));
    static_cast<void>(at_b);
}

TEST(socket_hub, a_killed_connector_is_noticed_within_a_second) {
    child dialler{[](int in, int) {
        std::uint16_t port = 0;
        if (::read(in, &port, sizeof port) != sizeof port) {
            return;
        }
        test_hub mine;
        static_cast<void>(mine.hub.connect(1, "tcp://127.0.0.1:" + std::to_string(port), {}, 10s));
        drive({&mine}, [&] { return !mine.links.empty(); });
        mine.hub.send(mine.links.at(0).link, shared_bytes::copy_of("hello"));
        drive(
            {&mine}, [] { return false; }, 60s);
    }};
    test_hub listener;
    const auto port = listener.hub.listen("tcp://127.0.0.1:*").value().port;
    ASSERT_EQ(::write(dialler.to, &port, sizeof port), static_cast<ssize_t>(sizeof port));
    ASSERT_TRUE(drive({&listener}, [&] { return !listener.links.empty(); }));
    dialler.kill();
    EXPECT_TRUE(drive(
        {&listener}, [&] { return !listener.closed.empty(); }, 1s));
}

TEST(socket_hub, a_killed_listener_is_noticed_within_a_second) {
    child server{[](int, int out) {
        test_hub mine;
        const auto port = mine.hub.listen("tcp://127.0.0.1:*").value().port;
        if (::write(out, &port, sizeof port) == sizeof port) {
            drive(
                {&mine}, [] { return false; }, 60s);
        }
    }};
    std::uint16_t port = 0;
    ASSERT_EQ(::read(server.from, &port, sizeof port), static_cast<ssize_t>(sizeof port));
    test_hub mine;
    ASSERT_TRUE(mine.hub.connect(1, "tcp://127.0.0.1:" + std::to_string(port), {}, 10s));
    ASSERT_TRUE(drive({&mine}, [&] { return !mine.links.empty(); }));
    server.kill();
    EXPECT_TRUE(drive(
        {&mine}, [&] { return !mine.closed.empty(); }, 1s));
    EXPECT_EQ(mine.closed.at(0).second, ec::peer_unavailable);
}

TEST(socket_hub, every_link_of_a_crowd_that_comes_and_goes_is_closed_once) {
    test_hub listener;
    const auto info = listener.hub.listen("tcp://127.0.0.1:*").value();
    constexpr std::size_t rounds = 10, crowd = 20;
    for (std::size_t round = 0; round < rounds; ++round) {
        test_hub peers;
        for (std::uint32_t i = 0; i < crowd; ++i) {
            ASSERT_TRUE(peers.hub.connect(i + 1, info.url, {}, 10s));
        }
        std::size_t greeted = 0;
        ASSERT_TRUE(drive({&peers, &listener}, [&] {
            for (; greeted < peers.links.size(); ++greeted) {
                peers.hub.send(peers.links[greeted].link, shared_bytes::copy_of("hello"));
            }
            return greeted == crowd && listener.links.size() == (round + 1) * crowd;
        }));
    }
    ASSERT_TRUE(drive({&listener}, [&] { return listener.closed.size() == rounds * crowd; }));
    std::set<link_id> once;
    for (const auto& [link, reason] : listener.closed) {
        EXPECT_TRUE(once.insert(link).second);
    }
    EXPECT_EQ(listener.frames.size(), rounds * crowd);
}

TEST(socket_hub, a_thousand_silent_connections_do_not_keep_others_out) {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < 3000) {
        GTEST_SKIP() << "too few file descriptors";
    }
    for (const bool curve : {false, true}) {
        const auto own = new_certificate();
        hub_settings settings;
        settings.handshake_timeout = 3s;
        test_hub listener{curve ? secured(own) : security{}, settings};
        test_hub client{curve ? secured(own) : security{}};
        const auto info = listener.hub.listen("tcp://127.0.0.1:*").value();
        std::vector<int> silent;
        for (int i = 0; i < 1000; ++i) {
            silent.push_back(raw_connection(info.port));
            ASSERT_GE(silent.back(), 0);
            if (i % 50 == 0) {
                listener.hub.poll(0ns);
            }
        }
        ASSERT_TRUE(drive({&listener},
                          [&] { return listener.hub.counters().accepted_connections == 1000; }));
        ASSERT_TRUE(client.hub.connect(1, info.url, {}, 10s));
        ASSERT_TRUE(drive({&listener, &client}, [&] { return !client.links.empty(); }));
        client.hub.send(client.links[0].link, shared_bytes::copy_of("hello"));
        ASSERT_TRUE(drive({&listener, &client}, [&] { return !listener.links.empty(); }));
        // They are dropped in the end.
        ASSERT_TRUE(drive({&listener, &client},
                          [&] { return listener.hub.counters().failed_handshakes >= 1000; }));
        EXPECT_EQ(listener.links.size(), 1U);
        EXPECT_TRUE(listener.closed.empty());
        for (const int fd : silent) {
            ::close(fd);
        }
    }
}

/// A ZeroMQ client that is none of ours: it shows who it is, and says only what it is told to.
class foreign_client {
  public:
    explicit foreign_client(const std::string& url, const certificate* own = nullptr) {
        const int linger = 0, never = -1;
        zmq_setsockopt(dealer_, ZMQ_LINGER, &linger, sizeof linger);
        zmq_setsockopt(dealer_, ZMQ_RECONNECT_IVL, &never, sizeof never);
        if (own != nullptr) {
            zmq_setsockopt(dealer_, ZMQ_CURVE_SERVERKEY, own->public_key.c_str(), 41);
            zmq_setsockopt(dealer_, ZMQ_CURVE_PUBLICKEY, own->public_key.c_str(), 41);
            zmq_setsockopt(dealer_, ZMQ_CURVE_SECRETKEY, own->secret.reveal(), 41);
        }
        zmq_socket_monitor(dealer_, "inproc://events",
                           ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED);
        events_ = zmq_socket(context_, ZMQ_PAIR);
        zmq_connect(events_, "inproc://events");
        EXPECT_EQ(zmq_connect(dealer_, url.c_str()), 0);
    }
    foreign_client(const foreign_client&) = delete;
    foreign_client& operator=(const foreign_client&) = delete;
    ~foreign_client() {
        zmq_socket_monitor(dealer_, nullptr, 0);
        zmq_close(dealer_);
        zmq_close(events_);
        zmq_ctx_term(context_);
    }

    void say(std::string_view frame) { zmq_send(dealer_, frame.data(), frame.size(), 0); }
    bool shown() { return look().shown_; }
    bool gone() { return look().gone_; }

  private:
    foreign_client& look() {
        unsigned char head[6];
        while (zmq_recv(events_, head, sizeof head, ZMQ_DONTWAIT) == sizeof head) {
            std::uint16_t type = 0;
            std::memcpy(&type, head, sizeof type);
            (type == ZMQ_EVENT_DISCONNECTED ? gone_ : shown_) = true;
            zmq_recv(events_, nullptr, 0, 0);
        }
        return *this;
    }

    void* context_ = zmq_ctx_new();
    void* dealer_ = zmq_socket(context_, ZMQ_DEALER);
    void* events_ = nullptr;
    bool shown_ = false, gone_ = false;
};

TEST(socket_hub, who_shows_who_it_is_and_then_says_nothing_is_ended_and_counted) {
    const auto own = new_certificate();
    for (const bool curve : {false, true}) {
        for (const auto& url : {std::string{"tcp://127.0.0.1:*"},
                                "ipc://" + temporary_directory() + "/silent"}) {
            hub_settings settings;
            settings.handshake_timeout = 400ms;
            test_hub listener{curve ? secured(own) : security{}, settings};
            const auto info = listener.hub.listen(url).value();
            const auto* key = curve ? &own : nullptr;
            foreign_client talker{info.url, key};
            std::vector<std::unique_ptr<foreign_client>> silent;
            for (int i = 0; i < 20; ++i) {
                silent.push_back(std::make_unique<foreign_client>(info.url, key));
            }
            talker.say("hello");
            const auto all = [&](bool (foreign_client::*what)()) {
                return std::all_of(silent.begin(), silent.end(),
                                   [&](const auto& one) { return (one.get()->*what)(); });
            };
            ASSERT_TRUE(drive({&listener}, [&] { return all(&foreign_client::shown); }));
            ASSERT_TRUE(drive({&listener}, [&] { return all(&foreign_client::gone); }));
            EXPECT_EQ(listener.hub.counters().failed_handshakes, 20U);
            std::size_t told = 0;
            for (const auto& [count, address] : listener.silent) {
                told += count;
                EXPECT_FALSE(address.empty());
            }
            EXPECT_EQ(told, 20U);
            EXPECT_LE(listener.silent.size(), 4U);
            // Whoever spoke stays, however long it says nothing more.
            EXPECT_FALSE(talker.gone());
            EXPECT_EQ(listener.links.size(), 1U);
            EXPECT_TRUE(listener.closed.empty());
            talker.say("again");
            ASSERT_TRUE(drive({&listener}, [&] { return listener.frames.size() == 2; }));
        }
    }
}

TEST(socket_hub, garbage_opens_no_link_and_harms_nobody) {
    for (const bool curve : {false, true}) {
        const auto own = new_certificate();
        test_hub listener{curve ? secured(own) : security{}},
            client{curve ? secured(own) : security{}};
        const auto [at_client, at_listener] = join(client, listener);
        const auto info = listener.hub.listen("tcp://127.0.0.1:*").value();
        std::uint64_t state = 1;
        for (int i = 0; i < 200; ++i) {
            const int fd = raw_connection(info.port);
            ASSERT_GE(fd, 0);
            std::string garbage;
            if (i % 4 == 1) {
                garbage = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
            } else if (i % 4 == 2) {  // A proper ZMTP 3 signature, then nonsense.
                garbage = std::string{"\xff\0\0\0\0\0\0\0\x01\x7f\x03\0NULL", 16};
            } else if (i % 4 == 3) {  // ZMTP 1 with an empty routing id and a message.
                garbage = std::string{"\x01\0\x05\0abcd", 8};
            }
            for (int k = 0; k < 200; ++k) {
                state = state * 6364136223846793005ULL + 1442695040888963407ULL;
                garbage.push_back(static_cast<char>(state >> 56));
            }
            static_cast<void>(::send(fd, garbage.data(), garbage.size(), MSG_NOSIGNAL));
            ::close(fd);
            listener.hub.poll(0ns);
        }
        ASSERT_TRUE(drive({&listener},
                          [&] { return listener.hub.counters().accepted_connections >= 201; }));
        exchange(client, at_client, listener, at_listener);
        EXPECT_EQ(listener.links.size(), 1U);
    }
}

TEST(socket_hub, messages_of_several_parts_are_dropped_and_counted) {
    test_hub listener;
    const auto info = listener.hub.listen("tcp://127.0.0.1:*").value();
    void* context = zmq_ctx_new();
    void* foreign = zmq_socket(context, ZMQ_DEALER);
    const int linger = 0;
    zmq_setsockopt(foreign, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(foreign, ZMQ_ROUTING_ID, "somebody", 8);
    ASSERT_EQ(zmq_connect(foreign, info.url.c_str()), 0);
    for (const char* part : {"a", "b", "c"}) {
        zmq_send(foreign, part, 1, *part == 'c' ? 0 : ZMQ_SNDMORE);
    }
    ASSERT_TRUE(
        drive({&listener}, [&] { return listener.hub.counters().malformed_messages == 1; }));
    EXPECT_TRUE(listener.links.empty());
    zmq_send(foreign, "single", 6, 0);
    ASSERT_TRUE(drive({&listener}, [&] { return !listener.frames.empty(); }));
    EXPECT_EQ(listener.frames[0].bytes.view(), "single");
    zmq_close(foreign);
    ASSERT_TRUE(drive({&listener}, [&] { return !listener.closed.empty(); }));
    zmq_ctx_term(context);
}

TEST(socket_hub, a_frame_above_the_limit_ends_the_link) {
    hub_settings settings;
    settings.max_frame_bytes = 100'000;
    test_hub a, b{{}, settings};
    const auto [at_a, at_b] = join(a, b);
    a.hub.send(at_a, shared_bytes::copy_of(std::string(100'001, 'x')));
    ASSERT_TRUE(drive({&a, &b}, [&] { return !a.closed.empty() && !b.closed.empty(); }));
    EXPECT_TRUE(b.frames.empty());
    static_cast<void>(at_b);
}

TEST(socket_hub, a_hundred_thousand_frames_keep_their_order) {
    for (const bool curve : {false, true}) {
        const auto own = new_certificate();
        test_hub a{curve ? secured(own) : security{}}, b{curve ? secured(own) : security{}};
        const auto [at_a, at_b] = join(a, b);
        constexpr std::uint32_t count = 100'000;
        std::uint32_t sent = 0, received = 0, answered = 0;
        bool ordered = true;
        block_pool pool;
        b.on_frame = [&](link_id link, const shared_bytes& bytes) {
            std::uint32_t number = 0;
            std::memcpy(&number, bytes.data(), sizeof number);
            ordered &= number == received++;
            b.hub.send(link, bytes);
        };
        a.on_frame = [&](link_id, const shared_bytes& bytes) {
            std::uint32_t number = 0;
            std::memcpy(&number, bytes.data(), sizeof number);
            ordered &= number == answered++;
        };
        ASSERT_TRUE(drive(
            {&a, &b},
            [&] {
                for (int i = 0; i < 500 && sent < count; ++i, ++sent) {
                    const std::size_t size = 4 + (sent * 7919U) % (sent % 100 == 0 ? 70'000 : 1500);
                    auto block = pool.take(size);
                    std::memcpy(block->data, &sent, sizeof sent);
                    const auto* data = block->data;
                    a.hub.send(at_a, {std::move(block), data, size});
                }
                return answered == count;
            },
            120s));
        EXPECT_TRUE(ordered);
        EXPECT_EQ(received, count);
        static_cast<void>(at_b);
    }
}

TEST(socket_hub, frames_outlive_the_link_that_brought_them) {
    test_hub a;
    shared_bytes kept;
    {
        test_hub b;
        const auto [at_a, at_b] = join(a, b);
        a.hub.send(at_a, shared_bytes::copy_of(std::string(100'000, 'k')));
        ASSERT_TRUE(drive({&a, &b}, [&] { return !b.frames.empty(); }));
        kept = b.frames[0].bytes;
        static_cast<void>(at_b);
    }
    EXPECT_EQ(kept.view(), std::string(100'000, 'k'));
}

TEST(socket_hub, no_wake_up_is_lost) {
    test_hub a;
    constexpr std::uint64_t count = 100'000;
    std::atomic<std::uint64_t> posted{0}, taken{0};
    std::jthread poster{[&] {
        for (std::uint64_t i = 1; i <= count; ++i) {
            posted.store(i, std::memory_order_relaxed);
            a.hub.wake();
            // Half of the time let the other side go to sleep first.
            while (i % 2 == 0 && taken.load(std::memory_order_relaxed) < i) {
            }
        }
    }};
    const auto start = std::chrono::steady_clock::now();
    while (taken.load(std::memory_order_relaxed) < count) {
        a.hub.poll(10s);  // Sleeps for good where a wake-up is lost.
        taken.store(posted.load(std::memory_order_relaxed), std::memory_order_relaxed);
        ASSERT_LT(std::chrono::steady_clock::now() - start, 60s);
    }
}

TEST(socket_hub, polling_waits_no_longer_than_told) {
    test_hub a;
    a.hub.poll(0ns);
    const auto start = std::chrono::steady_clock::now();
    a.hub.poll(30ms);
    EXPECT_GE(std::chrono::steady_clock::now() - start, 25ms);
    EXPECT_LT(std::chrono::steady_clock::now() - start, 5s);
}

}  // namespace
}  // namespace bzmq::transport
