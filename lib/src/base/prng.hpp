#pragma once

#include <cstdint>

namespace bzmq {

/// A small deterministic generator (SplitMix64, Steele et al. 2014): same seed, same stream, on
/// every machine. For jitter and simulation, never for keys.
class prng {
  public:
    explicit constexpr prng(std::uint64_t seed) noexcept : state_(seed) {}

    constexpr std::uint64_t next() noexcept {
        std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
        return z ^ (z >> 31);
    }
    /// Uniform in [0, bound); `bound` must be positive.
    constexpr std::uint64_t below(std::uint64_t bound) noexcept { return next() % bound; }
    /// True `numerator` times in `denominator`.
    constexpr bool chance(std::uint64_t numerator, std::uint64_t denominator) noexcept {
        return below(denominator) < numerator;
    }

  private:
    std::uint64_t state_;
};

}  // namespace bzmq
