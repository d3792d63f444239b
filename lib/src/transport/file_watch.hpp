#pragma once

#include "bzmq/error.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bzmq::transport {

/// Tells whether a file, or any `*.key` file of a folder, has changed since it was last read.
class file_watch {
  public:
    explicit file_watch(std::string path) : path_(std::move(path)) {}

    /// The files to read where one may have changed, else nothing; one stat a file.
    /// `cannot_open_file` where the path leads nowhere. Says the same again until `settle`.
    expected<std::optional<std::vector<std::string>>> look();
    /// What the last `look` named has been read.
    void settle();

    [[nodiscard]] const std::string& path() const noexcept { return path_; }

  private:
    /// What tells one state of a file from another.
    struct fingerprint {
        std::string path;
        std::uint64_t device = 0, inode = 0, size = 0;
        std::int64_t modified_ns = 0, changed_ns = 0;
        friend bool operator==(const fingerprint&, const fingerprint&) = default;
    };
    /// The folder, if it is one, comes first.
    struct state {
        std::vector<fingerprint> files;
        bool directory = false;
    };
    static expected<state> fingerprints(const std::string& path);

    std::string path_;
    std::vector<fingerprint> seen_, found_;
    bool settled_ = false;  ///< no file was so young that another change could bear the same stamp
    bool found_settled_ = false;
};

}  // namespace bzmq::transport
