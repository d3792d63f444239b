#include "bzmq/gateway.hpp"

#include "commands.hpp"
#include "events.hpp"

#include <memory>
#include <optional>
#include <thread>
#include <tuple>
#include <utility>

namespace bzmq::cli {
namespace {

struct options {
    std::string one, other;  ///< configuration files
    std::vector<std::string> from_one, from_other;
    bool one_way = false;
};

/// One side's configuration file. The environment counts as well, this command's line does not.
expected<configuration> read_side(const std::string& file) {
    configuration config;
    config.config_file(file);
    if (const auto read = config.init(); !read) {
        return tl::unexpected{read.error()};
    }
    auto& side = config.options();
    if (side.domain.empty()) {
        return fail(ec::invalid_configuration,
                    file + ": domain: expected the name of the domain to join, got nothing");
    }
    if (side.peers.empty() && side.listen.empty()) {
        return fail(ec::invalid_configuration,
                    file + ": expected peers or listen, else nobody can reach the gateway");
    }
    if (side.name.empty()) {
        side.name = "bzmq-cli gateway";
    }
    return config;
}

std::optional<std::vector<std::string>> limit(const std::vector<std::string>& prefixes) {
    return prefixes.empty() ? std::nullopt : std::optional{prefixes};
}

exit_code run(const options& how, const context& ctx) {
    gateway_options sides;
    std::vector<peer_options> peers[2];
    for (const auto& [file, to, dial] :
         {std::tuple{&how.one, &sides.one, &peers[0]}, {&how.other, &sides.other, &peers[1]}}) {
        auto config = read_side(*file);
        if (!config) {
            return report(config.error());
        }
        *dial = std::exchange(config->options().peers, {});
        *to = std::move(*config);
    }
    sides.from_one = limit(how.from_one);
    sides.from_other = how.one_way ? std::optional{std::vector<std::string>{}}
                                   : limit(how.from_other);
    event_printer out{ctx.common.json, true};
    try {
        gateway door{std::move(sides)};
        status_subscriber statuses[] = {door.one().make_status_subscriber(true),
                                        door.other().make_status_subscriber(true)};
        out.announce(door.one());
        out.announce(door.other());
        for (const auto& begun : {start_peerings(door.one(), peers[0]),
                                  start_peerings(door.other(), peers[1])}) {
            if (!begun) {
                return report(begun.error());
            }
        }
        const interrupt::handler stop{*ctx.interrupt, [&door] { door.shutdown(); }};
        std::jthread second{[&] { out.follow(door.other(), statuses[1]); }};
        out.follow(door.one(), statuses[0]);
    } catch (const endpoint_error& failure) {
        return report(failure.why());
    }
    out.stopped();
    return ctx.interrupt->raised() ? exit_code::ok : exit_code::failure;
}

}  // namespace

void add_gateway(CLI::App& app, context& ctx) {
    auto how = std::make_shared<options>();
    auto* command = app.add_subcommand(
        "gateway", "Join two domains and hide each from the other, until Ctrl-C or SIGTERM");
    command->add_option("ONE", how->one, "Configuration file (TOML) of the side in one domain")
        ->required()
        ->type_name("");
    command->add_option("OTHER", how->other, "The same of the side in the other domain")
        ->required()
        ->type_name("");
    command
        ->add_option("--from-one", how->from_one,
                     "Let only topics with PREFIX pass from ONE to OTHER; repeat for more (all)")
        ->type_name("PREFIX")
        ->allow_extra_args(false);
    auto* back = command
                     ->add_option("--from-other", how->from_other,
                                  "Let only topics with PREFIX pass from OTHER to ONE (all)")
                     ->type_name("PREFIX")
                     ->allow_extra_args(false);
    command->add_flag("--one-way", how->one_way, "Let nothing pass from OTHER to ONE")
        ->excludes(back);
    command->add_flag("--json", ctx.common.json, "Print one JSON object a line");
    command->footer("Each file names its domain, and how to reach it with listen or peers.");
    command->callback([how, &ctx] { ctx.run = [how, &ctx] { return run(*how, ctx); }; });
}

}  // namespace bzmq::cli
