#include "bzmq/error.hpp"

#include <array>

namespace bzmq {
namespace {

// Indexed by the code's number.
constexpr std::array<std::string_view, 35> names{
    "none",
    "unspecified",
    "peer_incompatible",
    "peer_invalid",
    "peer_unavailable",
    "peer_disconnect_during_handshake",
    "peer_timeout",
    "master_exists",
    "no_such_master",
    "no_such_key",
    "request_timeout",
    "type_clash",
    "invalid_data",
    "backend_failure",
    "stale_data",
    "cannot_open_file",
    "cannot_write_file",
    "invalid_topic",
    "no_path_to_peer",
    "queue_full",
    "message_too_big",
    "shutting_down",
    "peer_not_authenticated",
    "redundant_connection",
    "address_in_use",
    "invalid_address",
    "invalid_configuration",
    "insecure_listener",
    "invalid_json",
    "invalid_certificate",
    "deserialization_failed",
    "cancelled",
    "key_exists",
    "revision_mismatch",
    "forbidden",
};
static_assert(names.size() == static_cast<std::size_t>(ec::forbidden) + 1);

}  // namespace

std::string_view to_string(ec code) noexcept {
    const auto index = static_cast<std::size_t>(code);
    return index < names.size() ? names[index] : "unspecified";
}

ec ec_from_string(std::string_view name) noexcept {
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (names[i] == name) {
            return static_cast<ec>(i);
        }
    }
    return ec::unspecified;
}

bool refuses_for_good(ec code) noexcept {
    return code == ec::peer_incompatible || code == ec::peer_invalid
           || code == ec::peer_not_authenticated;
}

std::string to_string(const error& what) {
    std::string out{to_string(what.code())};
    if (!what.message().empty()) {
        out += ": ";
        out += what.message();
    }
    return out;
}

}  // namespace bzmq
