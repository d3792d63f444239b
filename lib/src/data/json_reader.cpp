#include "bzmq/data.hpp"

#include "base/limits.hpp"
#include "data/base64.hpp"
#include "data/time_text.hpp"
#include <nlohmann/json.hpp>

#include <algorithm>
#include <iterator>
#include <limits>
#include <optional>
#include <vector>

namespace bzmq {
namespace {

using nlohmann::json;

// A table nests an object, an array and another object for one level of data.
constexpr std::size_t json_depth_max = 3 * data_depth_max + 2;
// A value is at most an object, its type, its encoding, its data and the pair that holds it.
constexpr std::size_t json_items_max = 5 * data_items_max;

/// Reads characters and tells how many it has read.
class counting_iterator {
  public:
    using iterator_category = std::input_iterator_tag;
    using value_type = char;
    using difference_type = std::ptrdiff_t;
    using pointer = const char*;
    using reference = const char&;

    counting_iterator(const char* at, std::size_t* read) : at_(at), read_(read) {}
    reference operator*() const { return *at_; }
    counting_iterator& operator++() {
        ++at_;
        ++*read_;
        return *this;
    }
    counting_iterator operator++(int) {
        auto before = *this;
        ++*this;
        return before;
    }
    friend bool operator==(const counting_iterator& a, const counting_iterator& b) {
        return a.at_ == b.at_;
    }

  private:
    const char* at_;
    std::size_t* read_;
};

/// Looks at a JSON text without building anything: syntax, nesting, number of values, keys that are
/// unknown or repeated. What it lets pass is safe to build and to recurse over.
class json_guard : public nlohmann::json_sax<json> {
  public:
    explicit json_guard(const std::size_t& position) : position_(position) {}

    [[nodiscard]] const std::string& problem() const { return problem_; }

    bool null() override { return item(); }
    bool boolean(bool) override { return item(); }
    bool number_integer(number_integer_t) override { return item(); }
    bool number_unsigned(number_unsigned_t) override { return item(); }
    bool number_float(number_float_t, const string_t&) override { return item(); }
    bool string(string_t&) override { return item(); }
    bool binary(binary_t&) override { return refuse("a binary value"); }
    bool start_array(std::size_t) override { return enter(); }
    bool end_array() override { return leave(); }
    bool start_object(std::size_t) override { return enter(); }
    bool end_object() override { return leave(); }
    bool key(string_t& name) override {
        static constexpr std::string_view names[]{"@data-type", "data", "encoding", "key", "value"};
        const auto* const found = std::find(std::begin(names), std::end(names), name);
        if (found == std::end(names)) {
            return refuse("a key that no value has");
        }
        const auto bit = static_cast<std::uint8_t>(1U << (found - std::begin(names)));
        if ((seen_.back() & bit) != 0) {
            return refuse("a key twice in an object");
        }
        seen_.back() |= bit;
        return true;
    }
    bool parse_error(std::size_t, const std::string&, const json::exception& what) override {
        // Most carry the position themselves, e.g. "[json.exception.parse_error.101] parse ...".
        return refuse(what.what());
    }

  private:
    bool refuse(std::string_view why) {
        problem_ = std::string{why} + " at byte " + std::to_string(position_);
        return false;
    }
    bool item() { return ++items_ <= json_items_max || refuse("too many values"); }
    bool enter() {
        if (seen_.size() == json_depth_max) {
            return refuse("nested too deep");
        }
        seen_.push_back(0);
        return item();
    }
    bool leave() {
        seen_.pop_back();
        return true;
    }

    const std::size_t& position_;
    std::size_t items_ = 0;
    std::vector<std::uint8_t> seen_;  // Per open object or array, the keys that it had.
    std::string problem_;
};

/// Turns a JSON document into a value. Keeps the way to where it is, for errors.
class json_reader {
  public:
    bool read(const json& from, data& out, std::size_t depth) {
        if (++items_ > data_items_max) {
            return refuse("too many values");
        }
        const auto* name = member(from, "@data-type");
        const auto* held = member(from, "data");
        if (name == nullptr || held == nullptr || !name->is_string()) {
            return refuse("no object with @data-type and data");
        }
        const auto* encoding = member(from, "encoding");
        if (from.size() != (encoding == nullptr ? 2U : 3U)) {
            return refuse("a key that does not belong to a value");
        }
        const auto& type = name->get_ref<const std::string&>();
        if (encoding != nullptr) {
            return read_encoded(type, *encoding, *held, out);
        }
        if (type == "set" || type == "table" || type == "vector") {
            return read_list(type, *held, out, depth);
        }
        if (held->is_string()) {
            return read_text(type, held->get_ref<const std::string&>(), out);
        }
        return read_plain(type, *held, out);
    }

    [[nodiscard]] error problem() const {
        std::string pointer;
        for (auto step = path_.rbegin(); step != path_.rend(); ++step) {
            pointer += '/';
            pointer += *step;
        }
        return {ec::invalid_json,
                problem_ + " at " + (pointer.empty() ? std::string{"the root"} : pointer)};
    }

  private:
    bool refuse(std::string_view why) {
        problem_ = why;
        return false;
    }
    /// Notes one step of the way to a flaw, the innermost first.
    bool below(std::string step) {
        path_.push_back(std::move(step));
        return false;
    }
    static const json* member(const json& from, const char* name) {
        if (!from.is_object()) {
            return nullptr;
        }
        const auto found = from.find(name);
        return found == from.end() ? nullptr : &*found;
    }
    template <class T>
    static bool set_to(data& out, T held) {
        out.get_data().emplace<T>(std::move(held));
        return true;
    }
    template <class T>
    bool set_if(data& out, std::optional<T> held) {
        return held ? set_to<T>(out, *held) : refuse("a text that does not fit its type");
    }

    bool read_encoded(const std::string& type, const json& encoding, const json& held, data& out) {
        if (encoding != "base64" || !held.is_string()) {
            return refuse("an unknown encoding");
        }
        auto bytes = from_base64(held.get_ref<const std::string&>());
        if (!bytes) {
            return refuse("malformed base64");
        }
        if (type == "string") {
            return set_to<std::string>(out, std::move(*bytes));
        }
        if (type == "enum-value") {
            return set_to<enum_value>(out, enum_value{std::move(*bytes)});
        }
        return refuse("a type that has no encoding");
    }
    bool read_text(const std::string& type, const std::string& text, data& out) {
        if (type == "string") {
            return set_to<std::string>(out, text);
        }
        if (type == "enum-value") {
            return set_to<enum_value>(out, enum_value{text});
        }
        if (type == "address") {
            return set_if(out, address::parse(text));
        }
        if (type == "subnet") {
            return set_if(out, subnet::parse(text));
        }
        if (type == "port") {
            return set_if(out, port::parse(text));
        }
        if (type == "timestamp") {
            return set_if(out, parse_timestamp(text));
        }
        if (type == "timespan") {
            return set_if(out, parse_timespan(text));
        }
        if (type == "real") {
            constexpr auto infinity = std::numeric_limits<real>::infinity();
            if (text == "nan") {
                return set_to<real>(out, std::numeric_limits<real>::quiet_NaN());
            }
            if (text == "inf" || text == "-inf") {
                return set_to<real>(out, text == "inf" ? infinity : -infinity);
            }
        }
        return refuse("a text where the type has none");
    }
    bool read_plain(const std::string& type, const json& held, data& out) {
        if (type == "none") {
            return (held.is_object() && held.empty()) || held.is_null()
                       ? set_to(out, none{})
                       : refuse("something where nothing belongs");
        }
        if (type == "boolean" && held.is_boolean()) {
            return set_to(out, held.get<bool>());
        }
        if (type == "count" && held.is_number_unsigned()) {
            return set_to(out, held.get<count>());
        }
        if (type == "integer" && held.is_number_integer()) {
            const bool fits =
                !held.is_number_unsigned()
                || held.get<count>() <= static_cast<count>(std::numeric_limits<integer>::max());
            return fits ? set_to(out, held.get<integer>()) : refuse("an integer out of range");
        }
        if (type == "real" && held.is_number()) {
            return set_to(out, held.get<real>());
        }
        return refuse("data that do not fit their @data-type");
    }

    bool read_list(const std::string& type, const json& held, data& out, std::size_t depth) {
        if (depth == data_depth_max) {
            return refuse("nested too deep");
        }
        if (!held.is_array()) {
            return refuse("no array in a set, table or vector") || below("data");
        }
        bool good = true;
        std::size_t index = 0;
        set elements;
        table entries;
        vector values;
        for (; good && index < held.size(); ++index) {
            const auto& from = held[index];
            if (type == "table") {
                good = read_entry(from, entries, depth + 1);
            } else if (data element; !read(from, element, depth + 1)) {
                good = false;
            } else if (type == "vector") {
                values.push_back(std::move(element));
            } else if (!elements.insert(std::move(element)).second) {
                good = refuse("the same element twice in a set");
            }
        }
        if (!good) {
            return below(std::to_string(index - 1)) || below("data");
        }
        return type == "table"    ? set_to(out, std::move(entries))
               : type == "vector" ? set_to(out, std::move(values))
                                  : set_to(out, std::move(elements));
    }
    bool read_entry(const json& from, table& out, std::size_t depth) {
        const auto* key = member(from, "key");
        const auto* mapped = member(from, "value");
        if (key == nullptr || mapped == nullptr || from.size() != 2) {
            return refuse("no object with key and value");
        }
        data key_value;
        data mapped_value;
        if (!read(*key, key_value, depth)) {
            return below("key");
        }
        if (!read(*mapped, mapped_value, depth)) {
            return below("value");
        }
        return out.emplace(std::move(key_value), std::move(mapped_value)).second
               || refuse("the same key twice in a table");
    }

    std::size_t items_ = 0;
    std::string problem_;
    std::vector<std::string> path_;
};

}  // namespace

expected<data> from_json(std::string_view text) {
    if (text.size() > data_bytes_max) {
        return fail(ec::invalid_json, "a text of " + std::to_string(text.size())
                                          + " bytes exceeds the limit of "
                                          + std::to_string(data_bytes_max));
    }
    std::size_t position = 0;
    json_guard guard{position};
    const counting_iterator first{text.data(), &position};
    const counting_iterator last{text.data() + text.size(), &position};
    if (!json::sax_parse(first, last, &guard)) {
        return fail(ec::invalid_json, guard.problem());
    }
    const auto document = json::parse(text, nullptr, false);
    json_reader reader;
    expected<data> out;
    if (!reader.read(document, *out, 0)) {
        out = unexpected{reader.problem()};
    }
    return out;
}

}  // namespace bzmq
