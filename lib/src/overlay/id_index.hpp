#pragma once

#include "bzmq/endpoint_id.hpp"

#include "base/assert.hpp"
#include "overlay/limits.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

namespace bzmq::overlay {

/// From endpoint ids to numbers below `nodes_max`. It does not keep the ids but asks its owner for
/// that of a number (`id_of`), and so costs some six bytes an entry: every endpoint keeps one entry
/// for every other. Open addressing with linear probing; 16 bits of the hash beside each number
/// make it rare that a wrong id is looked at.
class id_index {
  public:
    using number = std::uint32_t;

    template <class lookup>
    [[nodiscard]] std::optional<number> find(const endpoint_id& id, lookup&& id_of) const {
        if (slots_.empty()) {
            return std::nullopt;
        }
        const auto hash = hash_of(id);
        for (auto at = home(hash); slots_[at] != vacant; at = next(at)) {
            if (tag_of(slots_[at]) == tag_of_hash(hash) && id_of(number_of(slots_[at])) == id) {
                return number_of(slots_[at]);
            }
        }
        return std::nullopt;
    }

    /// `id` must not be there yet; `id_of` need not know it already.
    template <class lookup>
    void insert(const endpoint_id& id, number value, lookup&& id_of) {
        BZMQ_ASSERT(value < nodes_max);
        if (4 * (count_ + 1) > 3 * slots_.size()) {
            grow(id_of);
        }
        put(hash_of(id), value);
        ++count_;
    }

    /// `id_of` must still know the ids of all entries.
    template <class lookup>
    void erase(const endpoint_id& id, lookup&& id_of) {
        if (slots_.empty()) {
            return;
        }
        auto at = home(hash_of(id));
        while (slots_[at] != vacant && id_of(number_of(slots_[at])) != id) {
            at = next(at);
        }
        if (slots_[at] == vacant) {
            return;
        }
        --count_;
        // What follows moves up wherever the gap would hide it from a search that starts at home.
        for (auto later = next(at); slots_[later] != vacant; later = next(later)) {
            const auto wants = home(hash_of(id_of(number_of(slots_[later]))));
            if (((later - wants) & mask()) >= ((later - at) & mask())) {
                slots_[at] = slots_[later];
                at = later;
            }
        }
        slots_[at] = vacant;
    }

    [[nodiscard]] std::size_t size() const noexcept { return count_; }

  private:
    using slot = std::uint32_t;  ///< 16 bits of the hash, then the number
    static_assert(nodes_max <= 0xffff, "a slot has 16 bits for the number, and one value for none");
    static constexpr slot vacant = 0xffff'ffff;
    static constexpr std::size_t slots_min = 16;

    static std::uint64_t hash_of(const endpoint_id& id) noexcept {
        std::uint64_t hash = std::hash<endpoint_id>{}(id);
        hash = (hash ^ (hash >> 32)) * 0xd6e8feb86659fd93ULL;
        return hash ^ (hash >> 32);
    }
    static slot tag_of_hash(std::uint64_t hash) noexcept { return static_cast<slot>(hash >> 48); }
    static slot tag_of(slot of) noexcept { return of >> 16; }
    static number number_of(slot of) noexcept { return of & 0xffff; }
    [[nodiscard]] std::size_t mask() const noexcept { return slots_.size() - 1; }
    [[nodiscard]] std::size_t home(std::uint64_t hash) const noexcept { return hash & mask(); }
    [[nodiscard]] std::size_t next(std::size_t at) const noexcept { return (at + 1) & mask(); }

    void put(std::uint64_t hash, number value) noexcept {
        auto at = home(hash);
        while (slots_[at] != vacant) {
            at = next(at);
        }
        slots_[at] = tag_of_hash(hash) << 16 | value;
    }

    template <class lookup>
    void grow(lookup& id_of) {
        const auto size = slots_.empty() ? slots_min : 2 * slots_.size();
        const auto held = std::exchange(slots_, std::vector<slot>(size, vacant));
        for (const auto each : held) {
            if (each != vacant) {
                put(hash_of(id_of(number_of(each))), number_of(each));
            }
        }
    }

    std::vector<slot> slots_;  ///< a power of two of them, never full
    std::size_t count_ = 0;
};

}  // namespace bzmq::overlay
