#pragma once

#include "bzmq/data.hpp"
#include "bzmq/error.hpp"

#include <string>
#include <string_view>

namespace bzmq::cli {

struct read_message_result {
    std::string topic;
    data value;
};

/// Reads a message as `sub --json` prints it: an object with "topic" and "data", whatever else is in
/// it; the data may also be JSON without types, as `read_value` takes it. Fails with
/// `ec::invalid_json`.
expected<read_message_result> read_message(std::string_view line);

/// Reads a value in JSON: the "data" of an object that `request --json`, `sub --json` and
/// `serve --json` print, or a value as `read_value` takes it. An object with an "error" instead is
/// that error. Fails with `ec::invalid_json`.
expected<data> read_answer(std::string_view line);

}  // namespace bzmq::cli
