#include "cluster/process.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <sstream>

extern char** environ;

namespace bzmq::cli {
namespace {

/// What posix_spawn needs, freed with it.
class spawn_setup {
  public:
    spawn_setup() {
        posix_spawn_file_actions_init(&actions);
        posix_spawnattr_init(&attributes);
    }
    ~spawn_setup() {
        posix_spawn_file_actions_destroy(&actions);
        posix_spawnattr_destroy(&attributes);
    }
    spawn_setup(const spawn_setup&) = delete;
    spawn_setup& operator=(const spawn_setup&) = delete;

    posix_spawn_file_actions_t actions{};
    posix_spawnattr_t attributes{};
};

std::vector<char*> pointers(std::vector<std::string>& texts) {
    std::vector<char*> out;
    for (auto& text : texts) {
        out.push_back(text.data());
    }
    out.push_back(nullptr);
    return out;
}

/// Ours, without what would configure every endpoint alike.
std::vector<std::string> environment_with(
    const std::vector<std::pair<std::string, std::string>>& more) {
    std::vector<std::string> out;
    for (char** at = environ; *at != nullptr; ++at) {
        if (std::strncmp(*at, "BZMQ_", 5) != 0) {
            out.emplace_back(*at);
        }
    }
    for (const auto& [name, value] : more) {
        out.push_back(name + '=' + value);
    }
    return out;
}

}  // namespace

process_id identify(pid_t pid) {
    if (pid <= 0) {
        return {};
    }
    std::ifstream in{"/proc/" + std::to_string(pid) + "/stat"};
    std::string line;
    if (!std::getline(in, line)) {
        return {};
    }
    // The program's name, in parentheses, may have anything in it.
    const auto end = line.rfind(')');
    if (end == std::string::npos) {
        return {};
    }
    std::istringstream rest{line.substr(end + 1)};
    std::string field;
    process_id out{pid, 0};
    constexpr int state_field = 3;
    constexpr int start_field = 22;
    for (int number = state_field; number <= start_field && rest >> field; ++number) {
        if (number == state_field && (field == "Z" || field == "X")) {
            return {};
        }
        if (number == start_field) {
            std::from_chars(field.data(), field.data() + field.size(), out.start);
        }
    }
    return out.start > 0 ? out : process_id{};
}

bool is_running(const process_id& who) { return who && identify(who.pid) == who; }

bool send_signal(const process_id& who, int number) {
    // The descriptor stands for one process; once it is there, the number cannot change its owner.
    const int fd = static_cast<int>(::syscall(SYS_pidfd_open, who.pid, 0));
    if (fd < 0) {
        // A kernel before 5.3 has none.
        return errno == ENOSYS && is_running(who) && ::kill(who.pid, number) == 0;
    }
    const bool sent =
        is_running(who) && ::syscall(SYS_pidfd_send_signal, fd, number, nullptr, 0) == 0;
    ::close(fd);
    return sent;
}

expected<process_id> spawn(const spawn_options& how) {
    spawn_setup setup;
    posix_spawn_file_actions_addopen(&setup.actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&setup.actions, STDOUT_FILENO, how.output.c_str(),
                                     O_WRONLY | O_CREAT | O_APPEND, 0644);
    posix_spawn_file_actions_adddup2(&setup.actions, STDOUT_FILENO, STDERR_FILENO);
    if (!how.folder.empty()) {
        posix_spawn_file_actions_addchdir_np(&setup.actions, how.folder.c_str());
    }
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&setup.attributes, &none);
    posix_spawnattr_setsigdefault(&setup.attributes, &all);
    posix_spawnattr_setflags(&setup.attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF
                                                    | POSIX_SPAWN_SETSID);
    auto command = how.command;
    auto environment = environment_with(how.environment);
    const auto arguments = pointers(command);
    const auto variables = pointers(environment);
    pid_t pid = 0;
    const int failure = ::posix_spawnp(&pid, command.front().c_str(), &setup.actions,
                                       &setup.attributes, arguments.data(), variables.data());
    if (failure != 0) {
        return fail(ec::cannot_open_file,
                    "cannot start " + command.front() + ": " + std::strerror(failure));
    }
    // Our child: the number is its own until we have waited for it, even if it has ended.
    auto who = identify(pid);
    return who ? who : process_id{pid, 0};
}

std::string own_program() {
    std::array<char, 4096> path{};
    const auto size = ::readlink("/proc/self/exe", path.data(), path.size() - 1);
    return size > 0 ? std::string{path.data(), static_cast<std::size_t>(size)} : "bzmq-cli";
}

}  // namespace bzmq::cli
