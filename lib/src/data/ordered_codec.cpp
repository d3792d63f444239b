#include "data/ordered_codec.hpp"

#include "base/limits.hpp"
#include "data/ordered_format.hpp"
#include "data/value_reader.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace bzmq {
namespace {

namespace ordered = ordered_format;

std::byte* put_number(std::byte* to, std::uint64_t value) noexcept {
    const auto big = __builtin_bswap64(value);
    std::memcpy(to, &big, sizeof big);
    return to + sizeof big;
}

class writer {
  public:
    explicit writer(std::vector<std::byte>& out) noexcept : out_(out), start_(out.size()) {}

    /// False where a limit is exceeded; `out` is then as before once `undo` has run.
    bool add(const data& value, std::size_t depth) {
        if (++items_ > data_items_max) {
            return false;
        }
        return visit([this, depth](const auto& held) { return put(held, depth); }, value)
               && out_.size() - start_ <= data_bytes_max;
    }
    bool add_text(data_type type, std::string_view text, bool whole) {
        if (text.size() > data_bytes_max) {
            return false;
        }
        const auto* from = reinterpret_cast<const std::byte*>(text.data());
        if (text.empty() || std::memchr(from, 0, text.size()) == nullptr) {
            auto* to = room(1 + text.size() + (whole ? 1 : 0));
            *to = ordered::tag(type);
            if (!text.empty()) {
                std::memcpy(to + 1, from, text.size());
            }
            if (whole) {
                to[1 + text.size()] = ordered::end;
            }
        } else {
            add_escaped(type, {from, text.size()}, whole);
        }
        return out_.size() - start_ <= data_bytes_max;
    }
    void undo() { out_.resize(start_); }

  private:
    std::byte* room(std::size_t count) {
        const auto at = out_.size();
        out_.resize(at + count);
        return out_.data() + at;
    }
    void add_escaped(data_type type, std::span<const std::byte> text, bool whole) {
        const auto zeros =
            static_cast<std::size_t>(std::count(text.begin(), text.end(), std::byte{0}));
        auto* to = room(1 + text.size() + zeros + (whole ? 1 : 0));
        *to++ = ordered::tag(type);
        for (const auto byte : text) {
            *to++ = byte;
            if (byte == std::byte{0}) {
                *to++ = ordered::escape;
            }
        }
        if (whole) {
            *to = ordered::end;
        }
    }
    bool put_bits(data_type type, std::uint64_t bits) {
        auto* to = room(9);
        *to = ordered::tag(type);
        put_number(to + 1, bits);
        return true;
    }

    bool put(none, std::size_t) {
        *room(1) = ordered::tag(data_type::none);
        return true;
    }
    bool put(boolean value, std::size_t) {
        auto* to = room(2);
        to[0] = ordered::tag(data_type::boolean);
        to[1] = static_cast<std::byte>(value);
        return true;
    }
    bool put(count value, std::size_t) { return put_bits(data_type::count, value); }
    bool put(integer value, std::size_t) {
        return put_bits(data_type::integer, ordered::from_signed(value));
    }
    bool put(real value, std::size_t) {
        return put_bits(data_type::real, ordered::from_real(value));
    }
    bool put(const std::string& value, std::size_t) {
        return add_text(data_type::string, value, true);
    }
    bool put(const address& value, std::size_t) {
        auto* to = room(17);
        *to = ordered::tag(data_type::address);
        std::memcpy(to + 1, value.bytes().data(), 16);
        return true;
    }
    bool put(const subnet& value, std::size_t) {
        auto* to = room(18);
        *to = ordered::tag(data_type::subnet);
        std::memcpy(to + 1, value.network().bytes().data(), 16);
        to[17] = static_cast<std::byte>(value.prefix_v6());
        return true;
    }
    bool put(const port& value, std::size_t) {
        auto* to = room(4);
        to[0] = ordered::tag(data_type::port);
        to[1] = static_cast<std::byte>(value.number() >> 8);
        to[2] = static_cast<std::byte>(value.number() & 0xff);
        to[3] = static_cast<std::byte>(value.type());
        return true;
    }
    bool put(timestamp value, std::size_t) {
        return put_bits(data_type::timestamp,
                        ordered::from_signed(value.time_since_epoch().count()));
    }
    bool put(timespan value, std::size_t) {
        return put_bits(data_type::timespan, ordered::from_signed(value.count()));
    }
    bool put(const enum_value& value, std::size_t) {
        return add_text(data_type::enum_value, value.name(), true);
    }
    bool put(const set& values, std::size_t depth) {
        return put_list(data_type::set, values, depth);
    }
    bool put(const vector& values, std::size_t depth) {
        return put_list(data_type::vector, values, depth);
    }
    bool put(const table& values, std::size_t depth) {
        if (depth == data_depth_max) {
            return false;
        }
        *room(1) = ordered::tag(data_type::table);
        for (const auto& [key, mapped] : values) {
            if (!add(key, depth + 1) || !add(mapped, depth + 1)) {
                return false;
            }
        }
        *room(1) = ordered::end;
        return true;
    }
    template <class list>
    bool put_list(data_type type, const list& values, std::size_t depth) {
        if (depth == data_depth_max) {
            return false;
        }
        *room(1) = ordered::tag(type);
        for (const auto& value : values) {
            if (!add(value, depth + 1)) {
                return false;
            }
        }
        *room(1) = ordered::end;
        return true;
    }

    std::vector<std::byte>& out_;
    std::size_t start_;
    std::size_t items_ = 0;
};

/// Reads one value and checks everything, as the reader of msgpack does. Recurses once per level.
class reader final : public value_reader {
  public:
    explicit reader(std::span<const std::byte> bytes) noexcept : value_reader(bytes) {}

    /// The whole input as one value; false leaves a `problem`.
    bool whole(data& out) { return value(out, 0) && at_end(); }

  private:
    bool value(data& out, std::size_t depth) {
        if (!count_item()) {
            return false;
        }
        const auto tag = std::to_integer<unsigned>(*at_);
        if (tag == 0 || tag > ordered::tag_max) {
            return refuse("a type that no value has");
        }
        ++at_;
        switch (static_cast<data_type>(tag - 1)) {
            case data_type::none:
                return set_to<none>(out, none{});
            case data_type::boolean:
                return read_boolean(out);
            case data_type::count:
                return need(8) && set_to<count>(out, take(8));
            case data_type::integer:
                return need(8) && set_to<integer>(out, ordered::to_signed(take(8)));
            case data_type::real:
                return read_real(out);
            case data_type::string:
                return read_text(out.get_data().emplace<std::string>());
            case data_type::address:
                return need(16) && set_to<address>(out, take_address());
            case data_type::subnet:
                return read_subnet(out);
            case data_type::port:
                return read_port(out);
            case data_type::timestamp:
                return need(8)
                       && set_to<timestamp>(out, timespan{ordered::to_signed(take(8))});
            case data_type::timespan:
                return need(8) && set_to<timespan>(out, ordered::to_signed(take(8)));
            case data_type::enum_value:
                return read_enum(out);
            case data_type::set:
                return enter(depth) && read_set(out, depth);
            case data_type::table:
                return enter(depth) && read_table(out, depth);
            case data_type::vector:
                return enter(depth) && read_vector(out, depth);
        }
        return refuse("a type that no value has");
    }

    bool read_boolean(data& out) {
        if (!need(1)) {
            return false;
        }
        if (*at_ > std::byte{1}) {
            return refuse("a boolean that is neither true nor false");
        }
        return set_to<boolean>(out, *at_++ == std::byte{1});
    }
    bool read_real(data& out) {
        if (!need(8)) {
            return false;
        }
        const auto bits = take(8);
        const auto held = ordered::to_real(bits);
        return ordered::from_real(held) == bits ? set_to<real>(out, held)
                                                : refuse("not the one form of NaN");
    }
    bool read_text(std::string& out) {
        for (;;) {
            const auto* zero =
                remaining() == 0 ? nullptr
                                 : static_cast<const std::byte*>(std::memchr(at_, 0, remaining()));
            if (zero == nullptr) {
                return refuse("a string without an end");
            }
            out.append(reinterpret_cast<const char*>(at_), static_cast<std::size_t>(zero - at_));
            at_ = zero + 1;
            if (at_ == end_ || *at_ != ordered::escape) {
                return true;
            }
            ++at_;
            out.push_back('\0');
        }
    }
    bool read_enum(data& out) {
        std::string name;
        return read_text(name) && set_to<enum_value>(out, std::move(name));
    }
    bool read_subnet(data& out) {
        if (!need(17)) {
            return false;
        }
        const auto network = take_address();
        const auto held = subnet::from_v6(network, std::to_integer<unsigned>(*at_++));
        if (!held || held->network() != network) {
            return refuse("a subnet with bits behind its prefix");
        }
        return set_to<subnet>(out, *held);
    }
    bool read_port(data& out) {
        if (!need(3)) {
            return false;
        }
        const auto number = static_cast<std::uint16_t>(std::to_integer<unsigned>(at_[0]) << 8
                                                       | std::to_integer<unsigned>(at_[1]));
        const auto protocol = std::to_integer<std::uint8_t>(at_[2]);
        if (protocol > static_cast<std::uint8_t>(port::protocol::icmp)) {
            return refuse("an unknown protocol of a port");
        }
        at_ += 3;
        return set_to<port>(out, port{number, static_cast<port::protocol>(protocol)});
    }

    bool enter(std::size_t depth) noexcept {
        return depth < data_depth_max || refuse("nested too deep");
    }
    /// True where a list goes on; false at its end, behind which it then stands, and where it is
    /// cut off, which leaves a problem.
    bool more() noexcept {
        if (!need(1)) {
            return false;
        }
        if (*at_ == ordered::end) {
            ++at_;
            return false;
        }
        return true;
    }
    bool read_vector(data& out, std::size_t depth) {
        auto& values = out.get_data().emplace<vector>();
        while (more()) {
            if (!value(values.emplace_back(), depth + 1)) {
                return false;
            }
        }
        return problem_.empty();
    }
    bool read_set(data& out, std::size_t depth) {
        auto& values = out.get_data().emplace<set>();
        while (more()) {
            data element;
            if (!value(element, depth + 1)) {
                return false;
            }
            if (!append(values, std::move(element))) {
                return false;
            }
        }
        return problem_.empty();
    }
    bool read_table(data& out, std::size_t depth) {
        auto& values = out.get_data().emplace<table>();
        while (more()) {
            data key;
            if (!value(key, depth + 1)) {
                return false;
            }
            auto* mapped = append(values, std::move(key));
            if (mapped == nullptr || !value(*mapped, depth + 1)) {
                return false;
            }
        }
        return problem_.empty();
    }
};

}  // namespace

bool encode_ordered(const data& value, std::vector<std::byte>& out) {
    writer to{out};
    if (to.add(value, 0)) {
        return true;
    }
    to.undo();
    return false;
}

bool encode_ordered_string(std::string_view text, std::vector<std::byte>& out) {
    writer to{out};
    if (to.add_text(data_type::string, text, true)) {
        return true;
    }
    to.undo();
    return false;
}

bool encode_ordered_prefix(std::string_view text, std::vector<std::byte>& out) {
    writer to{out};
    if (to.add_text(data_type::string, text, false)) {
        return true;
    }
    to.undo();
    return false;
}

expected<data> decode_ordered(std::span<const std::byte> bytes) {
    return decode_by<reader>(bytes);
}

}  // namespace bzmq
