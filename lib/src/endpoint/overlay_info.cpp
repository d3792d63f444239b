#include "bzmq/overlay_info.hpp"

namespace bzmq {

std::string_view to_string(peer_status what) noexcept {
    switch (what) {
        case peer_status::connecting:
            return "connecting";
        case peer_status::handshake:
            return "handshake";
        case peer_status::peered:
            return "peered";
        case peer_status::waiting:
            return "waiting";
    }
    return "unspecified";
}

}  // namespace bzmq
