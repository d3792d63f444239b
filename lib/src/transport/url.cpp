#include "transport/url.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace bzmq::transport {
namespace {

unexpected invalid(std::string_view text, std::string_view why) {
    return fail(ec::invalid_address, std::string{text}.append(": ").append(why));
}

bool is_host_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-'
           || c == '.' || c == '_';
}

bool is_loopback(const in6_addr& address) {
    if (IN6_IS_ADDR_V4MAPPED(&address)) {
        return address.s6_addr[12] == 127;
    }
    return IN6_IS_ADDR_LOOPBACK(&address) != 0;
}

/// Fills host and kind.
const char* parse_host(std::string_view text, url& out) {
    if (text.size() > 255) {
        return "the host is too long";
    }
    if (text.starts_with('[')) {
        if (!text.ends_with(']')) {
            return "no ']' behind the IPv6 address";
        }
        out.kind = url::host_type::ipv6;
        out.host = text.substr(1, text.size() - 2);
        in6_addr raw{};
        // A zone, as in fe80::1%eth0, is for the system to judge.
        const auto numeric = out.host.substr(0, out.host.find('%'));
        return inet_pton(AF_INET6, numeric.c_str(), &raw) == 1 ? nullptr : "not an IPv6 address";
    }
    out.host = text;
    if (text == "*") {
        out.kind = url::host_type::wildcard;
        return nullptr;
    }
    if (text.empty()) {
        return "no host";
    }
    if (!std::all_of(text.begin(), text.end(), is_host_character)) {
        return "not a host (an IPv6 address stands in brackets)";
    }
    in_addr raw{};
    const bool numeric = text.find_first_not_of("0123456789.") == std::string_view::npos;
    out.kind = numeric ? url::host_type::ipv4 : url::host_type::name;
    if (numeric && inet_pton(AF_INET, out.host.c_str(), &raw) != 1) {
        return "not an IPv4 address";
    }
    return nullptr;
}

}  // namespace

expected<url> url::parse(std::string_view text) {
    constexpr std::string_view tcp = "tcp://";
    constexpr std::string_view ipc = "ipc://";
    url out;
    if (text.starts_with(ipc)) {
        out.scheme = scheme_type::ipc;
        out.path = text.substr(ipc.size());
        if (out.path.empty() || out.path == "*" || out.path.find('\0') != std::string::npos) {
            return invalid(text, "no path");
        }
        if (out.path.size() >= sizeof(sockaddr_un{}.sun_path)) {
            return invalid(text, "the path is longer than 107 bytes");
        }
        return out;
    }
    if (!text.starts_with(tcp)) {
        return invalid(text, "starts neither with tcp:// nor with ipc://");
    }
    const auto rest = text.substr(tcp.size());
    const auto colon = rest.rfind(':');
    if (colon == std::string_view::npos || rest.ends_with(']')) {
        return invalid(text, "no port");
    }
    if (const char* why = parse_host(rest.substr(0, colon), out)) {
        return invalid(text, why);
    }
    const auto port = rest.substr(colon + 1);
    if (port != "*") {
        const auto [end, code] = std::from_chars(port.data(), port.data() + port.size(), out.port);
        if (code != std::errc{} || end != port.data() + port.size()) {
            return invalid(text, "the port is not a number up to 65535");
        }
    }
    return out;
}

std::string to_string(const url& value) {
    if (value.scheme == url::scheme_type::ipc) {
        return "ipc://" + value.path;
    }
    const bool brackets = value.kind == url::host_type::ipv6;
    return (brackets ? "tcp://[" : "tcp://") + value.host + (brackets ? "]:" : ":")
           + (value.port == 0 ? "*" : std::to_string(value.port));
}

bool is_loopback(std::string_view address) {
    const auto parsed = url::parse(address);
    if (!parsed) {
        return false;
    }
    if (parsed->scheme == url::scheme_type::ipc) {
        return true;
    }
    switch (parsed->kind) {
        case url::host_type::ipv4:
            return parsed->host.starts_with("127.");
        case url::host_type::ipv6: {
            in6_addr raw{};
            return inet_pton(AF_INET6, parsed->host.c_str(), &raw) == 1 && is_loopback(raw);
        }
        case url::host_type::name:
            return parsed->host == "localhost";
        case url::host_type::wildcard:
            break;
    }
    return false;
}

std::vector<url> resolve(const url& named) {
    std::vector<url> found;
    const auto add = [&](url::host_type kind, std::string host) {
        url one = named;
        one.kind = kind;
        one.host = std::move(host);
        found.push_back(std::move(one));
    };
    if (named.host == "localhost") {
        // What is_loopback promises of this name must not hang on a resolver.
        add(url::host_type::ipv4, "127.0.0.1");
        add(url::host_type::ipv6, "::1");
        return found;
    }
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_family = AF_UNSPEC;
    addrinfo* list = nullptr;
    if (getaddrinfo(named.host.c_str(), nullptr, &hints, &list) != 0) {
        return found;
    }
    for (const int family : {AF_INET, AF_INET6}) {
        for (const addrinfo* at = list; at != nullptr; at = at->ai_next) {
            char text[NI_MAXHOST] = {};
            if (at->ai_family == family
                && getnameinfo(at->ai_addr, at->ai_addrlen, text, sizeof text, nullptr, 0,
                               NI_NUMERICHOST)
                       == 0) {
                add(family == AF_INET ? url::host_type::ipv4 : url::host_type::ipv6, text);
            }
        }
    }
    freeaddrinfo(list);
    return found;
}

std::string remote_address(int fd) {
    sockaddr_storage raw{};
    socklen_t size = sizeof raw;
    if (getpeername(fd, reinterpret_cast<sockaddr*>(&raw), &size) != 0) {
        return {};
    }
    char text[INET6_ADDRSTRLEN] = {};
    if (raw.ss_family == AF_INET) {
        sockaddr_in v4{};
        std::memcpy(&v4, &raw, sizeof v4);
        inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
        return "tcp://" + std::string{text} + ":" + std::to_string(ntohs(v4.sin_port));
    }
    if (raw.ss_family == AF_INET6) {
        sockaddr_in6 v6{};
        std::memcpy(&v6, &raw, sizeof v6);
        const auto port = std::to_string(ntohs(v6.sin6_port));
        if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
            inet_ntop(AF_INET, &v6.sin6_addr.s6_addr[12], text, sizeof text);
            return "tcp://" + std::string{text} + ":" + port;
        }
        inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
        return "tcp://[" + std::string{text} + "]:" + port;
    }
    return {};
}

}  // namespace bzmq::transport
