#pragma once

#include "bzmq/error.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace bzmq::cli {

/// A file that lines are appended to. Keeps what the disk has no room for and writes it later, from
/// the very byte on where it stopped.
class log_file {
  public:
    log_file() = default;
    log_file(log_file&& other) noexcept;
    log_file& operator=(log_file&& other) noexcept;
    /// Cuts off a line that is on disk in part only. Whoever cares flushes before.
    ~log_file();
    log_file(const log_file&) = delete;
    log_file& operator=(const log_file&) = delete;

    /// Makes a new file; `ec::cannot_open_file` also where there is one already.
    static expected<log_file> create(std::string path);

    /// Where lines are appended, whole ones only; they are on disk after `flush`.
    std::string& buffer() noexcept { return buffer_; }
    /// Writes all to the file system. After a failure (`ec::cannot_write_file`, with the file's name
    /// and why) it may be called again.
    expected<void> flush();
    /// Also survives a loss of power.
    expected<void> sync();

    [[nodiscard]] const std::string& path() const noexcept { return path_; }
    /// Of all that was appended.
    [[nodiscard]] std::uint64_t bytes() const noexcept {
        return written_ + buffer_.size() - done_;
    }
    [[nodiscard]] std::uint64_t bytes_waiting() const noexcept { return buffer_.size() - done_; }

  private:
    void close() noexcept;

    std::string path_;
    int fd_ = -1;
    std::string buffer_;
    std::size_t done_ = 0;  // Of the buffer.
    std::uint64_t written_ = 0;
    std::uint64_t whole_lines_ = 0;  // Bytes of the file up to the end of its last whole line.
};

/// Gives a finished file its final name, in a way that a crash leaves one name or the other.
/// Refuses to overwrite.
expected<void> rename_durably(const std::string& from, const std::string& to);

}  // namespace bzmq::cli
