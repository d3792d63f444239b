#pragma once

#include "bzmq/error.hpp"

#include "interrupt.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace bzmq::cli {

/// Standard input or an open file, line by line, until its end or a signal.
class line_input {
  public:
    explicit line_input(const interrupt& stop, int fd = 0, std::string name = "standard input")
        : stop_(stop), fd_(fd), name_(std::move(name)) {}

    /// The next line without its end, valid until the next call; false at the end. The last line
    /// may lack its end. Fails with `ec::invalid_data` where a line is longer than 64 MiB, with
    /// `ec::cancelled` on a signal.
    expected<bool> next(std::string_view& line);
    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    /// Of all lines so far.
    [[nodiscard]] std::uint64_t bytes_consumed() const noexcept { return dropped_ + begin_; }

  private:
    expected<void> fill();

    const interrupt& stop_;
    const int fd_;
    const std::string name_;
    std::string buffer_;
    std::uint64_t dropped_ = 0;
    std::size_t begin_ = 0;
    std::size_t searched_ = 0;
    bool at_end_ = false;
};

}  // namespace bzmq::cli
