#include "bzmq/message.hpp"

#include "bzmq/data.hpp"

#include "data/msgpack_codec.hpp"

namespace bzmq {

data message::value() const {
    auto value = decode(payload_);
    return value ? std::move(*value) : data{};
}

std::string_view message::text() const noexcept {
    return peek_string(payload_).value_or(std::string_view{});
}

data get_data(const message& msg) {
    return msg.value();
}

}  // namespace bzmq
