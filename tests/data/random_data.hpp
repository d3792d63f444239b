#pragma once

#include "bzmq/data.hpp"

#include "base/prng.hpp"

#include <bit>
#include <limits>
#include <string>

namespace bzmq {

/// For failure messages of GoogleTest.
inline void PrintTo(const data& value, std::ostream* out) {
    *out << to_text(value);
}

namespace test {

/// Values from a seed, with a liking for the edges of every type.
class random_data {
  public:
    explicit random_data(std::uint64_t seed) : random_(seed) {}

    data next(std::size_t depth = 3) {
        switch (random_.below(depth == 0 ? 12 : 15)) {
            case 0:
                return nil;
            case 1:
                return random_.chance(1, 2);
            case 2:
                return number();
            case 3:
                return static_cast<integer>(number());
            case 4:
                return next_real();
            case 5:
                return bytes();
            case 6:
                return next_address();
            case 7:
                return next_subnet();
            case 8:
                return port{static_cast<std::uint16_t>(number()),
                            static_cast<port::protocol>(random_.below(4))};
            case 9:
                return timestamp{timespan{static_cast<std::int64_t>(time_number())}};
            case 10:
                return timespan{static_cast<std::int64_t>(time_number())};
            case 11:
                return enum_value{bytes()};
            case 12: {
                set values;
                for (auto n = random_.below(20); n > 0; --n) {
                    values.insert(next(depth - 1));
                }
                return values;
            }
            case 13: {
                table values;
                for (auto n = random_.below(20); n > 0; --n) {
                    values.emplace(next(depth - 1), next(depth - 1));
                }
                return values;
            }
            default: {
                vector values;
                for (auto n = random_.below(20); n > 0; --n) {
                    values.push_back(next(depth - 1));
                }
                return values;
            }
        }
    }

    prng& random() { return random_; }

  private:
    std::uint64_t number() {
        const auto edge = std::uint64_t{1} << random_.below(64);
        switch (random_.below(5)) {
            case 0:
                return edge;
            case 1:
                return edge - 1;
            case 2:
                return 0 - edge;
            case 3:
                return random_.below(300);
            default:
                return random_.next();
        }
    }
    std::uint64_t time_number() {
        constexpr std::uint64_t units[]{1, 1000, 1'000'000, 1'000'000'000, 60'000'000'000};
        return random_.chance(1, 2) ? number() : random_.below(100'000) * units[random_.below(5)];
    }
    real next_real() {
        constexpr auto infinity = std::numeric_limits<real>::infinity();
        constexpr real edges[]{0.0,   -0.0,     1.0,       -1.0,
                               0.1,   infinity, -infinity, 5e-324,
                               1e308, 1e-7,     1e21,      std::numeric_limits<real>::quiet_NaN()};
        switch (random_.below(3)) {
            case 0:
                return edges[random_.below(std::size(edges))];
            case 1:
                return static_cast<real>(random_.below(1'000'000)) / 100;
            default:
                return std::bit_cast<real>(random_.next());
        }
    }
    std::string bytes() {
        constexpr std::string_view words[]{"",      "T",   "nil", "80/tcp",  "a, b", "3",
                                           "\"q\"", "\\x", "ü€😀", "1.2.3.4", "{",    "->",
                                           "\n\t",  "(",   "inf", "int(3)",  " ",    "5s"};
        if (random_.chance(1, 2)) {
            return std::string{words[random_.below(std::size(words))]};
        }
        constexpr std::size_t lengths[]{1, 2, 4, 8, 16, 17, 31, 255, 256, 300};
        std::string out(lengths[random_.below(std::size(lengths))], '\0');
        const bool printable = random_.chance(1, 2);
        for (auto& c : out) {
            c = static_cast<char>(printable ? ' ' + random_.below(95) : random_.below(256));
        }
        return out;
    }
    address next_address() {
        if (random_.chance(1, 2)) {
            const auto bits = static_cast<std::uint32_t>(random_.next());
            return address{std::bit_cast<address::v4_bytes_type>(bits)};
        }
        const std::uint64_t halves[]{random_.chance(1, 3) ? 0 : random_.next(), random_.next()};
        return address{std::bit_cast<address::bytes_type>(halves)};
    }
    subnet next_subnet() {
        const auto network = next_address();
        return *subnet::from_v6(network, static_cast<unsigned>(random_.below(129)));
    }

    prng random_;
};

}  // namespace test
}  // namespace bzmq
