#include "data/text.hpp"

#include "bzmq/data.hpp"

#include <charconv>
#include <cmath>

namespace bzmq {
namespace {

enum class style { people, programs };

/// Writes values as text. `people`: strings stand as they are. `programs`: what parse_data reads.
class text_writer {
  public:
    text_writer(std::string& out, style how) : out_(out), exact_(how == style::programs) {}

    void write(const data& value) {
        visit([this](const auto& held) { put(held); }, value);
    }

    void put(none) { out_ += "nil"; }
    void put(boolean value) { out_ += value ? 'T' : 'F'; }
    void put(count value) { put_number(value); }
    void put(integer value) {
        // A number without a sign would read as a count.
        const bool wrap = exact_ && value >= 0;
        out_ += wrap ? "int(" : "";
        put_number(value);
        out_ += wrap ? ")" : "";
    }
    void put(real value) { append_real(out_, value); }
    void put(const std::string& value) {
        if (exact_) {
            put_quoted(value);
        } else {
            out_ += value;
        }
    }
    void put(const enum_value& value) {
        if (!exact_) {
            out_ += value.name();
            return;
        }
        out_ += "enum(";
        put_quoted(value.name());
        out_ += ')';
    }
    void put(const set& value) {
        out_ += '{';
        put_list(value);
        out_ += '}';
    }
    void put(const vector& value) {
        out_ += '(';
        put_list(value);
        out_ += ')';
    }
    void put(const table& value) {
        out_ += '{';
        if (exact_ && value.empty()) {
            out_ += "->";
        }
        const char* separator = "";
        for (const auto& [key, mapped] : value) {
            out_ += separator;
            write(key);
            out_ += " -> ";
            write(mapped);
            separator = ", ";
        }
        out_ += '}';
    }
    /// address, subnet, port, timestamp, timespan: their text is of no other type.
    template <class T>
    void put(const T& value) {
        out_ += to_string(value);
    }

  private:
    template <class T>
    void put_number(T value) {
        char raw[24];
        out_.append(raw, std::to_chars(raw, raw + sizeof raw, value).ptr);
    }

    template <class list>
    void put_list(const list& values) {
        const char* separator = "";
        for (const auto& value : values) {
            out_ += separator;
            write(value);
            separator = ", ";
        }
    }

    void put_quoted(std::string_view text) {
        static constexpr char digits[] = "0123456789abcdef";
        const bool utf8 = is_utf8(text);
        out_ += '"';
        for (const char c : text) {
            const auto byte = static_cast<unsigned char>(c);
            if (c == '"' || c == '\\') {
                out_ += '\\';
                out_ += c;
            } else if (c == '\n') {
                out_ += "\\n";
            } else if (c == '\r') {
                out_ += "\\r";
            } else if (c == '\t') {
                out_ += "\\t";
            } else if (byte < 0x20 || byte == 0x7f || (byte >= 0x80 && !utf8)) {
                out_ += "\\x";
                out_ += digits[byte >> 4];
                out_ += digits[byte & 15];
            } else {
                out_ += c;
            }
        }
        out_ += '"';
    }

    std::string& out_;
    bool exact_;
};

template <class T>
std::string text_of(const T& value, style how) {
    std::string out;
    text_writer{out, how}.put(value);
    return out;
}

}  // namespace

void append_real(std::string& out, double value) {
    if (std::isnan(value)) {
        out += "nan";
        return;
    }
    char raw[32];
    const std::string_view text{
        raw, static_cast<std::size_t>(std::to_chars(raw, raw + sizeof raw, value).ptr - raw)};
    out += text;
    if (std::isfinite(value) && text.find_first_of(".e") == std::string_view::npos) {
        out += ".0";
    }
}

bool is_utf8(std::string_view bytes) noexcept {
    const auto* at = reinterpret_cast<const unsigned char*>(bytes.data());
    const auto* const end = at + bytes.size();
    while (at != end) {
        const unsigned lead = *at++;
        if (lead < 0x80) {
            continue;
        }
        if (lead < 0xc2 || lead > 0xf4) {
            return false;
        }
        const int more = lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
        if (end - at < more) {
            return false;
        }
        // Overlong forms, surrogates and what lies behind U+10FFFF show in the second byte.
        const unsigned low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
        const unsigned high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
        if (*at < low || *at > high) {
            return false;
        }
        for (int i = 1; i < more; ++i) {
            if ((at[i] & 0xc0) != 0x80) {
                return false;
            }
        }
        at += more;
    }
    return true;
}

std::string to_string(const data& value) {
    std::string out;
    text_writer{out, style::people}.write(value);
    return out;
}

std::string to_string(const set& value) {
    return text_of(value, style::people);
}
std::string to_string(const table& value) {
    return text_of(value, style::people);
}
std::string to_string(const vector& value) {
    return text_of(value, style::people);
}

std::string to_text(const data& value) {
    std::string out;
    text_writer{out, style::programs}.write(value);
    return out;
}

}  // namespace bzmq
