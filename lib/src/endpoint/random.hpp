#pragma once

#include <sys/random.h>

#include "bzmq/endpoint.hpp"

namespace bzmq {

/// Random bytes of the system's, as a T. Throws `endpoint_error` where it gives none.
template <class T>
T random_value() {
    T value{};
    if (::getrandom(&value, sizeof value, 0) != static_cast<ssize_t>(sizeof value)) {
        throw endpoint_error{error{ec::unspecified, "the system gives no random bytes"}};
    }
    return value;
}

inline endpoint_id random_id() { return endpoint_id{random_value<endpoint_id::bytes_type>()}; }

}  // namespace bzmq
