#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace bzmq::cli {

/// One line on standard error that shows how far something is; nothing where that is no terminal.
class progress_bar {
  public:
    progress_bar();
    ~progress_bar() { clear(); }
    progress_bar(const progress_bar&) = delete;
    progress_bar& operator=(const progress_bar&) = delete;

    /// Draws at most some times a second. A `total` of 0 is unknown.
    void show(std::string_view label, std::uint64_t done, std::uint64_t total,
              std::uint64_t records);
    /// Where there is nothing to count.
    void show(std::string_view label, std::uint64_t done, std::uint64_t total);
    void clear();

  private:
    bool due();
    static std::string bar(std::uint64_t done, std::uint64_t total);

    bool terminal_;
    bool drawn_ = false;
    std::chrono::steady_clock::time_point next_;
};

}  // namespace bzmq::cli
