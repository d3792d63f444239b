#pragma once

#include "bzmq/export.hpp"

#include <compare>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bzmq {

/// The name under which a message is published: parts between slashes by convention, bytes to
/// bzmq. Whoever subscribes names a prefix, byte by byte: "/node/1" also matches "/node/10". End a
/// prefix with its separator ("/node/1/", see `as_prefix`) to match that branch only.
class topic {
  public:
    static constexpr char separator = '/';

    topic() = default;
    // NOLINTBEGIN(google-explicit-constructor): a name stands wherever a topic is asked for.
    topic(std::string name) noexcept : name_(std::move(name)) {}
    topic(std::string_view name) : name_(name) {}
    topic(const char* name) : name_(name) {}
    operator std::string_view() const noexcept { return name_; }
    // NOLINTEND(google-explicit-constructor)

    [[nodiscard]] const std::string& string() const noexcept { return name_; }
    [[nodiscard]] bool empty() const noexcept { return name_.empty(); }

    /// The parts between separators, empty ones left out: "/a//b" gives "a" and "b".
    [[nodiscard]] BZMQ_EXPORT std::vector<std::string> split() const;
    /// The opposite of `split`, with one separator between parts and none at either end.
    [[nodiscard]] BZMQ_EXPORT static topic join(const std::vector<std::string>& parts);

    /// This topic as a prefix that matches only what lies below it: with one separator at its end.
    [[nodiscard]] BZMQ_EXPORT topic as_prefix() const;
    /// True where a message with topic `other` reaches a subscriber of this one.
    [[nodiscard]] bool prefix_of(std::string_view other) const noexcept {
        return other.starts_with(name_);
    }

    /// Appends `part` behind exactly one separator.
    BZMQ_EXPORT topic& operator/=(std::string_view part);
    friend topic operator/(topic left, std::string_view right) { return left /= right; }

    friend auto operator<=>(const topic&, const topic&) = default;

  private:
    std::string name_;
};

inline const std::string& to_string(const topic& value) noexcept {
    return value.string();
}

inline namespace literals {

/// "/a/b"_t is a topic.
inline topic operator""_t(const char* name, std::size_t length) {
    return topic{std::string_view{name, length}};
}

}  // namespace literals
}  // namespace bzmq

template <>
struct std::hash<bzmq::topic> {
    std::size_t operator()(const bzmq::topic& value) const noexcept {
        return std::hash<std::string>{}(value.string());
    }
};
