#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bzmq::overlay {

/// A compressed trie from byte strings to sets of small numbers. A place stands for one string.
class prefix_trie {
  public:
    using place = std::uint32_t;
    using value = std::uint32_t;

    prefix_trie();

    /// The place of `prefix`, made if need be. A place made here must get a value before anything
    /// is removed; from then on it stays the same as long as it has one.
    place locate(std::string_view prefix);
    /// Adds `what` to the set at `at`; no effect where it is there.
    void add(place at, value what);
    /// Removes `what` from the set at `at`; what has no more use is taken out of the trie.
    void remove(place at, value what);

    /// Appends the values of all strings that begin `topic`, sorted. A value that several of them
    /// hold comes as often. O(topic + result), where more than two of them have values
    /// O(topic + result log result).
    void collect(std::string_view topic, std::vector<value>& out) const;

    [[nodiscard]] std::size_t place_count() const noexcept { return nodes_.size() - free_.size(); }

  private:
    struct node {
        std::string label;  ///< the bytes between the parent and this place
        place parent = 0;
        std::vector<std::uint8_t> bytes;  ///< the first bytes of the children's labels, sorted
        std::vector<place> children;      ///< in the same order
        std::vector<value> values;        ///< sorted, unique
    };
    static constexpr place root = 0;
    static constexpr place nowhere = 0xffff'ffff;

    [[nodiscard]] place child(const node& of, char first) const noexcept;
    place new_node(place parent, std::string_view label);
    void attach(place parent, place at);
    place split(place at, std::size_t length);
    void prune(place at);

    std::vector<node> nodes_;
    std::vector<place> free_;
};

}  // namespace bzmq::overlay
