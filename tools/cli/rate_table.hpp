#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bzmq::cli {

struct traffic {
    std::uint64_t messages = 0;
    std::uint64_t bytes = 0;  ///< of payload
};

/// What came, by some key: in this interval, and in all. Bounded: once there are `keys_max`, what is
/// new is counted under `others`.
class rate_table {
  public:
    static constexpr std::size_t keys_max = 10'000;
    static constexpr std::string_view others = "(others)";

    struct row {
        std::string key;
        traffic now;
        traffic all;
    };

    void count(std::string_view key, std::uint64_t bytes);
    /// All rows, those with the most messages in this interval first, then those with the most in
    /// all; the next interval begins.
    std::vector<row> turn();

  private:
    std::map<std::string, std::pair<traffic, traffic>, std::less<>> rows_;
};

}  // namespace bzmq::cli
