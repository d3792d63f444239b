#pragma once

#include <array>
#include <string>
#include <vector>

#include "bzmq/data.hpp"
#include "replica/command.hpp"

/// Which operations fit which types, as docs/stores.md and the header of the stores tell it.
namespace bzmq::testing {

/// One value of each type. Numbers are 1, and the vector has two elements, so that nothing is out of
/// range where the types fit.
inline std::vector<data> one_of_each_type() {
    return {nil,
            true,
            count{1},
            integer{1},
            1.5,
            "text",
            address::parse("192.0.2.1").value(),
            subnet::parse("192.0.2.0/24").value(),
            port{80, port::protocol::tcp},
            timestamp{timespan{5}},
            timespan{7},
            enum_value{"a_name"},
            set{count{1}, "x"},
            table{{count{1}, "x"}, {"y", nil}},
            vector{count{1}, "x"}};
}

/// The operations that look at the value under their key.
inline constexpr std::array shaping{
    replica::operation::add,  replica::operation::subtract,    replica::operation::append,
    replica::operation::insert, replica::operation::insert_pair, replica::operation::remove,
    replica::operation::push, replica::operation::pop};

inline bool adds_up(data_type value, data_type amount) {
    switch (value) {
        case data_type::count:
        case data_type::integer:
            return amount == data_type::count || amount == data_type::integer;
        case data_type::real:
        case data_type::timespan:
            return amount == value;
        case data_type::timestamp:
            return amount == data_type::timespan;
        default:
            return false;
    }
}

/// Can `what` with an operand of that type be done to a value of this one?
inline bool fits(replica::operation what, data_type value, data_type operand) {
    switch (what) {
        case replica::operation::add:
        case replica::operation::subtract:
            return adds_up(value, operand);
        case replica::operation::append:
            return value == data_type::string && operand == data_type::string;
        case replica::operation::insert:
            return value == data_type::set;
        case replica::operation::insert_pair:
            return value == data_type::table;
        case replica::operation::push:
        case replica::operation::pop:
            return value == data_type::vector;
        case replica::operation::remove:
            return value == data_type::set || value == data_type::table
                   || (value == data_type::vector
                       && (operand == data_type::count || operand == data_type::integer));
        default:
            return true;
    }
}

/// The same where nothing stands under the key: the code.
inline ec on_nothing(replica::operation what, data_type operand) {
    switch (what) {
        case replica::operation::add:
            // A timestamp has no zero to begin with.
            return operand != data_type::timestamp && adds_up(operand, operand) ? ec::none
                                                                                : ec::type_clash;
        case replica::operation::subtract:
        case replica::operation::remove:
        case replica::operation::pop:
            return ec::no_such_key;
        case replica::operation::append:
            return operand == data_type::string ? ec::none : ec::type_clash;
        default:
            return ec::none;
    }
}

inline std::string describe(replica::operation what, const data& value, const data& operand) {
    return "operation " + std::to_string(static_cast<int>(what)) + " with a "
           + std::string{to_string(operand.get_type())} + " on a "
           + std::string{to_string(value.get_type())};
}

}  // namespace bzmq::testing
