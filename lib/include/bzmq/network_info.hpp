#pragma once

#include "bzmq/error.hpp"
#include "bzmq/export.hpp"

#include <chrono>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace bzmq {

/// The port of an address that names none.
constexpr std::uint16_t default_port = 9999;

/// Where an endpoint can be reached. For TCP: a host name or an IP address without brackets, and a
/// port. For a local socket: the whole "ipc://…" URL as the address, and port 0.
struct network_info {
    std::string address;
    std::uint16_t port = default_port;
    /// Pause between attempts to connect; zero for a single attempt.
    std::chrono::seconds retry{0};

    friend bool operator==(const network_info&, const network_info&) = default;
    friend auto operator<=>(const network_info&, const network_info&) = default;
};

/// Takes an address apart: "tcp://host:port", "host:port", "host", "tcp://[::1]:9999", "[::1]",
/// "tcp://*:9999" (every interface, for listeners), "ipc:///path" or "ipc://@name" (Linux's
/// abstract sockets). Without a port it is `default_port`; port 0 asks a listener for a free one.
/// Host names come out in lower case and IPv6 addresses in their shortest form (RFC 5952), so that
/// equal places compare equal. Anything else is `ec::invalid_address`, and the message says why.
BZMQ_EXPORT expected<network_info> parse_network_info(std::string_view url);

/// The one spelling of an address that ZeroMQ takes: "tcp://host:port", "tcp://[::1]:port" or
/// "ipc:///path". Accepts what `parse_network_info` does.
BZMQ_EXPORT expected<std::string> normalise_url(std::string_view url);

/// The URL of a host (IPv6 with or without brackets) and port; an `address` that is a URL
/// itself ("ipc://…") is taken as it is, and the port ignored; an empty one means every interface.
BZMQ_EXPORT expected<std::string> make_url(std::string_view address, std::uint16_t port);

/// The URL of `info`, which must be well formed, e.g. "tcp://[::1]:9999".
BZMQ_EXPORT std::string to_string(const network_info& info);

/// True where only this machine can reach `url`: 127.0.0.0/8, ::1, "localhost" or a local socket.
/// False for malformed ones.
BZMQ_EXPORT bool is_loopback_url(std::string_view url);

}  // namespace bzmq
