#include "bzmq/network_info.hpp"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace bzmq {
namespace {

TEST(network_info, spellings_of_one_place_normalise_to_one_url) {
    const std::vector<std::pair<std::string, std::string>> cases{
        {"tcp://127.0.0.1:4000", "tcp://127.0.0.1:4000"},
        {"127.0.0.1:4000", "tcp://127.0.0.1:4000"},
        {"127.0.0.1", "tcp://127.0.0.1:9999"},
        {"Example.COM:1", "tcp://example.com:1"},
        {"node_1", "tcp://node_1:9999"},
        {"example.com.", "tcp://example.com.:9999"},
        {"[::1]", "tcp://[::1]:9999"},
        {"[0:0:0:0:0:0:0:1]:5", "tcp://[::1]:5"},
        {"tcp://[2001:DB8::A]:65535", "tcp://[2001:db8::a]:65535"},
        {"[fe80::1%eth0]:7", "tcp://[fe80::1%eth0]:7"},
        {"*:0", "tcp://*:0"},
        {"ipc:///run/bzmq.sock", "ipc:///run/bzmq.sock"},
        {"ipc://@bzmq", "ipc://@bzmq"},
    };
    for (const auto& [spelling, url] : cases) {
        const auto normal = normalise_url(spelling);
        ASSERT_TRUE(normal) << spelling << ": " << to_string(normal.error());
        EXPECT_EQ(*normal, url);
        EXPECT_EQ(normalise_url(*normal).value(), url) << "normalising again changes nothing";
    }
}

TEST(network_info, a_malformed_address_says_what_was_expected) {
    const std::vector<std::pair<std::string, std::string>> cases{
        {"", "expected host:port"},
        {"udp://x:1", "unknown scheme"},
        {"tcp://", "expected a host"},
        {":9999", "expected a host"},
        {"host:", "expected a port from 0 to 65535"},
        {"host:65536", "expected a port from 0 to 65535"},
        {"host:-1", "expected a port from 0 to 65535"},
        {"host:80x", "expected a port from 0 to 65535"},
        {"::1:9999", "in brackets"},
        {"[::1", "expected ']'"},
        {"[::1]9999", "expected ':'"},
        {"[::g]:1", "expected an IPv6 address"},
        {"[::1%]:1", "expected an IPv6 address"},
        {"[fe80::1%e%0]:1", "expected an IPv6 address"},
        {"[127.0.0.1]:1", "expected an IPv6 address"},
        {"256.1.1.1:1", "not an IPv4 address"},
        {"10.1:1", "not an IPv4 address"},
        {"a..b:1", "empty or too long"},
        {".a:1", "empty or too long"},
        {std::string(64, 'a') + ":1", "empty or too long"},
        {std::string(254, 'a'), "at most 253"},
        {"two words:1", "letters, digits"},
        {std::string{"nul\0:1", 6}, "letters, digits"},
        {"ipc://", "absolute path"},
        {"ipc://relative", "absolute path"},
        {"ipc:///" + std::string(107, 'a'), "at most 107 bytes"},
        {"ipc:///a\nb", "control characters"},
    };
    for (const auto& [spelling, reason] : cases) {
        const auto info = parse_network_info(spelling);
        ASSERT_FALSE(info) << spelling;
        EXPECT_EQ(info.error().code(), ec::invalid_address);
        EXPECT_NE(info.error().message().find(reason), std::string::npos)
            << info.error().message() << " lacks: " << reason;
        EXPECT_EQ(info.error().message().find('\n'), std::string::npos);
    }
}

TEST(network_info, host_and_port_make_a_url) {
    EXPECT_EQ(make_url("127.0.0.1", 9999).value(), "tcp://127.0.0.1:9999");
    EXPECT_EQ(make_url("::1", 0).value(), "tcp://[::1]:0");
    EXPECT_EQ(make_url("[::1]", 1).value(), "tcp://[::1]:1");
    EXPECT_EQ(make_url("", 1).value(), "tcp://*:1");
    EXPECT_EQ(make_url("ipc:///run/x", 1).value(), "ipc:///run/x");
    EXPECT_FALSE(make_url("host:1", 1));
}

TEST(network_info, only_what_stays_on_this_machine_is_loopback) {
    for (const auto* url :
         {"127.0.0.1:1", "127.9.9.9", "tcp://[::1]:1", "localhost:1", "ipc:///x"}) {
        EXPECT_TRUE(is_loopback_url(url)) << url;
    }
    for (const auto* url : {"*:1", "0.0.0.0:1", "128.0.0.1", "127.evil.example", "[::]:1", "127.1",
                            "", "localhost.example", "[::ffff:10.0.0.1]:1"}) {
        EXPECT_FALSE(is_loopback_url(url)) << url;
    }
}

TEST(network_info, equal_places_compare_equal) {
    EXPECT_EQ(parse_network_info("LOCALHOST:9999").value(),
              parse_network_info("localhost").value());
    EXPECT_NE(parse_network_info("localhost:1").value(), parse_network_info("localhost").value());
}

}  // namespace
}  // namespace bzmq
