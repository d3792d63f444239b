#include "bzmq/status.hpp"

namespace bzmq {

std::string_view to_string(sc code) noexcept {
    switch (code) {
        case sc::peer_added:
            return "peer_added";
        case sc::peer_removed:
            return "peer_removed";
        case sc::peer_lost:
            return "peer_lost";
        case sc::endpoint_discovered:
            return "endpoint_discovered";
        case sc::endpoint_unreachable:
            return "endpoint_unreachable";
        case sc::store_promoted:
            return "store_promoted";
        case sc::store_stale:
            return "store_stale";
        case sc::store_fresh:
            return "store_fresh";
        case sc::unspecified:
            break;
    }
    return "unspecified";
}

std::string to_string(const status& what) {
    std::string out{to_string(what.code())};
    out += ": ";
    if (!what.context().name.empty()) {
        out += what.context().name;
        out += ' ';
    }
    out += to_string(what.context().node);
    if (!what.context().address.empty()) {
        out += " at ";
        out += what.context().address;
    }
    if (!what.message().empty()) {
        out += ": ";
        out += what.message();
    }
    return out;
}

std::string to_string(const status_variant& what) {
    return std::visit([](const auto& value) { return to_string(value); }, what);
}

}  // namespace bzmq
