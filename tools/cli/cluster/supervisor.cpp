#include "cluster/supervisor.hpp"

#include "bzmq/data.hpp"

#include "cluster/cluster_plan.hpp"
#include "cluster/log_bound.hpp"
#include <fmt/format.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

namespace bzmq::cli {
namespace {

using namespace std::chrono_literals;

constexpr timespan poll_interval = 20ms;
constexpr timespan log_interval = 1s;

std::int64_t unix_time() {
    return std::chrono::duration_cast<std::chrono::seconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

std::string describe_exit(int status) {
    if (WIFSIGNALED(status)) {
        return fmt::format("signal {} ({})", WTERMSIG(status), strsignal(WTERMSIG(status)));
    }
    return fmt::format("exit code {}", WEXITSTATUS(status));
}

std::uint64_t size_of(const std::string& path) {
    std::error_code code;
    const auto size = std::filesystem::file_size(path, code);
    return code ? 0 : size;
}

}  // namespace

struct supervisor::child {
    const cluster_node* node = nullptr;
    node_state state;
    int fd = -1;  // Readable once the process has ended; -1 where the kernel is too old.
    std::uint64_t log_from = 0;  // Where its output of this life begins.
    clock::time_point due;       // waiting: when it is started again.
    std::deque<clock::time_point> ends;
};

supervisor::supervisor(const cluster_description& cluster, interrupt& stop, reporter report)
    : cluster_(cluster), stop_(stop), report_(std::move(report)) {
    state_.supervisor = identify(::getpid());
    for (const auto* node : start_order(cluster)) {
        child one;
        one.node = node;
        one.state.name = node->name;
        one.state.role = to_string(node->role);
        one.state.state = "waiting";
        children_.push_back(std::move(one));
    }
}

supervisor::~supervisor() {
    for (const auto& one : children_) {
        if (one.fd >= 0) {
            ::close(one.fd);
        }
    }
}

void supervisor::start(child& one) {
    const auto& node = *one.node;
    const auto log = log_file_of(cluster_, node.name);
    one.log_from = size_of(log);
    spawn_options how;
    how.command = command_of(cluster_, node, own_program());
    how.output = log;
    how.folder = std::filesystem::absolute(cluster_.file).parent_path();
    how.environment = {{"BZMQ_CONFIG_FILE", config_file_of(cluster_, node.name)},
                       {"CLUSTER_NODE", node.name},
                       {"CLUSTER_ROLE", std::string{to_string(node.role)}}};
    if (node.command.empty()) {
        how.environment.erase(how.environment.begin());  // Named on its command line.
    }
    const auto who = spawn(how);
    changed_ = true;
    if (!who) {
        one.state.last_exit = who.error().message();
        report_(node.name + ": " + who.error().message());
        schedule(one);
        return;
    }
    one.state.process = *who;
    one.state.since = unix_time();
    // Programs of others do not say when they are ready.
    one.state.state = node.command.empty() ? "starting" : "running";
    one.fd = static_cast<int>(::syscall(SYS_pidfd_open, who->pid, 0));
    keep_state();  // Who kills this process from here on still finds the node.
    report_(fmt::format("{}: started, process {}", node.name, who->pid));
}

/// In a file that has its output from a byte on.
void supervisor::look_for_ready(child& one, const std::string& file, std::uint64_t from) {
    std::ifstream in{file, std::ios::binary};
    in.seekg(static_cast<std::streamoff>(from));
    for (std::string line; std::getline(in, line);) {
        if (line.starts_with("{\"event\":\"ready\"")) {
            one.state.state = "running";
            changed_ = true;
            report_(one.node->name + ": ready");
            return;
        }
    }
}

/// When a node is started again, or that it is not.
void supervisor::schedule(child& one) {
    const auto& how = cluster_.supervise;
    const auto now = clock::now();
    one.ends.push_back(now);
    while (!one.ends.empty() && now - one.ends.front() > how.window) {
        one.ends.pop_front();
    }
    changed_ = true;
    if (one.ends.size() > how.restarts) {
        one.state.state = "failed";
        report_(fmt::format("{}: given up: it ended {} times within {}", one.node->name,
                            one.ends.size(), bzmq::to_string(how.window)));
        return;
    }
    constexpr std::size_t doublings_max = 20;
    const auto doublings = std::min(one.ends.size() - 1, doublings_max);
    const auto pause = std::min(how.restart_min * (std::int64_t{1} << doublings), how.restart_max);
    one.due = now + pause;
    one.state.state = "waiting";
    report_(fmt::format("{}: starts again in {}", one.node->name, bzmq::to_string(pause)));
}

void supervisor::ended(child& one, int status) {
    if (one.fd >= 0) {
        ::close(std::exchange(one.fd, -1));
    }
    one.state.process = {};
    one.state.last_exit = describe_exit(status);
    report_(one.node->name + ": ended with " + one.state.last_exit);
    changed_ = true;
}

void supervisor::reap() {
    for (auto& one : children_) {
        const auto who = one.state.process;
        siginfo_t info{};
        if (!who
            || ::waitid(P_PID, static_cast<id_t>(who.pid), &info, WEXITED | WNOHANG | WNOWAIT) != 0
            || info.si_pid != who.pid) {
            continue;
        }
        // Until it is waited for its number, which is its group's as well, is nobody else's.
        if (!stop_.raised()) {
            if (signal_group(who, SIGKILL)) {
                report_(one.node->name + ": killed what it left behind");
            }
        } else if (is_group_running(who)) {
            continue;  // Has its time to end as the process itself had.
        }
        int status = 0;
        ::waitpid(who.pid, &status, 0);
        ended(one, status);
        if (!stop_.raised()) {
            schedule(one);
        } else {
            one.state.state = "stopped";
        }
    }
}

/// Sleeps until something may have happened.
void supervisor::wait() {
    std::vector<pollfd> watched{{stop_.fd(), POLLIN, 0}};
    auto until = logs_due_;
    for (const auto& one : children_) {
        if (one.fd >= 0) {
            watched.push_back({one.fd, POLLIN, 0});
        }
        if (one.state.state == "waiting") {
            until = std::min(until, one.due);
        }
        if (one.state.state == "starting" || (one.state.process && one.fd < 0)) {
            until = std::min(until, clock::now() + poll_interval);
        }
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - clock::now()).count();
    static_cast<void>(::poll(watched.data(), watched.size(),
                             static_cast<int>(std::max<std::int64_t>(left, 0))));
}

expected<void> supervisor::save_state() {
    if (!std::exchange(changed_, false)) {
        return {};
    }
    state_.nodes.clear();
    for (const auto& one : children_) {
        state_.nodes.push_back(one.state);
    }
    state_.ready = state_.ready || std::all_of(children_.begin(), children_.end(), [](auto& one) {
                       return one.state.state == "running";
                   });
    return save(state_, cluster_.state);
}

void supervisor::keep_state() {
    if (const auto saved = save_state(); !saved) {
        report_(saved.error().message());  // A full disk is no reason to end the cluster.
    }
}

/// Nodes print for as long as they live.
void supervisor::bound_logs() {
    if (clock::now() < logs_due_) {
        return;
    }
    logs_due_ = clock::now() + log_interval;
    std::string trouble;
    const auto bound = [&](const std::string& path) {
        const auto moved = bound_log(path, cluster_.supervise.log_bytes);
        if (!moved) {
            trouble = moved.error().message();
        }
        return moved.value_or(std::nullopt);
    };
    for (auto& one : children_) {
        const auto log = log_file_of(cluster_, one.node->name);
        if (const auto cut = bound(log)) {
            if (one.state.state == "starting") {
                look_for_ready(one, log + ".1", one.log_from - std::min(*cut, one.log_from));
            }
            one.log_from = 0;
        }
    }
    bound(log_file_of(cluster_, supervisor_name));
    if (trouble != log_trouble_ && !trouble.empty()) {
        report_(trouble);
    }
    log_trouble_ = trouble;
}

expected<void> supervisor::run() {
    for (auto& one : children_) {
        start(one);
    }
    while (!stop_.raised()) {
        keep_state();
        bound_logs();
        wait();
        reap();
        for (auto& one : children_) {
            if (one.state.state == "starting") {
                look_for_ready(one, log_file_of(cluster_, one.node->name), one.log_from);
            } else if (one.state.state == "waiting" && clock::now() >= one.due
                       && !stop_.raised()) {
                ++one.state.restarts;
                start(one);
            }
        }
    }
    stop_all();
    return save_state();
}

bool supervisor::await_end(cluster_role role, timespan limit) {
    const auto deadline = clock::now() + limit;
    for (;;) {
        reap();
        const bool all = std::none_of(children_.begin(), children_.end(), [&](const auto& one) {
            return one.node->role == role && one.state.process;
        });
        if (all || clock::now() >= deadline) {
            return all;
        }
        std::this_thread::sleep_for(poll_interval);
    }
}

/// Role after role, each with a time of its own: one that hangs takes nothing from those that end
/// behind it, the loggers last of all, which have the others' records to write.
void supervisor::stop_all() {
    for (auto& one : children_) {
        if (!one.state.process) {
            one.state.state = "stopped";
        }
    }
    for (auto role = all_roles.rbegin(); role != all_roles.rend(); ++role) {
        for (const auto& one : children_) {
            if (one.node->role == *role && one.state.process) {
                signal_group(one.state.process, SIGTERM);
            }
        }
        if (await_end(*role, cluster_.supervise.stop_timeout)) {
            continue;
        }
        for (const auto& one : children_) {
            if (one.node->role == *role && one.state.process) {
                report_(one.node->name + ": killed, as it did not end in time");
                signal_group(one.state.process, SIGKILL);
            }
        }
        if (!await_end(*role, kill_patience)) {
            report_(fmt::format("a {} does not even end when it is killed", to_string(*role)));
        }
    }
}

}  // namespace bzmq::cli
