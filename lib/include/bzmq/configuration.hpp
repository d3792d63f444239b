#pragma once

#include "bzmq/error.hpp"
#include "bzmq/export.hpp"
#include "bzmq/log_level.hpp"
#include "bzmq/overflow_policy.hpp"
#include "bzmq/peering_limits.hpp"
#include "bzmq/time.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bzmq {

/// The longest topic of a message.
constexpr std::size_t topic_bytes_max = 65'535;

/// A peer that the endpoint connects to by itself when it starts.
struct peer_options {
    std::string url;  ///< as `parse_network_info` takes it
    std::string
        server_key;  ///< the listener's public key; empty for `endpoint_options::server_key`
    /// Fixed pause between attempts, zero for a single attempt; unset for the jittered back-off
    /// between `retry_min` and `retry_max`.
    std::optional<timespan> retry;
    peering_limits limits = {};

    friend bool operator==(const peer_options&, const peer_options&) = default;
};

/// Every option of an endpoint. docs/configuration.md describes each with its range; the table
/// there comes from the same source as the parsers.
struct endpoint_options {
    std::string name;
    std::string domain;
    std::vector<std::string> listen;
    std::vector<peer_options> peers;

    std::string cert;
    std::string server_key;
    std::string allow;
    bool allow_any_client = false;
    std::string permissions;
    bool allow_insecure_listen = false;

    timespan heartbeat_interval = std::chrono::seconds{1};
    timespan peer_timeout = std::chrono::seconds{3};
    timespan handshake_timeout = std::chrono::seconds{5};
    timespan connect_timeout = std::chrono::seconds{5};
    timespan retry_min = std::chrono::milliseconds{100};
    timespan retry_max = std::chrono::seconds{10};

    std::uint32_t link_cost = 0;
    bool forwarding = true;
    bool hide_peers = false;
    timespan forget_after = std::chrono::minutes{1};

    std::size_t frame_bytes = std::size_t{64} << 10;
    std::size_t link_window_bytes = std::size_t{4} << 20;
    std::size_t max_message_bytes = std::size_t{64} << 20;

    std::size_t peer_queue_bytes = std::size_t{64} << 20;
    std::size_t peer_queue_messages = 1'000'000;
    overflow_policy peer_overflow = overflow_policy::drop_newest;
    std::size_t subscriber_queue_bytes = std::size_t{64} << 20;
    std::size_t subscriber_queue_messages = 1'000'000;
    overflow_policy subscriber_overflow = overflow_policy::drop_newest;
    std::size_t publish_queue_bytes = std::size_t{16} << 20;
    timespan publish_timeout{0};
    bool local_delivery = true;

    std::size_t reliable_window_bytes = std::size_t{8} << 20;
    timespan reliable_hold = std::chrono::seconds{10};
    timespan reorder_hold = std::chrono::milliseconds{200};

    bzmq::log_level log_level = bzmq::log_level::warning;
    std::string log_file;

    friend bool operator==(const endpoint_options&, const endpoint_options&) = default;
};

/// Gathers an endpoint's options. What comes later in this list wins over what comes before it:
///
/// 1. the defaults;
/// 2. a TOML file, named by `config_file`, `--config-file=FILE` or BZMQ_CONFIG_FILE;
/// 3. environment variables BZMQ_<OPTION>, e.g. BZMQ_PEER_TIMEOUT=5s;
/// 4. the command line: --bzmq.<option>=VALUE, e.g. --bzmq.peer-timeout=5s;
/// 5. code, through `options()`, before or after `init`.
///
/// A value type; one object must not be used by two threads at once.
class BZMQ_EXPORT configuration {
  public:
    configuration() = default;
    explicit configuration(endpoint_options options) : options_(std::move(options)) {}

    /// Reads file, environment and command line. Takes from the command line what is its own,
    /// `--bzmq.<option>=VALUE`, `--config-file=FILE` and `--help-bzmq` (which prints `help_text` to
    /// standard output), up to the first "--"; all else is in `remainder()`. `argv[0]` is skipped.
    ///
    /// An unknown option or a bad value is `ec::invalid_configuration`; the message names the place
    /// (file:line:column, variable or argument), the option and what was expected. Then no option
    /// has changed, `error()` keeps the failure for programs that ignore the result, and an
    /// endpoint refuses the configuration. A file that cannot be read is `ec::cannot_open_file`.
    expected<void> init(int argc, const char* const* argv);
    expected<void> init(int argc, char** argv) {
        return init(argc, static_cast<const char* const*>(argv));
    }

    /// The same without a command line: file and environment.
    expected<void> init() { return init(0, static_cast<const char* const*>(nullptr)); }

    /// Names the file that `init` reads; wins over the command line and the environment.
    void config_file(std::string path) { config_file_ = std::move(path); }

    /// The options, to read and to change. What code has changed, `init` leaves alone.
    [[nodiscard]] endpoint_options& options() noexcept { return options_; }
    [[nodiscard]] const endpoint_options& options() const noexcept { return options_; }

    /// Checks each option against its range and those that must fit each other; also covers what
    /// code has set. Gives the failure of the last `init` first, if there was one.
    [[nodiscard]] expected<void> validate() const;

    /// Why the last `init` failed; false as a condition where it did not.
    [[nodiscard]] const bzmq::error& error() const noexcept { return error_; }

    /// The arguments that `init` did not take, in order, without the program's name.
    [[nodiscard]] const std::vector<std::string>& remainder() const noexcept { return remainder_; }

    /// True once `init` met `--help-bzmq` and printed the help.
    [[nodiscard]] bool cli_helptext_printed() const noexcept { return helptext_printed_; }

    /// Every option with type, default, range and meaning, for a terminal.
    [[nodiscard]] static std::string help_text();

  private:
    endpoint_options options_;
    endpoint_options loaded_;  // As the last `init` left them: what differs now, code has set.
    std::string config_file_;
    std::vector<std::string> remainder_;
    bzmq::error error_;
    bool helptext_printed_ = false;
};

}  // namespace bzmq
