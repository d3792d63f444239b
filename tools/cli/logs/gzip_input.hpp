#pragma once

#include "bzmq/error.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace bzmq::cli {

/// A file's bytes as they come, unpacked where it is gzip (one stream, or several one behind the
/// other), which its first two bytes tell.
class gzip_input {
  public:
    /// Opens `file`; "-" is standard input. `stop_fd`, unless it is -1, is readable once nobody
    /// wants to wait any more. Fails with `ec::cannot_open_file`.
    static expected<gzip_input> open(const std::string& file, int stop_fd);

    gzip_input(gzip_input&&) noexcept;
    gzip_input& operator=(gzip_input&&) noexcept;
    ~gzip_input();

    /// What there is, up to `size` bytes; waits for the first one; 0 at the end. Fails with
    /// `ec::cancelled` where it was stopped, `ec::cannot_open_file` where reading failed and
    /// `ec::invalid_data` where the gzip is damaged or cut off, after all that came before that.
    expected<std::size_t> read(char* to, std::size_t size);
    /// True where `read` would have to wait.
    [[nodiscard]] bool would_wait() const;

    /// "standard input", or the file as it was named.
    [[nodiscard]] const std::string& name() const noexcept;
    /// How much of the file as it lies on disk has been read, and its size, 0 where it has none.
    [[nodiscard]] std::uint64_t bytes_consumed() const noexcept;
    [[nodiscard]] std::uint64_t bytes_total() const noexcept;

  private:
    struct state;
    explicit gzip_input(std::unique_ptr<state> own);
    std::unique_ptr<state> state_;
};

}  // namespace bzmq::cli
