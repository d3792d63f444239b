#pragma once

#include <zmq.h>

#include "base/assert.hpp"

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

/// Owning handles for libzmq's objects. Only transport's own .cpp files include this.
namespace bzmq::transport {

class zmq_message {
  public:
    zmq_message() noexcept { zmq_msg_init(&raw_); }
    explicit zmq_message(std::string_view content) {
        zmq_msg_init_size(&raw_, content.size());
        content.copy(static_cast<char*>(zmq_msg_data(&raw_)), content.size());
    }
    zmq_message(const zmq_message&) = delete;
    zmq_message& operator=(const zmq_message&) = delete;
    ~zmq_message() { zmq_msg_close(&raw_); }

    zmq_msg_t* get() noexcept { return &raw_; }
    std::string_view view() noexcept {
        return {static_cast<const char*>(zmq_msg_data(&raw_)), zmq_msg_size(&raw_)};
    }
    bool more() const noexcept { return zmq_msg_more(&raw_) != 0; }
    /// A property of the connection that brought it; empty where there is none.
    std::string_view property(const char* name) const noexcept {
        const char* text = zmq_msg_gets(&raw_, name);
        return text == nullptr ? std::string_view{} : std::string_view{text};
    }

  private:
    zmq_msg_t raw_;
};

/// A socket; closed with whatever ZMQ_LINGER says, which starts at 0 here.
class zmq_socket {
  public:
    zmq_socket() = default;
    zmq_socket(void* context, int type) : raw_(::zmq_socket(context, type)) {
        if (raw_ != nullptr) {
            set(ZMQ_LINGER, 0);
        }
    }
    zmq_socket(zmq_socket&& other) noexcept : raw_(std::exchange(other.raw_, nullptr)) {}
    zmq_socket& operator=(zmq_socket&& other) noexcept {
        std::swap(raw_, other.raw_);
        return *this;
    }
    ~zmq_socket() { close(); }

    explicit operator bool() const noexcept { return raw_ != nullptr; }
    void* get() const noexcept { return raw_; }
    void close() noexcept {
        if (raw_ != nullptr) {
            zmq_close(std::exchange(raw_, nullptr));
        }
    }

    void set(int option, int value) noexcept {
        const int rc = zmq_setsockopt(raw_, option, &value, sizeof value);
        BZMQ_ASSERT(rc == 0);
    }
    void set(int option, std::int64_t value) noexcept {
        const int rc = zmq_setsockopt(raw_, option, &value, sizeof value);
        BZMQ_ASSERT(rc == 0);
    }
    /// A text option; `text` includes its terminating zero where libzmq wants one.
    void set(int option, const char* text, std::size_t size) noexcept {
        const int rc = zmq_setsockopt(raw_, option, text, size);
        BZMQ_ASSERT(rc == 0);
    }
    /// -1 where libzmq does not tell: of ZMQ_EVENTS that is all of them, so that whoever asks looks.
    int get_int(int option) const noexcept {
        int value = -1;
        std::size_t size = sizeof value;
        while (zmq_getsockopt(raw_, option, &value, &size) < 0) {
            if (errno != EINTR) {
                return -1;
            }
        }
        return value;
    }
    std::string last_endpoint() const {
        char text[512] = {};
        std::size_t size = sizeof text;
        return zmq_getsockopt(raw_, ZMQ_LAST_ENDPOINT, text, &size) == 0 ? text : "";
    }

    /// Never blocks. False with errno EAGAIN where nothing is there; then libzmq has also
    /// processed all its internal commands, so that ZMQ_FD will signal whatever comes next.
    bool receive(zmq_message& into) noexcept {
        while (zmq_msg_recv(into.get(), raw_, ZMQ_DONTWAIT) < 0) {
            if (errno != EINTR) {
                return false;
            }
        }
        return true;
    }
    /// Never blocks. False leaves the message to the caller, errno says why.
    bool send(zmq_message& what, int flags = 0) noexcept {
        while (zmq_msg_send(what.get(), raw_, flags | ZMQ_DONTWAIT) < 0) {
            if (errno != EINTR) {
                return false;
            }
        }
        return true;
    }

  private:
    void* raw_ = nullptr;
};

}  // namespace bzmq::transport
