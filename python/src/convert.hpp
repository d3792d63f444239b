#pragma once

#include "bzmq/data.hpp"
#include "bzmq/endpoint_id.hpp"
#include "bzmq/message.hpp"

#include <pybind11/pybind11.h>

#include <optional>
#include <string>
#include <string_view>

/// Values between Python and bzmq. docs/python.md has the table of types.
namespace bzmq::python {

namespace py = pybind11;

/// What sets, tables and vectors become. Elements of sets and keys are frozen in any case, since
/// Python wants them hashable.
enum class form {
    usual,   ///< set, dict, tuple
    frozen,  ///< frozenset, frozendict, tuple
    bytes,   ///< as `usual`, but strings, and the topics of messages, are bytes
    raw,     ///< of messages: the payload as it is, bytes that nothing decodes
};

/// Throws what Python shall raise: TypeError for what has no counterpart, OverflowError for numbers
/// out of range, `Error(EC.InvalidData)` for what is nested too deep.
data to_data(py::handle value);
py::object to_python(const data& value, form how = form::usual);

/// Text of a topic or a name: str (lone surrogates stand for bytes that are not UTF-8), bytes, or
/// an object that converts to str.
std::string to_name(py::handle value);
/// A path: str, bytes or an os.PathLike.
std::string to_path(py::handle value);
py::object name_to_python(std::string_view name);

/// A str (or, with `form::bytes`, bytes); a str that is not UTF-8 becomes bytes.
py::object text_to_python(std::string_view text, form how);

/// Seconds (a number), a timedelta, or None for no limit.
std::optional<timespan> to_timespan(py::handle value);
py::object timespan_to_python(timespan value);
py::object timestamp_to_python(timestamp value);

std::string to_text(const endpoint_id& id);
/// Takes the text form; throws ValueError.
endpoint_id to_id(std::string_view text);

/// Makes Python's messages. Remembers what the last message had, as messages of one batch share it.
class message_maker {
  public:
    explicit message_maker(form how) : how_(how) {}
    py::object make(const message& from);

    /// The tuple type `Message`: (topic, value), and by name also origin, hops, sent_at, reliable.
    static py::object type();

  private:
    [[nodiscard]] py::object value_of(const message& from) const;

    form how_;
    std::string topic_text_;
    endpoint_id origin_;
    timestamp sent_at_{timestamp::min()};
    py::object topic_, origin_text_, sent_time_;
};

}  // namespace bzmq::python
