#include "log_message.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <set>
#include <string>
#include <utility>

namespace bzmq::cli {
namespace {

// Zeek's layout: (version, type, fields).
constexpr count version = 1;
enum message_type : count { log_create = 2, log_write = 3, batch = 5 };

constexpr unsigned depth_max = 4;
constexpr std::size_t columns_max = 1000;
constexpr std::size_t streams_max = 10'000;
constexpr std::string_view writer = "Log::WRITER_ASCII";

data message(message_type type, vector fields) {
    return vector{version, static_cast<count>(type), std::move(fields)};
}

unexpected wrong(std::string what) { return fail(ec::invalid_data, std::move(what)); }

/// The stream's name for a log: what Zeek calls DNS::LOG has the path dns. Ours need only differ.
enum_value stream_of(const std::string& path) { return enum_value{path + "::LOG"}; }

expected<std::vector<log_column>> read_columns(const data& value) {
    const auto* list = get_if<vector>(&value);
    if (list == nullptr || list->size() > columns_max) {
        return wrong("LogCreate: expected a vector of at most 1000 fields");
    }
    std::vector<log_column> out;
    std::set<std::string_view> names;
    for (const auto& entry : *list) {
        const auto* pair = get_if<vector>(&entry);
        const auto* name = pair != nullptr && pair->size() == 2 ? get_if<std::string>(&(*pair)[0])
                                                                : nullptr;
        const auto* type = name != nullptr ? get_if<std::string>(&(*pair)[1]) : nullptr;
        if (type == nullptr) {
            return wrong("LogCreate: expected (name, type) for each field");
        }
        if (!names.insert(*name).second) {
            return wrong("LogCreate: field " + *name + " comes twice");
        }
        out.push_back({*name, *type});
    }
    return out;
}

}  // namespace

bool log_batch::fits(const log_record& record) const {
    return writes_.empty() || schema_ == schema_of(record);
}

void log_batch::add(const log_record& record) {
    if (writes_.empty()) {
        schema_ = schema_of(record);
    }
    writes_.push_back(message(log_write, {stream_of(schema_.path), enum_value{std::string{writer}},
                                          schema_.path, values_of(record)}));
}

data log_batch::take() {
    vector columns;
    for (const auto& column : schema_.columns) {
        columns.push_back(vector{column.name, column.type});
    }
    vector messages{message(log_create, {stream_of(schema_.path), enum_value{std::string{writer}},
                                         table{{"path", schema_.path}}, std::move(columns)})};
    std::move(writes_.begin(), writes_.end(), std::back_inserter(messages));
    writes_.clear();
    return message(batch, std::move(messages));
}

expected<void> log_reader::read(const endpoint_id& origin, std::string_view topic,
                                const data& value, const visitor& take) {
    if (const auto* fields = get_if<table>(&value)) {
        return read_table(topic, *fields, take);
    }
    return read_message(origin, value, take, 0);
}

expected<void> log_reader::read_message(const endpoint_id& origin, const data& value,
                                        const visitor& take, unsigned depth) {
    const auto* parts = get_if<vector>(&value);
    const auto* type = parts != nullptr && parts->size() == 3 ? get_if<count>(&(*parts)[1])
                                                              : nullptr;
    const auto* fields = type != nullptr ? get_if<vector>(&(*parts)[2]) : nullptr;
    if (fields == nullptr || (*parts)[0] != data{version}) {
        return wrong("expected a message of Zeek's, (1, type, fields), or a table");
    }
    switch (*type) {
        case log_create:
            return create(origin, *fields);
        case log_write:
            return write(origin, *fields, take);
        case batch:
            break;
        default:
            return wrong("expected LogCreate, LogWrite or Batch, got type "
                         + std::to_string(*type));
    }
    if (depth == depth_max) {
        return wrong("Batches nested too deep");
    }
    for (const auto& each : *fields) {
        if (auto done = read_message(origin, each, take, depth + 1); !done) {
            return done;
        }
    }
    return {};
}

expected<void> log_reader::create(const endpoint_id& origin, const vector& fields) {
    const auto* stream = fields.size() == 4 ? get_if<enum_value>(&fields[0]) : nullptr;
    const auto* writer_id = stream != nullptr ? get_if<enum_value>(&fields[1]) : nullptr;
    if (writer_id == nullptr) {
        return wrong("LogCreate: expected (stream, writer, info, fields)");
    }
    auto columns = read_columns(fields[3]);
    if (!columns) {
        return tl::unexpected{columns.error()};
    }
    stream_key key{origin, stream->name(), writer_id->name()};
    if (streams_.size() >= streams_max && !streams_.contains(key)) {
        // Publishers that are gone; those that live tell their columns again.
        streams_.clear();
    }
    streams_[std::move(key)].columns = std::move(*columns);
    return {};
}

expected<void> log_reader::write(const endpoint_id& origin, const vector& fields,
                                 const visitor& take) {
    const auto* stream = fields.size() == 4 ? get_if<enum_value>(&fields[0]) : nullptr;
    const auto* writer_id = stream != nullptr ? get_if<enum_value>(&fields[1]) : nullptr;
    const auto* path = writer_id != nullptr ? get_if<std::string>(&fields[2]) : nullptr;
    const auto* values = path != nullptr ? get_if<vector>(&fields[3]) : nullptr;
    if (values == nullptr) {
        return wrong("LogWrite: expected (stream, writer, path, values)");
    }
    const auto found = streams_.find({origin, stream->name(), writer_id->name()});
    if (found == streams_.end()) {
        return wrong("LogWrite of " + *path + " before its LogCreate");
    }
    found->second.path = *path;
    return take(found->second, *values);
}

expected<void> log_reader::read_table(std::string_view topic, const table& value,
                                      const visitor& take) {
    log_schema schema{std::string{topic.substr(topic.rfind('/') + 1)}, {}};
    vector values;
    for (const auto& [name, field] : value) {
        const auto* text = get_if<std::string>(&name);
        if (text == nullptr) {
            return wrong("expected a table with strings as keys");
        }
        schema.columns.push_back({*text, type_name(field)});
        values.push_back(field);
    }
    return take(schema, values);
}

}  // namespace bzmq::cli
