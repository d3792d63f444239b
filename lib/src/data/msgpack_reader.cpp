#include "base/limits.hpp"
#include "data/msgpack_codec.hpp"
#include "data/msgpack_format.hpp"
#include "data/time_text.hpp"
#include "data/value_reader.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace bzmq {
namespace {

namespace mp = msgpack_format;

constexpr std::string_view not_canonical = "not the canonical form of a value";

/// Reads one value and checks everything: lengths against what is there, forms against the
/// canonical one, nesting and number of values against the limits. Recurses once per level.
class reader final : public value_reader {
  public:
    explicit reader(std::span<const std::byte> bytes) noexcept : value_reader(bytes) {}

    /// The whole input as one value; false leaves a `problem`.
    bool whole(data& out) { return value(out, 0) && at_end(); }

  private:
    [[nodiscard]] std::uint8_t peek(std::size_t offset) const noexcept {
        return static_cast<std::uint8_t>(at_[offset]);
    }
    /// A length of `width` bytes that is not below `least`, for which a shorter form exists.
    bool take_length(std::size_t& out, std::size_t width, std::size_t least) noexcept {
        if (!need(width)) {
            return false;
        }
        out = take(width);
        return out >= least || refuse(not_canonical);
    }

    bool value(data& out, std::size_t depth) {
        if (!count_item()) {
            return false;
        }
        const auto tag = static_cast<std::uint8_t>(*at_++);
        if (tag < mp::fixmap) {
            return set_to<count>(out, tag);
        }
        if (tag < mp::fixarray) {
            return read_table(out, tag & 15U, depth);
        }
        if (tag < 0xa0) {
            return read_array(out, tag & 15U, depth);
        }
        if (tag >= mp::negative_fixint) {
            return set_to<integer>(out, static_cast<std::int8_t>(tag));
        }
        return tagged(out, tag, depth);
    }

    bool tagged(data& out, std::uint8_t tag, std::size_t depth) {
        std::size_t length = 0;
        switch (tag) {
            case mp::nil_byte:
                return set_to<none>(out, none{});
            case mp::false_byte:
                return set_to<boolean>(out, false);
            case mp::true_byte:
                return set_to<boolean>(out, true);
            case mp::bin8:
                return take_length(length, 1, 0) && read_string(out, length);
            case mp::bin16:
                return take_length(length, 2, 0x100) && read_string(out, length);
            case mp::bin32:
                return take_length(length, 4, 0x10000) && read_string(out, length);
            case mp::float64:
                return read_real(out);
            case mp::uint8:
            case mp::uint16:
            case mp::uint32:
            case mp::uint64:
                return read_count(out, std::size_t{1} << (tag - mp::uint8));
            case mp::int8:
            case mp::int16:
            case mp::int32:
            case mp::int64:
                return read_negative(out, std::size_t{1} << (tag - mp::int8));
            case mp::fixext1:
            case mp::fixext2:
            case mp::fixext4:
            case mp::fixext8:
            case mp::fixext16:
                return read_ext(out, std::size_t{1} << (tag - mp::fixext1));
            case mp::ext8:
                return take_length(length, 1, 0) && long_ext(length) && read_ext(out, length);
            case mp::ext16:
                return take_length(length, 2, 0x100) && read_ext(out, length);
            case mp::ext32:
                return take_length(length, 4, 0x10000) && read_ext(out, length);
            case mp::array16:
                return take_length(length, 2, 16) && read_array(out, length, depth);
            case mp::array32:
                return take_length(length, 4, 0x10000) && read_array(out, length, depth);
            case mp::map16:
                return take_length(length, 2, 16) && read_table(out, length, depth);
            case mp::map32:
                return take_length(length, 4, 0x10000) && read_table(out, length, depth);
            default:
                return refuse("a msgpack type that no value has");
        }
    }

    bool read_string(data& out, std::size_t length) {
        if (!need(length)) {
            return false;
        }
        out.get_data().emplace<std::string>(reinterpret_cast<const char*>(at_), length);
        at_ += length;
        return true;
    }
    bool read_real(data& out) {
        if (!need(8)) {
            return false;
        }
        const auto bits = take(8);
        const auto held = std::bit_cast<real>(bits);
        if (std::isnan(held) && bits != mp::canonical_nan) {
            return refuse(not_canonical);
        }
        return set_to<real>(out, held);
    }
    bool read_count(data& out, std::size_t width) {
        if (!need(width)) {
            return false;
        }
        const auto held = take(width);
        // Each width is for what the narrower one cannot hold.
        const auto least = width == 1 ? 0x80 : std::uint64_t{1} << (4 * width);
        return held >= least ? set_to<count>(out, held) : refuse(not_canonical);
    }
    bool read_negative(data& out, std::size_t width) {
        if (!need(width)) {
            return false;
        }
        const auto unused = 8 * (8 - width);
        const auto held = static_cast<std::int64_t>(take(width) << unused) >> unused;
        const auto greatest = width == 1 ? -33 : -(std::int64_t{1} << (4 * width - 1)) - 1;
        return held <= greatest ? set_to<integer>(out, held) : refuse(not_canonical);
    }

    /// Lengths that a fixext holds must not come in an ext 8.
    bool long_ext(std::size_t length) noexcept {
        return !(std::has_single_bit(length) && length <= 16) || refuse(not_canonical);
    }
    bool read_ext(data& out, std::size_t length) {
        if (!need(length + 1)) {
            return false;
        }
        const auto* const after = at_ + 1 + length;
        const auto type = static_cast<mp::ext>(*at_++);
        // Each case leaves at_ where it stopped; only all of the payload is right.
        if (!read_payload(out, type, length)) {
            return false;
        }
        return at_ == after || refuse(not_canonical);
    }
    bool read_payload(data& out, mp::ext type, std::size_t length) {
        switch (type) {
            case mp::ext::integer:
                return read_natural(out, length);
            case mp::ext::address:
                return read_address(out, length);
            case mp::ext::subnet:
                return read_subnet(out, length);
            case mp::ext::port:
                return read_port(out, length);
            case mp::ext::timespan:
                return length == 8 ? set_to<timespan>(out, static_cast<std::int64_t>(take(8)))
                                   : refuse("a timespan of the wrong length");
            case mp::ext::timestamp:
                return read_timestamp(out, length);
            case mp::ext::enum_value:
                out.get_data().emplace<enum_value>(
                    std::string{reinterpret_cast<const char*>(at_), length});
                at_ += length;
                return true;
            case mp::ext::set_marker:
                return refuse("the mark of a set where a value belongs");
        }
        return refuse("an unknown extension type");
    }
    bool read_natural(data& out, std::size_t length) {
        if (length > 8 || !std::has_single_bit(length)) {
            return refuse("an integer of the wrong length");
        }
        const auto bits = take(length);
        const auto least = length == 1 ? 0 : std::uint64_t{1} << (4 * length);
        if (bits < least || bits > INT64_MAX) {
            return refuse(not_canonical);
        }
        return set_to<integer>(out, static_cast<integer>(bits));
    }
    address take_v4() noexcept {
        address::v4_bytes_type bytes{};
        std::memcpy(bytes.data(), at_, bytes.size());
        at_ += bytes.size();
        return address{bytes};
    }
    bool read_address(data& out, std::size_t length) {
        if (length == 4) {
            return set_to<address>(out, take_v4());
        }
        if (length != 16) {
            return refuse("an address of the wrong length");
        }
        const auto held = take_address();
        return held.is_v4() ? refuse(not_canonical) : set_to<address>(out, held);
    }
    bool read_subnet(data& out, std::size_t length) {
        if (length != 5 && length != 17) {
            return refuse("a subnet of the wrong length");
        }
        const bool v4 = length == 5;
        const auto network = v4 ? take_v4() : take_address();
        const auto bits = static_cast<unsigned>(take(1));
        const auto held = subnet::from_v6(network, v4 ? bits + 96 : bits);
        if (!held || held->network() != network || held->is_v4() != v4) {
            return refuse(not_canonical);
        }
        return set_to<subnet>(out, *held);
    }
    bool read_port(data& out, std::size_t length) {
        if (length != 3) {
            return refuse("a port of the wrong length");
        }
        const auto number = static_cast<std::uint16_t>(take(2));
        const auto protocol = take(1);
        if (protocol > static_cast<std::uint64_t>(port::protocol::icmp)) {
            return refuse("an unknown protocol of a port");
        }
        return set_to<port>(out, port{number, static_cast<port::protocol>(protocol)});
    }
    bool read_timestamp(data& out, std::size_t length) {
        second_parts parts;
        if (length == 4) {
            parts.seconds = static_cast<std::int64_t>(take(4));
        } else if (length == 8) {
            const auto bits = take(8);
            parts.seconds = static_cast<std::int64_t>(bits & ((std::uint64_t{1} << 34) - 1));
            parts.nanoseconds = static_cast<std::uint32_t>(bits >> 34);
            if (parts.nanoseconds == 0 && parts.seconds < (std::int64_t{1} << 32)) {
                return refuse(not_canonical);
            }
        } else if (length == 12) {
            parts.nanoseconds = static_cast<std::uint32_t>(take(4));
            parts.seconds = static_cast<std::int64_t>(take(8));
            if (parts.seconds >= 0 && parts.seconds < (std::int64_t{1} << 34)) {
                return refuse(not_canonical);
            }
        } else {
            return refuse("a timestamp of the wrong length");
        }
        const auto held = join(parts);
        if (parts.nanoseconds >= 1'000'000'000 || !held) {
            return refuse("a timestamp out of range");
        }
        return set_to<timestamp>(out, *held);
    }

    /// Checks what a list claims before anything is read: every element takes at least one byte.
    bool enter(std::size_t bytes_claimed, std::size_t depth) noexcept {
        if (depth == data_depth_max) {
            return refuse("nested too deep");
        }
        return need(bytes_claimed);
    }
    bool read_array(data& out, std::size_t length, std::size_t depth) {
        if (!enter(length, depth)) {
            return false;
        }
        const bool is_set = length != 0 && remaining() >= mp::set_marker_size && peek(0) == mp::ext8
                            && peek(1) == 0
                            && peek(2) == static_cast<std::uint8_t>(mp::ext::set_marker);
        if (is_set) {
            at_ += mp::set_marker_size;
            return read_set(out, length - 1, depth);
        }
        // What is claimed may still be more than what is there. Growing is cheap enough.
        constexpr std::size_t reserve_max = 64;
        auto& values = out.get_data().emplace<vector>();
        values.reserve(std::min(length, reserve_max));
        for (std::size_t i = 0; i < length; ++i) {
            if (!value(values.emplace_back(), depth + 1)) {
                return false;
            }
        }
        return true;
    }
    bool read_set(data& out, std::size_t length, std::size_t depth) {
        auto& values = out.get_data().emplace<set>();
        for (std::size_t i = 0; i < length; ++i) {
            data element;
            if (!value(element, depth + 1)) {
                return false;
            }
            if (!append(values, std::move(element))) {
                return false;
            }
        }
        return true;
    }
    bool read_table(data& out, std::size_t length, std::size_t depth) {
        if (!enter(2 * length, depth)) {
            return false;
        }
        auto& values = out.get_data().emplace<table>();
        for (std::size_t i = 0; i < length; ++i) {
            data key;
            if (!value(key, depth + 1)) {
                return false;
            }
            auto* mapped = append(values, std::move(key));
            if (mapped == nullptr || !value(*mapped, depth + 1)) {
                return false;
            }
        }
        return true;
    }
};

}  // namespace

expected<data> decode(std::span<const std::byte> bytes) {
    return decode_by<reader>(bytes);
}

std::optional<std::string_view> peek_string(std::span<const std::byte> bytes) noexcept {
    const auto at = [bytes](std::size_t i) { return std::to_integer<std::size_t>(bytes[i]); };
    if (bytes.size() < 2 || at(0) < mp::bin8 || at(0) > mp::bin32) {
        return std::nullopt;
    }
    const std::size_t width = std::size_t{1} << (at(0) - mp::bin8);
    if (bytes.size() < 1 + width) {
        return std::nullopt;
    }
    std::size_t length = 0;
    for (std::size_t i = 1; i <= width; ++i) {
        length = length << 8 | at(i);
    }
    const auto header = 1 + width;
    if (length != bytes.size() - header || encoded_string_size(length) != bytes.size()) {
        return std::nullopt;
    }
    return std::string_view{reinterpret_cast<const char*>(bytes.data()) + header, length};
}

}  // namespace bzmq
