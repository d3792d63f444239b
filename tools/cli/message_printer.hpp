#pragma once

#include "bzmq/message.hpp"

#include "output.hpp"
#include "value_format.hpp"

#include <string>

namespace bzmq::cli {

/// Writes messages, one a line: topic and value; the value's bytes alone; or JSON.
class message_printer {
  public:
    explicit message_printer(value_format format) : format_(format) {}

    void print(line_output& out, const message& what);
    /// The same, without the line's end.
    void append(std::string& line, const message& what);

  private:
    void append_json(std::string& line, const message& what);

    value_format format_;
    endpoint_id origin_;
    std::string origin_text_;
};

}  // namespace bzmq::cli
