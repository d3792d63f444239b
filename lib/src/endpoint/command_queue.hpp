#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

#include "bzmq/error.hpp"
#include "endpoint/write_state.hpp"

namespace bzmq {

/// Commands for one store, on their way from any thread to the core's. Bounded.
class command_queue {
  public:
    struct head {
        std::size_t size = 0;
        write_state* state = nullptr;
        std::uint64_t number = 0;
    };
    struct commands {
        std::vector<std::byte> bytes;
        std::vector<head> heads;
        [[nodiscard]] bool empty() const noexcept { return heads.empty(); }
    };

    // -- Any thread -------------------------------------------------------------------------------

    /// Adds a reference to `state` where it succeeds, for whoever takes it. Waits for room, if it may. `first`: the
    /// queue was empty, and the core should be told.
    error push(std::span<const std::byte> command, write_state* state, bool may_wait,
               std::uint64_t& number, bool& first);
    /// Commands so far.
    [[nodiscard]] std::uint64_t submitted() const noexcept { return submitted_; }
    [[nodiscard]] bool empty() const;

    // -- The core's thread ------------------------------------------------------------------------

    /// Swaps what waits into `into`, which must be empty. It counts until it is released.
    void take(commands& into);
    void release(std::size_t commands, std::size_t bytes);
    /// Nothing gets in any more; whoever waits for room gets `why`.
    void close(error why);

  private:
    static constexpr std::size_t bytes_max = std::size_t{16} << 20;
    [[nodiscard]] static std::size_t cost(std::size_t commands, std::size_t bytes) noexcept {
        return commands * sizeof(head) + bytes;
    }

    mutable std::mutex mutex_;
    std::condition_variable room_;
    unsigned waiting_for_room_ = 0;
    commands waiting_;
    std::size_t cost_ = 0;
    std::atomic<std::uint64_t> submitted_{0};
    error closed_;
};

}  // namespace bzmq
