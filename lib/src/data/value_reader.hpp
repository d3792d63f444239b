#pragma once

#include "base/limits.hpp"
#include "bzmq/address.hpp"
#include "bzmq/data.hpp"
#include "bzmq/error.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace bzmq {

/// What the decoders of binary forms have in common: a position that never passes the end, the first
/// problem found, the number of values so far.
class value_reader {
  protected:
    explicit value_reader(std::span<const std::byte> bytes) noexcept
        : begin_(bytes.data()), at_(begin_), end_(begin_ + bytes.size()) {}

    bool refuse(std::string_view why) noexcept {
        if (problem_.empty()) {
            problem_ = why;
        }
        return false;
    }
    [[nodiscard]] std::size_t remaining() const noexcept {
        return static_cast<std::size_t>(end_ - at_);
    }
    bool need(std::size_t count) noexcept {
        return count <= remaining() || refuse("the value is cut off");
    }
    /// Of a value that begins here.
    bool count_item() noexcept {
        return need(1) && (++items_ <= data_items_max || refuse("too many values"));
    }
    bool at_end() noexcept { return at_ == end_ || refuse("bytes behind the value"); }
    /// A big-endian number of `width` bytes, which must be there.
    std::uint64_t take(std::size_t width) noexcept {
        std::uint64_t big = 0;
        std::memcpy(&big, at_, width);
        at_ += width;
        return __builtin_bswap64(big) >> (8 * (8 - width));
    }
    /// The next 16 bytes, which must be there.
    address take_address() noexcept {
        address::bytes_type bytes{};
        std::memcpy(bytes.data(), at_, bytes.size());
        at_ += bytes.size();
        return address{bytes};
    }
    /// In ascending order, none twice.
    bool append(set& to, data&& element) {
        if (!to.empty() && !(*to.rbegin() < element)) {
            return refuse("the elements of a set are repeated or out of order");
        }
        to.emplace_hint(to.end(), std::move(element));
        return true;
    }
    /// Likewise; the value under the new key, or null.
    data* append(table& to, data&& key) {
        if (!to.empty() && !(to.rbegin()->first < key)) {
            refuse("the keys of a table are repeated or out of order");
            return nullptr;
        }
        return &to.emplace_hint(to.end(), std::move(key), data{})->second;
    }
    template <class T, class U>
    static bool set_to(data& out, U&& held) {
        out.get_data().emplace<T>(std::forward<U>(held));
        return true;
    }

    const std::byte* begin_;
    const std::byte* at_;
    const std::byte* end_;
    std::size_t items_ = 0;
    std::string_view problem_;

  public:
    [[nodiscard]] error problem() const {
        return {ec::deserialization_failed, std::string{problem_} + " at byte "
                                                + std::to_string(at_ - begin_) + " of "
                                                + std::to_string(end_ - begin_)};
    }
};

/// The value that is all of `bytes`, by a `reader` with `whole` and `problem`.
template <class reader>
expected<data> decode_by(std::span<const std::byte> bytes) {
    if (bytes.size() > data_bytes_max) {
        return fail(ec::deserialization_failed, "a value of " + std::to_string(bytes.size())
                                                    + " bytes exceeds the limit of "
                                                    + std::to_string(data_bytes_max));
    }
    expected<data> out;
    reader in{bytes};
    if (!in.whole(*out)) {
        out = unexpected{in.problem()};
    }
    return out;
}

}  // namespace bzmq
