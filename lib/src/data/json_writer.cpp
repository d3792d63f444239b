#include "bzmq/data.hpp"

#include "data/base64.hpp"
#include "data/text.hpp"

#include <charconv>
#include <cmath>

namespace bzmq {
namespace {

class json_writer {
  public:
    explicit json_writer(std::string& out) : out_(out) {}

    void write(const data& value) {
        out_ += R"({"@data-type":")";
        out_ += to_string(value.get_type());
        out_ += '"';
        visit([this](const auto& held) { put(held); }, value);
        out_ += '}';
    }

  private:
    void begin_data() { out_ += R"(,"data":)"; }

    void put(none) {
        begin_data();
        out_ += "{}";
    }
    void put(boolean value) {
        begin_data();
        out_ += value ? "true" : "false";
    }
    void put(count value) { put_number(value); }
    void put(integer value) { put_number(value); }
    void put(real value) {
        begin_data();
        // JSON has no number for the others.
        const char* quote = std::isfinite(value) ? "" : "\"";
        out_ += quote;
        append_real(out_, value);
        out_ += quote;
    }
    void put(const std::string& value) { put_bytes(value); }
    void put(const enum_value& value) { put_bytes(value.name()); }
    void put(const set& values) { put_list(values); }
    void put(const vector& values) { put_list(values); }
    void put(const table& values) {
        begin_data();
        out_ += '[';
        const char* separator = "";
        for (const auto& [key, mapped] : values) {
            out_ += separator;
            out_ += R"({"key":)";
            write(key);
            out_ += R"(,"value":)";
            write(mapped);
            out_ += '}';
            separator = ",";
        }
        out_ += ']';
    }
    /// address, subnet, port, timestamp, timespan: their text needs no escapes.
    template <class T>
    void put(const T& value) {
        begin_data();
        out_ += '"';
        out_ += to_string(value);
        out_ += '"';
    }

    template <class T>
    void put_number(T value) {
        begin_data();
        char raw[24];
        out_.append(raw, std::to_chars(raw, raw + sizeof raw, value).ptr);
    }
    template <class list>
    void put_list(const list& values) {
        begin_data();
        out_ += '[';
        const char* separator = "";
        for (const auto& value : values) {
            out_ += separator;
            write(value);
            separator = ",";
        }
        out_ += ']';
    }
    void put_bytes(std::string_view bytes) {
        if (is_utf8(bytes)) {
            begin_data();
            put_escaped(bytes);
        } else {
            out_ += R"(,"encoding":"base64")";
            begin_data();
            put_escaped(to_base64(bytes));
        }
    }
    void put_escaped(std::string_view text) {
        static constexpr char digits[] = "0123456789abcdef";
        out_ += '"';
        for (const char c : text) {
            switch (c) {
                case '"':
                    out_ += "\\\"";
                    break;
                case '\\':
                    out_ += "\\\\";
                    break;
                case '\b':
                    out_ += "\\b";
                    break;
                case '\f':
                    out_ += "\\f";
                    break;
                case '\n':
                    out_ += "\\n";
                    break;
                case '\r':
                    out_ += "\\r";
                    break;
                case '\t':
                    out_ += "\\t";
                    break;
                default: {
                    const auto byte = static_cast<unsigned char>(c);
                    if (byte < 0x20 || byte == 0x7f) {
                        out_ += "\\u00";
                        out_ += digits[byte >> 4];
                        out_ += digits[byte & 15];
                    } else {
                        out_ += c;
                    }
                }
            }
        }
        out_ += '"';
    }

    std::string& out_;
};

}  // namespace

std::string to_json(const data& value) {
    std::string out;
    json_writer{out}.write(value);
    return out;
}

}  // namespace bzmq
