#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// Bytes as tests write them down.
namespace bzmq::test {

inline std::string hex(std::span<const std::byte> raw) {
    static constexpr char digits[] = "0123456789abcdef";
    std::string out;
    for (const auto byte : raw) {
        out += digits[std::to_integer<int>(byte) >> 4];
        out += digits[std::to_integer<int>(byte) & 15];
    }
    return out;
}

inline std::vector<std::byte> from_hex(std::string_view text) {
    std::vector<std::byte> out;
    for (std::size_t i = 0; i < text.size(); i += 2) {
        out.push_back(
            static_cast<std::byte>(std::stoi(std::string{text.substr(i, 2)}, nullptr, 16)));
    }
    return out;
}

}  // namespace bzmq::test
