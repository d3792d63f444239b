#pragma once

#include "bzmq/error.hpp"

#include "interrupt.hpp"

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bzmq::cli {

/// A command line for sh(1), to be run for messages and the like.
struct shell_command {
    std::string text;
    std::vector<std::pair<std::string, std::string>> environment;  ///< beside this process's own
    bool capture = false;  ///< its standard output is wanted; else it goes where ours goes
};

struct command_outcome {
    int status = 0;      ///< its exit code; 128 + the signal where one ended it
    std::string output;  ///< where it was captured
};

/// What ends a command that does not end by itself.
struct command_limits {
    std::size_t output_bytes = std::size_t{64} << 20;
    std::optional<std::chrono::steady_clock::time_point> deadline = {};
    std::function<bool()> wanted = {};  ///< asked now and then: nobody waits for it any more
};

/// Runs it with `input` as its standard input, until it has ended and, where it is captured, closed
/// its output. The command is the shell with all that it starts in its process group. A signal to
/// this process is passed on to it, and what has not ended two seconds later is killed. Fails with
/// `ec::backend_failure` where it cannot be started, `ec::message_too_big` where it says too much,
/// `ec::request_timeout` or `ec::cancelled` past the deadline or where it is not wanted; all of
/// these end it.
expected<command_outcome> run_command(const shell_command& what, std::string_view input,
                                      const interrupt& stop, const command_limits& limits = {});

}  // namespace bzmq::cli
