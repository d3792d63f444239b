#pragma once

#include "bzmq/error.hpp"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <sys/types.h>

namespace bzmq::cli {

/// A process that cannot be mistaken for another: a number may be given again, but not with the
/// same start.
struct process_id {
    pid_t pid = 0;
    std::uint64_t start = 0;  ///< in clock ticks since the machine booted (proc(5), stat, field 22)

    friend bool operator==(const process_id&, const process_id&) = default;
    [[nodiscard]] explicit operator bool() const noexcept { return pid > 0; }
};

/// Who runs under this number now; 0 where nobody does, or only what has ended already.
process_id identify(pid_t pid);
bool is_running(const process_id& who);
/// Sends a signal to this very process and to no other. False where it is gone.
bool send_signal(const process_id& who, int number);

struct spawn_options {
    std::vector<std::string> command;
    std::string output;  ///< a file that standard output and error are appended to
    std::string folder;  ///< empty: ours
    std::vector<std::pair<std::string, std::string>> environment;  ///< over ours
};

/// Starts a program in a session of its own, with no input, default signals and nothing of ours
/// open. Fails with `ec::cannot_open_file`.
expected<process_id> spawn(const spawn_options& how);

/// The path of this program.
std::string own_program();

}  // namespace bzmq::cli
