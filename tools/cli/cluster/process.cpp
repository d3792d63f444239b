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
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <system_error>

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

/// What proc(5) says of a process.
struct process_view {
    process_id who;
    char state = 'X';
    pid_t parent = 0;
    pid_t group = 0;

    /// Not one that has ended and waits for its parent only.
    [[nodiscard]] bool runs() const noexcept { return state != 'Z' && state != 'X'; }
};

std::optional<process_view> look_at(pid_t pid) {
    if (pid <= 0) {
        return std::nullopt;
    }
    std::ifstream in{"/proc/" + std::to_string(pid) + "/stat"};
    std::string line;
    if (!std::getline(in, line)) {
        return std::nullopt;
    }
    // The program's name, in parentheses, may have anything in it.
    const auto end = line.rfind(')');
    if (end == std::string::npos) {
        return std::nullopt;
    }
    std::istringstream rest{line.substr(end + 1)};
    process_view out;
    out.who.pid = pid;
    rest >> out.state >> out.parent >> out.group;
    std::string skipped;
    constexpr int group_field = 5;
    constexpr int start_field = 22;
    for (int number = group_field + 1; number < start_field; ++number) {
        rest >> skipped;
    }
    rest >> out.who.start;
    return rest && out.who.start > 0 ? std::optional{out} : std::nullopt;
}

/// All processes of which `wanted` holds.
template <class Predicate>
std::vector<process_id> find_processes(Predicate wanted) {
    std::vector<process_id> out;
    std::error_code code;
    std::filesystem::directory_iterator at{"/proc", code};
    for (; !code && at != std::filesystem::directory_iterator{}; at.increment(code)) {
        const auto name = at->path().filename().string();
        pid_t pid = 0;
        const auto [end, failure] = std::from_chars(name.data(), name.data() + name.size(), pid);
        if (failure != std::errc{} || end != name.data() + name.size()) {
            continue;
        }
        if (const auto seen = look_at(pid); seen && wanted(*seen)) {
            out.push_back(seen->who);
        }
    }
    return out;
}

}  // namespace

process_id identify(pid_t pid) {
    const auto seen = look_at(pid);
    return seen && seen->runs() ? seen->who : process_id{};
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

bool is_group_running(const process_id& leader) {
    return leader && !find_processes([&](const process_view& one) {
                         return one.runs() && one.group == leader.pid;
                     }).empty();
}

bool signal_group(const process_id& leader, int number) {
    const auto now = look_at(leader.pid);
    if (!leader || (now && now->who != leader)) {
        return false;  // Another process got the number: the group has ended.
    }
    return is_group_running(leader) && ::kill(-leader.pid, number) == 0;
}

std::vector<process_id> children_of(const process_id& parent) {
    return find_processes(
        [&](const process_view& one) { return parent && one.parent == parent.pid; });
}

bool is_stopped(const process_id& who) {
    const auto seen = look_at(who.pid);
    return seen && seen->who == who && (seen->state == 'T' || seen->state == 't');
}

std::string environment_of(const process_id& who, std::string_view name) {
    std::ifstream in{"/proc/" + std::to_string(who.pid) + "/environ", std::ios::binary};
    for (std::string entry; std::getline(in, entry, '\0');) {
        if (entry.size() > name.size() && entry.starts_with(name) && entry[name.size()] == '=') {
            return is_running(who) ? entry.substr(name.size() + 1) : std::string{};
        }
    }
    return {};
}

std::vector<std::string> environment_with(
    const std::vector<std::pair<std::string, std::string>>& more, std::string_view except) {
    std::vector<std::string> out;
    for (auto** at = environ; *at != nullptr; ++at) {
        const std::string_view text{*at};
        const auto name = text.substr(0, text.find('='));
        const bool left_out = !except.empty() && name.starts_with(except);
        if (!left_out && std::none_of(more.begin(), more.end(),
                                      [&](const auto& one) { return one.first == name; })) {
            out.emplace_back(text);
        }
    }
    for (const auto& [name, value] : more) {
        out.push_back(name + '=' + value);
    }
    return out;
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
    auto environment = environment_with(how.environment, "BZMQ_");
    const auto arguments = pointers(command);
    const auto variables = pointers(environment);
    pid_t pid = 0;
    const int failure = ::posix_spawnp(&pid, command.front().c_str(), &setup.actions,
                                       &setup.attributes, arguments.data(), variables.data());
    if (failure != 0) {
        return fail(ec::cannot_open_file,
                    "cannot start " + command.front() + ": " + std::strerror(failure));
    }
    // Our child: the number is its own until we have waited for it, even if it has ended. So may it
    // have, but what it started and left behind goes by its number and start.
    const auto seen = look_at(pid);
    return seen ? seen->who : process_id{pid, 0};
}

const std::string& own_program() {
    static const auto found = [] {
        std::array<char, 4096> path{};
        const auto size = ::readlink("/proc/self/exe", path.data(), path.size() - 1);
        if (size <= 0) {
            return std::string{"bzmq-cli"};
        }
        std::string out{path.data(), static_cast<std::size_t>(size)};
        // So the kernel marks what was replaced; what took its place has the name without it.
        constexpr std::string_view mark = " (deleted)";
        if (out.ends_with(mark) && ::access(out.c_str(), F_OK) != 0) {
            out.resize(out.size() - mark.size());
        }
        return out;
    }();
    return found;
}

}  // namespace bzmq::cli
