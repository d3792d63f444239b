#pragma once

#include "transport/url.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace bzmq::transport {

/// Resolves names beside the core thread, which a slow name server must not stop. Each question
/// has a short-lived thread of its own; one that outlives the resolver ends by itself.
class resolver {
  public:
    struct answer {
        std::uint64_t id = 0;
        std::vector<url> addresses;  ///< empty: the name is unknown
    };

    /// `on_answer` is called on another thread whenever an answer waits; never after destruction.
    explicit resolver(std::function<void()> on_answer);
    ~resolver();
    resolver(const resolver&) = delete;
    resolver& operator=(const resolver&) = delete;

    /// False where the system has no thread for it.
    bool ask(std::uint64_t id, const url& named);
    std::optional<answer> next();

  private:
    struct state;
    std::shared_ptr<state> state_;
};

}  // namespace bzmq::transport
