#include "commands.hpp"
#include "events.hpp"
#include "output.hpp"

#include <utility>

namespace bzmq::cli {
namespace {

void follow(endpoint& node, status_subscriber& statuses, const context& ctx, line_output& out) {
    const interrupt::handler stop{*ctx.interrupt, [&node] { node.shutdown(); }};
    for (;;) {
        const auto news = statuses.get();
        if (const auto* failure = get_if<error>(&news);
            failure != nullptr && *failure == ec::shutting_down) {
            return;
        }
        out.line(describe(event_line{ctx.common.json}, news).finish());
    }
}

exit_code run(const context& ctx) {
    auto config = make_configuration(ctx, {}, true);
    if (!config) {
        return report(config.error());
    }
    const auto peers = std::exchange(config->options().peers, {});
    if (peers.empty() && config->options().listen.empty()) {
        return report(exit_code::usage, "name a peer with --peer, or listen with --listen");
    }
    line_output out;
    try {
        endpoint node{std::move(*config)};
        auto statuses = node.make_status_subscriber(true);
        for (const auto& url : node.listeners()) {
            out.line(event_line{ctx.common.json}
                         .field("event", "listening")
                         .field("url", url)
                         .finish());
        }
        out.line(event_line{ctx.common.json}
                     .field("event", "ready")
                     .field("id", to_string(node.node_id()))
                     .field("name", node.name())
                     .finish());
        if (const auto begun = start_peerings(node, peers); !begun) {
            return report(begun.error());
        }
        follow(node, statuses, ctx, out);
    } catch (const endpoint_error& failure) {
        return report(failure.why());
    }
    out.line(event_line{ctx.common.json}.field("event", "stopped").finish());
    return ctx.interrupt->raised() ? exit_code::ok : exit_code::failure;
}

}  // namespace

void add_node(CLI::App& app, context& ctx) {
    auto* command = app.add_subcommand(
        "node", "Run an endpoint that relays for others, until Ctrl-C or SIGTERM");
    command->footer("Prints its URLs (with real ports), its id, and peerings that come and go.");
    add_common(*command, ctx.common);
    command->callback([&ctx] { ctx.run = [&ctx] { return run(ctx); }; });
}

}  // namespace bzmq::cli
