#pragma once

#include "bzmq/error.hpp"
#include "bzmq/export.hpp"

#include <array>
#include <cstddef>
#include <map>
#include <string>
#include <string_view>

/// CurveZMQ key pairs and their files, as pyzmq's `zmq.auth` and CZMQ read and write them.
namespace bzmq {

/// The characters of a Curve25519 key in Z85 (ZeroMQ RFC 32).
constexpr std::size_t key_text_size = 40;

/// True where `text` is a 32-byte key in Z85.
BZMQ_EXPORT bool is_key_text(std::string_view text) noexcept;

/// A secret key in Z85, or none. Lies in this object only and is wiped with it. There is no way to
/// print it but `reveal`, on purpose.
class secret_key {
  public:
    secret_key() = default;
    /// Takes `z85` where it is a key; stays empty otherwise.
    BZMQ_EXPORT explicit secret_key(std::string_view z85) noexcept;
    BZMQ_EXPORT secret_key(const secret_key& other) noexcept;
    BZMQ_EXPORT secret_key& operator=(const secret_key& other) noexcept;
    BZMQ_EXPORT ~secret_key();

    [[nodiscard]] bool empty() const noexcept { return text_[0] == '\0'; }
    explicit operator bool() const noexcept { return !empty(); }
    /// The key in Z85, zero-terminated, valid as long as this object. Never log it.
    [[nodiscard]] const char* reveal() const noexcept { return text_.data(); }

  private:
    std::array<char, key_text_size + 1> text_{};
};

/// A public key and, where its owner holds it, the secret one.
struct certificate {
    std::string public_key;  ///< Z85, 40 characters
    secret_key secret;       ///< empty in a public certificate
    /// Free text about the owner. Names consist of letters, digits and `-_.@$&+/`; values are
    /// one line of text.
    std::map<std::string, std::string> metadata;
};

/// A new key pair from the system's random source.
BZMQ_EXPORT expected<certificate> generate_certificate();

/// Writes PREFIX.key (public, mode 0644) and PREFIX.key_secret (both keys, mode 0600). Each file
/// appears complete or not at all. Without `force` nothing is overwritten: where either file exists
/// neither is written (`cannot_write_file`, as where PREFIX names no file). A certificate without
/// secret key gives PREFIX.key only. Fails with `invalid_certificate` where a key or the metadata is malformed.
BZMQ_EXPORT expected<void> write_certificate(const std::string& path_prefix,
                                             const certificate& what, bool force = false);

/// Reads either file. Fails with `cannot_open_file`, or with `invalid_certificate` naming file and
/// line: a malformed key, no public key, a public key that does not belong to the secret one.
BZMQ_EXPORT expected<certificate> load_certificate(const std::string& path);

}  // namespace bzmq
