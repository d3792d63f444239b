#pragma once

#include <signal.h>

#include <thread>
#include <utility>

namespace bzmq::storage {

/// A thread on which no signal ends up: those are the program's.
template <class F>
std::thread start_without_signals(F&& run) {
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    std::thread out;
    try {
        out = std::thread{std::forward<F>(run)};
    } catch (...) {
        ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
        throw;
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return out;
}

}  // namespace bzmq::storage
