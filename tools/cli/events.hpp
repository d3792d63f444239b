#pragma once

#include "bzmq/endpoint.hpp"
#include "bzmq/status_subscriber.hpp"

#include "output.hpp"

#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>

/// What `node` and `gateway`, which run until they are told to stop, have in common.
namespace bzmq::cli {

/// One line about what happened: its fields' values, or JSON with the names that docs/cli.md lists.
class event_line {
  public:
    explicit event_line(bool json) : json_(json) {}
    event_line& field(std::string_view name, std::string_view value);
    [[nodiscard]] std::string finish() const { return json_ ? "{" + text_ + "}" : text_; }

  private:
    bool json_;
    std::string text_;
};

/// Prints what happens at endpoints, from any thread.
class event_printer {
  public:
    /// `with_domain`: each line begins with the domain of the endpoint that it is about.
    event_printer(bool json, bool with_domain) : json_(json), with_domain_(with_domain) {}

    /// Where it listens, and who it is.
    void announce(const endpoint& node);
    /// A store of the endpoint's: its role is "master" or "clone".
    void announce(const endpoint& node, const store& which, std::string_view role);
    /// All news, until the endpoint has shut down; and its numbers and those of its `stores`, once
    /// in each `interval`.
    void follow(const endpoint& node, status_subscriber& statuses,
                std::optional<timespan> interval = {}, std::span<const store> stores = {});
    void stopped();

  private:
    [[nodiscard]] event_line begin(const endpoint& node) const;
    void print(const event_line& line) { print(line.finish()); }
    void print(const std::string& line);

    bool json_;
    bool with_domain_;
    std::mutex mutex_;
    line_output out_;
};

}  // namespace bzmq::cli
