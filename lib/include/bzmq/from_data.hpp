#pragma once

#include "bzmq/data.hpp"
#include "bzmq/error.hpp"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

/// Values as C++ types.
namespace bzmq {

namespace detail {

template <class T>
struct from_data_impl {
    static expected<T> read(const data& value) {
        if constexpr (std::is_same_v<T, data>) {
            return value;
        } else if constexpr (integer_number<T>) {
            using wide = std::conditional_t<std::is_unsigned_v<T>, count, integer>;
            const auto* held = get_if<wide>(&value);
            if (held == nullptr) {
                return wrong(data{wide{}}, value);
            }
            if (!std::in_range<T>(*held)) {
                return fail(ec::invalid_data, to_string(value) + " is out of range");
            }
            return static_cast<T>(*held);
        } else {
            const auto* held = get_if<T>(&value);
            return held != nullptr ? expected<T>{*held} : wrong(data{T{}}, value);
        }
    }
    static unexpected wrong(const data& wanted, const data& value) {
        return fail(ec::invalid_data, "expected " + std::string{to_string(wanted.get_type())}
                                          + ", got " + std::string{to_string(value.get_type())});
    }
};
template <class T>
struct from_data_impl<std::optional<T>> {
    static expected<std::optional<T>> read(const data& value) {
        if (is<none>(value)) {
            return std::optional<T>{};
        }
        return from_data_impl<T>::read(value).map([](T&& held) { return std::optional{std::move(held)}; });
    }
};
template <class T>
requires(!std::is_same_v<T, data>) struct from_data_impl<std::vector<T>> {
    static expected<std::vector<T>> read(const data& value) {
        const auto* list = get_if<vector>(&value);
        if (list == nullptr) {
            return from_data_impl<vector>::wrong(vector{}, value);
        }
        std::vector<T> out;
        for (const auto& each : *list) {
            auto one = from_data_impl<T>::read(each);
            if (!one) {
                return tl::unexpected{one.error()};
            }
            out.push_back(std::move(*one));
        }
        return out;
    }
};
template <class T>
requires(!std::is_same_v<T, data>) struct from_data_impl<std::set<T>> {
    static expected<std::set<T>> read(const data& value) {
        const auto* list = get_if<set>(&value);
        if (list == nullptr) {
            return from_data_impl<vector>::wrong(set{}, value);
        }
        std::set<T> out;
        for (const auto& each : *list) {
            auto one = from_data_impl<T>::read(each);
            if (!one) {
                return tl::unexpected{one.error()};
            }
            out.insert(std::move(*one));
        }
        return out;
    }
};

}  // namespace detail

/// `value` as a T: any alternative of `data`, `data` itself, smaller integers within their range
/// (unsigned from a count, signed from an integer), std::optional<T> (none is empty), std::vector<T>
/// and std::set<T>. `ec::invalid_data` says what was expected.
template <class T>
expected<T> from_data(const data& value) {
    return detail::from_data_impl<T>::read(value);
}

}  // namespace bzmq
