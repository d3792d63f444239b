#include "transport/zap_handler.hpp"

#include <array>

namespace bzmq::transport {

expected<void> zap_handler::start(void* context) {
    socket_ = zmq_socket{context, ZMQ_REP};
    if (!socket_ || zmq_bind(socket_.get(), "inproc://zeromq.zap.01") != 0) {
        return fail(ec::unspecified,
                    std::string{"the ZAP handler cannot start: "} + zmq_strerror(errno));
    }
    return {};
}

bool zap_handler::serve_one() {
    // version, request id, domain, address, routing id, mechanism, credentials
    std::array<std::string, 7> parts;
    std::size_t count = 0;
    for (bool more = true; more; ++count) {
        zmq_message part;
        if (!socket_.receive(part)) {
            return false;
        }
        if (count < parts.size()) {
            parts[count] = part.view();
        }
        more = part.more();
    }
    question ask{parts[3], parts[5], {}};
    char key[41] = {};
    if (ask.mechanism == "CURVE" && parts[6].size() == 32) {
        zmq_z85_encode(key, reinterpret_cast<const std::uint8_t*>(parts[6].data()), 32);
        ask.public_key = key;
    }
    const auto why = count < 6 || parts[0] != "1.0"
                         ? std::optional<std::string>{"not a ZAP 1.0 request"}
                         : decide_(ask);
    const std::array<std::string_view, 6> answer{
        "1.0",
        parts[1],
        why ? "400" : "200",
        why ? std::string_view{*why} : std::string_view{"OK"},
        why ? std::string_view{} : ask.public_key,
        {}};
    for (std::size_t i = 0; i < answer.size(); ++i) {
        zmq_message part{answer[i]};
        socket_.send(part, i + 1 < answer.size() ? ZMQ_SNDMORE : 0);
    }
    return true;
}

}  // namespace bzmq::transport
