#pragma once

#include "bzmq/error.hpp"

#include "transport/zmq_handles.hpp"

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace bzmq::transport {

/// Answers libzmq's questions about who may connect to this context's listeners (ZeroMQ RFC 27).
class zap_handler {
  public:
    struct question {
        std::string_view address;     ///< the peer's IP address; empty over ipc
        std::string_view mechanism;   ///< "NULL" or "CURVE"
        std::string_view public_key;  ///< Z85; empty unless CURVE
    };
    /// Why the peer must stay out, or nothing where it may come in.
    using policy = std::function<std::optional<std::string>(const question&)>;

    explicit zap_handler(policy decide) : decide_(std::move(decide)) {}
    expected<void> start(void* context);
    [[nodiscard]] const zmq_socket& socket() const noexcept { return socket_; }
    /// Answers one question; false where none waits.
    bool serve_one();

  private:
    policy decide_;
    zmq_socket socket_;
};

}  // namespace bzmq::transport
