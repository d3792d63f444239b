#include "overlay/prefix_trie.hpp"

#include "base/assert.hpp"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <utility>

namespace bzmq::overlay {

prefix_trie::prefix_trie() : nodes_(1) {}

prefix_trie::place prefix_trie::locate(std::string_view prefix) {
    place at = root;
    while (!prefix.empty()) {
        const place next = child(nodes_[at], prefix.front());
        if (next == nowhere) {
            const place made = new_node(at, prefix);
            attach(at, made);
            return made;
        }
        const std::string& label = nodes_[next].label;
        const auto differ = std::mismatch(label.begin(), label.end(), prefix.begin(), prefix.end());
        const auto common = static_cast<std::size_t>(differ.first - label.begin());
        at = common == label.size() ? next : split(next, common);
        prefix.remove_prefix(common);
    }
    return at;
}

void prefix_trie::add(place at, value what) {
    auto& values = nodes_[at].values;
    const auto where = std::lower_bound(values.begin(), values.end(), what);
    if (where == values.end() || *where != what) {
        values.insert(where, what);
    }
}

void prefix_trie::remove(place at, value what) {
    auto& values = nodes_[at].values;
    const auto where = std::lower_bound(values.begin(), values.end(), what);
    if (where == values.end() || *where != what) {
        return;
    }
    values.erase(where);
    prune(at);
}

void prefix_trie::collect(std::string_view topic, std::vector<value>& out) const {
    const auto begin = static_cast<std::ptrdiff_t>(out.size());
    auto last_run = begin;
    std::size_t runs = 0;
    for (place at = root;;) {
        const node& here = nodes_[at];
        if (!here.values.empty()) {
            last_run = static_cast<std::ptrdiff_t>(out.size());
            out.insert(out.end(), here.values.begin(), here.values.end());
            ++runs;
        }
        if (topic.empty()) {
            break;
        }
        at = child(here, topic.front());
        if (at == nowhere || !topic.starts_with(nodes_[at].label)) {
            break;
        }
        topic.remove_prefix(nodes_[at].label.size());
    }
    if (runs == 2) {
        std::inplace_merge(out.begin() + begin, out.begin() + last_run, out.end());
    } else if (runs > 2) {
        std::sort(out.begin() + begin, out.end());
    }
}

prefix_trie::place prefix_trie::child(const node& of, char first) const noexcept {
    const auto byte = static_cast<std::uint8_t>(first);
    const auto where = std::lower_bound(of.bytes.begin(), of.bytes.end(), byte);
    return where == of.bytes.end() || *where != byte
               ? nowhere
               : of.children[static_cast<std::size_t>(where - of.bytes.begin())];
}

prefix_trie::place prefix_trie::new_node(place parent, std::string_view label) {
    place made = nowhere;
    if (free_.empty()) {
        made = static_cast<place>(nodes_.size());
        nodes_.emplace_back();
    } else {
        made = free_.back();
        free_.pop_back();
    }
    nodes_[made].label = label;
    nodes_[made].parent = parent;
    return made;
}

void prefix_trie::attach(place parent, place at) {
    node& to = nodes_[parent];
    const auto byte = static_cast<std::uint8_t>(nodes_[at].label.front());
    const auto where = std::lower_bound(to.bytes.begin(), to.bytes.end(), byte);
    const auto offset = where - to.bytes.begin();
    if (where != to.bytes.end() && *where == byte) {
        to.children[static_cast<std::size_t>(offset)] = at;
        return;
    }
    to.bytes.insert(where, byte);
    to.children.insert(to.children.begin() + offset, at);
}

/// Puts a place in front of `at` that takes the first `length` bytes of its label.
prefix_trie::place prefix_trie::split(place at, std::size_t length) {
    const place parent = nodes_[at].parent;
    const place middle = new_node(parent, nodes_[at].label.substr(0, length));
    nodes_[at].label.erase(0, length);
    nodes_[at].parent = middle;
    attach(parent, middle);
    attach(middle, at);
    return middle;
}

/// Takes `at`, and then its parents, out of the trie unless they hold values or tell children
/// apart.
void prefix_trie::prune(place at) {
    while (at != root && nodes_[at].values.empty() && nodes_[at].children.size() < 2) {
        node gone = std::exchange(nodes_[at], node{});
        free_.push_back(at);
        if (gone.children.size() == 1) {
            node& heir = nodes_[gone.children.front()];
            heir.label.insert(0, gone.label);
            heir.parent = gone.parent;
            attach(gone.parent, gone.children.front());
            return;
        }
        node& parent = nodes_[gone.parent];
        const auto where = std::find(parent.children.begin(), parent.children.end(), at);
        BZMQ_ASSERT(where != parent.children.end());
        parent.bytes.erase(parent.bytes.begin() + (where - parent.children.begin()));
        parent.children.erase(where);
        at = gone.parent;
    }
}

}  // namespace bzmq::overlay
