#pragma once

#include "bzmq/endpoint.hpp"
#include "bzmq/time.hpp"

#include "exit_code.hpp"
#include "interrupt.hpp"
#include "peer_watch.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace bzmq::cli {

constexpr timespan default_timeout = std::chrono::seconds{10};
/// Of what is printed again and again; less would be a busy loop.
constexpr timespan shortest_interval = std::chrono::milliseconds{10};

/// The options that every command with an endpoint has.
struct common_options {
    std::vector<std::string> peers;
    std::vector<std::string> listen;
    std::string cert;
    std::string server_key;
    std::string allow;
    std::string permissions;
    std::string name;
    std::string config;
    std::optional<timespan> timeout;
    bool relay = false;
    bool json = false;

    [[nodiscard]] timespan timeout_or_default() const { return timeout.value_or(default_timeout); }
};

/// What the commands share: the options, the raw command line for `configuration::init`, the
/// signals, who looks after lost peers, and what the parser chose to run.
struct context {
    common_options common;
    std::vector<const char*> arguments;
    cli::interrupt* interrupt = nullptr;
    peer_watch* watch = nullptr;
    std::function<exit_code()> run;
};

/// A count of seconds ("2.5") or a duration with a unit ("250ms").
std::optional<timespan> parse_duration(std::string_view text);
/// Bytes as options take them: "100M"; K, M, G and so on are units of 1024.
std::optional<std::uint64_t> parse_size(std::string text);
/// An option whose value `parse_duration` reads.
CLI::Option* add_duration(CLI::App& command, const std::string& flags, std::optional<timespan>& out,
                          const std::string& description);
/// `--wait[=N]`: 0 where it is absent, 1 where it has no value.
CLI::Option* add_wait(CLI::App& command, std::size_t& out);
/// Adds the group "Connection" to a command. One that lasts waits for nobody, and relays unasked: it
/// has neither --timeout nor --relay.
void add_common(CLI::App& command, common_options& common, bool lasts = false);

/// Gathers file, environment, command line and the common options. `relays` says whether the
/// endpoint passes on messages for others without being asked.
expected<configuration> make_configuration(const context& ctx, std::string_view role, bool relays);

/// Starts an endpoint with its listeners, which are named on standard error, and waits until its
/// peers stand. Some that cannot be reached are a warning, as long as one can; so is one that is lost
/// later on. Fails with `ec::cancelled` on a signal.
expected<endpoint> open_endpoint(const context& ctx, std::string_view role);

/// Waits until at least `count` endpoints would receive `topic`.
expected<void> await_subscribers(endpoint& node, const context& ctx, std::string_view topic,
                                 std::size_t count);

/// Begins to dial all of them, as often as they say; does not wait.
expected<void> start_peerings(endpoint& node, const std::vector<peer_options>& peers);

/// Waits until all that was published is handed over to the peers or, where it is reliable,
/// acknowledged by the receivers; then says goodbye. Gives up (`ec::request_timeout`) where nothing
/// moves for as long as the timeout, and fails where messages were dropped or where reliable ones,
/// after waiting for `wait` subscribers, found none; otherwise that is a warning.
expected<void> finish(endpoint& node, const context& ctx, delivery_mode mode, std::size_t wait);

/// Reports a failure; on a signal its exit code, without a word.
exit_code end_with(const error& why, const context& ctx);

}  // namespace bzmq::cli
