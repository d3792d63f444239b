#pragma once

#include "bzmq/data.hpp"
#include "bzmq/time.hpp"

#include "log_schema.hpp"

#include <span>
#include <string>

/// Records as Zeek writes them. What `zeek_log_reader` reads from the result equals what was
/// written, with these exceptions, which lie in Zeek's formats:
///
/// - tab-separated: a set or vector with an empty string as its only element reads as an empty one,
///   one with an unset element as its only element as unset; a value has its column's type, where
///   that is a wider one (see `log_writer`);
/// - JSON: bytes that are not UTF-8 become the text \xNN, reals that are no number become null, and
///   types follow from names again.
namespace bzmq::cli {

/// How JSON logs tell times: as seconds since 1970 or as ISO 8601.
enum class json_time { epoch, iso8601 };

/// Appends the lines from #separator to #types.
void append_tsv_header(std::string& out, const log_schema& schema, timestamp opened);
void append_tsv_footer(std::string& out, timestamp closed);
/// Appends one line.
void append_tsv_record(std::string& out, std::span<const data> values);

/// Appends one line: an object with what is set.
void append_json_record(std::string& out, const log_schema& schema, std::span<const data> values,
                        json_time times);

/// "2024-04-12-19-29-12", in UTC, as Zeek's headers and the names of rotated logs have it.
std::string log_time(timestamp when);

}  // namespace bzmq::cli
