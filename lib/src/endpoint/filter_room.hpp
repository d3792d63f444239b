#pragma once

#include <string>
#include <vector>

#include "bzmq/error.hpp"

namespace bzmq {

/// Adds up what an endpoint subscribes to, and tells whether it fits the one record in which others
/// learn of it (docs/protocol.md, overlay/limits.hpp). Keeps references to what was added.
class filter_room {
  public:
    void add(const std::vector<std::string>& prefixes) { subscribed_.push_back(&prefixes); }
    /// What a gateway takes for another domain counts apart.
    void add_bridge(const std::vector<std::string>& prefixes) { bridged_.push_back(&prefixes); }

    /// `invalid_topic` where it does not fit; the message names limit and value.
    [[nodiscard]] error check() const;

  private:
    std::vector<const std::vector<std::string>*> subscribed_;
    std::vector<const std::vector<std::string>*> bridged_;
};

}  // namespace bzmq
