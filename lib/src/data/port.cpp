#include "bzmq/port.hpp"

#include <array>
#include <charconv>

namespace bzmq {
namespace {

// Indexed by the protocol's number.
constexpr std::array<std::string_view, 4> names{"?", "tcp", "udp", "icmp"};

}  // namespace

std::optional<port> port::parse(std::string_view text) {
    std::uint16_t number = 0;
    const auto* last = text.data() + text.size();
    const auto [end, problem] = std::from_chars(text.data(), last, number);
    if (problem != std::errc{} || end == last || *end != '/') {
        return std::nullopt;
    }
    const std::string_view name{end + 1, static_cast<std::size_t>(last - end - 1)};
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (names[i] == name) {
            return port{number, static_cast<protocol>(i)};
        }
    }
    if (name == "unknown") {
        return port{number, protocol::unknown};
    }
    return std::nullopt;
}

std::string to_string(const port& value) {
    auto text = std::to_string(value.number());
    text += '/';
    text += names.at(static_cast<std::size_t>(value.type()));
    return text;
}

}  // namespace bzmq
