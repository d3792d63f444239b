#include "commands.hpp"
#include "output.hpp"

namespace bzmq::cli {
namespace {

/// One line about what happened: text, or JSON with the fields that docs/cli.md lists.
class event_line {
  public:
    event_line(bool json, std::string_view event) : json_(json) {
        if (json_) {
            text_ = "{\"event\":";
            append_json_string(text_, event);
        } else {
            text_ = event;
        }
    }
    event_line& field(std::string_view name, std::string_view value) {
        if (json_) {
            text_ += ",\"";
            text_ += name;
            text_ += "\":";
            append_json_string(text_, value);
        } else if (!value.empty()) {
            text_ += ' ';
            text_ += value;
        }
        return *this;
    }
    [[nodiscard]] std::string finish() const { return json_ ? text_ + '}' : text_; }

  private:
    bool json_;
    std::string text_;
};

std::string describe(const status_variant& news, bool json) {
    if (const auto* failure = get_if<error>(&news)) {
        return event_line{json, "error"}
            .field("code", to_string(failure->code()))
            .field("message", failure->message())
            .finish();
    }
    const auto& what = get<status>(news);
    const auto& whom = what.context();
    return event_line{json, to_string(what.code())}
        .field("id", to_string(whom.node))
        .field("name", whom.name)
        .field("address", whom.address)
        .field("message", what.message())
        .finish();
}

void follow(endpoint& node, status_subscriber& statuses, const context& ctx, line_output& out) {
    const interrupt::handler stop{*ctx.interrupt, [&node] { node.shutdown(); }};
    for (;;) {
        const auto news = statuses.get();
        if (const auto* failure = get_if<error>(&news);
            failure != nullptr && *failure == ec::shutting_down) {
            return;
        }
        out.line(describe(news, ctx.common.json));
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
            out.line(event_line{ctx.common.json, "listening"}.field("url", url).finish());
        }
        out.line(event_line{ctx.common.json, "ready"}
                     .field("id", to_string(node.node_id()))
                     .field("name", node.name())
                     .finish());
        for (const auto& peer : peers) {
            peering_options how;
            how.server_key = peer.server_key;
            how.retry = peer.retry.value_or(node.options().retry_max);
            if (const auto begun = node.peer_url_nosync(peer.url, how); !begun) {
                return report(begun.error());
            }
        }
        follow(node, statuses, ctx, out);
    } catch (const endpoint_error& failure) {
        return report(failure.why());
    }
    out.line(event_line{ctx.common.json, "stopped"}.finish());
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
