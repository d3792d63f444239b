#pragma once

#include "bzmq/error.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bzmq::transport {

/// tcp://HOST:PORT or ipc://PATH. HOST is an IPv4 address, an IPv6 address in brackets, a name, or
/// `*` for all interfaces; PORT is a number, or `*` (as 0) for any free one.
struct url {
    enum class scheme_type : std::uint8_t { tcp, ipc };
    enum class host_type : std::uint8_t { wildcard, ipv4, ipv6, name };

    scheme_type scheme = scheme_type::tcp;
    host_type kind = host_type::name;
    std::string host;  ///< without brackets
    std::uint16_t port = 0;
    std::string path;  ///< of ipc

    /// `invalid_address` naming `text` and what is wrong with it.
    static expected<url> parse(std::string_view text);
};

std::string to_string(const url& value);

/// True where `address` reaches this machine only: ipc, or tcp at 127.0.0.0/8, ::1 or localhost.
/// False for anything malformed.
bool is_loopback(std::string_view address);

/// The addresses behind a url with a name, in the order in which to try them; IPv4 first, since
/// listeners are more often bound there. Asks the system's resolver, which may block for seconds.
std::vector<url> resolve(const url& named);

/// The other end of a connected socket, as a url; empty where it has no address.
std::string remote_address(int fd);

}  // namespace bzmq::transport
