#include "message_printer.hpp"

#include "bzmq/data.hpp"

#include <fmt/format.h>

#include <iterator>

namespace bzmq::cli {

void message_printer::print(line_output& out, const message& what) {
    append(out.buffer(), what);
    out.end_line();
}

void message_printer::append(std::string& line, const message& what) {
    switch (format_) {
        case value_format::json:
            append_json(line, what, what.value());
            line += '}';
            break;
        case value_format::bytes:
            append_value(line, what.value(), format_);
            break;
        default:
            append_topic(line, what.topic());
            line += ' ';
            append_text(line, what.value());
    }
}

void message_printer::append(std::string& line, const message& what, const zeek::event& one) {
    if (format_ != value_format::json) {
        append_topic(line, what.topic());
        line += ' ';
        append_topic(line, one.name);
        line += ' ';
        append_text(line, one.args);
        return;
    }
    append_json(line, what, zeek::to_data(one));
    line += ",\"event\":";
    append_json_string(line, one.name);
    line += ",\"args\":[";
    for (std::size_t i = 0; i < one.args.size(); ++i) {
        line += i > 0 ? "," : "";
        line += to_json(one.args[i]);
    }
    line += "]}";
}

void message_printer::append_json(std::string& line, const message& what, const data& value) {
    if (what.origin() != origin_ || origin_text_.empty()) {
        origin_ = what.origin();
        origin_text_ = to_string(origin_);
    }
    line += '{';
    append_json_topic(line, what.topic());
    line += ",\"data\":";
    line += to_json(value);
    fmt::format_to(std::back_inserter(line),
                   ",\"origin\":\"{}\",\"hops\":{},\"sent_at\":\"{}\",\"mode\":\"{}\"",
                   origin_text_, what.hops(), to_string(what.sent_at()),
                   what.mode() == delivery_mode::reliable ? "reliable" : "best_effort");
}

}  // namespace bzmq::cli
