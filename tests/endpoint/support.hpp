#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "bzmq/bzmq.hpp"

#include <gtest/gtest.h>

namespace bzmq::testing {

using namespace std::chrono_literals;

/// Long enough for a loaded machine; no test that passes waits for it.
constexpr auto patience = 20s;

inline endpoint_options named(std::string name) {
    endpoint_options options;
    options.name = std::move(name);
    options.log_level = log_level::off;
    return options;
}
inline endpoint make(const std::string& name) { return endpoint{configuration{named(name)}}; }

/// `server` listens, `client` peers with it.
inline std::uint16_t join(endpoint& client, endpoint& server) {
    const auto port = server.listen("127.0.0.1", 0);
    EXPECT_NE(port, 0);
    error why;
    EXPECT_TRUE(client.peer("127.0.0.1", port, 1s, patience, &why)) << to_string(why);
    return port;
}

/// For conditions that nothing announces.
inline bool eventually(const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > deadline) {
            return false;
        }
        std::this_thread::sleep_for(1ms);
    }
    return true;
}

/// Reads until something satisfies `wanted`, which `what` names; all that it read.
inline std::vector<status_variant> read_until(
    status_subscriber& from, std::string_view what,
    const std::function<bool(const status_variant&)>& wanted) {
    std::vector<status_variant> seen;
    while (true) {
        auto next = from.get(patience);
        if (!next) {
            ADD_FAILURE() << "no " << what << " after " << seen.size() << " others";
            return seen;
        }
        seen.push_back(*next);
        if (wanted(seen.back())) {
            return seen;
        }
    }
}
/// Reads statuses until `code` comes, about `node` where that is not nil.
inline std::vector<status_variant> read_until(status_subscriber& from, sc code,
                                              endpoint_id node = {}) {
    return read_until(from, to_string(code), [&](const status_variant& each) {
        const auto* what = get_if<status>(&each);
        return what != nullptr && what->code() == code
               && (node.is_nil() || what->context().node == node);
    });
}
inline std::vector<status_variant> read_until(status_subscriber& from, ec code) {
    return read_until(from, to_string(code), [&](const status_variant& each) {
        const auto* what = get_if<error>(&each);
        return what != nullptr && what->code() == code;
    });
}
inline std::vector<sc> codes(const std::vector<status_variant>& from) {
    std::vector<sc> out;
    for (const auto& each : from) {
        if (is<status>(each)) {
            out.push_back(get<status>(each).code());
        }
    }
    return out;
}

}  // namespace bzmq::testing
