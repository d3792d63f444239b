#pragma once

#include "bzmq/status_subscriber.hpp"

#include <string>
#include <thread>
#include <vector>

namespace bzmq::cli {

/// Tells on standard error of peers that a command has dialled and lost, and of those that are
/// back, while the command goes on.
class peer_watch {
  public:
    /// Watches the peers at `urls` until their endpoint has shut down, which has to be before the
    /// watch ends.
    void follow(status_subscriber statuses, std::vector<std::string> urls);

  private:
    std::vector<std::jthread> threads_;
};

}  // namespace bzmq::cli
