#pragma once

#include <mutex>

/// For critical sections that are shorter than a system call.
namespace bzmq {

/// Locks `mutex`; spins for a moment first, because whoever holds it is about to let go.
inline std::unique_lock<std::mutex> lock_briefly(std::mutex& mutex) {
    constexpr int spins = 40;
    std::unique_lock lock{mutex, std::defer_lock};
    for (int i = 0; i < spins; ++i) {
        if (lock.try_lock()) {
            return lock;
        }
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#endif
    }
    lock.lock();
    return lock;
}

}  // namespace bzmq
