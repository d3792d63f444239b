#pragma once

#include "bzmq/data.hpp"
#include "bzmq/enum_value.hpp"
#include "bzmq/error.hpp"
#include "bzmq/export.hpp"
#include "bzmq/time.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

/// Zeek's messages as values: (count 1, count type, (fields...)). docs/zeek.md shows each, byte by
/// byte. Everything here is a plain value and may be used from any thread.
namespace bzmq::zeek {

// Scoped enumerators shadow nothing, but GCC 12 says that they do.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"

/// The kinds of messages; the numbers travel.
enum class message_type : std::uint8_t {
    event = 1,
    log_create = 2,
    log_write = 3,
    identifier_update = 4,
    batch = 5,
};

#pragma GCC diagnostic pop

/// "event", "log_create"...
BZMQ_EXPORT std::string_view to_string(message_type type) noexcept;

/// Keys of an event's metadata. Users' own begin with `user_metadata`.
inline constexpr count network_timestamp = 1;
inline constexpr count user_metadata = 200;

/// (name, (arguments...)) or (name, (arguments...), ((key, value)...)).
struct event {
    std::string name;
    vector args = {};
    std::vector<std::pair<count, data>> metadata = {};

    /// The value under a key of the metadata, or a null pointer.
    [[nodiscard]] BZMQ_EXPORT const data* find_metadata(count key) const noexcept;
    /// The network timestamp, where there is one.
    [[nodiscard]] BZMQ_EXPORT std::optional<timestamp> network_time() const noexcept;
    BZMQ_EXPORT void set_network_time(timestamp at);

    friend bool operator==(const event&, const event&) = default;
};

/// A column of a log: its name, and its type as Zeek writes it, such as "time" or "set[addr]".
struct log_field {
    std::string name;
    std::string type;

    friend bool operator==(const log_field&, const log_field&) = default;
};

/// (stream, writer, info, fields): a log begins. Zeek's own `info` and `fields` have layouts that
/// Zeek's versions change, and pass unread; `log_fields` reads those that `make_log_create` makes.
struct log_create {
    enum_value stream;
    enum_value writer;
    data info;
    data fields;

    friend bool operator==(const log_create&, const log_create&) = default;
};

/// (stream, writer, path, content): records of a log. A string is what Zeek serialised, and passes
/// unread; a vector holds the values of one record, in the order of the log's fields, none for what
/// is unset.
struct log_write {
    enum_value stream;
    enum_value writer;
    std::string path;
    std::variant<std::string, vector> content;

    friend bool operator==(const log_write&, const log_write&) = default;
};

/// (id, value): a global variable has this value now.
struct identifier_update {
    std::string id;
    data value;

    friend bool operator==(const identifier_update&, const identifier_update&) = default;
};

struct any_message;

/// (messages...): several that travel as one.
struct batch {
    std::vector<any_message> messages;

    friend bool operator==(const batch& a, const batch& b) { return a.messages == b.messages; }
};

/// Any of the messages.
struct any_message {
    std::variant<event, log_create, log_write, identifier_update, batch> content;

    [[nodiscard]] message_type type() const noexcept {
        return static_cast<message_type>(content.index() + 1);
    }
    friend bool operator==(const any_message&, const any_message&) = default;
};

/// Calls `visitor` with the message itself.
template <class visitor_type>
decltype(auto) visit(visitor_type&& visitor, const any_message& what) {
    return std::visit(std::forward<visitor_type>(visitor), what.content);
}

/// Batches lie within each other at most so deep.
inline constexpr unsigned batch_depth_max = 8;

/// Reads a received value. `ec::invalid_data` tells what was expected where: "event: expected the
/// name as a string, got a count". O(size of the value).
BZMQ_EXPORT expected<any_message> parse(const data& value);
/// The same; moves what it can.
BZMQ_EXPORT expected<any_message> parse(data&& value);
/// Which message a value claims to be, without a look at its fields; nothing for other values.
BZMQ_EXPORT std::optional<message_type> type_of(const data& value) noexcept;

// The values to publish.
BZMQ_EXPORT data to_data(event what);
BZMQ_EXPORT data to_data(log_create what);
BZMQ_EXPORT data to_data(log_write what);
BZMQ_EXPORT data to_data(identifier_update what);
BZMQ_EXPORT data to_data(batch what);
BZMQ_EXPORT data to_data(any_message what);

/// How bzmq's own tools write logs: the stream is PATH::LOG, the writer Log::WRITER_ASCII, info
/// {"path" -> PATH}, and fields ((name, type)...).
BZMQ_EXPORT log_create make_log_create(const std::string& path,
                                       const std::vector<log_field>& fields);
/// A record of such a log: as many values as the log has fields.
BZMQ_EXPORT log_write make_log_write(const std::string& path, vector values);
/// The fields of a log that `make_log_create` began. `ec::invalid_data` for others, where a name
/// comes twice, or beyond 1,000 fields.
BZMQ_EXPORT expected<std::vector<log_field>> log_fields(const log_create& from);

}  // namespace bzmq::zeek
