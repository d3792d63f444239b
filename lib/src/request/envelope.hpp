#pragma once

#include "bzmq/data.hpp"
#include "bzmq/error.hpp"
#include "bzmq/time.hpp"

#include <cstdint>
#include <string>
#include <string_view>

/// What travels between asker and server. docs/requests.md has the layout.
namespace bzmq::request_wire {

enum class kind : std::uint8_t {
    ask = 0,     ///< to the servers of a topic: `timeout` and `value`
    cancel = 1,  ///< nobody waits for the answers any more
    more = 2,    ///< to the asker: a value, and others follow
    last = 3,    ///< a value, and no other follows
    end = 4,     ///< no value, and none follows
    failed = 5,  ///< the server's error
};

struct envelope {
    kind what = kind::end;
    std::uint64_t id = 0;  ///< the asker's number of the request
    timespan timeout{};
    data value;
    error why;
};

/// Where answers go, at the asker.
inline constexpr std::string_view answers_topic = "/bzmq/answers/";
/// What the topics of requests begin with.
inline constexpr std::string_view requests_prefix = "/bzmq/requests";

data to_data(envelope what);
/// Fails with `ec::invalid_data`.
expected<envelope> parse(data&& value);

/// "/calc/add" for its request topic "/bzmq/requests/calc/add/".
std::string served_topic(std::string_view request_topic);

}  // namespace bzmq::request_wire
