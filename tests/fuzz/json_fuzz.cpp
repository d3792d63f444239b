#include "bzmq/data.hpp"

#include <cstdlib>

// What the reader accepts comes back from what the writer makes of it.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const auto value = bzmq::from_json({reinterpret_cast<const char*>(bytes), size});
    if (!value) {
        return 0;
    }
    const auto again = bzmq::from_json(bzmq::to_json(*value));
    if (!again || *again != *value) {
        std::abort();
    }
    return 0;
}
