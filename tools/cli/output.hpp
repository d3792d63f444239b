#pragma once

#include "bzmq/data.hpp"
#include "bzmq/endpoint_id.hpp"

#include "exit_code.hpp"

#include <string>
#include <string_view>

namespace bzmq::cli {

/// Standard output, buffered. Once writing has failed, for instance because the reader is gone,
/// everything more is dropped. A process has one: what went wrong with it, whoever wrote, is told at
/// its end by `outcome`.
class line_output {
  public:
    line_output() = default;
    ~line_output() { flush(); }
    line_output(const line_output&) = delete;
    line_output& operator=(const line_output&) = delete;

    /// The buffer, to append to. Call `end_line` or `flush` now and then.
    std::string& buffer() noexcept { return buffer_; }
    void end_line();
    /// Writes `text` and a line end, at once.
    void line(std::string_view text);
    void flush();
    [[nodiscard]] bool good() const noexcept { return !failed_; }

    /// How the process ends whose command came to `code`: a failure, which is told, where output was
    /// lost, other than to a reader that left. Of one that left the commands themselves tell.
    static exit_code outcome(exit_code code);

  private:
    static inline int failure_ = 0;  // errno of the first write of all that failed.

    std::string buffer_;
    bool failed_ = false;
};

/// Appends `text` as a JSON string; bytes that are not UTF-8 become U+FFFD.
void append_json_string(std::string& out, std::string_view text);
/// Appends the fields `"topic":…`, and `"topic_encoding":"base64"` where the topic is not UTF-8.
void append_json_topic(std::string& out, std::string_view topic);

/// A value for one line of text: a string as it is where `parse_data` would read it back as that
/// string and no control character is in it, else the exact text form (`to_text`).
void append_text(std::string& out, const data& value);
/// A topic likewise; quoted where it has a space in it.
void append_topic(std::string& out, std::string_view topic);

/// The first eight digits of an id.
std::string short_id(const endpoint_id& id);
/// "name", or the short id where it has none.
std::string label(const endpoint_id& id, std::string_view name);

}  // namespace bzmq::cli
