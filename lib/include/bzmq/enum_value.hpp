#pragma once

#include <compare>
#include <cstddef>
#include <functional>
#include <string>
#include <utility>

namespace bzmq {

/// The value of an enumeration that both sides know: its name. A type of its own, so that it is
/// never taken for a string. Ordered by the bytes of the name.
class enum_value {
  public:
    enum_value() = default;
    explicit enum_value(std::string name) noexcept : name_(std::move(name)) {}

    [[nodiscard]] const std::string& name() const noexcept { return name_; }

    friend auto operator<=>(const enum_value&, const enum_value&) = default;

  private:
    std::string name_;
};

/// The name.
inline std::string to_string(const enum_value& value) {
    return value.name();
}

}  // namespace bzmq

template <>
struct std::hash<bzmq::enum_value> {
    std::size_t operator()(const bzmq::enum_value& value) const noexcept {
        return std::hash<std::string>{}(value.name());
    }
};
