#include "transport/monitor.hpp"

#include <atomic>
#include <cstring>

namespace bzmq::transport {

monitor::monitor(void* context, const zmq_socket& watched, int events) {
    // The watched socket's address is unique among the living ones, but a stopped monitor may take
    // a moment to release its name.
    static std::atomic<std::uint64_t> serial{0};
    const std::string address = "inproc://bzmq-monitor-" + std::to_string(++serial);
    zmq_socket pair{context, ZMQ_PAIR};
    if (!pair) {
        return;
    }
    // A bound here would not throttle the peers: libzmq's I/O thread would block in the midst of
    // accepting, and with it every connection of the context.
    pair.set(ZMQ_RCVHWM, 0);
    if (zmq_socket_monitor(watched.get(), address.c_str(), events) != 0) {
        return;
    }
    watched_ = watched.get();
    if (zmq_connect(pair.get(), address.c_str()) != 0) {
        stop();
        return;
    }
    pair_ = std::move(pair);
}

std::optional<monitor::event> monitor::next() {
    zmq_message head;
    if (!pair_ || !pair_.receive(head)) {
        return std::nullopt;
    }
    event out;
    std::uint16_t type = 0;
    const auto raw = head.view();
    BZMQ_ASSERT(raw.size() == sizeof type + sizeof out.value);
    std::memcpy(&type, raw.data(), sizeof type);
    std::memcpy(&out.value, raw.data() + sizeof type, sizeof out.value);
    out.type = type;
    while (head.more()) {  // The local address, which the owner knows.
        zmq_message rest;
        if (!pair_.receive(rest) || !rest.more()) {
            break;
        }
    }
    return out;
}

void monitor::stop() {
    if (watched_ != nullptr) {
        zmq_socket_monitor(std::exchange(watched_, nullptr), nullptr, 0);
    }
    pair_.close();
}

}  // namespace bzmq::transport
