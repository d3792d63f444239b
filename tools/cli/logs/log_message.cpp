#include "log_message.hpp"

#include <utility>

namespace bzmq::cli {
namespace {

constexpr std::size_t streams_max = 10'000;

unexpected wrong(std::string what) { return fail(ec::invalid_data, std::move(what)); }

}  // namespace

bool log_batch::fits(const log_record& record) const {
    return writes_.empty() || schema_ == schema_of(record);
}

void log_batch::add(const log_record& record) {
    if (writes_.empty()) {
        schema_ = schema_of(record);
    }
    writes_.push_back({zeek::make_log_write(schema_.path, values_of(record))});
}

data log_batch::take() {
    zeek::batch out;
    out.messages.reserve(writes_.size() + 1);
    out.messages.push_back({zeek::make_log_create(schema_.path, schema_.columns)});
    std::move(writes_.begin(), writes_.end(), std::back_inserter(out.messages));
    writes_.clear();
    return zeek::to_data(std::move(out));
}

void log_reader::read(const endpoint_id& origin, std::string_view topic, const data& value,
                      const visitor& take, const rejecter& reject) {
    if (const auto* fields = get_if<table>(&value)) {
        if (const auto done = read_table(topic, *fields, take); !done) {
            reject(value, done.error());
        }
        return;
    }
    const auto what = zeek::parse(value);
    if (what) {
        read(origin, *what, take, reject);
    } else {
        reject(value, what.error());
    }
}

void log_reader::read(const endpoint_id& origin, const zeek::any_message& what,
                      const visitor& take, const rejecter& reject) {
    if (const auto* several = std::get_if<zeek::batch>(&what.content)) {
        for (const auto& each : several->messages) {
            read(origin, each, take, reject);
        }
    } else if (const auto done = read_one(origin, what, take); !done) {
        reject(zeek::to_data(what), done.error());
    }
}

expected<void> log_reader::read_one(const endpoint_id& origin, const zeek::any_message& what,
                                    const visitor& take) {
    if (const auto* begun = std::get_if<zeek::log_create>(&what.content)) {
        return create(origin, *begun);
    }
    if (const auto* record = std::get_if<zeek::log_write>(&what.content)) {
        return write(origin, *record, take);
    }
    return wrong(std::string{"expected log_create, log_write or batch, got "}
                 + std::string{to_string(what.type())});
}

expected<void> log_reader::create(const endpoint_id& origin, const zeek::log_create& what) {
    auto columns = zeek::log_fields(what);
    stream_key key{origin, what.stream.name(), what.writer.name()};
    auto found = streams_.find(key);
    if (!columns) {
        if (found != streams_.end()) {
            // What follows has columns that nobody knows, not those of before.
            used_.erase(found->second.used);
            streams_.erase(found);
        }
        return tl::unexpected{columns.error()};
    }
    if (found == streams_.end()) {
        if (streams_.size() >= streams_max) {
            // Most likely of a publisher that is gone; one that lives tells its columns again.
            streams_.erase(used_.front());
            used_.pop_front();
        }
        const auto used = used_.insert(used_.end(), key);
        found = streams_.emplace(std::move(key), stream{{}, used}).first;
    }
    used_.splice(used_.end(), used_, found->second.used);
    found->second.schema.columns = std::move(*columns);
    return {};
}

expected<void> log_reader::write(const endpoint_id& origin, const zeek::log_write& what,
                                 const visitor& take) {
    const auto* values = std::get_if<vector>(&what.content);
    if (values == nullptr) {
        return wrong("log_write of " + what.path
                     + ": expected the record's values, got what Zeek serialised");
    }
    const auto found = streams_.find({origin, what.stream.name(), what.writer.name()});
    if (found == streams_.end()) {
        return wrong("log_write of " + what.path + " before its log_create");
    }
    auto& [schema, used] = found->second;
    used_.splice(used_.end(), used_, used);
    schema.path = what.path;
    return take(schema, *values);
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
        if (is<none>(field)) {
            continue;  // Has no type, and would be another one's than where it is set.
        }
        schema.columns.push_back({*text, type_name(field)});
        values.push_back(field);
    }
    if (values.empty()) {
        return wrong("expected a table with a field that is set");
    }
    return take(schema, values);
}

}  // namespace bzmq::cli
