#pragma once

#include "transport/zmq_handles.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace bzmq::transport {

/// What libzmq tells of one socket's connections, in the order in which it happened.
class monitor {
  public:
    struct event {
        int type = 0;             ///< ZMQ_EVENT_…
        std::uint32_t value = 0;  ///< a file descriptor, an errno or a code, by type
    };

    monitor() = default;
    /// Starts to watch `watched`, which must outlive the monitor. Check `good()`.
    monitor(void* context, const zmq_socket& watched, int events);
    monitor(const monitor&) = delete;
    monitor& operator=(const monitor&) = delete;
    ~monitor() { stop(); }

    [[nodiscard]] bool good() const noexcept { return static_cast<bool>(pair_); }
    [[nodiscard]] const zmq_socket& socket() const noexcept { return pair_; }
    std::optional<event> next();
    /// To be called before the watched socket is closed.
    void stop();

  private:
    void* watched_ = nullptr;
    zmq_socket pair_;
};

}  // namespace bzmq::transport
