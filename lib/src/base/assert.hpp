#pragma once

#include <cstdlib>

/// A contract between our own parts. Never for what a peer or a user can cause: that is an error
/// value. On in development builds and, by default, in release builds too.
#ifdef BZMQ_ASSERTIONS
#define BZMQ_ASSERT(condition)   \
    do {                         \
        if (!(condition)) {      \
            std::abort();        \
        }                        \
    } while (false)
#else
#define BZMQ_ASSERT(condition) static_cast<void>(0)
#endif
