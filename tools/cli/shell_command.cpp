#include "shell_command.hpp"

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
#include <cstring>
#include <utility>

extern char** environ;

namespace bzmq::cli {
namespace {

/// A descriptor that is closed in time.
class descriptor {
  public:
    descriptor() = default;
    explicit descriptor(int fd) : fd_(fd) {}
    ~descriptor() { close(); }
    descriptor(const descriptor&) = delete;
    descriptor& operator=(const descriptor&) = delete;
    void set(int fd) { fd_ = fd; }
    void close() {
        if (fd_ >= 0) {
            ::close(std::exchange(fd_, -1));
        }
    }
    [[nodiscard]] int get() const noexcept { return fd_; }

  private:
    int fd_ = -1;
};

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

/// "NAME=value" of this process, those of `more` instead where they have the same name.
std::vector<std::string> environment_with(
    const std::vector<std::pair<std::string, std::string>>& more) {
    std::vector<std::string> out;
    for (auto** each = environ; *each != nullptr; ++each) {
        const std::string_view text{*each};
        const auto name = text.substr(0, text.find('='));
        if (std::none_of(more.begin(), more.end(), [&](const auto& one) { return one.first == name; })) {
            out.emplace_back(text);
        }
    }
    for (const auto& [name, value] : more) {
        out.push_back(name + "=" + value);
    }
    return out;
}

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
    ::sigset_t pipe_only;
    ::sigemptyset(&none);
    ::sigemptyset(&pipe_only);
    ::sigaddset(&pipe_only, SIGPIPE);
    ::posix_spawnattr_setsigmask(&how, &none);
    ::posix_spawnattr_setsigdefault(&how, &pipe_only);
    ::posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

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

/// Feeds a command and takes what it says, until it says no more.
class conversation {
  public:
    conversation(::pid_t pid, std::string_view input, pipe_ends& in, pipe_ends& out)
        : pid_(pid), input_(input), in_(in), out_(out) {}

    /// False where it said more than `output_max`.
    bool run(const interrupt& stop, std::size_t output_max, std::string& output) {
        bool told = false;
        while (in_.write.get() >= 0 || out_.read.get() >= 0) {
            std::array<::pollfd, 3> what{{{in_.write.get(), POLLOUT, 0},
                                          {out_.read.get(), POLLIN, 0},
                                          {told ? -1 : stop.fd(), POLLIN, 0}}};
            if (::poll(what.data(), what.size(), -1) < 0 && errno != EINTR) {
                break;
            }
            if (what[2].revents != 0) {
                ::kill(pid_, SIGTERM);
                told = true;
            }
            if (what[0].revents != 0) {
                feed();
            }
            if (what[1].revents != 0 && !listen(output)) {
                out_.read.close();
            }
            if (output.size() > output_max) {
                return false;
            }
        }
        return true;
    }

  private:
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
};

/// Waits for its end; passes a signal on that comes meanwhile.
int wait_for(::pid_t pid, const interrupt& stop) {
    const descriptor ended{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))};
    std::array<::pollfd, 2> what{{{ended.get(), POLLIN, 0}, {stop.fd(), POLLIN, 0}}};
    while (ended.get() >= 0 && what[0].revents == 0) {
        if (::poll(what.data(), what.size(), -1) < 0 && errno != EINTR) {
            break;
        }
        if (what[1].revents != 0) {
            ::kill(pid, SIGTERM);
            what[1].fd = -1;
        }
    }
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace

expected<command_outcome> run_command(const shell_command& what, std::string_view input,
                                      const interrupt& stop, std::size_t output_max) {
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
    const bool fits = conversation{pid, input, in, out}.run(stop, output_max, outcome.output);
    if (!fits) {
        ::kill(pid, SIGTERM);
    }
    outcome.status = wait_for(pid, stop);
    if (!fits) {
        return fail(ec::message_too_big, "\"" + what.text + "\" says more than "
                                             + std::to_string(output_max) + " bytes");
    }
    return outcome;
}

}  // namespace bzmq::cli
