#pragma once

#include "bzmq/data.hpp"
#include "bzmq/zeek.hpp"

#include "zeek_log_reader.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace bzmq::cli {

using log_column = zeek::log_field;

/// What a log's records have in common.
struct log_schema {
    std::string path;  ///< the log's name, e.g. "dns"
    std::vector<log_column> columns;

    friend bool operator==(const log_schema&, const log_schema&) = default;
};

/// The columns that a record has, the stream's own (`log_record::extension`) first, as Zeek puts
/// them. Where the log did not tell types, they follow from the values; what is unset is a string.
log_schema schema_of(const log_record& record);

/// The record's values in the order of `schema_of`.
vector values_of(const log_record& record);

/// Zeek's name for the type of a value: "count", "set[addr]"...; "string" where there is none.
std::string type_name(const data& value);

/// `set[addr]`: addr, and what is around it.
struct list_type {
    std::string_view list;  ///< "set", "vector"; empty where it is none
    std::string_view element;
};
list_type parts_of(std::string_view type);

/// Does a value, written down, read as one of this type? What is unset does, whole numbers do as
/// other numbers whose range they are in, and all does where the type is text.
bool fits(const data& value, std::string_view type);

}  // namespace bzmq::cli
