#pragma once

#include "bzmq/error.hpp"

#include <span>
#include <string_view>

namespace bzmq::cli {

// Scoped enumerators shadow nothing, but GCC 12 says that they do.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"

/// How a command ended. Scripts rely on the numbers: they are permanent.
enum class exit_code : int {
    ok = 0,
    failure = 1,
    usage = 2,
    timeout = 3,
    unavailable = 4,
    authentication = 5,
    no_such_key = 6,
    type_clash = 7,
    conflict = 8,
    no_master = 9,
    interrupted = 130,
    broken_pipe = 141,
    terminated = 143,
};

#pragma GCC diagnostic pop

struct exit_code_entry {
    exit_code code;
    std::string_view meaning;
};

/// Every exit code, as --help, the man page and docs/cli.md list them.
std::span<const exit_code_entry> exit_codes() noexcept;

/// The code for a command that failed with `why`.
exit_code exit_code_of(const error& why) noexcept;

/// Tells the user on standard error what went wrong, and yields the exit code for it.
exit_code report(const error& why);
exit_code report(exit_code code, std::string_view message);

/// One line on standard error: a hint that is no failure.
void warn(std::string_view message);

}  // namespace bzmq::cli
