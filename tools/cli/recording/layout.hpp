#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

/// The bytes of a recording: docs/recordings.md.
namespace bzmq::cli::layout {

constexpr std::array<char, 8> magic{'B', 'Z', 'M', 'Q', 'R', 'E', 'C', 1};
constexpr std::array<char, 4> block_mark{'B', 'Z', 'R', 'B'};

/// Ahead of each block. Numbers are little-endian.
struct block_head {
    static constexpr std::size_t bytes = 20;
    std::uint32_t packed = 0;    ///< bytes that follow
    std::uint32_t raw = 0;       ///< bytes of them when unpacked
    std::uint32_t count = 0;     ///< messages
    std::uint32_t checksum = 0;  ///< CRC-32 of the three above and of what follows
};

/// A block may hold one message of any size that there can be.
constexpr std::uint32_t raw_bytes_max = std::uint32_t{1} << 30;
/// What deflate makes of nothing but zeros, and a little.
constexpr std::uint64_t ratio_max = 1100;

inline void put_u32(std::vector<std::byte>& out, std::uint32_t value) {
    for (unsigned shift = 0; shift < 32; shift += 8) {
        out.push_back(static_cast<std::byte>(value >> shift));
    }
}
inline std::uint32_t get_u32(const std::byte* at) {
    std::uint32_t out = 0;
    for (unsigned i = 0; i < 4; ++i) {
        out |= std::to_integer<std::uint32_t>(at[i]) << (8 * i);
    }
    return out;
}

inline void put_varint(std::vector<std::byte>& out, std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) {
        out.push_back(static_cast<std::byte>(value | 0x80));
    }
    out.push_back(static_cast<std::byte>(value));
}
inline void put_signed(std::vector<std::byte>& out, std::int64_t value) {
    const auto bits = static_cast<std::uint64_t>(value);
    put_varint(out, (bits << 1) ^ (value < 0 ? ~std::uint64_t{0} : 0));
}
inline void put_bytes(std::vector<std::byte>& out, std::span<const std::byte> bytes) {
    put_varint(out, bytes.size());
    out.insert(out.end(), bytes.begin(), bytes.end());
}

/// Reads what `put_…` wrote; once anything is not as it should be, `good` is false for good.
class cursor {
  public:
    cursor(std::span<const std::byte> bytes, std::size_t position)
        : bytes_(bytes), position_(position) {}

    std::uint64_t varint() {
        std::uint64_t out = 0;
        for (unsigned shift = 0; shift < 64; shift += 7) {
            const auto next = take(1);
            if (next.empty()) {
                return 0;
            }
            const auto bits = std::to_integer<std::uint64_t>(next[0]);
            out |= (bits & 0x7f) << shift;
            if (bits < 0x80) {
                return out;
            }
        }
        good_ = false;
        return 0;
    }
    std::int64_t signed_varint() {
        const auto bits = varint();
        return static_cast<std::int64_t>((bits >> 1) ^ (~(bits & 1) + 1));
    }
    std::span<const std::byte> take(std::uint64_t count) {
        if (!good_ || count > bytes_.size() - position_) {
            good_ = false;
            return {};
        }
        const auto out = bytes_.subspan(position_, static_cast<std::size_t>(count));
        position_ += out.size();
        return out;
    }
    std::span<const std::byte> bytes() { return take(varint()); }

    [[nodiscard]] bool good() const noexcept { return good_; }
    [[nodiscard]] std::size_t position() const noexcept { return position_; }

  private:
    std::span<const std::byte> bytes_;
    std::size_t position_;
    bool good_ = true;
};

/// The checksum that a head must have.
std::uint32_t checksum_of(const block_head& head, std::span<const std::byte> packed);

}  // namespace bzmq::cli::layout
