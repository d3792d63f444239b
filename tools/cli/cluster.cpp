#include "cluster/cluster_file.hpp"
#include "cluster/cluster_plan.hpp"
#include "cluster/cluster_view.hpp"
#include "cluster/state_file.hpp"
#include "cluster/supervisor.hpp"
#include "commands.hpp"
#include "option_checks.hpp"
#include "output.hpp"
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <memory>
#include <set>
#include <utility>
#include <vector>

namespace bzmq::cli {
namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

constexpr timespan poll_interval = 20ms;
constexpr timespan start_timeout = 30s;
constexpr timespan stop_margin = 5s;

struct options {
    std::string action;
    std::string file;
    std::string node;
    bool generate_keys = false;
    bool foreground = false;
};

void print_flaws(const std::vector<cluster_flaw>& flaws, const std::string& file, bool json) {
    line_output out;
    for (const auto& flaw : flaws) {
        if (json) {
            std::string line = "{\"file\":";
            append_json_string(line, file);
            line += fmt::format(",\"line\":{},\"message\":", flaw.line);
            append_json_string(line, flaw.text);
            out.line(line + '}');
        } else {
            warn(flaw.line > 0 ? fmt::format("{}:{}: {}", file, flaw.line, flaw.text)
                               : fmt::format("{}: {}", file, flaw.text));
        }
    }
}

exit_code check(const cluster_description& cluster, const context& ctx) {
    const auto missing = missing_keys(cluster);
    line_output out;
    for (const auto* node : start_order(cluster)) {
        const auto peers = peers_of(cluster, *node);
        if (ctx.common.json) {
            std::string line = fmt::format("{{\"name\":\"{}\",\"role\":\"{}\",\"listen\":",
                                           node->name, to_string(node->role));
            append_json_string(line, node->listen);
            line += fmt::format(",\"peers\":[{}{}{}]}}", peers.empty() ? "" : "\"",
                                fmt::join(peers, "\",\""), peers.empty() ? "" : "\"");
            out.line(line);
        } else {
            out.line(fmt::format("{:<20} {:<8} {:<28} connects to {}", node->name,
                                 to_string(node->role),
                                 node->listen.empty() ? "does not listen" : node->listen,
                                 peers.empty() ? "nobody" : fmt::format("{}", fmt::join(peers, " "))));
        }
    }
    if (!missing.empty()) {
        warn(fmt::format("no keys in {} for {}; start --generate-keys makes them", cluster.keys,
                         fmt::join(missing, ", ")));
    }
    return exit_code::ok;
}

/// Keys, configurations, and that nothing of the cluster runs already.
expected<void> prepare(const cluster_description& cluster, const options& how) {
    const auto state = current_state(cluster);
    if (!state) {
        return tl::unexpected{state.error()};
    }
    if (state->supervisor) {
        return fail(ec::invalid_configuration, fmt::format("the cluster runs already, under process {}",
                                                     state->supervisor.pid));
    }
    for (const auto& node : state->nodes) {
        if (node.process) {
            return fail(ec::invalid_configuration,
                        fmt::format("{} still runs without a supervisor; first bzmq-cli cluster "
                                    "stop {}",
                                    node.name, how.file));
        }
    }
    if (const auto missing = missing_keys(cluster); !missing.empty()) {
        if (!how.generate_keys) {
            return fail(ec::cannot_open_file,
                        fmt::format("no keys in {} for {}; --generate-keys makes them",
                                    cluster.keys, fmt::join(missing, ", ")));
        }
        if (auto made = generate_keys(cluster, missing); !made) {
            return made;
        }
    }
    return write_configurations(cluster);
}

exit_code supervise(const cluster_description& cluster, const context& ctx) {
    auto lock = cluster_lock::take(cluster.state);
    if (!lock) {
        return report(lock.error());
    }
    line_output out;
    const auto tell = [&](std::string_view text) {
        if (!ctx.common.json) {
            out.line(text);
            return;
        }
        std::string line = "{\"message\":";
        append_json_string(line, text);
        out.line(line + '}');
    };
    supervisor runner{cluster, *ctx.interrupt, tell};
    if (const auto done = runner.run(); !done) {
        return report(done.error());
    }
    return exit_code::ok;
}

/// Waits until all nodes run; tells why they do not.
exit_code await_ready(const cluster_description& cluster, const process_id& who,
                      const context& ctx) {
    const auto deadline = clock::now() + ctx.common.timeout.value_or(start_timeout);
    for (;;) {
        const auto state = load_state(cluster.state);
        const bool ours = state && *state && (*state)->supervisor == who;
        if (ours && (*state)->ready) {
            line_output{}.line(
                ctx.common.json
                    ? fmt::format("{{\"cluster\":\"{}\",\"state\":\"running\",\"nodes\":{}}}",
                                  cluster.name, cluster.nodes.size())
                    : fmt::format("{}: {} nodes run", cluster.name, cluster.nodes.size()));
            return exit_code::ok;
        }
        if (!is_running(who)) {
            for (const auto& line : last_lines(log_file_of(cluster, supervisor_name), 5)) {
                warn(line);
            }
            return report(exit_code::failure, "the supervisor ended");
        }
        const auto given_up = [&](const node_state& node) { return node.state == "failed"; };
        const bool hopeless = ours && std::any_of((*state)->nodes.begin(), (*state)->nodes.end(), given_up);
        if (hopeless || clock::now() >= deadline) {
            return report(exit_code::timeout,
                          fmt::format("not all nodes run; bzmq-cli cluster diag {} tells why",
                                      cluster.file));
        }
        if (ctx.interrupt->wait_for(poll_interval)) {
            send_signal(who, SIGTERM);
            return ctx.interrupt->code();
        }
    }
}

exit_code start(const cluster_description& cluster, const options& how, const context& ctx) {
    if (const auto ready = prepare(cluster, how); !ready) {
        return report(ready.error());
    }
    if (how.foreground) {
        return supervise(cluster, ctx);
    }
    spawn_options self;
    self.command = {own_program(), "cluster", "start", how.file, "--foreground"};
    self.output = log_file_of(cluster, supervisor_name);
    const auto who = spawn(self);
    if (!who) {
        return report(who.error());
    }
    return await_ready(cluster, *who, ctx);
}

bool await_gone(const process_id& who, clock::time_point deadline, const context& ctx) {
    while (is_running(who) && clock::now() < deadline) {
        if (ctx.interrupt->wait_for(poll_interval)) {
            return false;
        }
    }
    return !is_running(who);
}

/// A node that runs, or what it left behind.
struct left_node {
    process_id process;
    cluster_role role = cluster_role::worker;
};

/// Those of the state file that run.
std::vector<left_node> left_nodes(const cluster_description& cluster) {
    std::vector<left_node> out;
    const auto state = load_state(cluster.state);
    if (!state || !*state) {
        return out;
    }
    for (const auto& node : (*state)->nodes) {
        if (is_running(node.process)) {
            const auto* known = cluster.find(node.name);
            out.push_back({node.process, known != nullptr ? known->role : cluster_role::worker});
        }
    }
    return out;
}

/// Kills a supervisor that does not end by itself. What it looked after: it may have started nodes
/// since it last wrote down its state.
std::vector<left_node> kill_supervisor(const cluster_description& cluster, const process_id& who,
                                       const context& ctx) {
    send_signal(who, SIGSTOP);
    const auto deadline = clock::now() + supervisor::kill_patience;
    while (is_running(who) && !is_stopped(who) && clock::now() < deadline) {
        static_cast<void>(ctx.interrupt->wait_for(poll_interval));
    }
    auto out = left_nodes(cluster);
    for (const auto& child : children_of(who)) {
        const auto same = [&](const left_node& one) { return one.process == child; };
        if (is_group_running(child) && std::none_of(out.begin(), out.end(), same)) {
            const auto* known = cluster.find(environment_of(child, "CLUSTER_NODE"));
            out.push_back({child, known != nullptr ? known->role : cluster_role::worker});
        }
    }
    send_signal(who, SIGKILL);
    return out;
}

/// Ends nodes that nobody looks after as the supervisor does: role after role, loggers last. False
/// where a signal came meanwhile.
bool end_nodes(const std::vector<left_node>& nodes, timespan limit, const context& ctx) {
    for (auto role = all_roles.rbegin(); role != all_roles.rend(); ++role) {
        for (const auto& [number, patience] :
             {std::pair{SIGTERM, limit}, std::pair{SIGKILL, supervisor::kill_patience}}) {
            const auto deadline = clock::now() + patience;
            for (const auto& node : nodes) {
                if (node.role == *role) {
                    signal_group(node.process, number);
                }
            }
            const auto lives = [&](const left_node& node) {
                return node.role == *role && is_group_running(node.process);
            };
            while (std::any_of(nodes.begin(), nodes.end(), lives) && clock::now() < deadline) {
                if (ctx.interrupt->wait_for(poll_interval)) {
                    return false;
                }
            }
        }
    }
    return true;
}

/// So long the supervisor may take: each role that there is has its time.
timespan stop_patience(const cluster_description& cluster) {
    std::set<cluster_role> roles;
    for (const auto& node : cluster.nodes) {
        roles.insert(node.role);
    }
    return (cluster.supervise.stop_timeout + supervisor::kill_patience)
               * static_cast<std::int64_t>(roles.size())
           + stop_margin;
}

exit_code stop(const cluster_description& cluster, const context& ctx) {
    const auto state = current_state(cluster);
    if (!state) {
        return report(state.error());
    }
    std::vector<left_node> left;
    if (state->supervisor) {
        send_signal(state->supervisor, SIGTERM);
        const auto patience = ctx.common.timeout.value_or(stop_patience(cluster));
        if (!await_gone(state->supervisor, clock::now() + patience, ctx)) {
            if (ctx.interrupt->raised()) {
                return ctx.interrupt->code();
            }
            warn("the supervisor does not end, and is killed");
            left = kill_supervisor(cluster, state->supervisor, ctx);
        }
    }
    if (left.empty()) {
        // As it is by now: it may have started nodes after our first look.
        left = left_nodes(cluster);
    }
    if (!end_nodes(left, cluster.supervise.stop_timeout, ctx)) {
        return ctx.interrupt->code();
    }
    std::error_code code;
    std::filesystem::remove(cluster.state + "/state.json", code);
    line_output{}.line(
        ctx.common.json
            ? fmt::format("{{\"cluster\":\"{}\",\"state\":\"stopped\"}}", cluster.name)
            : cluster.name + ": stopped");
    return exit_code::ok;
}

exit_code run(const options& how, const context& ctx) {
    std::vector<cluster_flaw> flaws;
    const auto cluster = read_cluster(how.file, flaws);
    if (!cluster) {
        return report(cluster.error());
    }
    // What runs, runs: mistakes that came into the file since are no reason to leave it alone.
    const bool looks = how.action == "stop" || how.action == "status" || how.action == "diag";
    const bool goes_on = flaws.empty() || (looks && !cluster->state.empty());
    print_flaws(flaws, how.file, ctx.common.json && !goes_on);
    if (!goes_on) {
        return exit_code::usage;
    }
    if (!how.node.empty()) {
        if (how.action != "status" && how.action != "diag") {
            return report(exit_code::usage, how.action + " is for all nodes; " + how.node
                                                + ": NODE is for status and diag only");
        }
        if (cluster->find(how.node) == nullptr) {
            return report(exit_code::usage, "no node is called \"" + how.node + "\"");
        }
    }
    if (how.action == "check") {
        return check(*cluster, ctx);
    }
    if (how.action == "start") {
        return start(*cluster, how, ctx);
    }
    if (how.action == "stop") {
        return stop(*cluster, ctx);
    }
    return how.action == "status" ? print_status(*cluster, how.node, ctx)
                                  : print_diagnosis(*cluster, how.node, ctx);
}

}  // namespace

void add_cluster(CLI::App& app, context& ctx) {
    auto how = std::make_shared<options>();
    auto* command = app.add_subcommand(
        "cluster", "Run the nodes that one file describes on this machine, and look after them");
    command->add_option("ACTION", how->action, "check, start, stop, status or diag")
        ->required()
        ->type_name("")
        ->check(one_of({"check", "start", "stop", "status", "diag"}));
    command->add_option("FILE", how->file, "The cluster's description (TOML)")
        ->required()
        ->type_name("");
    command->add_option("NODE", how->node, "status, diag: only this node")->type_name("");
    command->add_flag("--generate-keys", how->generate_keys,
                      "start: make the key pairs that are missing");
    command->add_flag("--foreground", how->foreground,
                      "start: supervise in this process, until Ctrl-C or SIGTERM");
    add_duration(*command, "--timeout", ctx.common.timeout,
                 "Longest wait: start, until all nodes run (30s); status and diag, for the overlay "
                 "(3s); "
                 "stop, for the supervisor (each role's stop_timeout and a little more)");
    command->add_flag("--json", ctx.common.json, "Print one JSON object a line");
    command->footer("docs/cluster.md describes the file. status ends with code 4 where a node does "
                    "not run or does not answer.");
    command->callback([how, &ctx] { ctx.run = [how, &ctx] { return run(*how, ctx); }; });
}

}  // namespace bzmq::cli
