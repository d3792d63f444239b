#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "bzmq/export.hpp"

namespace bzmq {

/// Error codes. Numbers are permanent: they travel in messages and in exit codes of scripts.
enum class ec : std::uint8_t {
    none = 0,
    unspecified = 1,
    peer_incompatible = 2,
    peer_invalid = 3,
    peer_unavailable = 4,
    peer_disconnect_during_handshake = 5,
    peer_timeout = 6,
    master_exists = 7,
    no_such_master = 8,
    no_such_key = 9,
    request_timeout = 10,
    type_clash = 11,
    invalid_data = 12,
    backend_failure = 13,
    stale_data = 14,
    cannot_open_file = 15,
    cannot_write_file = 16,
    invalid_topic = 17,
    no_path_to_peer = 18,
    queue_full = 19,
    message_too_big = 20,
    shutting_down = 21,
    peer_not_authenticated = 22,
    redundant_connection = 23,
    address_in_use = 24,
    invalid_address = 25,
    invalid_configuration = 26,
    insecure_listener = 27,
    invalid_json = 28,
    invalid_certificate = 29,
    deserialization_failed = 30,
    cancelled = 31,
    key_exists = 32,
    revision_mismatch = 33,
    forbidden = 34,
};

/// The name of `code` as this header spells it, e.g. "peer_unavailable".
BZMQ_EXPORT std::string_view to_string(ec code) noexcept;

/// The code with this name, or `ec::unspecified` where no code has it.
BZMQ_EXPORT ec ec_from_string(std::string_view name) noexcept;

/// True for the refusals of a peering that only a change on one of the two sides mends: it is this
/// endpoint itself (`peer_invalid`), of another domain or version, or one side only uses keys
/// (`peer_incompatible`), or one does not take the other's key (`peer_not_authenticated`).
BZMQ_EXPORT bool refuses_for_good(ec code) noexcept;

/// A failure that a caller can expect: what kind it is, and what exactly happened.
class error {
  public:
    error() = default;
    error(ec code) noexcept : code_(code) {}  // NOLINT(google-explicit-constructor): `return ec::x;`
    error(ec code, std::string message) : code_(code), message_(std::move(message)) {}

    [[nodiscard]] ec code() const noexcept { return code_; }
    /// One sentence for a person, with the values that matter; may be empty.
    [[nodiscard]] const std::string& message() const noexcept { return message_; }
    /// True where this is a failure at all.
    explicit operator bool() const noexcept { return code_ != ec::none; }

    friend bool operator==(const error& a, const error& b) noexcept { return a.code_ == b.code_; }
    friend bool operator==(const error& a, ec b) noexcept { return a.code_ == b; }

  private:
    ec code_ = ec::none;
    std::string message_;
};

/// "peer_unavailable: no answer from tcp://127.0.0.1:9999".
BZMQ_EXPORT std::string to_string(const error& what);

/// A value or the `error` that stood in its way.
template <class T>
using expected = tl::expected<T, error>;
using unexpected = tl::unexpected<error>;

inline unexpected fail(ec code, std::string message = {}) {
    return unexpected{error{code, std::move(message)}};
}

}  // namespace bzmq
