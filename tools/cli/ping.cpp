#include "commands.hpp"
#include "option_checks.hpp"
#include "output.hpp"
#include "overlay_view.hpp"
#include <fmt/format.h>

#include <algorithm>
#include <memory>

namespace bzmq::cli {
namespace {

using node_list = std::vector<topology_node>;
using clock = std::chrono::steady_clock;

struct options {
    std::string node;
    unsigned count = 4;
    std::size_t nodes = 1;
};

/// What the pings of one endpoint came to.
struct result {
    topology_node target;
    unsigned sent = 0;
    unsigned received = 0;
    timespan least{timespan::max()};
    timespan most{0};
    timespan sum{0};
    std::vector<endpoint_id> path;  ///< of the last one
    error last_error;

    [[nodiscard]] timespan mean() const { return received == 0 ? timespan{0} : sum / received; }
};

/// The nearest first.
void sort(node_list& nodes) {
    std::sort(nodes.begin(), nodes.end(), [](const auto& a, const auto& b) {
        return std::tie(a.distance, a.name, a.id) < std::tie(b.distance, b.name, b.id);
    });
}

/// The endpoints to ping: those that are named, or all but ourselves.
expected<node_list> find(const endpoint& node, const options& how, const context& ctx) {
    auto nodes = settled_topology(node, ctx, how.nodes);
    if (nodes && !how.node.empty()) {
        nodes = await_nodes(node, how.node, clock::now() + ctx.common.timeout_or_default(), ctx);
    } else if (nodes) {
        std::erase_if(*nodes, [](const topology_node& each) { return each.distance == 0; });
    }
    if (nodes) {
        sort(*nodes);
    }
    return nodes;
}

result ping(endpoint& node, const topology_node& target, unsigned count, const context& ctx) {
    result out;
    out.target = target;
    while (out.sent < count && !ctx.interrupt->raised()) {
        ++out.sent;
        auto answer = node.ping(target.id, ctx.common.timeout_or_default());
        if (!answer) {
            out.last_error = answer.error();
            continue;
        }
        ++out.received;
        out.least = std::min(out.least, answer->round_trip);
        out.most = std::max(out.most, answer->round_trip);
        out.sum += answer->round_trip;
        out.path = std::move(answer->path);
    }
    return out;
}

void print_text(line_output& out, const result& what, const node_list& nodes) {
    const auto ms = [](timespan span) { return static_cast<double>(span.count()) / 1e6; };
    auto line = fmt::format("{}: {} of {} answered", label(what.target.id, what.target.name),
                            what.received, what.sent);
    if (what.received > 0) {
        line += fmt::format(", min/avg/max {:.3f}/{:.3f}/{:.3f} ms, path", ms(what.least),
                            ms(what.mean()), ms(what.most));
        for (const auto& hop : what.path) {
            line += (&hop == what.path.data() ? " " : " > ") + label_in(nodes, hop);
        }
    } else {
        line += ": " + to_string(what.last_error);
    }
    out.line(line);
}

void print_json(line_output& out, const result& what, const node_list& nodes) {
    std::string line = fmt::format("{{\"id\":\"{}\",\"name\":", to_string(what.target.id));
    append_json_string(line, what.target.name);
    line += fmt::format(",\"sent\":{},\"received\":{}", what.sent, what.received);
    if (what.received > 0) {
        line += fmt::format(",\"min_ns\":{},\"avg_ns\":{},\"max_ns\":{}", what.least.count(),
                            what.mean().count(), what.most.count());
    } else {
        line += fmt::format(",\"error\":\"{}\"", to_string(what.last_error.code()));
    }
    line += ",\"path\":[";
    for (const auto& hop : what.path) {
        line += &hop == what.path.data() ? "" : ",";
        append_json_string(line, label_in(nodes, hop));
    }
    line += "],\"path_ids\":[";
    for (const auto& hop : what.path) {
        line += fmt::format("{}\"{}\"", &hop == what.path.data() ? "" : ",", to_string(hop));
    }
    out.line(line + "]}");
}

exit_code run(const options& how, const context& ctx) {
    auto node = open_endpoint(ctx, "bzmq-cli ping");
    if (!node) {
        return end_with(node.error(), ctx);
    }
    const auto found = find(*node, how, ctx);
    if (!found) {
        return end_with(found.error(), ctx);
    }
    const interrupt::handler stop{*ctx.interrupt, [&node] { node->shutdown(); }};
    line_output out;
    auto code = exit_code::ok;
    for (const auto& target : *found) {
        const auto what = ping(*node, target, how.count, ctx);
        if (ctx.interrupt->raised()) {
            return ctx.interrupt->code();
        }
        if (ctx.common.json) {
            print_json(out, what, node->topology());
        } else {
            print_text(out, what, node->topology());
        }
        if (what.received < what.sent) {
            code = exit_code_of(what.last_error);
        }
    }
    if (found->empty()) {
        return report(exit_code::unavailable, "no other endpoint is within reach");
    }
    return out.good() ? code : exit_code::broken_pipe;
}

}  // namespace

void add_ping(CLI::App& app, context& ctx) {
    auto how = std::make_shared<options>();
    auto* command = app.add_subcommand(
        "ping", "Measure the round trip to endpoints through the overlay, and the path taken");
    command->add_option("NODE", how->node, "Id or name of one endpoint; all without")
        ->type_name("");
    command->add_option("-n,--count", how->count, "Pings for each (4)")
        ->type_name("COUNT")
        ->check(whole_number(1));
    command
        ->add_option("--nodes", how->nodes,
                     "First wait until N endpoints are within reach, this one included")
        ->type_name("N")
        ->check(whole_number());
    add_common(*command, ctx.common);
    command->callback([how, &ctx] { ctx.run = [how, &ctx] { return run(*how, ctx); }; });
}

}  // namespace bzmq::cli
