#pragma once

#include "bzmq/shared_bytes.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>

namespace bzmq::transport {

/// Blocks of one size that are used again and again, because fresh memory of that size costs page
/// faults at every frame. Thread-safe: take and dispose of blocks on any thread. Blocks may outlive
/// the pool; they are freed once it is gone.
class block_pool {
  public:
    /// Room for a 64 KiB frame, what its last record exceeds it by, and the encryption's overhead.
    static constexpr std::size_t default_block_bytes = std::size_t{80} * 1024;
    static constexpr std::size_t default_kept_max = 256;  ///< idle blocks, 20 MiB

    explicit block_pool(std::size_t block_bytes = default_block_bytes,
                        std::size_t kept_max = default_kept_max);
    ~block_pool();
    block_pool(const block_pool&) = delete;
    block_pool& operator=(const block_pool&) = delete;

    /// An uninitialised block of at least `capacity` bytes. One that is larger than the pool's size
    /// or much smaller comes from the heap.
    [[nodiscard]] block_ptr take(std::size_t capacity);

    [[nodiscard]] std::size_t idle() const;              ///< blocks waiting to be used again
    [[nodiscard]] std::uint64_t fresh() const noexcept;  ///< pool blocks made so far

  private:
    struct state;
    std::shared_ptr<state> state_;
};

}  // namespace bzmq::transport
