#include "bzmq/zeek.hpp"

#include <array>
#include <cstddef>
#include <iterator>
#include <set>

namespace bzmq::zeek {
namespace {

constexpr count format = 1;
constexpr std::size_t log_fields_max = 1000;

/// "a count", "an address".
std::string with_article(std::string_view type) {
    const bool vowel = !type.empty() && std::string_view{"aeiou"}.find(type.front()) != std::string_view::npos;
    return (vowel ? "an " : "a ") + std::string{type};
}
std::string type_name(const data& value) {
    return with_article(bzmq::to_string(value.get_type()));
}

data wrap(message_type type, vector fields) {
    vector out;
    out.reserve(3);
    out.emplace_back(format);
    out.emplace_back(static_cast<count>(type));
    out.emplace_back(std::move(fields));
    return out;
}

/// The fields of one message, taken one after the other; the first that does not fit is told.
class field_reader {
  public:
    field_reader(message_type type, vector& fields) noexcept : type_(type), fields_(fields) {}

    bool has(std::size_t least, std::size_t most) {
        if (fields_.size() >= least && fields_.size() <= most) {
            return true;
        }
        return refuse("expected " + std::to_string(least)
                      + (most == least ? "" : " or " + std::to_string(most)) + " fields, got "
                      + std::to_string(fields_.size()));
    }
    template <class T>
    bool take(std::size_t at, T& to, std::string_view what) {
        auto* held = get_if<T>(&fields_[at]);
        if (held == nullptr) {
            return refuse(at, what, bzmq::to_string(data{T{}}.get_type()));
        }
        to = std::move(*held);
        return true;
    }
    data take(std::size_t at) { return std::move(fields_[at]); }
    bool refuse(std::size_t at, std::string_view what, std::string_view wanted) {
        return refuse("expected the " + std::string{what} + " as " + with_article(wanted)
                      + ", got " + type_name(fields_[at]));
    }
    bool refuse(const std::string& why) {
        problem_ = std::string{to_string(type_)} + ": " + why;
        return false;
    }
    [[nodiscard]] unexpected failure() const { return fail(ec::invalid_data, problem_); }

  private:
    message_type type_;
    vector& fields_;
    std::string problem_;
};

bool read_metadata(field_reader& in, const vector& entries,
                   std::vector<std::pair<count, data>>& out) {
    for (const auto& each : entries) {
        const auto* pair = get_if<vector>(&each);
        const auto* key = pair != nullptr && pair->size() == 2 ? get_if<count>(&pair->front())
                                                               : nullptr;
        if (key == nullptr) {
            return in.refuse("expected metadata as pairs (count, value)");
        }
        if (*key == network_timestamp && !is<timestamp>(pair->back())) {
            return in.refuse("expected the network time as a timestamp, got "
                             + type_name(pair->back()));
        }
        out.emplace_back(*key, pair->back());
    }
    return true;
}

bool read(field_reader& in, vector& fields, event& out) {
    vector metadata;
    if (!in.has(2, 3) || !in.take(0, out.name, "name") || !in.take(1, out.args, "arguments")) {
        return false;
    }
    if (out.name.empty()) {
        return in.refuse("the name is empty");
    }
    return fields.size() < 3
           || (in.take(2, metadata, "metadata") && read_metadata(in, metadata, out.metadata));
}

bool read(field_reader& in, vector& /*fields*/, log_create& out) {
    if (!in.has(4, 4) || !in.take(0, out.stream, "stream") || !in.take(1, out.writer, "writer")) {
        return false;
    }
    out.info = in.take(2);
    out.fields = in.take(3);
    return true;
}

bool read(field_reader& in, vector& fields, log_write& out) {
    if (!in.has(4, 4) || !in.take(0, out.stream, "stream") || !in.take(1, out.writer, "writer")
        || !in.take(2, out.path, "path")) {
        return false;
    }
    if (auto* values = get_if<vector>(&fields[3])) {
        out.content = std::move(*values);
    } else if (auto* bytes = get_if<std::string>(&fields[3])) {
        out.content = std::move(*bytes);
    } else {
        return in.refuse(3, "record", "vector or string");
    }
    return true;
}

bool read(field_reader& in, vector& /*fields*/, identifier_update& out) {
    if (!in.has(2, 2) || !in.take(0, out.id, "id")) {
        return false;
    }
    out.value = in.take(1);
    return true;
}

template <class T>
expected<any_message> read_as(message_type type, vector& fields) {
    field_reader in{type, fields};
    T out;
    if (!read(in, fields, out)) {
        return in.failure();
    }
    return any_message{std::move(out)};
}

expected<any_message> parse(data& value, unsigned depth);

expected<any_message> read_batch(vector& fields, unsigned depth) {
    if (depth == batch_depth_max) {
        return fail(ec::invalid_data, "batch: batches within each other deeper than "
                                          + std::to_string(batch_depth_max));
    }
    batch out;
    out.messages.reserve(fields.size());
    for (auto& each : fields) {
        auto one = parse(each, depth + 1);
        if (!one) {
            return fail(ec::invalid_data, "batch, message " + std::to_string(out.messages.size())
                                              + ": " + one.error().message());
        }
        out.messages.push_back(std::move(*one));
    }
    return any_message{std::move(out)};
}

expected<any_message> parse(data& value, unsigned depth) {
    const auto type = type_of(value);
    if (!type) {
        return fail(ec::invalid_data,
                    "expected one of Zeek's messages, (1, type 1 to 5, (fields...))");
    }
    auto& fields = get<vector>(get<vector>(value)[2]);
    switch (*type) {
        case message_type::event:
            return read_as<event>(*type, fields);
        case message_type::log_create:
            return read_as<log_create>(*type, fields);
        case message_type::log_write:
            return read_as<log_write>(*type, fields);
        case message_type::identifier_update:
            return read_as<identifier_update>(*type, fields);
        case message_type::batch:
            break;
    }
    return read_batch(fields, depth);
}

enum_value stream_of(const std::string& path) { return enum_value{path + "::LOG"}; }
enum_value ascii_writer() { return enum_value{"Log::WRITER_ASCII"}; }

}  // namespace

std::string_view to_string(message_type type) noexcept {
    constexpr std::array<std::string_view, 6> names{
        "none", "event", "log_create", "log_write", "identifier_update", "batch"};
    const auto at = static_cast<std::size_t>(type);
    return at < names.size() ? names[at] : names[0];
}

const data* event::find_metadata(count key) const noexcept {
    for (const auto& [have, value] : metadata) {
        if (have == key) {
            return &value;
        }
    }
    return nullptr;
}

std::optional<timestamp> event::network_time() const noexcept {
    const auto* at = get_if<timestamp>(find_metadata(network_timestamp));
    return at == nullptr ? std::nullopt : std::optional{*at};
}

void event::set_network_time(timestamp at) {
    for (auto& [key, value] : metadata) {
        if (key == network_timestamp) {
            value = at;
            return;
        }
    }
    metadata.emplace_back(network_timestamp, at);
}

std::optional<message_type> type_of(const data& value) noexcept {
    const auto* parts = get_if<vector>(&value);
    if (parts == nullptr || parts->size() != 3 || !is<vector>((*parts)[2])) {
        return {};
    }
    const auto* version = get_if<count>(&(*parts)[0]);
    const auto* type = get_if<count>(&(*parts)[1]);
    if (version == nullptr || *version != format || type == nullptr || *type < 1 || *type > 5) {
        return {};
    }
    return static_cast<message_type>(*type);
}

expected<any_message> parse(const data& value) { return parse(data{value}); }
expected<any_message> parse(data&& value) { return parse(value, 0); }

data to_data(event what) {
    vector fields{std::move(what.name), std::move(what.args)};
    if (!what.metadata.empty()) {
        vector pairs;
        for (auto& [key, value] : what.metadata) {
            pairs.emplace_back(vector{key, std::move(value)});
        }
        fields.emplace_back(std::move(pairs));
    }
    return wrap(message_type::event, std::move(fields));
}

data to_data(log_create what) {
    return wrap(message_type::log_create, {std::move(what.stream), std::move(what.writer),
                                           std::move(what.info), std::move(what.fields)});
}

data to_data(log_write what) {
    auto content = std::visit([](auto& held) { return data{std::move(held)}; }, what.content);
    return wrap(message_type::log_write, {std::move(what.stream), std::move(what.writer),
                                          std::move(what.path), std::move(content)});
}

data to_data(identifier_update what) {
    return wrap(message_type::identifier_update, {std::move(what.id), std::move(what.value)});
}

data to_data(batch what) {
    vector fields;
    fields.reserve(what.messages.size());
    for (auto& each : what.messages) {
        fields.push_back(to_data(std::move(each)));
    }
    return wrap(message_type::batch, std::move(fields));
}

data to_data(any_message what) {
    return std::visit([](auto& held) { return to_data(std::move(held)); }, what.content);
}

log_create make_log_create(const std::string& path, const std::vector<log_field>& fields) {
    vector columns;
    columns.reserve(fields.size());
    for (const auto& each : fields) {
        columns.emplace_back(vector{each.name, each.type});
    }
    return {stream_of(path), ascii_writer(), table{{"path", path}}, std::move(columns)};
}

log_write make_log_write(const std::string& path, vector values) {
    return {stream_of(path), ascii_writer(), path, std::move(values)};
}

expected<std::vector<log_field>> log_fields(const log_create& from) {
    const auto* list = get_if<vector>(&from.fields);
    if (list == nullptr || list->size() > log_fields_max) {
        return fail(ec::invalid_data, "log_create: expected at most 1000 fields, ((name, type)...)");
    }
    std::vector<log_field> out;
    std::set<std::string_view> names;
    for (const auto& each : *list) {
        const auto* pair = get_if<vector>(&each);
        if (pair == nullptr || pair->size() != 2 || !is<std::string>((*pair)[0])
            || !is<std::string>((*pair)[1])) {
            return fail(ec::invalid_data, "log_create: expected (name, type) for each field");
        }
        const auto& name = get<std::string>((*pair)[0]);
        if (!names.insert(name).second) {
            return fail(ec::invalid_data, "log_create: the field " + name + " comes twice");
        }
        out.push_back({name, get<std::string>((*pair)[1])});
    }
    return out;
}

}  // namespace bzmq::zeek
