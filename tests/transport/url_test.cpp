#include "transport/url.hpp"

#include <gtest/gtest.h>

namespace bzmq::transport {
namespace {

TEST(url, text_survives_a_round_trip) {
    for (const char* text :
         {"tcp://127.0.0.1:80", "tcp://[::1]:80", "tcp://*:80", "tcp://host-1.example:*",
          "ipc:///tmp/socket", "ipc://@abstract", "tcp://[fe80::1%eth0]:1"}) {
        const auto parsed = url::parse(text);
        ASSERT_TRUE(parsed) << text;
        EXPECT_EQ(to_string(*parsed), text);
    }
    EXPECT_EQ(to_string(url::parse("tcp://h:0").value()), "tcp://h:*");
}

TEST(url, loopback_addresses_are_known) {
    for (const char* text :
         {"tcp://127.0.0.1:80", "tcp://127.9.9.9:*", "tcp://[::1]:80", "tcp://localhost:1",
          "tcp://[::ffff:127.0.0.1]:80", "ipc:///tmp/socket"}) {
        EXPECT_TRUE(is_loopback(text)) << text;
    }
    for (const char* text :
         {"tcp://*:80", "tcp://0.0.0.0:80", "tcp://[::]:80", "tcp://128.0.0.1:1",
          "tcp://127.example.org:1", "tcp://localhost.example:1", "", "localhost"}) {
        EXPECT_FALSE(is_loopback(text)) << text;
    }
}

}  // namespace
}  // namespace bzmq::transport
