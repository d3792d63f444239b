#include "bzmq/data.hpp"

#include "data/hashing.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

namespace bzmq {
namespace {

// Indexed by the type's number.
constexpr std::array<std::string_view, 15> type_names{
    "none", "boolean",   "count",    "integer",    "real", "string", "address", "subnet",
    "port", "timestamp", "timespan", "enum-value", "set",  "table",  "vector",
};
static_assert(type_names.size() == std::variant_size_v<data::variant_type>);

/// A number that orders reals totally: NaN behind +infinity, -0.0 before 0.0.
std::int64_t order_key(real value) noexcept {
    if (std::isnan(value)) {
        return std::numeric_limits<std::int64_t>::max();
    }
    const auto bits = std::bit_cast<std::int64_t>(value);
    // The greater the magnitude of a negative number, the smaller it is.
    return bits >= 0 ? bits : std::numeric_limits<std::int64_t>::min() - bits - 1;
}

template <class T>
std::strong_ordering order(const T& a, const T& b) noexcept {
    if constexpr (std::same_as<T, real>) {
        return order_key(a) <=> order_key(b);
    } else if constexpr (std::same_as<T, table>) {
        return std::lexicographical_compare_three_way(
            a.begin(), a.end(), b.begin(), b.end(),
            [](const auto& x, const auto& y) -> std::strong_ordering {
                const auto by_key = x.first <=> y.first;
                return by_key != 0 ? by_key : x.second <=> y.second;
            });
    } else if constexpr (std::same_as<T, set> || std::same_as<T, vector>) {
        return std::lexicographical_compare_three_way(a.begin(), a.end(), b.begin(), b.end());
    } else {
        return a <=> b;
    }
}

template <class T>
bool equal(const T& a, const T& b) noexcept {
    if constexpr (std::same_as<T, real>) {
        return order_key(a) == order_key(b);
    } else {
        return a == b;
    }
}

std::uint64_t hash_of(const data& value) noexcept;

template <class T>
std::uint64_t hash_value(const T& value) noexcept {
    if constexpr (std::same_as<T, none>) {
        return 0;
    } else if constexpr (std::same_as<T, real>) {
        return static_cast<std::uint64_t>(order_key(value));
    } else if constexpr (std::same_as<T, timespan>) {
        return static_cast<std::uint64_t>(value.count());
    } else if constexpr (std::same_as<T, timestamp>) {
        return static_cast<std::uint64_t>(value.time_since_epoch().count());
    } else if constexpr (std::same_as<T, table>) {
        std::uint64_t seed = value.size();
        for (const auto& [key, mapped] : value) {
            seed = mix(mix(seed, hash_of(key)), hash_of(mapped));
        }
        return seed;
    } else if constexpr (std::same_as<T, set> || std::same_as<T, vector>) {
        std::uint64_t seed = value.size();
        for (const auto& element : value) {
            seed = mix(seed, hash_of(element));
        }
        return seed;
    } else {
        return std::hash<T>{}(value);
    }
}

std::uint64_t hash_of(const data& value) noexcept {
    const auto content = visit([](const auto& held) { return hash_value(held); }, value);
    return mix(static_cast<std::uint64_t>(value.get_type()) + 1, content);
}

}  // namespace

std::string_view to_string(data_type type) noexcept {
    const auto index = static_cast<std::size_t>(type);
    return index < type_names.size() ? type_names[index] : "?";
}

bool operator==(const data& a, const data& b) noexcept {
    if (a.value_.index() != b.value_.index()) {
        return false;
    }
    return visit([&b]<class T>(const T& held) { return equal(held, *get_if<T>(&b)); }, a);
}

std::strong_ordering operator<=>(const data& a, const data& b) noexcept {
    if (a.value_.index() != b.value_.index()) {
        return a.value_.index() <=> b.value_.index();
    }
    return visit([&b]<class T>(const T& held) { return order(held, *get_if<T>(&b)); }, a);
}

}  // namespace bzmq

std::size_t std::hash<bzmq::data>::operator()(const bzmq::data& value) const noexcept {
    return bzmq::hash_of(value);
}
