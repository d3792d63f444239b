#pragma once

#include "bzmq/export.hpp"
#include "bzmq/fwd.hpp"
#include "bzmq/status.hpp"
#include "bzmq/time.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace bzmq {

/// Receives what happens in the overlay and, always, errors. What happened before it was made is
/// not repeated. Thread-safe; may outlive its endpoint. Its queue holds 65,536 entries; of more the
/// oldest are given up and counted.
class BZMQ_EXPORT status_subscriber {
  public:
    status_subscriber();
    ~status_subscriber();
    status_subscriber(status_subscriber&& other) noexcept;
    status_subscriber& operator=(status_subscriber&& other) noexcept;
    status_subscriber(const status_subscriber&) = delete;
    status_subscriber& operator=(const status_subscriber&) = delete;

    /// Waits for the next one. Once the endpoint has shut down and nothing is left, it is the error
    /// `ec::shutting_down`, at once and every time.
    [[nodiscard]] status_variant get();
    /// The same, at most `timeout` long; nothing where none came, or at the end.
    [[nodiscard]] std::optional<status_variant> get(timespan timeout);
    /// Waits until there are `count`. Fewer mean that the endpoint has shut down.
    [[nodiscard]] std::vector<status_variant> get(std::size_t count);
    [[nodiscard]] std::vector<status_variant> get(std::size_t count, timespan timeout);
    /// All that are there now.
    [[nodiscard]] std::vector<status_variant> poll();
    [[nodiscard]] std::size_t available() const;
    /// Readable while something waits, and for good once the endpoint has shut down.
    [[nodiscard]] int fd();
    [[nodiscard]] std::uint64_t dropped() const;

  private:
    friend class endpoint;
    struct state;
    explicit status_subscriber(std::unique_ptr<state> own);
    [[nodiscard]] bool usable() const;
    std::unique_ptr<state> state_;
};

}  // namespace bzmq
