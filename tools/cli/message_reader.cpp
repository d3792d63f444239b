#include "message_reader.hpp"

#include "value_format.hpp"
#include <nlohmann/json.hpp>

namespace bzmq::cli {
namespace {

/// What `append_json_topic` wrote.
expected<std::string> read_topic(const nlohmann::json& message) {
    const auto topic = message.find("topic");
    if (topic == message.end() || !topic->is_string()) {
        return fail(ec::invalid_json, "no \"topic\" that is a string");
    }
    if (!message.contains("topic_encoding")) {
        return topic->get<std::string>();
    }
    const auto text = from_json(nlohmann::json{{"@data-type", "string"},
                                               {"data", *topic},
                                               {"encoding", message["topic_encoding"]}}
                                    .dump());
    if (!text) {
        return tl::unexpected{text.error()};
    }
    return get<std::string>(*text);
}

}  // namespace

expected<read_message_result> read_message(std::string_view line) {
    const auto message = nlohmann::json::parse(line, nullptr, false);
    if (!message.is_object() || !message.contains("data")) {
        return fail(ec::invalid_json,
                    R"(expected a message as `sub --json` prints it: {"topic":...,"data":...})");
    }
    auto topic = read_topic(message);
    if (!topic) {
        return tl::unexpected{topic.error()};
    }
    auto value = read_value(message["data"].dump(), value_format::json);
    if (!value) {
        return tl::unexpected{value.error()};
    }
    return read_message_result{std::move(*topic), std::move(*value)};
}

expected<data> read_answer(std::string_view line) {
    const auto json = nlohmann::json::parse(line, nullptr, false);
    // The typed form of a value has a "data" of its own.
    if (!json.is_object() || json.contains("@data-type")) {
        return read_value(line, value_format::json);
    }
    if (const auto failure = json.find("error"); failure != json.end() && failure->is_string()) {
        const auto code = ec_from_string(failure->get<std::string>());
        const auto text = json.find("message");
        return fail(code == ec::none ? ec::unspecified : code,
                    text != json.end() && text->is_string() ? text->get<std::string>()
                                                            : std::string{});
    }
    const auto found = json.find("data");
    return found == json.end() ? read_value(line, value_format::json)
                               : read_value(found->dump(), value_format::json);
}

}  // namespace bzmq::cli
