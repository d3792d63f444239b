#pragma once

#include "bzmq/data.hpp"

#include "zeek_log_reader.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Values of Zeek logs: the typed text of tab-separated ones, the untyped JSON of the others.
namespace bzmq::cli {

/// What is wrong with a line; the reader adds file and line number.
template <class T>
using checked = tl::expected<T, std::string>;

/// Seconds in decimal, as exact as nanoseconds are; more than nine digits of fraction are rounded.
std::optional<timespan> parse_seconds(std::string_view text);

/// `text` cut to one short line of printable ASCII, for messages.
std::string printable(std::string_view text);

/// tcp, udp, icmp; unknown for anything else.
port::protocol parse_protocol(std::string_view name);

/// True for the names of fields that hold the protocol of a record's ports.
bool is_protocol_field(std::string_view name);

/// The header of a tab-separated log: how its lines are to be read.
class tsv_format {
  public:
    /// Takes in a line that begins with '#'.
    checked<void> read_header(std::string_view line);
    /// Splits and converts a record.
    checked<void> read_record(std::string_view line, log_record& out);

  private:
    enum class kind {
        time,
        interval,
        count,
        integer,
        real,
        boolean,
        address,
        subnet,
        port,
        enumeration,
        string
    };
    enum class shape { single, set, vector };
    struct column {
        std::string name;
        kind type = kind::string;
        shape form = shape::single;
    };

    checked<void> read_fields(std::string_view names);
    checked<void> read_types(std::string_view names);
    checked<data> read_field(const column& what, std::string_view text,
                             port::protocol protocol) const;
    checked<data> read_value(kind type, std::string_view text, port::protocol protocol) const;

    char separator_ = '\t';
    char set_separator_ = ',';
    std::string empty_field_ = "(empty)";
    std::string unset_field_ = "-";
    std::string path_;
    std::vector<column> columns_;
    std::shared_ptr<const std::vector<std::string>> types_;
    std::size_t protocol_column_ = 0;
    bool has_protocol_ = false;
    bool has_types_ = false;
    std::vector<std::string_view> cells_;  // Only to keep its memory.
};

/// Converts a line of a JSON log. `out.path` must hold the path for lines that have no _path.
checked<void> read_json_record(std::string_view line, log_record& out);

}  // namespace bzmq::cli
