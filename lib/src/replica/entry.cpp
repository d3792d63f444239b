#include "replica/entry.hpp"

namespace bzmq::replica {
namespace {

constexpr std::uint64_t multiplier_1 = 0xa0761d6478bd642fULL;
constexpr std::uint64_t multiplier_2 = 0xe7037ed1a0b428dbULL;
constexpr std::uint64_t multiplier_3 = 0x8ebc6af09c88c6e3ULL;

std::uint64_t mix(std::uint64_t a, std::uint64_t b) noexcept {
    __extension__ using wide = unsigned __int128;
    const auto product = static_cast<wide>(a) * b;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

std::uint64_t word(const std::byte* at, std::size_t count) noexcept {
    std::uint64_t value = 0;
    std::memcpy(&value, at, count);
    return value;
}

std::uint64_t word(const std::byte* at) noexcept {
    std::uint64_t value;
    std::memcpy(&value, at, sizeof value);
    return value;
}

}  // namespace

// After wyhash (Wang Yi, public domain): two multiplications per 16 bytes.
std::uint64_t stable_hash(std::span<const std::byte> bytes, std::uint64_t seed) noexcept {
    const auto* at = bytes.data();
    auto left = bytes.size();
    auto state = mix(seed ^ multiplier_1, multiplier_2);
    for (; left > 16; left -= 16, at += 16) {
        state = mix(word(at) ^ multiplier_2, word(at + 8) ^ state);
    }
    std::uint64_t a = 0;
    std::uint64_t b = 0;
    if (left >= 8) {
        a = word(at);
        b = word(at + left - 8);
    } else if (left > 0) {
        a = word(at, left);
    }
    return mix(multiplier_3 ^ bytes.size(), mix(a ^ multiplier_2, b ^ state));
}

std::uint64_t chain(std::uint64_t before, std::span<const std::byte> entry) noexcept {
    return stable_hash(entry, before);
}

entry_reader::entry_reader(std::span<const std::byte> bytes) noexcept : in_(bytes) {
    head_.writer = static_cast<writer_index>(in_.varint_up_to(writers_max));
    head_.number = in_.varint();
    head_.result = static_cast<ec>(in_.u8());
}

bool entry_reader::next(change& out) noexcept {
    if (in_.done()) {
        return false;
    }
    out = {};
    out.kind = static_cast<change_kind>(in_.u8());
    switch (out.kind) {
        case change_kind::put:
        case change_kind::put_expiring:
            out.key = in_.bytes(in_.varint_up_to(key_bytes_max));
            out.value = in_.bytes(in_.varint_up_to(value_bytes_max));
            if (out.kind == change_kind::put_expiring) {
                out.expiry = timestamp{timespan{in_.fixed<std::int64_t>()}};
            }
            break;
        case change_kind::erase:
        case change_kind::expire:
            out.key = in_.bytes(in_.varint_up_to(key_bytes_max));
            break;
        case change_kind::clear:
            break;
        case change_kind::open_writer:
            out.writer = static_cast<writer_index>(in_.varint_up_to(writers_max));
            out.id = in_.id();
            break;
        case change_kind::close_writer:
            out.writer = static_cast<writer_index>(in_.varint_up_to(writers_max));
            break;
        default:
            in_.fail();
    }
    return !in_.failed();
}

bool well_formed(std::span<const std::byte> entry) noexcept {
    entry_reader in{entry};
    if (in.failed() || entry.size() > entry_bytes_max) {
        return false;
    }
    for (change each; in.next(each);) {
        const bool names_key = each.kind <= change_kind::expire;
        const bool names_writer = each.kind >= change_kind::open_writer;
        if ((names_key && each.key.empty()) || (names_writer && each.writer == own_writer)
            || (each.kind <= change_kind::put_expiring && each.value.empty())
            || (each.kind == change_kind::open_writer && each.id.is_nil())) {
            return false;
        }
    }
    return !in.failed();
}

void put_head(std::vector<std::byte>& out, const entry_head& head) {
    byte_writer to{out};
    to.varint(head.writer);
    to.varint(head.number);
    to.u8(static_cast<std::uint8_t>(head.result));
}

void put_change(std::vector<std::byte>& out, const change& what) {
    byte_writer to{out};
    to.u8(static_cast<std::uint8_t>(what.kind));
    const auto sized = [&to](std::span<const std::byte> bytes) {
        to.varint(bytes.size());
        to.bytes(bytes);
    };
    switch (what.kind) {
        case change_kind::put:
        case change_kind::put_expiring:
            sized(what.key);
            sized(what.value);
            if (what.kind == change_kind::put_expiring) {
                to.fixed<std::int64_t>(what.expiry.time_since_epoch().count());
            }
            break;
        case change_kind::erase:
        case change_kind::expire:
            sized(what.key);
            break;
        case change_kind::clear:
            break;
        case change_kind::open_writer:
            to.varint(what.writer);
            to.id(what.id);
            break;
        case change_kind::close_writer:
            to.varint(what.writer);
            break;
    }
}

}  // namespace bzmq::replica
