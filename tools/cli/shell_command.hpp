#pragma once

#include "bzmq/error.hpp"

#include "interrupt.hpp"

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

/// Runs it with `input` as its standard input, until it ends. A signal to this process is passed on
/// to it. Fails with `ec::backend_failure` where it cannot be started, and with
/// `ec::message_too_big` where it says more than `output_max` bytes, which ends it.
expected<command_outcome> run_command(const shell_command& what, std::string_view input,
                                      const interrupt& stop,
                                      std::size_t output_max = std::size_t{64} << 20);

}  // namespace bzmq::cli
