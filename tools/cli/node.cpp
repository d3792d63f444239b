#include "commands.hpp"
#include "events.hpp"
#include "option_checks.hpp"
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>

namespace bzmq::cli {
namespace {

struct node_options {
    std::vector<std::string> masters;  ///< NAME or NAME=FOLDER
    std::vector<std::string> clones;
    std::vector<std::string> standbys;  ///< NAME=FOLDER
    unsigned sync_replicas = 0;
    failover_options failover;
    std::optional<timespan> failover_timeout;
    bzmq::durability durability = durability::group;
    bool follow_new_store = false;
    std::optional<timespan> stats;  ///< how often to print them
};

bool has_folder(const std::string& text) { return text.find('=') != std::string::npos; }

master_options on_disk(const std::string& folder, const node_options& how) {
    master_options out;
    out.path = folder;
    out.durability = how.durability;
    out.sync_replicas = how.sync_replicas;
    out.failover = how.failover;
    out.failover.timeout = how.failover_timeout.value_or(out.failover.timeout);
    return out;
}

expected<store> attach_standby(endpoint& node, const std::string& text, const node_options& how) {
    const auto at = text.find('=');
    if (at == std::string::npos) {
        return fail(ec::invalid_configuration, "a standby needs a folder: NAME=FOLDER");
    }
    clone_options options;
    options.standby = on_disk(text.substr(at + 1), how);
    options.follow_new_store = how.follow_new_store;
    return node.attach_clone(text.substr(0, at), options);
}

expected<store> attach_master(endpoint& node, const std::string& text, const node_options& how) {
    const auto at = text.find('=');
    if (at == std::string::npos) {
        return node.attach_master(text);
    }
    auto out =
        node.attach_master(text.substr(0, at), backend::lmdb, on_disk(text.substr(at + 1), how));
    if (!out && out.error() == ec::invalid_configuration && !how.failover.electors.empty()) {
        // It has begun once: the electors tell by now who the master is, and the command line may
        // stay as it is.
        if (auto standby = attach_standby(node, text, how)) {
            return standby;
        }
    }
    return out;
}

expected<void> attach_stores(endpoint& node, const node_options& how, std::vector<store>& out) {
    const auto take = [&](expected<store> made, const std::string& text) -> expected<void> {
        if (!made) {
            const auto& why = made.error();
            return fail(why.code(), fmt::format("store {}: {}", text, why.message()));
        }
        out.push_back(std::move(*made));
        return {};
    };
    for (const auto& text : how.masters) {
        if (auto made = take(attach_master(node, text, how), text); !made) {
            return made;
        }
    }
    clone_options copies;
    copies.follow_new_store = how.follow_new_store;
    for (const auto& name : how.clones) {
        if (auto made = take(node.attach_clone(name, copies), name); !made) {
            return made;
        }
    }
    for (const auto& text : how.standbys) {
        if (auto made = take(attach_standby(node, text, how), text); !made) {
            return made;
        }
    }
    return {};
}

expected<void> open_listeners(endpoint& node, const std::vector<std::string>& urls) {
    for (const auto& url : urls) {
        if (const auto port = node.listen_url(url); !port) {
            return tl::unexpected{port.error()};
        }
    }
    return {};
}

exit_code run(const node_options& how, const context& ctx) {
    auto config = make_configuration(ctx, {}, true);
    if (!config) {
        return report(config.error());
    }
    const auto peers = std::exchange(config->options().peers, {});
    const auto urls = std::exchange(config->options().listen, {});
    if (peers.empty() && urls.empty()) {
        return report(exit_code::usage, "name a peer with --peer, or listen with --listen");
    }
    if (how.stats && *how.stats < shortest_interval) {
        return report(exit_code::usage,
                      "--stats: expected an interval of " + to_string(shortest_interval) + " or more");
    }
    if ((how.sync_replicas > 0 || !how.failover.electors.empty()) && how.standbys.empty()
        && std::none_of(how.masters.begin(), how.masters.end(), has_folder)) {
        return report(exit_code::usage, "--sync-replicas and --electors are for stores on disk: "
                                        "--master NAME=FOLDER, --standby NAME=FOLDER");
    }
    event_printer out{ctx.common.json, false};
    try {
        endpoint node{std::move(*config)};
        auto statuses = node.make_status_subscriber(true);
        // Before anybody is met: a peer may know this node's life before the last crash still, and
        // with it a master that would stand in this one's way.
        std::vector<store> stores;
        if (const auto attached = attach_stores(node, how, stores); !attached) {
            return report(attached.error());
        }
        if (const auto opened = open_listeners(node, urls); !opened) {
            return report(opened.error());
        }
        for (const auto& each : stores) {
            const auto state = each.info();
            out.announce(node, each, each.is_master()            ? "master"
                                     : state && state->standby ? "standby"
                                                               : "clone");
        }
        out.announce(node);
        if (const auto begun = start_peerings(node, peers); !begun) {
            return report(begun.error());
        }
        const interrupt::handler stop{*ctx.interrupt, [&node] { node.shutdown(); }};
        out.follow(node, statuses, how.stats, stores);
    } catch (const endpoint_error& failure) {
        return report(failure.why());
    }
    out.stopped();
    return ctx.interrupt->raised() ? exit_code::ok : exit_code::failure;
}

void add_stores(CLI::App& command, node_options& how) {
    command
        .add_option("--master", how.masters,
                    "Be the master of store NAME, in memory or, with =FOLDER, on disk; with electors "
                    "only at first, and a standby once it has entries; repeat for more")
        ->type_name("NAME[=FOLDER]")
        ->allow_extra_args(false);
    command
        .add_option("--clone", how.clones,
                    "Keep a copy of store NAME that follows its master; repeat for more")
        ->type_name("NAME")
        ->allow_extra_args(false);
    command
        .add_option("--standby", how.standbys,
                    "Keep a copy of store NAME on disk that may take its master's place; repeat for "
                    "more")
        ->type_name("NAME=FOLDER")
        ->allow_extra_args(false);
    command.add_flag("--follow-new-store", how.follow_new_store,
                     "Clones and standbys: give up what they have for the state of a master that has "
                     "another store under the name, as one that was restored from a backup");
    command
        .add_option("--sync-replicas", how.sync_replicas,
                    "Masters on disk: a write counts when N standbys have it on disk as well (0)")
        ->type_name("N")
        ->check(whole_number());
    command
        .add_option("--elector", how.failover.elector,
                    "Standbys may elect a master; this node's name among --electors")
        ->type_name("NAME");
    command
        .add_option("--electors", how.failover.electors,
                    "The names of all nodes that elect, the first master's among them")
        ->type_name("NAME,...")
        ->delimiter(',')
        ->allow_extra_args(false);
    add_duration(command, "--failover-timeout", how.failover_timeout,
                 "Without a master for so long they elect one (10s)");
    command
        .add_option("--durability", how.durability,
                    "When a write to a store on disk counts: on disk on its own (sync), together "
                    "with all that came meanwhile (group, the default), or before it is there "
                    "(async)")
        ->type_name("sync|group|async")
        ->transform(one_of<durability>({{"sync", durability::sync},
                                    {"group", durability::group},
                                    {"async", durability::async}}));
}

}  // namespace

void add_node(CLI::App& app, context& ctx) {
    auto how = std::make_shared<node_options>();
    auto* command =
        app.add_subcommand("node",
                           "Run an endpoint that relays for others and may carry stores, until "
                           "Ctrl-C or SIGTERM");
    add_stores(*command, *how);
    add_duration(*command, "--stats", how->stats,
                 "Also print the queues, drops, bytes and round trips of all peers, how stores stand, "
                 "and the counters of this endpoint, once in each DURATION");
    command->footer(
        "Prints its stores, its URLs (with real ports), its id, and peerings that come and go.");
    add_common(*command, ctx.common, true);
    command->callback([how, &ctx] { ctx.run = [how, &ctx] { return run(*how, ctx); }; });
}

}  // namespace bzmq::cli
