#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace bzmq::storage {

/// CRC-32C (Castagnoli; RFC 3720, B.4) of `bytes`, or of what a former call has seen and `bytes`
/// behind it. Finds damage, not forgery.
[[nodiscard]] std::uint32_t crc32c(std::span<const std::byte> bytes,
                                   std::uint32_t before = 0) noexcept;

/// The same in portable code; `crc32c` takes it where the processor has no instruction for it.
[[nodiscard]] std::uint32_t crc32c_portable(std::span<const std::byte> bytes,
                                            std::uint32_t before = 0) noexcept;

}  // namespace bzmq::storage
