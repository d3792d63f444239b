#include "data/msgpack_codec.hpp"

#include <algorithm>
#include <cstdlib>

// What the decoder accepts is the one encoding of what it gives.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const auto input = std::as_bytes(std::span{bytes, size});
    const auto peeked = bzmq::peek_string(input);
    const auto value = bzmq::decode(input);
    if (!value) {
        return peeked ? (std::abort(), 0) : 0;
    }
    std::vector<std::byte> again;
    if (!bzmq::encode(*value, again)
        || !std::equal(again.begin(), again.end(), input.begin(), input.end())) {
        std::abort();
    }
    const auto* text = bzmq::get_if<std::string>(&*value);
    if ((text != nullptr) != peeked.has_value() || (peeked && *peeked != *text)) {
        std::abort();
    }
    return 0;
}
