#include "shell_command.hpp"

#include "cluster/process.hpp"
#include "descriptor.hpp"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <optional>

namespace bzmq::cli {
namespace {

struct pipe_ends {
    descriptor read;
    descriptor write;

    bool open() {
        std::array<int, 2> ends{};
        if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
            return false;
        }
        read.set(ends[0]);
        write.set(ends[1]);
        return true;
    }
};

/// Starts it, with its own signal mask: ours blocks what it must hear.
int start(const shell_command& what, const pipe_ends& in, const pipe_ends& out, ::pid_t& pid) {
    ::posix_spawn_file_actions_t files;
    ::posix_spawn_file_actions_init(&files);
    ::posix_spawn_file_actions_adddup2(&files, in.read.get(), STDIN_FILENO);
    if (what.capture) {
        ::posix_spawn_file_actions_adddup2(&files, out.write.get(), STDOUT_FILENO);
    }
    ::posix_spawnattr_t how;
    ::posix_spawnattr_init(&how);
    ::sigset_t none;
    ::sigset_t ignored;
    ::sigemptyset(&none);
    ::sigemptyset(&ignored);
    ::sigaddset(&ignored, SIGPIPE);
    ::sigaddset(&ignored, SIGXFSZ);
    ::posix_spawnattr_setsigmask(&how, &none);
    ::posix_spawnattr_setsigdefault(&how, &ignored);
    ::posix_spawnattr_setpgroup(&how, 0);  // One of its own, to be ended as a whole.
    ::posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF
                                         | POSIX_SPAWN_SETPGROUP);

    auto variables = environment_with(what.environment);
    std::vector<char*> pointers;
    for (auto& each : variables) {
        pointers.push_back(each.data());
    }
    pointers.push_back(nullptr);
    std::string shell = "sh";
    std::string flag = "-c";
    std::string text = what.text;
    std::array<char*, 4> arguments{shell.data(), flag.data(), text.data(), nullptr};
    const int failed =
        ::posix_spawn(&pid, "/bin/sh", &files, &how, arguments.data(), pointers.data());
    ::posix_spawnattr_destroy(&how);
    ::posix_spawn_file_actions_destroy(&files);
    return failed;
}

/// Feeds a command, takes what it says and ends it where it must be.
class conversation {
  public:
    conversation(::pid_t pid, std::string_view input, pipe_ends& in, pipe_ends& out,
                 const command_limits& limits)
        : pid_(pid),
          input_(input),
          in_(in),
          out_(out),
          limits_(limits),
          process_(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))) {}

    /// Until it has ended, and whoever has its output has closed that; told to end, until all that it
    /// started has. Why it was ended; none where it did so itself, or for a signal.
    error run(const interrupt& stop, std::string& output) {
        while (!has_ended() || in_.write.get() >= 0 || out_.read.get() >= 0
               || (kill_at_ && is_group_running({pid_, 1}))) {
            if (kill_at_ && clock::now() >= *kill_at_) {
                ::kill(-pid_, SIGKILL);
                break;  // Who left its group may have the output still.
            }
            std::array<::pollfd, 4> what{{{in_.write.get(), POLLOUT, 0},
                                          {out_.read.get(), POLLIN, 0},
                                          {kill_at_ ? -1 : stop.fd(), POLLIN, 0},
                                          {has_ended() ? -1 : process_.get(), POLLIN, 0}}};
            if (::poll(what.data(), what.size(), time_to_sleep()) < 0 && errno != EINTR) {
                break;
            }
            if (what[0].revents != 0) {
                feed();
            }
            if (what[1].revents != 0 && !listen(output)) {
                out_.read.close();
            }
            if (what[2].revents != 0) {
                end();
            }
            if (!kill_at_) {
                why_ = look_at_limits(output);
                if (why_) {
                    end();
                }
            } else if (why_) {
                output.clear();  // Nobody wants it.
            }
        }
        return why_;
    }

  private:
    using clock = std::chrono::steady_clock;

    static constexpr std::chrono::milliseconds look_interval{50};  // Where nothing wakes us.
    static constexpr std::chrono::seconds grace{2};

    /// Its number stays its own, and its group's, until it is waited for.
    bool has_ended() {
        if (!ended_) {
            ::siginfo_t info{};
            ended_ = ::waitid(P_PID, static_cast<::id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT)
                         != 0
                     || info.si_pid == pid_;
        }
        return ended_;
    }
    void end() {
        ::kill(-pid_, SIGTERM);
        kill_at_ = clock::now() + grace;
    }
    error look_at_limits(const std::string& output) const {
        if (output.size() > limits_.output_bytes) {
            return {ec::message_too_big,
                    "it says more than " + std::to_string(limits_.output_bytes) + " bytes"};
        }
        if (limits_.deadline && clock::now() >= *limits_.deadline) {
            return {ec::request_timeout, "it was ended, as it did not end in time"};
        }
        if (limits_.wanted && !limits_.wanted()) {
            return {ec::cancelled, "it was ended, as nobody waits for it any more"};
        }
        return {};
    }
    int time_to_sleep() const {
        const bool looks = (limits_.wanted && !kill_at_) || (process_.get() < 0 && !ended_)
                           || (kill_at_ && ended_);  // Of its group nobody tells.
        auto until = looks ? clock::now() + look_interval : clock::time_point::max();
        if (kill_at_) {
            until = std::min(until, *kill_at_);
        } else if (limits_.deadline) {
            until = std::min(until, *limits_.deadline);
        }
        if (until == clock::time_point::max()) {
            return -1;
        }
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - clock::now());
        return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 3'600'000));
    }
    void feed() {
        const auto put = ::write(in_.write.get(), input_.data(), input_.size());
        if (put >= 0) {
            input_.remove_prefix(static_cast<std::size_t>(put));
        } else if (errno != EAGAIN && errno != EINTR) {
            input_ = {};  // It does not want it.
        }
        if (input_.empty()) {
            in_.write.close();
        }
    }
    bool listen(std::string& output) {
        std::array<char, 65536> some{};
        const auto got = ::read(out_.read.get(), some.data(), some.size());
        if (got > 0) {
            output.append(some.data(), static_cast<std::size_t>(got));
        }
        return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
    }

    ::pid_t pid_;
    std::string_view input_;
    pipe_ends& in_;
    pipe_ends& out_;
    const command_limits& limits_;
    descriptor process_;  // Readable once it has ended; -1 where the kernel is too old.
    bool ended_ = false;
    std::optional<clock::time_point> kill_at_;
    error why_;
};

int wait_for(::pid_t pid) {
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace

expected<command_outcome> run_command(const shell_command& what, std::string_view input,
                                      const interrupt& stop, const command_limits& limits) {
    pipe_ends in;
    pipe_ends out;
    const auto problem = [&](int code) {
        return fail(ec::backend_failure,
                    "\"" + what.text + "\" cannot be started: " + std::strerror(code));
    };
    if (!in.open() || (what.capture && !out.open())) {
        return problem(errno);
    }
    ::pid_t pid = 0;
    if (const int failed = start(what, in, out, pid); failed != 0) {
        return problem(failed);
    }
    in.read.close();
    out.write.close();
    ::fcntl(in.write.get(), F_SETFL, O_NONBLOCK);
    if (input.empty()) {
        in.write.close();
    }
    command_outcome outcome;
    const auto why = conversation{pid, input, in, out, limits}.run(stop, outcome.output);
    outcome.status = wait_for(pid);
    if (why) {
        return fail(why.code(), "\"" + what.text + "\": " + why.message());
    }
    return outcome;
}

}  // namespace bzmq::cli
