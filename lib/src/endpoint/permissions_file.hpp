#pragma once

#include "bzmq/error.hpp"

#include "node/permissions.hpp"
#include "transport/file_watch.hpp"

#include <string>
#include <string_view>
#include <utility>

namespace bzmq {

/// What the document of a permissions file says (docs/configuration.md, "Permissions"), or
/// `invalid_configuration` naming the place and what was expected there.
expected<node::permissions> parse_permissions(std::string_view document,
                                              std::string_view file_name);

/// The file that the option `permissions` names.
class permissions_file {
  public:
    /// `cannot_open_file`, or as `parse_permissions`.
    static expected<permissions_file> load(std::string path);

    [[nodiscard]] const node::permissions& rules() const noexcept { return rules_; }

    /// Reads the file again where it changed (one stat). True where the rules did. On an error they
    /// stay as they were, and the next call tries again.
    expected<bool> reload_if_changed();

  private:
    explicit permissions_file(std::string path) : watch_(std::move(path)) {}

    transport::file_watch watch_;
    node::permissions rules_;
};

}  // namespace bzmq
