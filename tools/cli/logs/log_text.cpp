#include "log_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <ctime>
#include <string_view>

namespace bzmq::cli {
namespace {

constexpr char separator = '\t';
constexpr char set_separator = ',';
constexpr std::string_view empty_field = "(empty)";
constexpr std::string_view unset_field = "-";
constexpr std::int64_t second = 1'000'000'000;

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; }

/// The length of the UTF-8 character that `text` begins with; 0 where it begins with none
/// (RFC 3629, section 4).
std::size_t utf8_length(std::string_view text) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const auto lead = byte(0);
    const std::size_t length = lead < 0x80                    ? 1
                               : lead >= 0xC2 && lead <= 0xDF ? 2
                               : lead >= 0xE0 && lead <= 0xEF ? 3
                               : lead >= 0xF0 && lead <= 0xF4 ? 4
                                                              : 0;
    if (length == 0 || text.size() < length) {
        return 0;
    }
    for (std::size_t i = 1; i < length; ++i) {
        if (!is_continuation(text[i])) {
            return 0;
        }
    }
    const bool overlong = (lead == 0xE0 && byte(1) < 0xA0) || (lead == 0xF0 && byte(1) < 0x90);
    const bool out_of_range = (lead == 0xED && byte(1) > 0x9F) || (lead == 0xF4 && byte(1) > 0x8F);
    return overlong || out_of_range ? 0 : length;
}

void append_escaped(std::string& out, char c) {
    fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<unsigned char>(c));
}

bool is_control(char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; }

/// Escapes what would end a field, a list's element, or a line, and what would read as a mark.
void append_tsv_string(std::string& out, std::string_view text, bool in_list) {
    if (text.empty()) {
        out += empty_field;
        return;
    }
    if (text == unset_field || text == empty_field) {
        append_escaped(out, text.front());
        text.remove_prefix(1);
    }
    while (!text.empty()) {
        const char c = text.front();
        std::size_t length = utf8_length(text);
        if (c == '\\') {
            out += "\\\\";
        } else if (length == 0 || is_control(c) || (in_list && c == set_separator)) {
            append_escaped(out, c);
            length = 1;
        } else {
            out += text.substr(0, length);
        }
        text.remove_prefix(length);
    }
}

/// Seconds with `digits` behind the point, or as many more as are needed to be exact.
void append_seconds(std::string& out, timespan value, std::size_t digits) {
    const auto count = value.count();
    // As unsigned numbers: the smallest one has no positive counterpart.
    const auto size = count < 0 ? 0 - static_cast<std::uint64_t>(count)
                                : static_cast<std::uint64_t>(count);
    auto fraction = fmt::format("{:09}", size % second);
    while (fraction.size() > digits && fraction.back() == '0') {
        fraction.pop_back();
    }
    fmt::format_to(std::back_inserter(out), "{}{}.{}", count < 0 ? "-" : "", size / second,
                   fraction);
}

/// The shortest form that reads back as the same number, recognisable as a real.
void append_real(std::string& out, real value) {
    std::array<char, 32> digits{};
    const auto* end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
    const std::string_view text{digits.data(), static_cast<std::size_t>(end - digits.data())};
    out += text;
    if (std::isfinite(value) && text.find_first_of(".e") == std::string_view::npos) {
        out += ".0";
    }
}

/// What a reader knows; values of any other type are written as text.
std::string_view known_type(std::string_view type) {
    static constexpr std::array<std::string_view, 14> names{
        "time",   "interval", "count", "int",  "double", "bool",    "addr",
        "subnet", "port",     "enum",  "func", "string", "pattern", "file"};
    auto element = type;
    if (type.ends_with(']') && (type.starts_with("set[") || type.starts_with("vector["))) {
        element.remove_prefix(type.find('[') + 1);
        element.remove_suffix(1);
    }
    return std::find(names.begin(), names.end(), element) == names.end() ? "string" : type;
}

void append_tsv(std::string& out, const data& value, bool in_list);

template <class list>
void append_tsv_list(std::string& out, const list& elements) {
    if (elements.empty()) {
        out += empty_field;
        return;
    }
    bool first = true;
    for (const auto& element : elements) {
        if (!first) {
            out += set_separator;
        }
        first = false;
        append_tsv(out, element, true);
    }
}

void append_tsv(std::string& out, const data& value, bool in_list) {
    constexpr std::size_t digits = 6;
    switch (value.get_type()) {
        case data_type::none:
            out += unset_field;
            return;
        case data_type::boolean:
            out += get<boolean>(value) ? 'T' : 'F';
            return;
        case data_type::real:
            append_real(out, get<real>(value));
            return;
        case data_type::string:
            append_tsv_string(out, get<std::string>(value), in_list);
            return;
        case data_type::enum_value:
            append_tsv_string(out, get<enum_value>(value).name(), in_list);
            return;
        case data_type::port:
            out += std::to_string(get<port>(value).number());
            return;
        case data_type::timestamp:
            append_seconds(out, get<timestamp>(value).time_since_epoch(), digits);
            return;
        case data_type::timespan:
            append_seconds(out, get<timespan>(value), digits);
            return;
        case data_type::set:
        case data_type::vector:
            if (!in_list) {
                is<set>(value) ? append_tsv_list(out, get<set>(value))
                               : append_tsv_list(out, get<vector>(value));
                return;
            }
            break;
        default:
            break;
    }
    // Numbers and addresses as they are; tables and lists in lists, which Zeek has none of, as text.
    append_tsv_string(out, is<set>(value) || is<vector>(value) || is<table>(value)
                               ? to_text(value)
                               : to_string(value),
                      in_list);
}

void append_json_text(std::string& out, std::string_view text) {
    out += '"';
    while (!text.empty()) {
        const char c = text.front();
        std::size_t length = utf8_length(text);
        if (length == 0) {
            out += '\\';
            append_escaped(out, c);
            length = 1;
        } else if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (static_cast<unsigned char>(c) < ' ') {
            constexpr std::string_view names = "btn?fr";  // From backspace, 8, on.
            const auto at = static_cast<std::size_t>(c) - 8;
            if (c >= 8 && at < names.size() && names[at] != '?') {
                out += '\\';
                out += names[at];
            } else {
                fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(c));
            }
        } else {
            out += text.substr(0, length);
        }
        text.remove_prefix(length);
    }
    out += '"';
}

void append_json_time(std::string& out, timestamp value, json_time form) {
    if (form == json_time::epoch) {
        append_seconds(out, value.time_since_epoch(), 1);
        return;
    }
    // ISO 8601 with Zeek's six digits, or as many more as are needed.
    auto text = to_string(value);
    text.pop_back();  // The Z.
    const auto dot = text.find('.');
    constexpr std::size_t digits = 6;
    const auto has = dot == std::string::npos ? 0 : text.size() - dot - 1;
    text += dot == std::string::npos ? "." : "";
    text.append(has < digits ? digits - has : 0, '0');
    out += '"';
    out += text;
    out += "Z\"";
}

void append_json(std::string& out, const data& value, json_time times);

template <class list>
void append_json_list(std::string& out, const list& elements, json_time times) {
    out += '[';
    bool first = true;
    for (const auto& element : elements) {
        out += first ? "" : ",";
        first = false;
        append_json(out, element, times);
    }
    out += ']';
}

void append_json(std::string& out, const data& value, json_time times) {
    switch (value.get_type()) {
        case data_type::none:
            out += "null";
            return;
        case data_type::boolean:
            out += get<boolean>(value) ? "true" : "false";
            return;
        case data_type::count:
        case data_type::integer:
            out += to_string(value);
            return;
        case data_type::port:
            out += std::to_string(get<port>(value).number());
            return;
        case data_type::real:
            if (std::isfinite(get<real>(value))) {
                append_real(out, get<real>(value));
            } else {
                out += "null";
            }
            return;
        case data_type::timestamp:
            append_json_time(out, get<timestamp>(value), times);
            return;
        case data_type::timespan:
            append_seconds(out, get<timespan>(value), 1);
            return;
        case data_type::set:
            append_json_list(out, get<set>(value), times);
            return;
        case data_type::vector:
            append_json_list(out, get<vector>(value), times);
            return;
        case data_type::table:
            append_json_text(out, to_text(value));
            return;
        default:
            append_json_text(out, to_string(value));
    }
}

}  // namespace

void append_tsv_header(std::string& out, const log_schema& schema, timestamp opened) {
    out += "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\t";
    append_tsv_string(out, schema.path, false);
    out += "\n#open\t" + log_time(opened) + "\n#fields";
    for (const auto& column : schema.columns) {
        out += separator;
        append_tsv_string(out, column.name, false);
    }
    out += "\n#types";
    for (const auto& column : schema.columns) {
        out += separator;
        out += known_type(column.type);
    }
    out += '\n';
}

void append_tsv_footer(std::string& out, timestamp closed) {
    out += "#close\t" + log_time(closed) + '\n';
}

void append_tsv_record(std::string& out, std::span<const data> values) {
    const auto start = out.size();
    bool first = true;
    for (const auto& value : values) {
        if (!first) {
            out += separator;
        }
        first = false;
        append_tsv(out, value, false);
    }
    if (out.size() > start && out[start] == '#') {
        out.replace(start, 1, "\\x23");  // Else the line would be a header.
    }
    out += '\n';
}

void append_json_record(std::string& out, const log_schema& schema, std::span<const data> values,
                        json_time times) {
    out += '{';
    bool first = true;
    const auto count = std::min(schema.columns.size(), values.size());
    for (std::size_t i = 0; i < count; ++i) {
        if (is<none>(values[i])) {
            continue;
        }
        out += first ? "" : ",";
        first = false;
        append_json_text(out, schema.columns[i].name);
        out += ':';
        append_json(out, values[i], times);
    }
    out += "}\n";
}

std::string log_time(timestamp when) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(when).time_since_epoch().count();
    const auto time = static_cast<std::time_t>(seconds);
    std::tm parts{};
    gmtime_r(&time, &parts);
    return fmt::format("{:04}-{:02}-{:02}-{:02}-{:02}-{:02}", parts.tm_year + 1900,
                       parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
}

}  // namespace bzmq::cli
