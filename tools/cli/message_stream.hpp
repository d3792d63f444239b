#pragma once

#include "bzmq/endpoint.hpp"
#include "bzmq/overflow_policy.hpp"
#include "bzmq/subscriber.hpp"

#include "context.hpp"
#include "exit_code.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

/// What the commands that read messages have in common.
namespace bzmq::cli {

struct stream_options {
    std::vector<std::string> topics;
    std::uint64_t limit = 0;                  ///< 0: none
    std::optional<overflow_policy> overflow;  ///< unset: as configured
};

/// Adds TOPIC…, --count and --overflow. `verb`: what is done with messages, "Print".
void add_stream(CLI::App& command, stream_options& how, const std::string& verb);

/// The messages of some topics, until the count, the time or a signal ends them.
class message_stream {
  public:
    /// Lives no longer than the endpoint.
    static expected<message_stream> open(endpoint& node, const stream_options& how,
                                         const context& ctx);

    /// The next ones: none where nothing came for `wait`, false at the end.
    bool next(std::vector<message>& out, timespan wait = timespan::max());
    [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
    /// The exit code for what ended it, or messages that were dropped because the command is too
    /// slow. Says why.
    [[nodiscard]] exit_code outcome() const;
    [[nodiscard]] std::uint64_t dropped() const { return source_.dropped(); }
    /// Those that have come and that nobody has asked for yet.
    [[nodiscard]] std::size_t available() { return source_.available(); }
    void close() { source_.close(); }
    /// When --timeout ends it.
    [[nodiscard]] std::optional<std::chrono::steady_clock::time_point> deadline() const noexcept {
        return deadline_;
    }

  private:
    message_stream(subscriber source, std::uint64_t limit, const context& ctx);

    subscriber source_;
    std::uint64_t limit_;
    const context* ctx_;
    std::optional<std::chrono::steady_clock::time_point> deadline_;
    std::uint64_t count_ = 0;
};

}  // namespace bzmq::cli
