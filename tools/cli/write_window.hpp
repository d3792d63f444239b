#pragma once

#include "bzmq/store.hpp"

#include <cstdint>
#include <deque>
#include <functional>
#include <string>

namespace bzmq::cli {

/// Writes on their way to a master: as many as keep it busy, and not more. Outcomes come in the
/// order of the writes.
class write_window {
  public:
    /// Each outcome is waited for at most `timeout` long.
    explicit write_window(timespan timeout) : timeout_(timeout) {}

    /// Takes a write of `bytes`, which says where it came from in `where`. Waits for the oldest
    /// ones where there is no room. Fails with the first failure of any, named.
    expected<void> add(store_write write, std::size_t bytes, std::uint64_t records,
                       std::string where);
    /// Waits for all of them.
    expected<void> drain();
    /// Records of writes that succeeded.
    [[nodiscard]] std::uint64_t done() const noexcept { return done_; }

  private:
    struct pending {
        store_write write;
        std::size_t bytes = 0;
        std::uint64_t records = 0;
        std::string where;
    };
    expected<void> wait_for_oldest();

    static constexpr std::size_t writes_max = 1'024;
    static constexpr std::size_t bytes_max = std::size_t{16} << 20;

    timespan timeout_;
    std::deque<pending> pending_;
    std::size_t bytes_ = 0;
    std::uint64_t done_ = 0;
};

}  // namespace bzmq::cli
