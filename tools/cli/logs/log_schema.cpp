#include "log_schema.hpp"

#include <algorithm>
#include <array>
#include <limits>

namespace bzmq::cli {
namespace {

/// One type for all elements; what is unset has any.
template <class list>
std::string element_type(const list& values) {
    std::string out;
    for (const auto& value : values) {
        if (is<none>(value)) {
            continue;
        }
        const auto type = type_name(value);
        if (!out.empty() && type != out) {
            return "string";
        }
        out = type;
    }
    return out.empty() ? "string" : out;
}

}  // namespace

std::string type_name(const data& value) {
    switch (value.get_type()) {
        case data_type::boolean:
            return "bool";
        case data_type::count:
            return "count";
        case data_type::integer:
            return "int";
        case data_type::real:
            return "double";
        case data_type::address:
            return "addr";
        case data_type::subnet:
            return "subnet";
        case data_type::port:
            return "port";
        case data_type::timestamp:
            return "time";
        case data_type::timespan:
            return "interval";
        case data_type::enum_value:
            return "enum";
        case data_type::set:
            return "set[" + element_type(get<set>(value)) + ']';
        case data_type::vector:
            return "vector[" + element_type(get<vector>(value)) + ']';
        case data_type::none:
        case data_type::string:
        case data_type::table:
            break;
    }
    return "string";
}

list_type parts_of(std::string_view type) {
    for (const std::string_view list : {"set", "vector"}) {
        if (type.starts_with(list) && type.substr(list.size()).starts_with('[')
            && type.ends_with(']')) {
            return {list, type.substr(list.size() + 1, type.size() - list.size() - 2)};
        }
    }
    return {{}, type};
}

bool fits(const data& value, std::string_view type) {
    if (is<none>(value)) {
        return true;
    }
    if (const auto [list, element] = parts_of(type); !list.empty()) {
        const auto all_fit = [inner = element](const auto& elements) {
            return std::all_of(elements.begin(), elements.end(),
                               [&](const data& each) { return fits(each, inner); });
        };
        return is<set>(value) ? all_fit(get<set>(value))
                              : is<vector>(value) && all_fit(get<vector>(value));
    }
    switch (value.get_type()) {
        case data_type::count:
            if (type == "count" || type == "double") {
                return true;
            }
            if (type == "int") {
                return get<count>(value)
                       <= static_cast<count>(std::numeric_limits<integer>::max());
            }
            break;
        case data_type::integer:
            if (type == "int" || type == "double") {
                return true;
            }
            if (type == "count") {
                return get<integer>(value) >= 0;
            }
            break;
        default:
            if (type == type_name(value)) {
                return true;
            }
    }
    static constexpr std::array<std::string_view, 9> not_text{
        "time", "interval", "count", "int", "double", "bool", "addr", "subnet", "port"};
    return std::find(not_text.begin(), not_text.end(), type) == not_text.end();
}

log_schema schema_of(const log_record& record) {
    log_schema out{record.path, {}};
    out.columns.reserve(record.extension.size() + record.fields.size());
    for (const auto& [name, value] : record.extension) {
        out.columns.push_back({name, type_name(value)});
    }
    for (std::size_t i = 0; i < record.fields.size(); ++i) {
        const auto& [name, value] = record.fields[i];
        const bool told = record.types && i < record.types->size();
        out.columns.push_back({name, told ? (*record.types)[i] : type_name(value)});
    }
    return out;
}

vector values_of(const log_record& record) {
    vector out;
    out.reserve(record.extension.size() + record.fields.size());
    for (const auto* fields : {&record.extension, &record.fields}) {
        for (const auto& [name, value] : *fields) {
            out.push_back(value);
        }
    }
    return out;
}

}  // namespace bzmq::cli
