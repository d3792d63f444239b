#include "bzmq/subnet.hpp"

#include "data/hashing.hpp"

#include <charconv>
#include <stdexcept>

namespace bzmq {
namespace {

constexpr unsigned v4_offset = 96;

address masked(const address& from, unsigned prefix) {
    auto bytes = from.bytes();
    for (unsigned i = 0; i < bytes.size(); ++i) {
        const unsigned kept = prefix > 8 * i ? prefix - 8 * i : 0;
        if (kept < 8) {
            bytes[i] = static_cast<std::uint8_t>(bytes[i] & ~(0xffU >> kept));
        }
    }
    return address{bytes};
}

}  // namespace

subnet::subnet(const address& network, unsigned prefix) {
    const unsigned offset = network.is_v4() ? v4_offset : 0;
    // Checked before the sum, which may wrap.
    const auto made = prefix <= 128 ? from_v6(network, prefix + offset) : std::nullopt;
    if (!made) {
        throw std::invalid_argument("bzmq::subnet: prefix of " + std::to_string(prefix)
                                    + " bits is too long for " + to_string(network));
    }
    *this = *made;
}

std::optional<subnet> subnet::from_v6(const address& network, unsigned prefix) {
    if (prefix > 128) {
        return std::nullopt;
    }
    subnet made;
    made.network_ = masked(network, prefix);
    made.prefix_ = static_cast<std::uint8_t>(prefix);
    return made;
}

std::optional<subnet> subnet::parse(std::string_view text) {
    const auto slash = text.find('/');
    if (slash == std::string_view::npos) {
        return std::nullopt;
    }
    const auto network = address::parse(text.substr(0, slash));
    const auto digits = text.substr(slash + 1);
    unsigned prefix = 0;
    const auto [end, problem] =
        std::from_chars(digits.data(), digits.data() + digits.size(), prefix);
    if (!network || problem != std::errc{} || end != digits.data() + digits.size()
        || prefix > 128) {
        return std::nullopt;
    }
    // ::ffff:10.0.0.0/104 counts its bits as IPv6 does, though the address is one of IPv4.
    const bool v4_text = text.substr(0, slash).find(':') == std::string_view::npos;
    return from_v6(*network, v4_text ? prefix + v4_offset : prefix);
}

bool subnet::contains(const address& value) const noexcept {
    return masked(value, prefix_) == network_;
}

bool subnet::contains(const subnet& other) const noexcept {
    return prefix_ <= other.prefix_ && contains(other.network_);
}

std::string to_string(const subnet& value) {
    auto text = to_string(value.network());
    // A short IPv6 prefix never leaves an IPv4 address behind, since it clears the ffff.
    text += '/';
    text += std::to_string(value.prefix());
    return text;
}

}  // namespace bzmq

std::size_t std::hash<bzmq::subnet>::operator()(const bzmq::subnet& value) const noexcept {
    return bzmq::mix(std::hash<bzmq::address>{}(value.network()), value.prefix_v6());
}
