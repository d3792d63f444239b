#include "base/assert.hpp"
#include "base/limits.hpp"
#include "data/msgpack_codec.hpp"
#include "data/msgpack_format.hpp"
#include "data/time_text.hpp"

#include <bit>
#include <cmath>

namespace bzmq {
namespace {

namespace mp = msgpack_format;

/// Bytes of a non-negative number in the smallest of msgpack's widths.
std::size_t width_of(std::uint64_t value) noexcept {
    return value < 0x100 ? 1 : value < 0x10000 ? 2 : value < 0x100000000 ? 4 : 8;
}

std::size_t ext_header_size(std::size_t length) noexcept {
    const bool fixed = std::has_single_bit(length) && length <= 16;
    return fixed ? 2 : length < 0x100 ? 3 : length < 0x10000 ? 4 : 6;
}

std::size_t list_header_size(std::size_t length) noexcept {
    return length < 16 ? 1 : length < 0x10000 ? 3 : 5;
}

std::size_t timestamp_width(const second_parts& parts) noexcept {
    if (parts.seconds < 0 || parts.seconds >= (std::int64_t{1} << 34)) {
        return 12;
    }
    return parts.nanoseconds == 0 && parts.seconds < (std::int64_t{1} << 32) ? 4 : 8;
}

class sizer {
  public:
    /// False where a limit is exceeded.
    bool add(const data& value, std::size_t depth) noexcept {
        ++items_;
        return visit([this, depth](const auto& held) { return add_held(held, depth); }, value)
               && items_ <= data_items_max && bytes_ <= data_bytes_max;
    }
    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

  private:
    bool plus(std::size_t bytes) noexcept {
        bytes_ += bytes;
        return true;
    }
    bool plus_ext(std::size_t length) noexcept { return plus(ext_header_size(length) + length); }

    bool add_held(none, std::size_t) noexcept { return plus(1); }
    bool add_held(boolean, std::size_t) noexcept { return plus(1); }
    bool add_held(count value, std::size_t) noexcept {
        return plus(value < 0x80 ? 1 : 1 + width_of(value));
    }
    bool add_held(integer value, std::size_t) noexcept {
        if (value >= 0) {
            return plus(2 + width_of(static_cast<std::uint64_t>(value)));
        }
        return plus(value >= -32         ? 1
                    : value >= INT8_MIN  ? 2
                    : value >= INT16_MIN ? 3
                    : value >= INT32_MIN ? 5
                                         : 9);
    }
    bool add_held(real, std::size_t) noexcept { return plus(9); }
    bool add_held(const std::string& value, std::size_t) noexcept {
        return plus(encoded_string_size(value.size()));
    }
    bool add_held(const address& value, std::size_t) noexcept {
        return plus(value.is_v4() ? 6 : 18);
    }
    bool add_held(const subnet& value, std::size_t) noexcept {
        return plus_ext(value.is_v4() ? 5 : 17);
    }
    bool add_held(const port&, std::size_t) noexcept { return plus_ext(3); }
    bool add_held(timestamp value, std::size_t) noexcept {
        return plus_ext(timestamp_width(split(value)));
    }
    bool add_held(timespan, std::size_t) noexcept { return plus_ext(8); }
    bool add_held(const enum_value& value, std::size_t) noexcept {
        return plus_ext(value.name().size());
    }
    bool add_held(const set& values, std::size_t depth) noexcept {
        return plus(list_header_size(values.size() + 1) + mp::set_marker_size)
               && add_all(values, depth);
    }
    bool add_held(const vector& values, std::size_t depth) noexcept {
        return plus(list_header_size(values.size())) && add_all(values, depth);
    }
    bool add_held(const table& values, std::size_t depth) noexcept {
        if (depth == data_depth_max) {
            return false;
        }
        plus(list_header_size(values.size()));
        for (const auto& [key, mapped] : values) {
            if (!add(key, depth + 1) || !add(mapped, depth + 1)) {
                return false;
            }
        }
        return true;
    }
    template <class list>
    bool add_all(const list& values, std::size_t depth) noexcept {
        if (depth == data_depth_max) {
            return false;
        }
        for (const auto& value : values) {
            if (!add(value, depth + 1)) {
                return false;
            }
        }
        return true;
    }

    std::size_t bytes_ = 0;
    std::size_t items_ = 0;
};

class writer {
  public:
    explicit writer(std::byte* to) noexcept : at_(to) {}

    void write(const data& value) noexcept {
        visit([this](const auto& held) { put(held); }, value);
    }
    [[nodiscard]] std::byte* end() const noexcept { return at_; }

  private:
    void byte(std::uint8_t value) noexcept { *at_++ = static_cast<std::byte>(value); }
    void raw(const void* from, std::size_t count) noexcept {
        if (count != 0) {
            std::memcpy(at_, from, count);
            at_ += count;
        }
    }
    /// The low `width` bytes of `value`, the most significant first.
    void big_endian(std::uint64_t value, std::size_t width) noexcept {
        const auto big = __builtin_bswap64(value << (8 * (8 - width)));
        std::memcpy(at_, &big, width);
        at_ += width;
    }
    void ext_header(mp::ext type, std::size_t length) noexcept {
        if (std::has_single_bit(length) && length <= 16) {
            byte(static_cast<std::uint8_t>(mp::fixext1 + std::countr_zero(length)));
        } else if (length < 0x100) {
            byte(mp::ext8);
            big_endian(length, 1);
        } else if (length < 0x10000) {
            byte(mp::ext16);
            big_endian(length, 2);
        } else {
            byte(mp::ext32);
            big_endian(length, 4);
        }
        byte(static_cast<std::uint8_t>(type));
    }
    void list_header(std::uint8_t fix, std::uint8_t wide, std::size_t length) noexcept {
        if (length < 16) {
            byte(static_cast<std::uint8_t>(fix | length));
        } else if (length < 0x10000) {
            byte(wide);
            big_endian(length, 2);
        } else {
            byte(static_cast<std::uint8_t>(wide + 1));
            big_endian(length, 4);
        }
    }

    void put(none) noexcept { byte(mp::nil_byte); }
    void put(boolean value) noexcept { byte(value ? mp::true_byte : mp::false_byte); }
    void put(count value) noexcept {
        if (value < 0x80) {
            byte(static_cast<std::uint8_t>(value));
            return;
        }
        const auto width = width_of(value);
        byte(static_cast<std::uint8_t>(mp::uint8 + std::countr_zero(width)));
        big_endian(value, width);
    }
    void put(integer value) noexcept {
        const auto bits = static_cast<std::uint64_t>(value);
        if (value >= 0) {
            const auto width = width_of(bits);
            ext_header(mp::ext::integer, width);
            big_endian(bits, width);
        } else if (value >= -32) {
            byte(static_cast<std::uint8_t>(bits));
        } else {
            const std::size_t width = value >= INT8_MIN    ? 1
                                      : value >= INT16_MIN ? 2
                                      : value >= INT32_MIN ? 4
                                                           : 8;
            byte(static_cast<std::uint8_t>(mp::int8 + std::countr_zero(width)));
            big_endian(bits, width);
        }
    }
    void put(real value) noexcept {
        byte(mp::float64);
        big_endian(std::isnan(value) ? mp::canonical_nan : std::bit_cast<std::uint64_t>(value), 8);
    }
    void put(const std::string& value) noexcept { at_ = encode_string_to(at_, value); }
    void put_address(const address& value, bool v4) noexcept {
        const std::size_t skipped = v4 ? 12 : 0;
        raw(value.bytes().data() + skipped, 16 - skipped);
    }
    void put(const address& value) noexcept {
        const bool v4 = value.is_v4();
        ext_header(mp::ext::address, v4 ? 4 : 16);
        put_address(value, v4);
    }
    void put(const subnet& value) noexcept {
        const bool v4 = value.is_v4();
        ext_header(mp::ext::subnet, v4 ? 5 : 17);
        put_address(value.network(), v4);
        byte(static_cast<std::uint8_t>(value.prefix()));
    }
    void put(const port& value) noexcept {
        ext_header(mp::ext::port, 3);
        big_endian(value.number(), 2);
        byte(static_cast<std::uint8_t>(value.type()));
    }
    void put(timestamp value) noexcept {
        const auto parts = split(value);
        const auto seconds = static_cast<std::uint64_t>(parts.seconds);
        const auto width = timestamp_width(parts);
        ext_header(mp::ext::timestamp, width);
        if (width == 4) {
            big_endian(seconds, 4);
        } else if (width == 8) {
            big_endian(std::uint64_t{parts.nanoseconds} << 34 | seconds, 8);
        } else {
            big_endian(parts.nanoseconds, 4);
            big_endian(seconds, 8);
        }
    }
    void put(timespan value) noexcept {
        ext_header(mp::ext::timespan, 8);
        big_endian(static_cast<std::uint64_t>(value.count()), 8);
    }
    void put(const enum_value& value) noexcept {
        ext_header(mp::ext::enum_value, value.name().size());
        raw(value.name().data(), value.name().size());
    }
    void put(const set& values) noexcept {
        list_header(mp::fixarray, mp::array16, values.size() + 1);
        ext_header(mp::ext::set_marker, 0);
        for (const auto& value : values) {
            write(value);
        }
    }
    void put(const vector& values) noexcept {
        list_header(mp::fixarray, mp::array16, values.size());
        for (const auto& value : values) {
            write(value);
        }
    }
    void put(const table& values) noexcept {
        list_header(mp::fixmap, mp::map16, values.size());
        for (const auto& [key, mapped] : values) {
            write(key);
            write(mapped);
        }
    }

    std::byte* at_;
};

}  // namespace

std::size_t encoded_size(const data& value) noexcept {
    if (const auto* text = get_if<std::string>(&value)) {
        const auto size = encoded_string_size(text->size());
        return size <= data_bytes_max ? size : 0;
    }
    sizer sum;
    return sum.add(value, 0) ? sum.bytes() : 0;
}

std::byte* encode_to(std::byte* to, const data& value) noexcept {
    if (const auto* text = get_if<std::string>(&value)) {
        return encode_string_to(to, *text);
    }
    writer out{to};
    out.write(value);
    return out.end();
}

bool encode(const data& value, std::vector<std::byte>& out) {
    const auto size = encoded_size(value);
    if (size == 0) {
        return false;
    }
    const auto before = out.size();
    out.resize(before + size);
    [[maybe_unused]] const auto* const end = encode_to(out.data() + before, value);
    BZMQ_ASSERT(end == out.data() + out.size());
    return true;
}

}  // namespace bzmq
