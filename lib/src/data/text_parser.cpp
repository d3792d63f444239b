#include "bzmq/data.hpp"

#include "base/limits.hpp"
#include "data/time_text.hpp"

#include <charconv>
#include <optional>

namespace bzmq {
namespace {

bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

template <class T>
std::optional<T> whole_number(std::string_view text) {
    T value{};
    const auto* last = text.data() + text.size();
    const auto [end, problem] = std::from_chars(text.data(), last, value);
    if (problem != std::errc{} || end != last) {
        return std::nullopt;
    }
    return value;
}

std::optional<data> parse_number(std::string_view text) {
    const bool plus = text.front() == '+';
    const auto unsigned_text = text.substr(plus || text.front() == '-' ? 1 : 0);
    if (unsigned_text.empty()) {
        return std::nullopt;
    }
    if (unsigned_text == "inf" || text == "nan") {
        return whole_number<real>(plus ? unsigned_text : text);
    }
    // Keeps out what from_chars accepts beyond digits: a second sign, "infinity", "nan(x)".
    if (unsigned_text.find_first_not_of("0123456789.eE+-") != std::string_view::npos
        || unsigned_text.front() == '-' || unsigned_text.front() == '+') {
        return std::nullopt;
    }
    if (unsigned_text.find_first_of(".eE") != std::string_view::npos) {
        return whole_number<real>(plus ? unsigned_text : text);
    }
    if (text.front() == '-') {
        return whole_number<integer>(text);
    }
    return whole_number<count>(unsigned_text);
}

/// A value without inner structure, unless it is a string.
std::optional<data> parse_atom(std::string_view text) {
    if (text.empty()) {
        return std::nullopt;
    }
    if (text == "nil") {
        return data{};
    }
    if (text == "T" || text == "F") {
        return data{text == "T"};
    }
    if (auto number = parse_number(text)) {
        return number;
    }
    if (auto found = port::parse(text)) {
        return *found;
    }
    if (auto found = address::parse(text)) {
        return *found;
    }
    if (auto found = subnet::parse(text)) {
        return *found;
    }
    if (auto found = parse_timespan(text)) {
        return *found;
    }
    if (auto found = parse_timestamp(text)) {
        return *found;
    }
    return std::nullopt;
}

/// Recursive descent over quoted strings, sets, tables and vectors. A text that does not have the
/// form of a value makes it stop without an error: such a text is a string.
class text_parser {
  public:
    explicit text_parser(std::string_view text) : text_(text) {}

    /// A value that begins with an opening character and is all of the text.
    std::optional<data> whole() {
        auto value = structured(0);
        return at_ == text_.size() ? std::move(value) : std::nullopt;
    }
    /// Why the text is neither a value nor a string.
    [[nodiscard]] const std::optional<error>& problem() const { return problem_; }

  private:
    [[nodiscard]] std::string_view rest() const { return text_.substr(at_); }
    void skip_space() {
        while (at_ < text_.size() && is_space(text_[at_])) {
            ++at_;
        }
    }
    bool take(std::string_view token) {
        if (!rest().starts_with(token)) {
            return false;
        }
        at_ += token.size();
        return true;
    }
    std::nullopt_t refuse(std::string_view why) {
        if (!problem_) {
            problem_ = error{ec::invalid_data,
                             std::string{why} + " at byte " + std::to_string(at_) + " of a text"};
        }
        return std::nullopt;
    }

    std::optional<data> structured(std::size_t depth) {
        if (rest().starts_with('"')) {
            if (auto text = quoted()) {
                return std::move(*text);
            }
            return std::nullopt;
        }
        if (take("int(")) {
            const auto value = whole_number<integer>(until(')'));
            return value && take(")") ? std::optional<data>{*value} : std::nullopt;
        }
        if (take("enum(")) {
            const bool is_quoted = rest().starts_with('"');
            auto name = is_quoted ? quoted() : std::string{until(')')};
            const bool good =
                name && (is_quoted || name->find_first_of("\",{}( \t\r\n") == std::string::npos);
            return good && take(")") ? std::optional<data>{enum_value{std::move(*name)}}
                                     : std::nullopt;
        }
        if (!rest().starts_with('{') && !rest().starts_with('(')) {
            return std::nullopt;
        }
        if (depth == data_depth_max) {
            return refuse("nested too deep");
        }
        return take("{") ? braces(depth + 1) : parentheses(depth + 1);
    }

    std::optional<data> element(std::size_t depth) {
        if (++items_ > data_items_max) {
            return refuse("too many values");
        }
        skip_space();
        const auto start = at_;
        if (auto value = structured(depth)) {
            skip_space();
            return value;
        }
        // A bare word may look like the start of something, e.g. enum( does; nothing else may.
        if (problem_ || at_ != start) {
            return std::nullopt;
        }
        auto word = bare_word();
        while (!word.empty() && is_space(word.back())) {
            word.remove_suffix(1);
        }
        if (word.empty()) {
            return std::nullopt;
        }
        if (auto value = parse_atom(word)) {
            return value;
        }
        return data{word};
    }

    std::optional<data> parentheses(std::size_t depth) {
        ++at_;
        vector values;
        skip_space();
        if (take(")")) {
            return values;
        }
        do {
            auto value = element(depth);
            if (!value) {
                return std::nullopt;
            }
            values.push_back(std::move(*value));
        } while (take(","));
        return take(")") ? std::optional<data>{std::move(values)} : std::nullopt;
    }

    std::optional<data> braces(std::size_t depth) {
        skip_space();
        if (take("}")) {
            return set{};
        }
        if (take("->")) {
            skip_space();
            return take("}") ? std::optional<data>{table{}} : std::nullopt;
        }
        auto first = element(depth);
        if (!first) {
            return std::nullopt;
        }
        return rest().starts_with("->") ? table_from(std::move(*first), depth)
                                        : set_from(std::move(*first), depth);
    }

    std::optional<data> set_from(data first, std::size_t depth) {
        set values;
        values.insert(std::move(first));
        while (take(",")) {
            auto value = element(depth);
            if (!value) {
                return std::nullopt;
            }
            values.insert(std::move(*value));
        }
        return take("}") ? std::optional<data>{std::move(values)} : std::nullopt;
    }

    std::optional<data> table_from(data key, std::size_t depth) {
        table values;
        for (;;) {
            if (!take("->")) {
                return std::nullopt;
            }
            auto mapped = element(depth);
            if (!mapped) {
                return std::nullopt;
            }
            if (!values.emplace(std::move(key), std::move(*mapped)).second) {
                return refuse("the same key twice in a table");
            }
            if (!take(",")) {
                return take("}") ? std::optional<data>{std::move(values)} : std::nullopt;
            }
            auto next = element(depth);
            if (!next) {
                return std::nullopt;
            }
            key = std::move(*next);
        }
    }

    std::string_view until(char end) {
        const auto start = at_;
        while (at_ < text_.size() && text_[at_] != end) {
            ++at_;
        }
        return text_.substr(start, at_ - start);
    }

    std::string_view bare_word() {
        const auto start = at_;
        while (at_ < text_.size() && std::string_view{",\"{}()"}.find(text_[at_]) == text_.npos
               && !rest().starts_with("->")) {
            ++at_;
        }
        return text_.substr(start, at_ - start);
    }

    std::optional<std::string> quoted() {
        std::string out;
        for (++at_; at_ < text_.size(); ++at_) {
            if (text_[at_] == '"') {
                ++at_;
                return out;
            }
            if (text_[at_] != '\\') {
                out += text_[at_];
                continue;
            }
            if (++at_ == text_.size() || !escape(out)) {
                return std::nullopt;
            }
        }
        return std::nullopt;
    }

    /// Reads what follows a backslash, up to its last character.
    bool escape(std::string& out) {
        switch (text_[at_]) {
            case '"':
            case '\\':
                out += text_[at_];
                return true;
            case 'n':
                out += '\n';
                return true;
            case 'r':
                out += '\r';
                return true;
            case 't':
                out += '\t';
                return true;
            case 'x': {
                const auto digits = text_.substr(at_ + 1, 2);
                unsigned value = 0;
                const auto [end, problem] =
                    std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
                if (problem != std::errc{} || end != digits.data() + 2) {
                    return false;
                }
                out += static_cast<char>(value);
                at_ += 2;
                return true;
            }
            default:
                return false;
        }
    }

    std::string_view text_;
    std::size_t at_ = 0;
    std::size_t items_ = 1;
    std::optional<error> problem_;
};

}  // namespace

expected<data> parse_data(std::string_view text) {
    if (text.size() > data_bytes_max) {
        return fail(ec::invalid_data, "a text of " + std::to_string(text.size())
                                          + " bytes exceeds the limit of "
                                          + std::to_string(data_bytes_max));
    }
    if (auto value = parse_atom(text)) {
        return std::move(*value);
    }
    text_parser parser{text};
    if (auto value = parser.whole()) {
        return std::move(*value);
    }
    if (parser.problem()) {
        return unexpected{*parser.problem()};
    }
    return data{text};
}

}  // namespace bzmq
