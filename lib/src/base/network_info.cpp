#include "bzmq/network_info.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace bzmq {
namespace {

constexpr std::string_view tcp_scheme = "tcp://";
constexpr std::string_view ipc_scheme = "ipc://";
constexpr std::size_t ipc_path_bytes_max = 107;  // unix(7): sun_path has 108, a NUL ends it
constexpr std::size_t host_bytes_max = 253;  // RFC 1035, section 2.3.4
constexpr std::size_t label_bytes_max = 63;

unexpected invalid(std::string_view url, std::string_view reason) {
    // What came in may be hostile or just long; an error message stays one printable line.
    std::string shown;
    for (const char c : url.substr(0, host_bytes_max)) {
        shown += c >= ' ' && c <= '~' ? c : '?';
    }
    return fail(ec::invalid_address, '"' + shown + "\": " + std::string{reason});
}

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

std::optional<std::string> canonical_ipv4(const std::string& host) {
    in_addr raw{};
    std::array<char, INET_ADDRSTRLEN> text{};
    if (inet_pton(AF_INET, host.c_str(), &raw) != 1
        || inet_ntop(AF_INET, &raw, text.data(), text.size()) == nullptr) {
        return std::nullopt;
    }
    return text.data();
}

/// "fe80::1%eth0" keeps its zone.
std::optional<std::string> canonical_ipv6(std::string_view host) {
    const auto percent = std::min(host.find('%'), host.size());
    const auto zone = host.substr(percent);
    const bool zone_is_plain = std::all_of(
        zone.begin() + (zone.empty() ? 0 : 1), zone.end(),
        [](char c) { return is_digit(c) || is_letter(c) || c == '-' || c == '_' || c == '.'; });
    in6_addr raw{};
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (zone.size() == 1 || !zone_is_plain
        || inet_pton(AF_INET6, std::string{host.substr(0, percent)}.c_str(), &raw) != 1
        || inet_ntop(AF_INET6, &raw, text.data(), text.size()) == nullptr) {
        return std::nullopt;
    }
    return text.data() + std::string{zone};
}

/// The canonical form of a host that is not an IPv6 address, or why it is none.
tl::expected<std::string, std::string_view> canonical_host(std::string_view host) {
    if (host == "*") {
        return std::string{host};
    }
    if (host.empty()) {
        return tl::unexpected{std::string_view{"expected a host before the port"}};
    }
    if (host.size() > host_bytes_max) {
        return tl::unexpected{std::string_view{"a host name has at most 253 characters"}};
    }
    std::string out;
    std::size_t label_bytes = 0;
    bool numeric = true;
    for (const char c : host) {
        if (c != '.' && c != '-' && c != '_' && !is_digit(c) && !is_letter(c)) {
            return tl::unexpected{std::string_view{
                "a host name has only letters, digits, '-', '_' and '.'; an IPv6 address stands in "
                "brackets, as in [::1]:9999"}};
        }
        label_bytes = c == '.' ? 0 : label_bytes + 1;
        if (label_bytes > label_bytes_max || (c == '.' && (out.empty() || out.back() == '.'))) {
            return tl::unexpected{std::string_view{"a part of the host name is empty or too long"}};
        }
        numeric = numeric && (c == '.' || is_digit(c));
        out += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
    if (numeric) {
        auto ipv4 = canonical_ipv4(out);
        if (!ipv4) {
            return tl::unexpected{
                std::string_view{"not an IPv4 address; expected one such as 192.0.2.1"}};
        }
        return *ipv4;
    }
    return out;
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
    std::uint16_t port = 0;
    const auto* end = text.data() + text.size();
    const auto [stop, failure] = std::from_chars(text.data(), end, port);
    if (failure != std::errc{} || stop != end) {
        return std::nullopt;
    }
    return port;
}

expected<network_info> parse_ipc(std::string_view url) {
    const auto path = url.substr(ipc_scheme.size());
    if (path.empty() || path == "@" || (path.front() != '/' && path.front() != '@')) {
        return invalid(url, "expected an absolute path, as in ipc:///run/bzmq.sock");
    }
    if (path.size() > ipc_path_bytes_max) {
        return invalid(url, "the path of a local socket has at most "
                                + std::to_string(ipc_path_bytes_max) + " bytes");
    }
    if (std::any_of(path.begin(), path.end(),
                    [](unsigned char c) { return c < ' ' || c == 0x7f; })) {
        return invalid(url, "the path of a local socket has no control characters");
    }
    return network_info{std::string{url}, 0, {}};
}

expected<network_info> parse_tcp(std::string_view url, std::string_view place) {
    network_info out;
    std::string_view port_text;
    bool has_port = false;
    if (!place.empty() && place.front() == '[') {
        const auto close = place.find(']');
        if (close == std::string_view::npos) {
            return invalid(url, "expected ']' behind the IPv6 address");
        }
        auto host = canonical_ipv6(place.substr(1, close - 1));
        if (!host) {
            return invalid(url, "expected an IPv6 address between the brackets, as in [::1]:9999");
        }
        out.address = std::move(*host);
        const auto rest = place.substr(close + 1);
        if (!rest.empty() && rest.front() != ':') {
            return invalid(url, "expected ':' and a port behind the brackets");
        }
        has_port = !rest.empty();
        port_text = has_port ? rest.substr(1) : rest;
    } else {
        const auto colon = place.find(':');
        has_port = colon != std::string_view::npos;
        port_text = has_port ? place.substr(colon + 1) : std::string_view{};
        if (port_text.find(':') != std::string_view::npos) {
            return invalid(url, "an IPv6 address stands in brackets, as in [::1]:9999");
        }
        auto host = canonical_host(place.substr(0, colon));
        if (!host) {
            return invalid(url, host.error());
        }
        out.address = std::move(*host);
    }
    if (has_port) {
        const auto port = parse_port(port_text);
        if (!port) {
            return invalid(url, "expected a port from 0 to 65535");
        }
        out.port = *port;
    }
    return out;
}

}  // namespace

expected<network_info> parse_network_info(std::string_view url) {
    if (url.starts_with(ipc_scheme)) {
        return parse_ipc(url);
    }
    if (url.starts_with(tcp_scheme)) {
        return parse_tcp(url, url.substr(tcp_scheme.size()));
    }
    if (url.find("://") != std::string_view::npos) {
        return invalid(url, "unknown scheme; expected tcp://host:port or ipc:///path");
    }
    if (url.empty()) {
        return invalid(url, "expected host:port, tcp://host:port or ipc:///path");
    }
    return parse_tcp(url, url);
}

expected<std::string> normalise_url(std::string_view url) {
    return parse_network_info(url).map([](const network_info& info) { return to_string(info); });
}

expected<std::string> make_url(std::string_view address, std::uint16_t port) {
    if (address.find("://") != std::string_view::npos) {
        return normalise_url(address);
    }
    std::string place{address.empty() ? "*" : address};
    if (place.front() != '[' && place.find(':') != std::string::npos) {
        place = '[' + place + ']';
    }
    return normalise_url(std::string{tcp_scheme} + place + ':' + std::to_string(port));
}

std::string to_string(const network_info& info) {
    if (info.address.starts_with(ipc_scheme)) {
        return info.address;
    }
    const bool ipv6 = info.address.find(':') != std::string::npos;
    std::string out{tcp_scheme};
    out += ipv6 ? '[' + info.address + ']' : info.address;
    out += ':';
    out += std::to_string(info.port);
    return out;
}

bool is_loopback_url(std::string_view url) {
    const auto info = parse_network_info(url);
    if (!info) {
        return false;
    }
    const auto& host = info->address;
    // A host name that merely starts like the network ("127.evil.example") is no address.
    return host.starts_with(ipc_scheme) || host == "::1" || host == "localhost"
           || (host.starts_with("127.") && canonical_ipv4(host).has_value());
}

}  // namespace bzmq
