#include "bzmq/certificate.hpp"

#include <sodium.h>
#include <zmq.h>

#include "transport/files.hpp"
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <ctime>

namespace bzmq {
namespace {

using raw_key = std::array<std::uint8_t, 32>;

constexpr std::string_view secret_banner =
    "#   ZeroMQ CURVE **Secret** Certificate\n"
    "#   DO NOT PROVIDE THIS FILE TO OTHER USERS nor change its permissions.\n\n";
constexpr std::string_view public_banner =
    "#   ZeroMQ CURVE Public Certificate\n"
    "#   Exchange securely, or use a secure mechanism to verify the contents\n"
    "#   of this file after exchange. Store public certificates in your home\n"
    "#   directory, in the .curve subdirectory.\n\n";

/// A string that may hold a secret, wiped at its end. Never grows beyond what it reserved.
struct wiped_text {
    std::string text;
    ~wiped_text() { sodium_memzero(text.data(), text.size()); }
};

bool decode(std::string_view z85, raw_key& out) noexcept {
    if (z85.size() != key_text_size) {
        return false;
    }
    char text[key_text_size + 1] = {};
    std::memcpy(text, z85.data(), z85.size());
    const bool good = zmq_z85_decode(out.data(), text) != nullptr;
    sodium_memzero(text, sizeof text);
    return good;
}

bool belongs(const secret_key& secret, std::string_view public_key) {
    raw_key raw{};
    raw_key derived{};
    char text[key_text_size + 1] = {};
    const bool good =
        decode(secret.reveal(), raw) && crypto_scalarmult_base(derived.data(), raw.data()) == 0
        && zmq_z85_encode(text, derived.data(), derived.size()) != nullptr && public_key == text;
    sodium_memzero(raw.data(), raw.size());
    return good;
}

bool is_metadata_name(std::string_view name) {
    const auto allowed = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')
               || std::string_view{"-_.@$&+/"}.find(c) != std::string_view::npos;
    };
    // A reader that looks for these two anywhere in the file must not find them twice.
    return !name.empty() && std::all_of(name.begin(), name.end(), allowed)
           && !name.starts_with("public-key") && !name.starts_with("secret-key");
}

bool is_metadata_value(std::string_view value) {
    const auto printable = [](char c) {
        return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f;
    };
    return std::all_of(value.begin(), value.end(), printable)
           && transport::trimmed(value).size() == value.size()
           && value.find('"') == std::string_view::npos && !value.starts_with('\'');
}

expected<void> check(const certificate& what) {
    if (!is_key_text(what.public_key)) {
        return fail(ec::invalid_certificate, "the public key is not a key in Z85");
    }
    if (what.secret && !belongs(what.secret, what.public_key)) {
        return fail(ec::invalid_certificate, "the public key does not belong to the secret key");
    }
    for (const auto& [name, value] : what.metadata) {
        if (!is_metadata_name(name) || !is_metadata_value(value)) {
            return fail(ec::invalid_certificate, "metadata cannot be written: " + name);
        }
    }
    return {};
}

void put_content(std::string& out, const certificate& what, bool with_secret) {
    char date[32] = {};
    const std::time_t now = std::time(nullptr);
    std::tm parts{};
    std::strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S", ::localtime_r(&now, &parts));
    std::size_t size = 1024;  // Banner and keys. Reserved so that no copy of a secret is left.
    for (const auto& [name, value] : what.metadata) {
        size += name.size() + value.size() + 8;
    }
    out.reserve(size);
    out.append("#   ****  Generated on ").append(date).append(" by bzmq  ****\n");
    out.append(with_secret ? secret_banner : public_banner).append("metadata\n");
    for (const auto& [name, value] : what.metadata) {
        out.append("    ").append(name).append(" = ").append(value).append("\n");
    }
    out.append("curve\n    public-key = \"").append(what.public_key).append("\"\n");
    if (with_secret) {
        out.append("    secret-key = \"").append(what.secret.reveal()).append("\"\n");
    }
}

std::string_view unquoted(std::string_view value) {
    for (const char quote : {'"', '\''}) {
        if (value.size() >= 2 && value.front() == quote && value.back() == quote) {
            return value.substr(1, value.size() - 2);
        }
    }
    return value;
}

}  // namespace

bool is_key_text(std::string_view text) noexcept {
    raw_key raw{};
    const bool good = decode(text, raw);
    sodium_memzero(raw.data(), raw.size());
    return good;
}

secret_key::secret_key(std::string_view z85) noexcept {
    if (is_key_text(z85)) {
        std::memcpy(text_.data(), z85.data(), z85.size());
    }
}
secret_key::secret_key(const secret_key& other) noexcept : text_(other.text_) {}
secret_key& secret_key::operator=(const secret_key& other) noexcept {
    text_ = other.text_;
    return *this;
}
secret_key::~secret_key() {
    sodium_memzero(text_.data(), text_.size());
}

expected<certificate> generate_certificate() {
    if (sodium_init() < 0) {
        return fail(ec::unspecified, "libsodium found no source of randomness");
    }
    raw_key public_raw{};
    raw_key secret_raw{};
    crypto_box_keypair(public_raw.data(), secret_raw.data());
    char text[key_text_size + 1] = {};
    certificate made;
    zmq_z85_encode(text, public_raw.data(), public_raw.size());
    made.public_key = text;
    zmq_z85_encode(text, secret_raw.data(), secret_raw.size());
    made.secret = secret_key{text};
    sodium_memzero(text, sizeof text);
    sodium_memzero(secret_raw.data(), secret_raw.size());
    return made;
}

expected<void> write_certificate(const std::string& path_prefix, const certificate& what,
                                 bool force) {
    if (auto good = check(what); !good) {
        return good;
    }
    if (path_prefix.empty() || path_prefix.back() == '/') {
        return fail(ec::cannot_write_file,
                    "expected a name for the files of the keys, such as keys/relay-1");
    }
    const std::string public_path = path_prefix + ".key";
    const std::string secret_path = path_prefix + ".key_secret";
    if (!force) {
        for (const auto& path : {public_path, secret_path}) {
            if (::access(path.c_str(), F_OK) == 0) {
                return fail(ec::cannot_write_file, path + " exists already");
            }
        }
    }
    if (what.secret) {
        wiped_text content;
        put_content(content.text, what, true);
        auto done = transport::write_file_atomically(secret_path, content.text, 0600, force);
        if (!done) {
            return done;
        }
    }
    std::string content;
    put_content(content, what, false);
    auto done = transport::write_file_atomically(public_path, content, 0644, force);
    if (!done && what.secret && !force) {
        ::unlink(secret_path.c_str());  // Ours, made a moment ago.
    }
    return done;
}

expected<certificate> load_certificate(const std::string& path) {
    auto content = transport::read_small_file(path);
    if (!content) {
        return tl::make_unexpected(content.error());
    }
    const wiped_text holder{std::move(*content)};
    certificate found;
    std::size_t number = 0;
    const auto malformed = [&](const char* why) {
        return fail(ec::invalid_certificate, path + ":" + std::to_string(number) + ": " + why);
    };
    bool in_metadata = false;
    for (std::string_view rest = holder.text; !rest.empty();) {
        ++number;
        const auto end = rest.find('\n');
        const auto line = transport::trimmed(rest.substr(0, end));
        rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
        if (line.empty() || line.front() == '#') {
            continue;
        }
        const auto equals = line.find('=');
        if (equals == std::string_view::npos) {
            in_metadata = line == "metadata";
            continue;  // The name of a section.
        }
        const auto name = transport::trimmed(line.substr(0, equals));
        const auto value = unquoted(transport::trimmed(line.substr(equals + 1)));
        if (name == "public-key") {
            if (!is_key_text(value)) {
                return malformed("the public key is not a key in Z85");
            }
            found.public_key = value;
        } else if (name == "secret-key") {
            found.secret = secret_key{value};
            if (!found.secret) {
                return malformed("the secret key is not a key in Z85");
            }
        } else if (in_metadata) {
            found.metadata[std::string{name}] = value;
        }
    }
    if (found.public_key.empty()) {
        return malformed("no public-key up to the end of the file");
    }
    if (found.secret && !belongs(found.secret, found.public_key)) {
        return malformed("the public key does not belong to the secret key");
    }
    return found;
}

}  // namespace bzmq
