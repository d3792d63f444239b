// What libzmq's handles make of calls that fail.
#include "transport/zmq_handles.hpp"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <zmq.h>

#include <cerrno>
#include <memory>

namespace bzmq::transport {
namespace {

/// So many more calls of `zmq_getsockopt` on this thread are interrupted by a signal.
thread_local int interruptions = 0;

using context = std::unique_ptr<void, decltype(&zmq_ctx_term)>;

TEST(zmq_handles, a_signal_hides_no_event) {
    const context all{zmq_ctx_new(), &zmq_ctx_term};
    const zmq_socket socket{all.get(), ZMQ_PAIR};
    interruptions = 3;
    EXPECT_GE(socket.get_int(ZMQ_FD), 0);
    EXPECT_EQ(interruptions, 0);
}

TEST(zmq_handles, events_that_libzmq_does_not_tell_are_taken_for_news) {
    const context all{zmq_ctx_new(), &zmq_ctx_term};
    const zmq_socket socket{all.get(), ZMQ_PAIR};
    EXPECT_EQ(socket.get_int(ZMQ_EVENTS) & ZMQ_POLLIN, 0);
    zmq_ctx_shutdown(all.get());
    EXPECT_NE(socket.get_int(ZMQ_EVENTS) & ZMQ_POLLIN, 0);
}

}  // namespace
}  // namespace bzmq::transport

/// Stands before libzmq's.
extern "C" __attribute__((visibility("default"))) int zmq_getsockopt(void* socket, int option,
                                                                     void* value,
                                                                     std::size_t* size) {
    if (bzmq::transport::interruptions > 0) {
        --bzmq::transport::interruptions;
        errno = EINTR;
        return -1;
    }
    static const auto real =
        reinterpret_cast<decltype(&zmq_getsockopt)>(::dlsym(RTLD_NEXT, "zmq_getsockopt"));
    return real(socket, option, value, size);
}
