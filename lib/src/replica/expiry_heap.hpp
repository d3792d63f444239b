#pragma once

#include <algorithm>
#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "bzmq/time.hpp"
#include "replica/entry.hpp"

namespace bzmq::replica {

/// When which item of a table goes, the next one first. It holds a note of each write that expires.
/// Notes of what was written again are dropped before they are due: where there are twice as many
/// as the last look kept, it looks again. Partitioned by hash, so that no look is long.
class expiry_heap {
  public:
    struct note {
        timestamp at;
        std::uint64_t hash = 0;
        sequence revision = 0;
        friend auto operator<=>(const note&, const note&) = default;
    };

    expiry_heap() { next_.fill(nothing); }

    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    /// Of one that is not empty.
    [[nodiscard]] const note& top() const noexcept { return parts_[soonest()].notes.front(); }
    /// `holds`: is there still what a note is about?
    template <class F>
    void push(const note& what, F&& holds) {
        const auto at = static_cast<std::size_t>(what.hash >> (64 - part_bits));
        auto& part = parts_[at];
        if (part.notes.size() >= part.limit) {
            compact(at, holds);
        }
        part.notes.push_back(what);
        std::push_heap(part.notes.begin(), part.notes.end(), std::greater<>{});
        ++size_;
        note_next(at);
    }
    void pop() {
        const auto at = soonest();
        auto& notes = parts_[at].notes;
        std::pop_heap(notes.begin(), notes.end(), std::greater<>{});
        notes.pop_back();
        --size_;
        note_next(at);
    }
    /// Looks at a part of them where there are too many for so many items, as after a lot of them
    /// has been erased: another part with each call.
    template <class F>
    void tidy(std::size_t expiring, F&& holds) {
        if (size_ > 2 * expiring + part_count * slack) {
            compact(to_tidy_, holds);
            to_tidy_ = (to_tidy_ + 1) % part_count;
        }
    }

    static constexpr unsigned part_bits = 7;
    static constexpr std::size_t part_count = std::size_t{1} << part_bits;
    /// Notes of a part that are not worth a look.
    static constexpr std::size_t slack = 32;

  private:
    static constexpr timestamp nothing = timestamp::max();
    struct part {
        std::vector<note> notes;  // a heap
        std::size_t limit = slack;
    };

    [[nodiscard]] std::size_t soonest() const noexcept {
        auto at = static_cast<std::size_t>(std::min_element(next_.begin(), next_.end())
                                           - next_.begin());
        while (parts_[at].notes.empty()) {
            ++at;  // What is left never goes.
        }
        return at;
    }
    void note_next(std::size_t at) noexcept {
        const auto& notes = parts_[at].notes;
        next_[at] = notes.empty() ? nothing : notes.front().at;
    }
    /// Keeps those that hold, once each.
    template <class F>
    void compact(std::size_t at, F&& holds) {
        auto& notes = parts_[at].notes;
        size_ -= notes.size();
        std::erase_if(notes, [&](const note& each) { return !holds(each); });
        std::sort(notes.begin(), notes.end());  // Which is a heap as well.
        notes.erase(std::unique(notes.begin(), notes.end()), notes.end());
        size_ += notes.size();
        parts_[at].limit = std::max(slack, 2 * notes.size());
        if (notes.capacity() > 2 * parts_[at].limit) {
            notes.shrink_to_fit();
        }
        note_next(at);
    }

    std::array<part, part_count> parts_;
    std::array<timestamp, part_count> next_{};  // of each part
    std::size_t size_ = 0;
    std::size_t to_tidy_ = 0;
};

}  // namespace bzmq::replica
