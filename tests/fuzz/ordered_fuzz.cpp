#include "data/ordered_codec.hpp"

#include <algorithm>
#include <cstdlib>

namespace {

std::vector<std::byte> encoded(const bzmq::data& value) {
    std::vector<std::byte> out;
    return bzmq::encode_ordered(value, out) ? out : (std::abort(), out);
}

}  // namespace

// The first half of the input against the second: what the decoder accepts is the one encoding of
// what it gives, and bytes compare as values do.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const auto input = std::as_bytes(std::span{bytes, size});
    if (const auto whole = bzmq::decode_ordered(input)) {
        if (!std::ranges::equal(encoded(*whole), input)) {
            std::abort();
        }
    }
    const auto left = input.first(size / 2);
    const auto right = input.subspan(size / 2);
    const auto a = bzmq::decode_ordered(left);
    const auto b = bzmq::decode_ordered(right);
    if (a && b) {
        const auto by_bytes = std::lexicographical_compare_three_way(left.begin(), left.end(),
                                                                     right.begin(), right.end());
        if ((*a <=> *b) != by_bytes) {
            std::abort();
        }
    }
    return 0;
}
