#pragma once

#include "bzmq/configuration.hpp"
#include "bzmq/endpoint.hpp"
#include "bzmq/error.hpp"
#include "bzmq/status.hpp"

#include <string>
#include <string_view>
#include <vector>

/// What `node` and `gateway`, which run until they are told to stop, have in common.
namespace bzmq::cli {

/// One line about what happened: its fields' values, or JSON with the names that docs/cli.md lists.
class event_line {
  public:
    explicit event_line(bool json) : json_(json) {}
    /// The first field is the event or, where it can be either's, the domain.
    event_line& field(std::string_view name, std::string_view value);
    [[nodiscard]] std::string finish() const { return json_ ? "{" + text_ + "}" : text_; }

  private:
    bool json_;
    std::string text_;
};

/// Adds what a status or an error says.
event_line describe(event_line line, const status_variant& news);

/// Dials all of them, for as long as they say; does not wait.
expected<void> start_peerings(endpoint& node, const std::vector<peer_options>& peers);

}  // namespace bzmq::cli
