#include "zeek_values.hpp"
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cmath>

namespace bzmq::cli {
namespace {

constexpr std::size_t fields_max = 1000;
constexpr std::size_t depth_max = 8;

enum class kind { any, time, interval, address, port, enumeration };

struct name_rule {
    std::string_view name;  ///< the whole name, or its end where it begins with '_'
    kind type;
};

// The header's documentation shows this table.
constexpr std::array<name_rule, 24> name_rules{{
    {"ts", kind::time},
    {"_ts", kind::time},
    {"_time", kind::time},
    {"not_valid_before", kind::time},
    {"not_valid_after", kind::time},
    {"rtt", kind::interval},
    {"duration", kind::interval},
    {"suppress_for", kind::interval},
    {"lease_time", kind::interval},
    {"TTLs", kind::interval},
    {"_delay", kind::interval},
    {"_h", kind::address},
    {"src", kind::address},
    {"dst", kind::address},
    {"_addr", kind::address},
    {"_hosts", kind::address},
    {"p", kind::port},
    {"_p", kind::port},
    {"port_num", kind::port},
    {"proto", kind::enumeration},
    {"_proto", kind::enumeration},
    {"note", kind::enumeration},
    {"actions", kind::enumeration},
    {"software_type", kind::enumeration},
}};

constexpr std::array<std::string_view, 8> set_names{"actions",        "email_dest", "service",
                                                    "tunnel_parents", "tx_hosts",   "rx_hosts",
                                                    "conn_uids",      "analyzers"};

std::string_view last_part(std::string_view name) {
    const auto dot = name.rfind('.');
    return dot == std::string_view::npos ? name : name.substr(dot + 1);
}

kind kind_of(std::string_view name, std::string_view path) {
    const auto part = last_part(name);
    if (part == "host") {
        return path.starts_with("known_") || path == "software" ? kind::address : kind::any;
    }
    // A whole name goes before an ending: lease_time is no time.
    for (const bool whole : {true, false}) {
        for (const auto& rule : name_rules) {
            const bool is_ending = rule.name.front() == '_';
            if (whole ? part == rule.name && !is_ending : is_ending && part.ends_with(rule.name)) {
                return rule.type;
            }
        }
    }
    return kind::any;
}

/// Builds a record out of the parser's events, so that numbers keep the digits they were written
/// with and no tree stands between line and record.
class record_builder {
  public:
    using json = nlohmann::json;

    explicit record_builder(log_record& out) : out_(out) {
        out_.fields.clear();
        out_.extension.clear();
        out_.types.reset();
    }

    [[nodiscard]] const std::string& failure() const { return failure_; }

    // What nlohmann::json::sax_parse calls.
    bool null() { return add(data{}); }
    bool boolean(bool value) { return add(data{value}); }
    bool number_integer(json::number_integer_t value) {
        return add_number(data{value}, std::to_string(value));
    }
    bool number_unsigned(json::number_unsigned_t value) {
        return add_number(data{value}, std::to_string(value));
    }
    bool number_float(json::number_float_t value, const std::string& text) {
        return add_number(data{value}, text);
    }
    bool string(std::string& value) { return add(data{std::move(value)}); }
    bool binary(json::binary_t&) { return fail("expected JSON"); }
    bool start_object(std::size_t) {
        if (in_list_) {
            return fail("field " + printable(name_) + ": expected no object inside of a list");
        }
        if (prefixes_.size() == depth_max) {
            return fail("expected objects nested at most " + std::to_string(depth_max) + " deep");
        }
        if (!prefixes_.empty()) {
            name_ += '.';
        }
        prefixes_.push_back(name_.size());
        return true;
    }
    bool key(std::string& value) {
        name_.resize(prefixes_.back());
        name_ += value;
        return true;
    }
    bool end_object() {
        prefixes_.pop_back();
        return true;
    }
    bool start_array(std::size_t) {
        if (prefixes_.empty()) {
            return fail("expected a JSON object");
        }
        if (in_list_) {
            return fail("field " + printable(name_) + ": expected no list inside of a list");
        }
        in_list_ = true;
        list_.clear();
        return true;
    }
    bool end_array() {
        in_list_ = false;
        return add_field(data{std::move(list_)});
    }
    bool parse_error(std::size_t position, const std::string&, const json::exception&) {
        return fail("expected a JSON object; it is malformed at byte " + std::to_string(position));
    }

    /// Gives all values their types, now that path and protocol are known.
    void finish() {
        auto protocol = port::protocol::unknown;
        for (const auto& [name, value] : out_.fields) {
            if (const auto* text = get_if<std::string>(&value);
                text != nullptr && is_protocol_field(name)) {
                protocol = parse_protocol(*text);
                break;
            }
        }
        for (auto* fields : {&out_.fields, &out_.extension}) {
            for (auto& [name, value] : *fields) {
                give_type(name, value, protocol);
            }
        }
    }

  private:
    bool fail(std::string why) {
        failure_ = std::move(why);
        return false;
    }

    bool add(data value) {
        if (prefixes_.empty()) {
            return fail("expected a JSON object");
        }
        if (in_list_) {
            list_.push_back(std::move(value));
            return true;
        }
        return add_field(std::move(value));
    }

    /// Seconds are read from the digits; a double has not enough of them for a time in nanoseconds.
    bool add_number(data value, const std::string& text) {
        const auto type = kind_of(name_, {});
        if (type == kind::time || type == kind::interval) {
            if (const auto seconds = seconds_of(value, text)) {
                return add(type == kind::time ? data{timestamp{*seconds}} : data{*seconds});
            }
        }
        return add(std::move(value));
    }

    static std::optional<timespan> seconds_of(const data& value, const std::string& text) {
        if (const auto exact = parse_seconds(text)) {
            return exact;
        }
        const auto* number = get_if<real>(&value);  // Written with an exponent.
        constexpr double seconds_max = 9e9;
        if (number == nullptr || !(std::abs(*number) < seconds_max)) {
            return std::nullopt;
        }
        return timespan{std::llround(*number * 1e9)};
    }

    bool add_field(data value) {
        const bool is_extension = name_.starts_with('_');
        if (const auto* path = get_if<std::string>(&value); path != nullptr && name_ == "_path") {
            out_.path = *path;
        }
        auto& fields = is_extension ? out_.extension : out_.fields;
        if (fields.size() == fields_max) {
            return fail("expected at most " + std::to_string(fields_max) + " fields");
        }
        for (const auto& [name, other] : fields) {
            if (name == name_) {
                return fail("expected each field once, found " + printable(name_) + " twice");
            }
        }
        fields.emplace_back(name_, std::move(value));
        return true;
    }

    void give_type(const std::string& name, data& value, port::protocol protocol) const {
        const auto type = kind_of(name, out_.path);
        if (auto* list = get_if<vector>(&value)) {
            for (auto& element : *list) {
                convert(element, type, protocol);
            }
            if (std::find(set_names.begin(), set_names.end(), last_part(name))
                != set_names.end()) {
                value = set{std::make_move_iterator(list->begin()),
                            std::make_move_iterator(list->end())};
            }
        } else {
            convert(value, type, protocol);
        }
    }

    static void convert(data& value, kind type, port::protocol protocol) {
        if (auto* text = get_if<std::string>(&value)) {
            if (type == kind::address) {
                if (const auto parsed = address::parse(*text)) {
                    value = *parsed;
                }
            } else if (type == kind::enumeration) {
                value = enum_value{std::move(*text)};
            } else if (type == kind::time) {
                constexpr std::size_t iso_date_bytes = 10;
                if (text->size() > iso_date_bytes && (*text)[iso_date_bytes] == 'T') {
                    if (auto parsed = parse_data(*text); parsed && is<timestamp>(*parsed)) {
                        value = std::move(*parsed);
                    }
                }
            }
        } else if (const auto* number = get_if<count>(&value);
                   number != nullptr && type == kind::port && *number <= 65535) {
            value = port{static_cast<std::uint16_t>(*number), protocol};
        }
    }

    log_record& out_;
    std::string name_;                   // Of the field that is being read, with its prefixes.
    std::vector<std::size_t> prefixes_;  // Length of the prefix of each open object.
    vector list_;
    bool in_list_ = false;
    std::string failure_;
};

}  // namespace

checked<void> read_json_record(std::string_view line, log_record& out) {
    record_builder builder{out};
    if (!nlohmann::json::sax_parse(line.begin(), line.end(), &builder)) {
        return tl::unexpected<std::string>{builder.failure()};
    }
    builder.finish();
    return {};
}

}  // namespace bzmq::cli
