#include "cluster/cluster_view.hpp"

#include "bzmq/endpoint.hpp"

#include "cluster/cluster_plan.hpp"
#include "output.hpp"
#include "overlay_view.hpp"
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <optional>
#include <utility>

namespace bzmq::cli {
namespace {

using namespace std::chrono_literals;

/// What the overlay says about a node.
struct overlay_entry {
    std::string id;
    std::vector<std::string> peers;
};

using overlay_map = std::map<std::string, overlay_entry, std::less<>>;

std::size_t count_running(const cluster_state& state) {
    return static_cast<std::size_t>(
        std::count_if(state.nodes.begin(), state.nodes.end(),
                      [](const auto& node) { return static_cast<bool>(node.process); }));
}

/// Joins the cluster for a moment to look around; nothing where nobody lets us in.
std::optional<overlay_map> look_around(const cluster_description& cluster, const context& ctx,
                                       std::size_t running) {
    configuration config;
    config.config_file(config_file_of(cluster, operator_name));
    if (running == 0 || !config.init()) {
        return std::nullopt;
    }
    config.options().name = "bzmq-cli cluster";
    config.options().forwarding = false;
    config.options().log_level = log_level::off;
    std::vector<topology_node> nodes;
    try {
        endpoint node{std::move(config)};
        auto patience = ctx;
        patience.common.timeout = ctx.common.timeout.value_or(timespan{3s});
        auto seen = settled_topology(node, patience, running + 1);
        nodes = seen ? std::move(*seen) : node.topology();
    } catch (const endpoint_error& failure) {
        warn(to_string(failure.why()));
        return std::nullopt;
    }
    if (nodes.size() < 2) {
        return std::nullopt;
    }
    overlay_map out;
    for (const auto& node : nodes) {
        if (cluster.find(node.name) == nullptr) {
            continue;
        }
        auto& entry = out[node.name];
        entry.id = to_string(node.id);
        for (const auto& link : node.links) {
            if (const auto name = label_in(nodes, link.to); cluster.find(name) != nullptr) {
                entry.peers.push_back(name);
            }
        }
        std::sort(entry.peers.begin(), entry.peers.end());
    }
    return out;
}

std::int64_t now() { return static_cast<std::int64_t>(std::time(nullptr)); }

std::int64_t uptime_of(const node_state& node) {
    return node.process ? std::max<std::int64_t>(0, now() - node.since) : 0;
}

const overlay_entry* find_in(const std::optional<overlay_map>& overlay, const node_state& node) {
    if (!overlay || !node.process) {
        return nullptr;
    }
    const auto found = overlay->find(node.name);
    return found == overlay->end() ? nullptr : &found->second;
}

/// Nodes that run and that nobody within reach knows are "unreachable". Not those that may still be on
/// their way, programs of one's own, which need not join, and those that others do not tell of.
void look_for_unreachable(cluster_state& state, const cluster_description& cluster,
                          const std::optional<overlay_map>& overlay) {
    constexpr std::int64_t time_to_join = 5;
    const auto hides = [](const setting& one) { return one.name == "hide_peers"; };
    const bool hidden =
        std::any_of(cluster.nodes.begin(), cluster.nodes.end(), [&](const cluster_node& node) {
            return std::any_of(node.settings.begin(), node.settings.end(), hides);
        });
    if (!overlay || hidden) {
        return;
    }
    for (auto& node : state.nodes) {
        const auto* known = cluster.find(node.name);
        if (known != nullptr && known->command.empty() && node.state == "running"
            && uptime_of(node) > time_to_join && find_in(overlay, node) == nullptr) {
            node.state = "unreachable";
        }
    }
}

std::string uptime_text(std::int64_t seconds) {
    constexpr std::int64_t minute = 60;
    constexpr std::int64_t hour = 60 * minute;
    constexpr std::int64_t day = 24 * hour;
    return seconds < minute ? fmt::format("{}s", seconds)
           : seconds < hour ? fmt::format("{}m{:02}s", seconds / minute, seconds % minute)
           : seconds < day  ? fmt::format("{}h{:02}m", seconds / hour, seconds % hour / minute)
                            : fmt::format("{}d{:02}h", seconds / day, seconds % day / hour);
}

void append_json_list(std::string& out, const std::vector<std::string>& texts) {
    out += '[';
    for (std::size_t i = 0; i < texts.size(); ++i) {
        out += i == 0 ? "" : ",";
        append_json_string(out, texts[i]);
    }
    out += ']';
}

std::string status_json(const node_state& node, std::int64_t uptime, const overlay_entry* seen) {
    std::string out = "{\"name\":";
    append_json_string(out, node.name);
    // Without one null rather than 0, which kill(1) would take for all processes of its group.
    out += fmt::format(",\"role\":\"{}\",\"state\":\"{}\",\"pid\":{},\"uptime_s\":{},"
                       "\"restarts\":{},\"last_exit\":",
                       node.role, node.state,
                       node.process ? std::to_string(node.process.pid) : "null", uptime,
                       node.restarts);
    append_json_string(out, node.last_exit);
    if (seen != nullptr) {
        out += fmt::format(",\"id\":\"{}\",\"peers\":", seen->id);
        append_json_list(out, seen->peers);
    }
    return out + '}';
}

/// Where it was said last; the end where it was not.
std::vector<std::string>::const_iterator last_with(const std::vector<std::string>& log,
                                                   std::string_view text) {
    const auto found = std::find_if(log.rbegin(), log.rend(), [&](const std::string& line) {
        return line.find(text) != std::string::npos;
    });
    return found == log.rend() ? log.end() : std::prev(found.base());
}

/// Without the lines about who comes and goes: each look into the overlay, such as ours, makes some.
std::vector<std::string> telling_lines(std::vector<std::string> log) {
    std::erase_if(log, [](const std::string& line) {
        return line.starts_with("{\"event\":\"peer_") || line.starts_with("{\"event\":\"endpoint_");
    });
    return log;
}

/// Advice for what a node said in its last life, or how it ended.
std::vector<std::string> suggestions(const cluster_node& node, const node_state& state,
                                     std::vector<std::string> log) {
    if (const auto ready = last_with(log, "\"event\":\"ready\""); ready != log.end()) {
        log.erase(log.begin(), std::next(ready));
    }
    std::vector<std::string> out;
    const auto says = [&](std::string_view text) { return last_with(log, text) != log.end(); };
    const auto says_still = [&](std::string_view text, std::string_view end) {
        const auto said = last_with(log, text);
        const auto ended = last_with(log, end);
        return said != log.end() && (ended == log.end() || ended < said);
    };
    if (says("address_in_use")) {
        out.push_back(fmt::format("something else listens at {}: end it, or choose another address "
                                  "in line {}",
                                  node.listen, node.at.of("listen")));
    }
    if (says("peer_not_authenticated")) {
        out.emplace_back("a peer refused its key: do all nodes read the same folder of keys? After "
                         "changes start the cluster anew");
    }
    if (says_still("No space left", "writing again")
        || says_still("File too large", "writing again")) {
        out.push_back("the disk is full: make room where " + node.logs + " lies; nothing is lost "
                      "meanwhile");
    }
    if (says("another logger writes")) {
        out.push_back("another logger has the folder " + node.logs + ": end it, or choose another");
    }
    if (says("invalid_configuration")) {
        out.push_back("its options are wrong: see its log, and line " + std::to_string(node.at.line));
    }
    if (says("cannot_open_file")) {
        out.emplace_back("a file cannot be opened: its log names it; mind rights and owner");
    }
    if (state.last_exit.starts_with("signal 9")) {
        out.emplace_back("it was killed from outside; where nobody did, the system was out of "
                         "memory (dmesg tells)");
    } else if (state.last_exit.starts_with("signal 11")
               || state.last_exit.starts_with("signal 6")) {
        out.emplace_back("it crashed: please report it with its log and a core dump");
    } else if (state.last_exit.starts_with("cannot start")
               || state.last_exit == "exit code 127") {
        out.push_back("its command cannot be run: see line "
                      + std::to_string(node.at.of("command")));
    }
    if (state.state == "failed") {
        out.emplace_back("it was given up: mend the cause, then stop and start the cluster");
    } else if (state.state == "unreachable") {
        out.push_back(fmt::format("it runs and does not answer: it is stopped or has too much to do; "
                                  "kill -9 {}, and the supervisor starts it again",
                                  state.process.pid));
    } else if (state.state == "gone") {
        out.emplace_back("no supervisor is there to start it again: stop and start the cluster");
    }
    return out;
}

}  // namespace

void keep_last(std::vector<std::string>& lines, std::size_t count) {
    if (lines.size() > count) {
        lines.erase(lines.begin(), lines.end() - static_cast<std::ptrdiff_t>(count));
    }
}

std::vector<std::string> last_lines(const std::string& file, std::size_t count) {
    constexpr std::streamoff tail_bytes = 64 << 10;
    std::vector<std::string> out;
    for (const auto& part : {file + ".1", file}) {  // What was moved away when it got too long.
        std::ifstream in{part, std::ios::binary};
        in.seekg(0, std::ios::end);
        const std::streamoff size = in.tellg();
        in.seekg(std::max<std::streamoff>(0, size - tail_bytes));
        for (std::string line; std::getline(in, line);) {
            out.push_back(line);
        }
    }
    keep_last(out, count);
    return out;
}

expected<cluster_state> current_state(const cluster_description& cluster) {
    auto loaded = load_state(cluster.state);
    if (!loaded) {
        return tl::unexpected{loaded.error()};
    }
    cluster_state out;
    if (*loaded) {
        out = std::move(**loaded);
    }
    const bool supervised = is_running(out.supervisor);
    if (!supervised) {
        out.supervisor = {};
    }
    for (const auto* node : start_order(cluster)) {
        const auto known = std::any_of(out.nodes.begin(), out.nodes.end(),
                                       [&](const auto& one) { return one.name == node->name; });
        if (!known) {
            node_state one;
            one.name = node->name;
            one.role = to_string(node->role);
            one.state = "stopped";
            out.nodes.push_back(std::move(one));
        }
    }
    for (auto& node : out.nodes) {
        if (node.process && !is_running(node.process)) {
            node.process = {};
            if (!supervised) {
                node.state = "gone";
            }
        }
    }
    return out;
}

exit_code print_status(const cluster_description& cluster, const std::string& only,
                       const context& ctx) {
    auto state = current_state(cluster);
    if (!state) {
        return report(state.error());
    }
    const auto running = count_running(*state);
    const auto overlay = look_around(cluster, ctx, running);
    look_for_unreachable(*state, cluster, overlay);
    line_output out;
    if (!ctx.common.json) {
        out.line(fmt::format("{:<20} {:<8} {:<11} {:>8} {:>8} {:>8}  {}", "NAME", "ROLE", "STATE",
                             "PID", "UPTIME", "RESTARTS", "PEERS"));
    }
    bool all = true;
    for (const auto& node : state->nodes) {
        if (!only.empty() && only != node.name) {
            continue;
        }
        all = all && node.state == "running";
        const auto uptime = uptime_of(node);
        const auto* seen = find_in(overlay, node);
        if (ctx.common.json) {
            out.line(status_json(node, uptime, seen));
        } else {
            out.line(fmt::format(
                "{:<20} {:<8} {:<11} {:>8} {:>8} {:>8}  {}", node.name, node.role, node.state,
                node.process ? std::to_string(node.process.pid) : "-",
                node.process ? uptime_text(uptime) : "-", node.restarts,
                seen != nullptr ? fmt::format("{}", fmt::join(seen->peers, " ")) : "?"));
        }
    }
    if (!state->supervisor) {
        warn(running > 0 ? "no supervisor; the nodes run on their own" : "the cluster is stopped");
    } else if (!overlay) {
        warn("no node let us in, so that peers are not known");
    }
    return all && state->supervisor ? exit_code::ok : exit_code::unavailable;
}

exit_code print_diagnosis(const cluster_description& cluster, const std::string& only,
                          const context& ctx) {
    constexpr std::size_t lines_shown = 10;
    auto state = current_state(cluster);
    if (!state) {
        return report(state.error());
    }
    look_for_unreachable(*state, cluster, look_around(cluster, ctx, count_running(*state)));
    line_output out;
    for (const auto& one : state->nodes) {
        const auto* node = cluster.find(one.name);
        if (node == nullptr || (!only.empty() && only != one.name)) {
            continue;
        }
        auto log = telling_lines(last_lines(log_file_of(cluster, one.name)));
        const auto advice = suggestions(*node, one, log);
        keep_last(log, lines_shown);
        if (ctx.common.json) {
            std::string line = "{\"name\":";
            append_json_string(line, one.name);
            line += fmt::format(",\"state\":\"{}\",\"restarts\":{},\"last_exit\":", one.state,
                                one.restarts);
            append_json_string(line, one.last_exit);
            line += ",\"log\":";
            append_json_list(line, log);
            line += ",\"suggestions\":";
            append_json_list(line, advice);
            out.line(line + '}');
            continue;
        }
        out.line(fmt::format("{} ({}): {}, {} restarts{}", one.name, one.role, one.state,
                             one.restarts,
                             one.last_exit.empty() ? "" : ", last ended with " + one.last_exit));
        for (const auto& text : advice) {
            out.line("  try: " + text);
        }
        for (const auto& text : log) {
            out.line("  | " + text);
        }
    }
    if (!ctx.common.json && only.empty()) {
        for (const auto& text : last_lines(log_file_of(cluster, supervisor_name), lines_shown)) {
            out.line("supervisor | " + text);
        }
    }
    return exit_code::ok;
}

}  // namespace bzmq::cli
