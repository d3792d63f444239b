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
            append_json(line, what);
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

void message_printer::append_json(std::string& line, const message& what) {
    if (what.origin() != origin_ || origin_text_.empty()) {
        origin_ = what.origin();
        origin_text_ = to_string(origin_);
    }
    line += '{';
    append_json_topic(line, what.topic());
    line += ",\"data\":";
    line += to_json(what.value());
    fmt::format_to(std::back_inserter(line),
                   ",\"origin\":\"{}\",\"hops\":{},\"sent_at\":\"{}\",\"mode\":\"{}\"}}",
                   origin_text_, what.hops(), to_string(what.sent_at()),
                   what.mode() == delivery_mode::reliable ? "reliable" : "best_effort");
}

}  // namespace bzmq::cli
