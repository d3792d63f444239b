#pragma once

#include "base/prng.hpp"
#include "base/time.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

/// Draws that the simulator makes, in integers only, so that a seed means the same on each machine.
namespace bzmq::sim {

/// A stream of its own: what one part draws does not shift what the others see.
inline prng fork(prng& from) {
    return prng{from.next()};
}

/// Uniform in [low, high].
inline std::uint64_t between(prng& random, std::uint64_t low, std::uint64_t high) {
    return low + random.below(high - low + 1);
}
inline std::chrono::nanoseconds between(prng& random, std::chrono::nanoseconds low,
                                        std::chrono::nanoseconds high) {
    return std::chrono::nanoseconds{
        static_cast<std::int64_t>(between(random, static_cast<std::uint64_t>(low.count()),
                                          static_cast<std::uint64_t>(high.count())))};
}

/// Each equally likely.
template <class T, std::size_t n>
T one_of(prng& random, const T (&from)[n]) {
    return from[random.below(n)];
}

/// An index, each as likely as its weight says; nothing, and no draw, where all are 0.
template <std::size_t n>
std::optional<unsigned> weighted(prng& random, const unsigned (&weights)[n]) {
    unsigned sum = 0;
    for (const auto weight : weights) {
        sum += weight;
    }
    if (sum == 0) {
        return std::nullopt;
    }
    auto pick = random.below(sum);
    unsigned kind = 0;
    while (pick >= weights[kind]) {
        pick -= weights[kind++];
    }
    return kind;
}

/// True with probability `parts` in 10,000.
inline bool chance(prng& random, unsigned parts) {
    return random.chance(parts, 10'000);
}

/// At least `low`, on average `mean`: mostly near it, now and then ten times as long.
inline std::chrono::nanoseconds delay(prng& random, std::chrono::nanoseconds low,
                                      std::chrono::nanoseconds mean) {
    const auto spread = 2 * (mean - low);
    auto out = low + between(random, std::chrono::nanoseconds{0}, spread);
    if (chance(random, 50)) {
        out += 10 * spread;
    }
    return out;
}

}  // namespace bzmq::sim
