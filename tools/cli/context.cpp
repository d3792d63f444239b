#include "context.hpp"

#include "bzmq/data.hpp"

#include "option_checks.hpp"
#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

namespace bzmq::cli {
namespace {

using clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr timespan poll_interval = 5ms;
constexpr double longest_seconds = 3e8;

std::string key_file(const std::string& path) {
    const auto full = path + ".key_secret";
    return ::access(path.c_str(), F_OK) != 0 && ::access(full.c_str(), F_OK) == 0 ? full : path;
}

struct attempt {
    std::string url;
    bool peered = false;
    bool failed = false;
};

/// What the peers that are being tried have come to. An outgoing peer tells the URL it was dialled
/// by as its address.
void look(const endpoint& node, std::vector<attempt>& attempts) {
    for (const auto& peer : node.peers()) {
        for (auto& one : attempts) {
            if (peer.outgoing && peer.peer.address == one.url) {
                one.peered = peer.state == peer_status::peered;
                one.failed = one.failed || peer.state == peer_status::waiting;
            }
        }
    }
}

/// What was published and is not yet where `mode` promises it.
std::size_t bytes_left(const endpoint_metrics& state, delivery_mode mode) {
    auto out = state.publish_queue_bytes;
    if (mode == delivery_mode::reliable) {
        return out + state.buffered_bytes;
    }
    for (const auto& peer : state.peers) {
        out += peer.queue_bytes;
    }
    return out;
}

/// Reliable messages for awaited subscribers that went to nobody are an error, others a hint.
expected<void> check_receivers(const endpoint_metrics& state, delivery_mode mode,
                               std::size_t wait) {
    const auto lost = state.dropped_overflow + state.dropped_no_path;
    if (lost > 0) {
        return fail(ec::no_path_to_peer,
                    fmt::format("{} messages were dropped on their way out", lost));
    }
    if (state.no_receiver > 0) {
        const auto text = fmt::format("{} of {} messages found no subscriber", state.no_receiver,
                                      state.published);
        if (wait > 0 && mode == delivery_mode::reliable) {
            return fail(ec::no_path_to_peer, text);
        }
        warn(text);
    }
    return {};
}

expected<void> await_peers(endpoint& node, const context& ctx, status_subscriber& statuses,
                           std::vector<attempt> attempts) {
    const auto deadline = clock::now() + ctx.common.timeout_or_default();
    const auto peered = [](const attempt& one) { return one.peered; };
    error last;
    for (;;) {
        while (const auto news = statuses.get(timespan{0})) {
            if (const auto* failure = get_if<error>(&*news)) {
                // A refused key says more than that there is no connection.
                if (!refuses_for_good(last.code())) {
                    last = *failure;
                }
            }
        }
        look(node, attempts);
        if (std::all_of(attempts.begin(), attempts.end(), peered)) {
            return {};
        }
        const bool any = std::any_of(attempts.begin(), attempts.end(), peered);
        const bool over = clock::now() >= deadline;
        const bool settled = std::all_of(attempts.begin(), attempts.end(), [](const attempt& one) {
            return one.peered || one.failed;
        });
        if (any && (over || settled)) {
            warn(last ? to_string(last) : "not all peers answer");
            return {};
        }
        if (over || (attempts.size() == 1 && refuses_for_good(last.code()))) {
            if (!last) {
                last = error{ec::peer_unavailable,
                             fmt::format("no peering with {} in time", attempts.front().url)};
            }
            return tl::unexpected{last};
        }
        if (ctx.interrupt->wait_for(poll_interval)) {
            return fail(ec::cancelled);
        }
    }
}

}  // namespace

std::optional<timespan> parse_duration(std::string_view text) {
    const auto value = parse_data(text);
    double seconds = 0;
    if (!value) {
        return std::nullopt;
    }
    if (const auto* span = get_if<timespan>(&*value)) {
        return span->count() < 0 ? std::nullopt : std::optional{*span};
    }
    if (const auto* whole = get_if<count>(&*value)) {
        seconds = static_cast<double>(*whole);
    } else if (const auto* fraction = get_if<real>(&*value)) {
        seconds = *fraction;
    } else {
        return std::nullopt;
    }
    if (!(seconds >= 0 && seconds <= longest_seconds)) {
        return std::nullopt;
    }
    return timespan{std::llround(seconds * 1e9)};
}

std::optional<std::uint64_t> parse_size(std::string text) {
    try {
        if (const auto wrong = CLI::AsSizeValue(false)(text); !wrong.empty()) {
            return std::nullopt;
        }
    } catch (const CLI::ValidationError&) {
        return std::nullopt;
    }
    std::uint64_t out = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), out);
    return failure == std::errc{} && end == text.data() + text.size() ? std::optional{out}
                                                                      : std::nullopt;
}

CLI::Option* add_duration(CLI::App& command, const std::string& flags, std::optional<timespan>& out,
                          const std::string& description) {
    return command
        .add_option_function<std::string>(
            flags,
            [&out, flags](const std::string& text) {
                out = parse_duration(text);
                if (!out) {
                    throw CLI::ValidationError{
                        flags, "\"" + text + "\": expected seconds, or a duration such as 250ms"};
                }
            },
            description)
        ->type_name("DURATION");
}

CLI::Option* add_wait(CLI::App& command, std::size_t& out) {
    // "true" is the flag without a number.
    auto check = CLI::Validator{
        [number = whole_number(1)](const std::string& text) {
            return text == "true" ? std::string{} : number(text);
        },
        ""};
    return command
        .add_flag("--wait", out,
                  "First wait until one endpoint, with --wait=N until N are known to subscribe to "
                  "the topic")
        ->check(std::move(check));
}

void add_common(CLI::App& command, common_options& common, bool lasts) {
    const std::string group = "Connection";
    command
        .add_option("--peer", common.peers,
                    "Connect to URL (tcp://host:port, ipc://path); repeat for more")
        ->type_name("URL")
        ->allow_extra_args(false)
        ->group(group);
    command
        .add_option("--listen", common.listen,
                    "Accept peers at URL; port 0 takes a free one; repeat for more")
        ->type_name("URL")
        ->allow_extra_args(false)
        ->group(group);
    command
        .add_option("--cert", common.cert,
                    "This endpoint's secret key file, as keygen writes it; turns encryption on")
        ->type_name("FILE")
        ->group(group);
    command
        .add_option("--server-key", common.server_key,
                    "Public key of the peers to connect to: a .key file or 40 characters of Z85")
        ->type_name("KEY")
        ->group(group);
    command
        .add_option("--allow", common.allow,
                    "Public keys that may connect: a .key file or a folder of them")
        ->type_name("PATH")
        ->group(group);
    command
        .add_option("--permissions", common.permissions,
                    "What each key may publish and receive: a TOML file (with --cert)")
        ->type_name("FILE")
        ->group(group);
    command.add_option("--name", common.name, "What others see this endpoint called")
        ->type_name("NAME")
        ->group(group);
    command.add_option("--config", common.config, "Read further options from a TOML file")
        ->type_name("FILE")
        ->group(group);
    if (!lasts) {
        add_duration(command, "--timeout", common.timeout,
                     "Longest wait for peers, subscribers or answers (10s)")
            ->group(group);
        command.add_flag("--relay", common.relay, "Also pass on messages for others, as node does")
            ->group(group);
    }
    command.add_flag("--json", common.json, "Print one JSON object a line")->group(group);
}

expected<configuration> make_configuration(const context& ctx, std::string_view role, bool relays) {
    const auto& common = ctx.common;
    configuration config;
    if (!common.config.empty()) {
        config.config_file(common.config);
    }
    // Before file, environment and command line are read, which leave alone what is set here: they
    // are then checked together with it.
    auto& options = config.options();
    for (const auto& url : common.peers) {
        options.peers.push_back({url, {}, {}});
    }
    options.listen = common.listen;
    options.cert = common.cert.empty() ? std::string{} : key_file(common.cert);
    options.server_key = common.server_key;
    options.allow = common.allow;
    options.permissions = common.permissions;
    options.name = common.name;
    if (const auto read = config.init(static_cast<int>(ctx.arguments.size()), ctx.arguments.data());
        !read) {
        return tl::unexpected{read.error()};
    }
    if (options.name.empty()) {
        options.name = role;
    }
    if (!relays && !common.relay) {
        options.forwarding = false;
    }
    if (const auto good = config.validate(); !good) {
        return tl::unexpected{good.error()};
    }
    return config;
}

expected<void> start_peerings(endpoint& node, const std::vector<peer_options>& peers) {
    for (const auto& peer : peers) {
        const peering_options how{peer.server_key, peer.retry, {}, peer.limits};
        if (const auto begun = node.peer_url_nosync(peer.url, how); !begun) {
            return tl::unexpected{begun.error()};
        }
    }
    return {};
}

expected<endpoint> open_endpoint(const context& ctx, std::string_view role) {
    auto config = make_configuration(ctx, role, false);
    if (!config) {
        return tl::unexpected{config.error()};
    }
    auto& options = config->options();
    if (options.log_level == log_level::warning) {
        options.log_level = log_level::off;  // What it would say, this command says itself.
    }
    if (options.peer_overflow == overflow_policy::drop_newest) {
        // Rather wait than lose what we were given.
        options.peer_overflow = overflow_policy::block;
    }
    // Peers only after somebody listens to what becomes of them.
    const auto peers = std::exchange(options.peers, {});
    if (peers.empty() && options.listen.empty()) {
        return fail(ec::invalid_configuration, "name a peer with --peer, or listen with --listen");
    }
    try {
        endpoint node{std::move(*config)};
        auto statuses = node.make_status_subscriber(true);
        for (const auto& url : node.listeners()) {
            warn("listening on " + url);
        }
        if (const auto begun = start_peerings(node, peers); !begun) {
            return tl::unexpected{begun.error()};
        }
        std::vector<attempt> attempts;
        for (const auto& peer : peers) {
            attempts.push_back({normalise_url(peer.url).value_or(peer.url)});
        }
        std::vector<std::string> urls;
        for (const auto& one : attempts) {
            urls.push_back(one.url);
        }
        if (const auto done = await_peers(node, ctx, statuses, std::move(attempts)); !done) {
            return tl::unexpected{done.error()};
        }
        if (!urls.empty()) {
            ctx.watch->follow(std::move(statuses), std::move(urls));
        }
        return node;
    } catch (const endpoint_error& failure) {
        return tl::unexpected{failure.why()};
    }
}

expected<void> await_subscribers(endpoint& node, const context& ctx, std::string_view topic,
                                 std::size_t count) {
    if (count == 0) {
        return {};
    }
    const auto limit = ctx.common.timeout_or_default();
    bool found = false;
    {
        const interrupt::handler stop{*ctx.interrupt, [&node] { node.shutdown(); }};
        found = node.wait_for_subscriber(topic, count, limit);
    }
    if (ctx.interrupt->raised()) {
        return fail(ec::cancelled);
    }
    if (!found) {
        return fail(ec::request_timeout,
                    fmt::format("after {} fewer than {} endpoints subscribe to {}",
                                to_string(limit), count, topic));
    }
    return {};
}

expected<void> finish(endpoint& node, const context& ctx, delivery_mode mode, std::size_t wait) {
    expected<void> out;
    auto deadline = clock::now() + ctx.common.timeout_or_default();
    std::size_t least = ~std::size_t{0};
    for (;;) {
        const auto state = node.metrics();
        const auto left = bytes_left(state, mode);
        if (left == 0) {
            out = check_receivers(state, mode, wait);
            break;
        }
        const auto now = clock::now();
        if (left < least) {
            least = left;
            deadline = now + ctx.common.timeout_or_default();
        }
        if (now >= deadline) {
            node.shutdown();
            return fail(ec::request_timeout,
                        fmt::format("{} bytes were not handed over in time", left));
        }
        if (ctx.interrupt->wait_for(poll_interval)) {
            node.shutdown();
            return fail(ec::cancelled);
        }
    }
    node.shutdown();
    return out;
}

exit_code end_with(const error& why, const context& ctx) {
    if (ctx.interrupt->raised()) {
        return ctx.interrupt->code();
    }
    return report(why);
}

}  // namespace bzmq::cli
