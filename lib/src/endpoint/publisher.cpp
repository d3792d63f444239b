#include "bzmq/publisher.hpp"

#include <cstring>

#include "data/msgpack_codec.hpp"
#include "endpoint/core.hpp"

namespace bzmq {

ec publisher::publish(const data& value) {
    return core_ ? core_->publish(topic_, value, mode_) : ec::shutting_down;
}

ec publisher::publish_batch(std::span<const data> values) {
    for (const auto& each : values) {
        if (const auto problem = publish(each); problem != ec::none) {
            return problem;
        }
    }
    return ec::none;
}

ec publisher::publish_text(std::string_view value) {
    return core_ ? core_->publish_text(topic_, value, mode_) : ec::shutting_down;
}

ec publisher::publish_raw(std::span<const std::byte> payload) {
    return core_ ? core_->publish_raw(topic_, payload, mode_) : ec::shutting_down;
}

}  // namespace bzmq
