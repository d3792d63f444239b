#include "store_operations.hpp"

#include <algorithm>
#include <array>

namespace bzmq::cli {
namespace {

constexpr auto any = static_cast<std::size_t>(-1);
constexpr std::string_view write_options = " --format --key-format --expiry ";

constexpr std::array<store_operation, 19> table{{
    {"get", "KEY...", "print the values", 1, any, " --format --key-format --revision --index "},
    {"put", "[KEY VALUE]...",
     "write; without arguments, lines KEY TAB VALUE of standard input, with --json also lines as get "
     "and dump print them",
     0, any, " --format --key-format --expiry --revision --atomic "},
    {"put-unique", "KEY VALUE", "write where the key is not there yet; prints T or F", 2, 2,
     write_options},
    {"incr", "KEY [AMOUNT]", "add to a number or time; without AMOUNT, 1", 1, 2, write_options},
    {"decr", "KEY [AMOUNT]", "take from a number or time", 1, 2, write_options},
    {"append", "KEY TEXT", "add to the end of a string", 2, 2, write_options},
    {"insert", "KEY [INDEX] VALUE", "put into a set or, with an INDEX, into a table", 2, 3,
     write_options},
    {"remove", "KEY INDEX", "take from a set or table, or, by position, from a vector", 2, 2,
     write_options},
    {"push", "KEY VALUE", "add to the end of a vector", 2, 2, write_options},
    {"pop", "KEY", "take the last element from a vector", 1, 1, write_options},
    {"erase", "[KEY]...",
     "erase; without arguments, a key a line of standard input, with --json also as keys prints "
     "them",
     0, any, " --key-format --atomic "},
    {"clear", "", "erase all", 0, 0, " "},
    {"keys", "", "print the keys, one a line, in order", 0, 0,
     " --key-format --prefix --from --to --max "},
    {"size", "", "print how many keys there are", 0, 0, " "},
    {"watch", "", "print what happens from now on, one event a line", 0, 0,
     " --format --key-format --prefix --from --to --count "},
    {"dump", "[FILE]", "write the entries as JSON lines to FILE or standard output", 0, 1,
     " --prefix --from --to --max --key-format "},
    {"load", "FILE", "put back what dump wrote; - is standard input", 1, 1, " --batch "},
    {"info", "", "print how the store stands", 0, 0, " "},
    {"promote", "[ENDPOINT]", "make the standby at ENDPOINT, an id or name, the master; without, the "
     "only one there is", 0, 1, " "},
}};

}  // namespace

std::span<const store_operation> store_operations() noexcept {
    return table;
}

const store_operation* find_store_operation(std::string_view name) noexcept {
    const auto* at = std::find_if(table.begin(), table.end(),
                                  [&](const store_operation& each) { return each.name == name; });
    return at == table.end() ? nullptr : at;
}

}  // namespace bzmq::cli
