#include "zeek_values.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace bzmq::cli {
namespace {

constexpr std::size_t columns_max = 1000;

tl::unexpected<std::string> wrong(std::string why) {
    return tl::unexpected<std::string>{std::move(why)};
}

std::optional<unsigned char> parse_hex(std::string_view digits) {
    unsigned char value = 0;
    const auto* end = digits.data() + digits.size();
    const auto [stop, failure] = std::from_chars(digits.data(), end, value, 16);
    return failure == std::errc{} && stop == end && digits.size() == 2 ? std::optional{value}
                                                                       : std::nullopt;
}

/// Undoes \xNN and \\ as Zeek's writer makes them.
std::string unescape(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    while (!text.empty()) {
        const auto plain = std::min(text.find('\\'), text.size());
        out += text.substr(0, plain);
        text.remove_prefix(plain);
        if (text.starts_with("\\\\")) {
            out += '\\';
            text.remove_prefix(2);
        } else if (const auto byte =
                       text.starts_with("\\x") ? parse_hex(text.substr(2, 2)) : std::nullopt) {
            out += static_cast<char>(*byte);
            text.remove_prefix(4);
        } else if (!text.empty()) {
            out += '\\';
            text.remove_prefix(1);
        }
    }
    return out;
}

/// Calls `visit` with each part of `text` between separators; there is always one at least.
template <class visitor>
void split(std::string_view text, char separator, visitor visit) {
    for (auto at = text.find(separator); at != std::string_view::npos; at = text.find(separator)) {
        visit(text.substr(0, at));
        text.remove_prefix(at + 1);
    }
    visit(text);
}

template <class number>
std::optional<number> parse_number(std::string_view text) {
    number value{};
    const auto* end = text.data() + text.size();
    const auto [stop, failure] = std::from_chars(text.data(), end, value);
    return failure == std::errc{} && stop == end && !text.empty() ? std::optional{value}
                                                                  : std::nullopt;
}

/// A header's separator is one byte, escaped or not.
std::optional<char> parse_separator(std::string_view text) {
    const auto plain = unescape(text);
    return plain.size() == 1 ? std::optional{plain.front()} : std::nullopt;
}

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

}  // namespace

std::optional<timespan> parse_seconds(std::string_view text) {
    const bool negative = text.starts_with('-');
    text.remove_prefix(negative ? 1 : 0);
    const auto dot = std::min(text.find('.'), text.size());
    const auto whole = text.substr(0, dot);
    const auto fraction = dot < text.size() ? text.substr(dot + 1) : std::string_view{};
    if (whole.empty() || (dot < text.size() && fraction.empty())
        || !std::all_of(whole.begin(), whole.end(), is_digit)
        || !std::all_of(fraction.begin(), fraction.end(), is_digit)) {
        return std::nullopt;
    }
    const auto seconds = parse_number<std::int64_t>(whole);
    constexpr std::int64_t second = 1'000'000'000;
    constexpr std::size_t digits = 9;
    if (!seconds || *seconds > timespan::max().count() / second - 1) {
        return std::nullopt;
    }
    std::int64_t nanoseconds = 0;
    for (std::size_t i = 0; i < digits; ++i) {
        nanoseconds = nanoseconds * 10 + (i < fraction.size() ? fraction[i] - '0' : 0);
    }
    nanoseconds += fraction.size() > digits && fraction[digits] >= '5' ? 1 : 0;
    const auto total = *seconds * second + nanoseconds;
    return timespan{negative ? -total : total};
}

std::string printable(std::string_view text) {
    constexpr std::size_t shown_max = 60;
    std::string out;
    for (const char c : text.substr(0, shown_max)) {
        out += c >= ' ' && c <= '~' ? c : '?';
    }
    return text.size() > shown_max ? out + "..." : out;
}

port::protocol parse_protocol(std::string_view name) {
    return name == "tcp"    ? port::protocol::tcp
           : name == "udp"  ? port::protocol::udp
           : name == "icmp" ? port::protocol::icmp
                            : port::protocol::unknown;
}

bool is_protocol_field(std::string_view name) {
    return name == "proto" || name == "port_proto" || name == "transport_proto";
}

checked<void> tsv_format::read_header(std::string_view line) {
    // "#separator \x09" is the one header that a space divides.
    constexpr std::string_view separator_header = "#separator ";
    if (line.starts_with(separator_header)) {
        const auto separator = parse_separator(line.substr(separator_header.size()));
        if (!separator) {
            return wrong("#separator: expected one byte, such as \\x09");
        }
        *this = tsv_format{};
        separator_ = *separator;
        return {};
    }
    const auto end = std::min(line.find(separator_), line.size());
    const auto name = line.substr(0, end);
    const auto value = end < line.size() ? line.substr(end + 1) : std::string_view{};
    if (name == "#set_separator") {
        const auto separator = parse_separator(value);
        if (!separator) {
            return wrong("#set_separator: expected one byte, such as ,");
        }
        set_separator_ = *separator;
    } else if (name == "#empty_field") {
        empty_field_ = value;
    } else if (name == "#unset_field") {
        unset_field_ = value;
    } else if (name == "#path") {
        path_ = unescape(value);
    } else if (name == "#fields") {
        return read_fields(value);
    } else if (name == "#types") {
        return read_types(value);
    }
    return {};
}

checked<void> tsv_format::read_fields(std::string_view names) {
    columns_.clear();
    has_types_ = false;
    has_protocol_ = false;
    split(names, separator_, [&](std::string_view name) {
        if (columns_.size() <= columns_max) {
            if (is_protocol_field(name) && !has_protocol_) {
                has_protocol_ = true;
                protocol_column_ = columns_.size();
            }
            columns_.push_back({unescape(name), kind::string, shape::single});
        }
    });
    if (columns_.size() > columns_max) {
        return wrong("#fields: expected at most " + std::to_string(columns_max) + " fields");
    }
    for (std::size_t i = 0; i < columns_.size(); ++i) {
        for (std::size_t j = 0; j < i; ++j) {
            if (columns_[i].name == columns_[j].name) {
                return wrong("#fields: expected each name once, found "
                             + printable(columns_[i].name) + " twice");
            }
        }
    }
    return {};
}

checked<void> tsv_format::read_types(std::string_view names) {
    static constexpr std::array<std::pair<std::string_view, kind>, 14> known{{
        {"time", kind::time},
        {"interval", kind::interval},
        {"count", kind::count},
        {"int", kind::integer},
        {"double", kind::real},
        {"bool", kind::boolean},
        {"addr", kind::address},
        {"subnet", kind::subnet},
        {"port", kind::port},
        {"enum", kind::enumeration},
        {"string", kind::string},
        {"pattern", kind::string},
        {"func", kind::string},
        {"file", kind::string},
    }};
    std::size_t at = 0;
    std::string_view unknown;
    std::vector<std::string> types;
    split(names, separator_, [&](std::string_view name) {
        types.emplace_back(name);
        auto element = name;
        auto form = shape::single;
        if (name.ends_with(']') && (name.starts_with("set[") || name.starts_with("vector["))) {
            form = name.front() == 's' ? shape::set : shape::vector;
            element = name.substr(name.find('[') + 1);
            element.remove_suffix(1);
        }
        const auto* const found = std::find_if(
            known.begin(), known.end(), [&](const auto& type) { return type.first == element; });
        if (found == known.end()) {
            unknown = unknown.empty() ? name : unknown;
        } else if (at < columns_.size()) {
            columns_[at].type = found->second;
            columns_[at].form = form;
        }
        ++at;
    });
    if (!unknown.empty()) {
        return wrong("#types: unknown type " + printable(unknown)
                     + "; expected time, interval, count, int, double, bool, addr, subnet, port, enum, "
                       "string, or one of them in set[] or vector[]");
    }
    if (at != columns_.size()) {
        return wrong("#types: expected " + std::to_string(columns_.size())
                     + " types, one for each of #fields, found " + std::to_string(at));
    }
    types_ = std::make_shared<const std::vector<std::string>>(std::move(types));
    has_types_ = true;
    return {};
}

checked<void> tsv_format::read_record(std::string_view line, log_record& out) {
    if (!has_types_) {
        return wrong("expected the headers #fields and #types before the first record");
    }
    cells_.clear();
    split(line, separator_, [&](std::string_view cell) {
        if (cells_.size() <= columns_.size()) {
            cells_.push_back(cell);
        }
    });
    if (cells_.size() != columns_.size()) {
        return wrong("expected " + std::to_string(columns_.size())
                     + " fields, as #fields lists them, found "
                     + (cells_.size() > columns_.size() ? "more" : std::to_string(cells_.size())));
    }
    const auto protocol =
        has_protocol_ ? parse_protocol(cells_[protocol_column_]) : port::protocol::unknown;
    out.path = path_;
    out.extension.clear();
    out.types = types_;
    out.fields.resize(columns_.size());
    for (std::size_t i = 0; i < columns_.size(); ++i) {
        auto value = read_field(columns_[i], cells_[i], protocol);
        if (!value) {
            return wrong("field " + printable(columns_[i].name) + ": \"" + printable(cells_[i])
                         + "\": " + value.error());
        }
        if (out.fields[i].first != columns_[i].name) {
            out.fields[i].first = columns_[i].name;
        }
        out.fields[i].second = std::move(*value);
    }
    return {};
}

checked<data> tsv_format::read_field(const column& what, std::string_view text,
                                     port::protocol protocol) const {
    if (text == unset_field_) {
        return data{};
    }
    if (what.form == shape::single) {
        return text == empty_field_ && what.type == kind::string
                   ? checked<data>{data{std::string{}}}
                   : read_value(what.type, text, protocol);
    }
    vector elements;
    std::string failure;
    if (text != empty_field_) {
        split(text, set_separator_, [&](std::string_view part) {
            auto element = part == unset_field_ ? checked<data>{data{}}
                           : part == empty_field_ && what.type == kind::string
                               ? checked<data>{data{std::string{}}}
                               : read_value(what.type, part, protocol);
            if (element) {
                elements.push_back(std::move(*element));
            } else if (failure.empty()) {
                failure = std::move(element.error());
            }
        });
    }
    if (!failure.empty()) {
        return wrong(std::move(failure));
    }
    if (what.form == shape::vector) {
        return data{std::move(elements)};
    }
    return data{
        set{std::make_move_iterator(elements.begin()), std::make_move_iterator(elements.end())}};
}

checked<data> tsv_format::read_value(kind type, std::string_view text,
                                     port::protocol protocol) const {
    switch (type) {
        case kind::time:
            if (const auto value = parse_seconds(text)) {
                return data{timestamp{*value}};
            }
            return wrong("expected a time in seconds since 1970, such as 1521911720.865716");
        case kind::interval:
            if (const auto value = parse_seconds(text)) {
                return data{*value};
            }
            return wrong("expected an interval in seconds, such as 0.000870");
        case kind::count:
            if (const auto value = parse_number<std::uint64_t>(text)) {
                return data{*value};
            }
            return wrong("expected a count, a whole number from 0 to 18446744073709551615");
        case kind::integer:
            if (const auto value = parse_number<std::int64_t>(text)) {
                return data{*value};
            }
            return wrong("expected a whole number of 64 bits");
        case kind::real:
            if (const auto value = parse_number<double>(text)) {
                return data{*value};
            }
            return wrong("expected a number such as 0.25");
        case kind::boolean:
            if (text == "T" || text == "F") {
                return data{text == "T"};
            }
            return wrong("expected T or F");
        case kind::address:
            if (const auto value = address::parse(text)) {
                return data{*value};
            }
            return wrong("expected an IP address");
        case kind::subnet:
            if (const auto value = subnet::parse(text)) {
                return data{*value};
            }
            return wrong("expected a subnet such as 10.0.0.0/8");
        case kind::port:
            if (const auto value = parse_number<std::uint16_t>(text)) {
                return data{port{*value, protocol}};
            }
            return wrong("expected a port number from 0 to 65535");
        case kind::enumeration:
            return data{enum_value{unescape(text)}};
        case kind::string:
            break;
    }
    return data{unescape(text)};
}

}  // namespace bzmq::cli
