#pragma once

#include "bzmq/message.hpp"
#include "bzmq/zeek.hpp"

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
    /// An event of a message: topic, name and arguments; in JSON the message that has only this
    /// event, with its name and arguments beside. Not for bytes.
    void append(std::string& line, const message& what, const zeek::event& one);

  private:
    /// Without the end of the object.
    void append_json(std::string& line, const message& what, const data& value);

    value_format format_;
    endpoint_id origin_;
    std::string origin_text_;
};

}  // namespace bzmq::cli
