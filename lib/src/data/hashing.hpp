#pragma once

#include <cstddef>
#include <cstdint>

namespace bzmq {

/// Folds `value` into `seed`; the order of calls counts.
inline std::uint64_t mix(std::uint64_t seed, std::uint64_t value) noexcept {
    std::uint64_t z = ((seed + 1) * 0x9e3779b97f4a7c15ULL) ^ value;
    z = (z ^ (z >> 32)) * 0xd6e8feb86659fd93ULL;
    return z ^ (z >> 29);
}

}  // namespace bzmq
