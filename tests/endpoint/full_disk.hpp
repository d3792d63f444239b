#pragma once

#include <sys/resource.h>

#include <csignal>

namespace bzmq::testing {

/// No file grows while it lives.
struct full_disk {
    full_disk() {
        ::signal(SIGXFSZ, SIG_IGN);
        ::getrlimit(RLIMIT_FSIZE, &before);
        auto none = before;
        none.rlim_cur = 1;
        ::setrlimit(RLIMIT_FSIZE, &none);
    }
    ~full_disk() { ::setrlimit(RLIMIT_FSIZE, &before); }
    ::rlimit before{};
};

}  // namespace bzmq::testing
