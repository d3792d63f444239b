#include "bzmq/data.hpp"

#include <cstdlib>

// What the reader accepts comes back from what the writer makes of it, also through JSON.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const auto value = bzmq::parse_data({reinterpret_cast<const char*>(bytes), size});
    if (!value) {
        return 0;
    }
    const auto again = bzmq::parse_data(bzmq::to_text(*value));
    const auto through_json = bzmq::from_json(bzmq::to_json(*value));
    if (!again || *again != *value || !through_json || *through_json != *value) {
        std::abort();
    }
    return 0;
}
