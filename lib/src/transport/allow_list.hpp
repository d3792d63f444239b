#pragma once

#include "bzmq/error.hpp"

#include "transport/file_watch.hpp"

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace bzmq::transport {

/// The public keys that may come in. Source: a file with one Z85 key a line (`#` starts a comment),
/// a certificate file, or a directory, of which every `*.key` file is one of the two.
class allow_list {
  public:
    /// `cannot_open_file`, or `invalid_certificate` naming file and line.
    static expected<allow_list> load(std::string path);

    [[nodiscard]] bool contains(std::string_view public_key_z85) const {
        return keys_.contains(public_key_z85);
    }
    [[nodiscard]] std::size_t size() const noexcept { return keys_.size(); }
    [[nodiscard]] const std::string& path() const noexcept { return watch_.path(); }

    /// Reads the source again where it changed (one stat a file). True where the keys did. On an
    /// error the keys of the file that it names stay as they were, all others are those of now, and
    /// the next call tries again.
    expected<bool> reload_if_changed();

  private:
    using key_set = std::set<std::string, std::less<>>;
    static expected<void> read_keys(const std::string& path, key_set& into);

    explicit allow_list(std::string path) : watch_(std::move(path)) {}

    file_watch watch_;
    std::map<std::string, key_set> by_file_;
    key_set keys_;  ///< all of them
};

}  // namespace bzmq::transport
