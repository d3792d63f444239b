#include "bzmq/endpoint_id.hpp"

namespace bzmq {
namespace {

int hex_digit(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

bool dash_before(std::size_t byte) { return byte == 4 || byte == 6 || byte == 8 || byte == 10; }

}  // namespace

std::optional<endpoint_id> endpoint_id::parse(std::string_view text) {
    const bool dashed = text.size() == 36;
    if (!dashed && text.size() != 32) {
        return std::nullopt;
    }
    bytes_type bytes{};
    std::size_t at = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        if (dashed && dash_before(i) && text[at++] != '-') {
            return std::nullopt;
        }
        const int high = hex_digit(text[at++]);
        const int low = hex_digit(text[at++]);
        if (high < 0 || low < 0) {
            return std::nullopt;
        }
        bytes[i] = static_cast<std::uint8_t>(high << 4 | low);
    }
    return endpoint_id{bytes};
}

std::string to_string(const endpoint_id& id) {
    static constexpr char digits[] = "0123456789abcdef";
    std::string out;
    out.reserve(36);
    for (std::size_t i = 0; i < id.bytes().size(); ++i) {
        if (dash_before(i)) {
            out += '-';
        }
        out += digits[id.bytes()[i] >> 4];
        out += digits[id.bytes()[i] & 15];
    }
    return out;
}

}  // namespace bzmq
