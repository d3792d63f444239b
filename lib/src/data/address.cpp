#include "bzmq/address.hpp"

#include "data/hashing.hpp"
#include <arpa/inet.h>

#include <cstring>

namespace bzmq {

std::optional<address> address::parse(std::string_view text) {
    // inet_pton wants a terminated string; the longest that it accepts fits INET6_ADDRSTRLEN.
    char terminated[INET6_ADDRSTRLEN];
    if (text.size() >= sizeof terminated || text.find('\0') != std::string_view::npos) {
        return std::nullopt;
    }
    std::memcpy(terminated, text.data(), text.size());
    terminated[text.size()] = '\0';
    if (text.find(':') == std::string_view::npos) {
        v4_bytes_type v4{};
        if (inet_pton(AF_INET, terminated, v4.data()) != 1) {
            return std::nullopt;
        }
        return address{v4};
    }
    bytes_type bytes{};
    if (inet_pton(AF_INET6, terminated, bytes.data()) != 1) {
        return std::nullopt;
    }
    return address{bytes};
}

std::string to_string(const address& value) {
    char text[INET6_ADDRSTRLEN];
    const bool v4 = value.is_v4();
    const auto* from = value.bytes().data() + (v4 ? 12 : 0);
    return inet_ntop(v4 ? AF_INET : AF_INET6, from, text, sizeof text);
}

}  // namespace bzmq

std::size_t std::hash<bzmq::address>::operator()(const bzmq::address& value) const noexcept {
    std::uint64_t halves[2];
    std::memcpy(halves, value.bytes().data(), sizeof halves);
    return bzmq::mix(bzmq::mix(0, halves[0]), halves[1]);
}
