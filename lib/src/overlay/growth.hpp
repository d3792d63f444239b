#pragma once

#include <cstddef>
#include <vector>

namespace bzmq::overlay {

/// Reserves room for `size` items, and an eighth more when it has to move: doubling would leave a
/// large overlay with half of its memory unused.
template <class item>
void make_room(std::vector<item>& in, std::size_t size) {
    if (size > in.capacity()) {
        in.reserve(size + size / 8 + 16);
    }
}

}  // namespace bzmq::overlay
