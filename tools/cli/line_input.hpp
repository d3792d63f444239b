#pragma once

#include "bzmq/error.hpp"

#include "interrupt.hpp"

#include <string>
#include <string_view>

namespace bzmq::cli {

/// Standard input, line by line, until its end or a signal.
class line_input {
  public:
    explicit line_input(const interrupt& stop) : stop_(stop) {}

    /// The next line without its end, valid until the next call; false at the end. The last line
    /// may lack its end. Fails with `ec::invalid_data` where a line is longer than 64 MiB, with
    /// `ec::cancelled` on a signal.
    expected<bool> next(std::string_view& line);

  private:
    expected<void> fill();

    const interrupt& stop_;
    std::string buffer_;
    std::size_t begin_ = 0;
    std::size_t searched_ = 0;
    bool at_end_ = false;
};

}  // namespace bzmq::cli
