#include "output.hpp"

#include <nlohmann/json.hpp>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace bzmq::cli {
namespace {

constexpr std::size_t write_bytes = std::size_t{64} << 10;

bool plain_ascii(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

/// True for text without control characters that is UTF-8.
bool printable(std::string_view text) {
    if (plain_ascii(text)) {
        return true;
    }
    const auto control = [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; };
    // The JSON form tells, in one place, what is UTF-8.
    return std::none_of(text.begin(), text.end(), control)
           && to_json(data{text}).find("\"encoding\":\"base64\"") == std::string::npos;
}

}  // namespace

void line_output::end_line() {
    buffer_ += '\n';
    if (buffer_.size() >= write_bytes) {
        flush();
    }
}

void line_output::line(std::string_view text) {
    buffer_ += text;
    buffer_ += '\n';
    flush();
}

void line_output::flush() {
    std::string_view rest = buffer_;
    while (!rest.empty() && !failed_) {
        const auto written = ::write(STDOUT_FILENO, rest.data(), rest.size());
        if (written >= 0) {
            rest.remove_prefix(static_cast<std::size_t>(written));
        } else if (errno != EINTR) {
            failed_ = true;
            failure_ = failure_ == 0 ? errno : failure_;
        }
    }
    buffer_.clear();
}

exit_code line_output::outcome(exit_code code) {
    if (failure_ == 0 || failure_ == EPIPE) {
        return code;
    }
    return report(
        error{ec::cannot_write_file, std::string{"standard output: "} + std::strerror(failure_)});
}

void append_json_string(std::string& out, std::string_view text) {
    if (plain_ascii(text) && text.find_first_of("\"\\") == std::string_view::npos) {
        out += '"';
        out += text;
        out += '"';
        return;
    }
    out += nlohmann::json(std::string{text})
               .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void append_json_topic(std::string& out, std::string_view topic) {
    out += "\"topic\":";
    if (plain_ascii(topic)) {
        append_json_string(out, topic);
        return;
    }
    const auto form = nlohmann::json::parse(to_json(data{topic}));
    out += form["data"].dump();
    if (form.contains("encoding")) {
        out += ",\"topic_encoding\":\"base64\"";
    }
}

void append_text(std::string& out, const data& value) {
    if (const auto* text = get_if<std::string>(&value); text != nullptr && printable(*text)) {
        const auto back = parse_data(*text);
        if (back && is<std::string>(*back) && get<std::string>(*back) == *text) {
            out += *text;
            return;
        }
    }
    out += to_text(value);
}

void append_topic(std::string& out, std::string_view topic) {
    if (printable(topic) && topic.find_first_of(" \"") == std::string_view::npos) {
        out += topic;
    } else {
        out += to_text(data{topic});
    }
}

std::string short_id(const endpoint_id& id) {
    return to_string(id).substr(0, 8);
}

std::string label(const endpoint_id& id, std::string_view name) {
    return name.empty() ? short_id(id) : std::string{name};
}

}  // namespace bzmq::cli
