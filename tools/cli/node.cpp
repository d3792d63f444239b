#include "commands.hpp"
#include "events.hpp"

#include <utility>

namespace bzmq::cli {
namespace {

exit_code run(const context& ctx) {
    auto config = make_configuration(ctx, {}, true);
    if (!config) {
        return report(config.error());
    }
    const auto peers = std::exchange(config->options().peers, {});
    if (peers.empty() && config->options().listen.empty()) {
        return report(exit_code::usage, "name a peer with --peer, or listen with --listen");
    }
    event_printer out{ctx.common.json, false};
    try {
        endpoint node{std::move(*config)};
        auto statuses = node.make_status_subscriber(true);
        out.announce(node);
        if (const auto begun = start_peerings(node, peers); !begun) {
            return report(begun.error());
        }
        const interrupt::handler stop{*ctx.interrupt, [&node] { node.shutdown(); }};
        out.follow(node, statuses);
    } catch (const endpoint_error& failure) {
        return report(failure.why());
    }
    out.stopped();
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
