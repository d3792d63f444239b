#pragma once

#include "bzmq/error.hpp"

#include <cstdint>
#include <string>
#include <string_view>
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

/// Sends a signal to a process that `spawn` started and to all that it started in turn and that did
/// not leave its group. Once such a process has ended, its number stays its group's as long as one
/// of these runs; the caller knows that the group is the one that it has seen.
bool signal_group(const process_id& leader, int number);
/// Something of the group runs: the leader or what it left behind.
bool is_group_running(const process_id& leader);
/// Those that `parent` started and has not waited for; their numbers are nobody else's as long as it
/// does not.
std::vector<process_id> children_of(const process_id& parent);
/// It stands still after a SIGSTOP.
bool is_stopped(const process_id& who);
/// A variable of the environment that a process was started with; empty where it has none, or is
/// not ours to look into.
std::string environment_of(const process_id& who, std::string_view name);

/// "NAME=value" of this process without the names that begin with `except` and those in `more`, and
/// then `more`.
std::vector<std::string> environment_with(
    const std::vector<std::pair<std::string, std::string>>& more, std::string_view except = {});

struct spawn_options {
    std::vector<std::string> command;
    std::string output;  ///< a file that standard output and error are appended to
    std::string folder;  ///< empty: ours
    /// Over ours, of which BZMQ_… would configure every endpoint alike and is left out.
    std::vector<std::pair<std::string, std::string>> environment;
};

/// Starts a program in a session and process group of its own, with no input, default signals and
/// nothing of ours open. Fails with `ec::cannot_open_file`.
expected<process_id> spawn(const spawn_options& how);

/// The path of this program, as it was when this was called first: where a newer version has taken
/// its place since, that one's.
const std::string& own_program();

}  // namespace bzmq::cli
