#pragma once

#include "bzmq/error.hpp"
#include "bzmq/message.hpp"
#include "bzmq/time.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// Messages in a file, with the times at which they came. docs/recordings.md specifies the bytes:
/// blocks that each stand for themselves, packed and with a checksum.
namespace bzmq::cli {

/// An open file, and its name for messages.
class recording_file {
  public:
    recording_file(std::string name, int fd) : name_(std::move(name)), fd_(fd) {}
    ~recording_file();
    recording_file(recording_file&& other) noexcept;
    recording_file& operator=(recording_file&& other) noexcept;
    recording_file(const recording_file&) = delete;
    recording_file& operator=(const recording_file&) = delete;

    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] std::uint64_t size() const;
    [[nodiscard]] int fd() const noexcept { return fd_; }
    /// Fills `out` from `offset` on, as far as the file goes; how much that was.
    expected<std::size_t> read(std::uint64_t offset, std::span<std::byte> out) const;
    expected<void> write(std::uint64_t offset, std::span<const std::byte> bytes);
    expected<void> cut(std::uint64_t size);
    [[nodiscard]] error failure(std::string_view what, int code) const;

  private:
    std::string name_;
    int fd_ = -1;
};

/// Reads recordings, one message after the other.
class recording_reader {
  public:
    /// Fails with `ec::invalid_data` where the file is no recording, or one of a newer format.
    static expected<recording_reader> open(const std::string& file);
    /// Takes over what has been opened.
    static expected<recording_reader> over(recording_file file);

    /// The next message, valid until the next call, and when it came; false at the end. A file that ends within a block, as one
    /// does whose recorder was killed, ends before that block: see `cut_off`. Fails with
    /// `ec::invalid_data` at a damaged block; the next call goes on with the whole block after it.
    expected<bool> next(message& out, timestamp& at);

    /// Where the last whole block so far ends.
    [[nodiscard]] std::uint64_t offset() const noexcept { return offset_; }
    [[nodiscard]] std::uint64_t size() const { return file_.size(); }
    /// Bytes of a block at the end that was not written to its end.
    [[nodiscard]] std::uint64_t cut_off() const noexcept { return cut_off_; }
    [[nodiscard]] recording_file release() && { return std::move(file_); }

  private:
    explicit recording_reader(recording_file file) : file_(std::move(file)) {}
    expected<bool> read_block();
    [[nodiscard]] error damaged(std::string_view what) const;
    std::uint64_t find_block(std::uint64_t from) const;
    bool read_record(message& out, timestamp& at);

    recording_file file_;
    std::uint64_t offset_ = 0;
    std::uint64_t cut_off_ = 0;
    std::vector<std::byte> packed_;

    // The block.
    std::vector<std::byte> block_;
    std::size_t position_ = 0;
    std::uint32_t left_ = 0;
    std::int64_t clock_ = 0;
    std::vector<std::string_view> topics_;
    std::vector<endpoint_id> origins_;
};

/// Writes recordings. What is not flushed is lost with the process, and nothing else.
class recording_writer {
  public:
    enum class mode { fresh, replace, append };

    /// `fresh` fails where the file exists. `append` goes on behind its last whole block: what
    /// comes after that, see `dropped_bytes`, is cut off. Nobody else may be writing it.
    static expected<recording_writer> open(const std::string& file, mode how);

    expected<void> add(const message& what, timestamp at);
    /// Writes what was added. Where that fails the file ends with the block before.
    expected<void> flush();

    [[nodiscard]] std::uint64_t messages() const noexcept { return messages_; }
    /// In the file when it was opened.
    [[nodiscard]] std::uint64_t messages_before() const noexcept { return before_; }
    [[nodiscard]] std::uint64_t dropped_bytes() const noexcept { return dropped_; }
    [[nodiscard]] std::uint64_t bytes() const noexcept { return offset_; }

  private:
    recording_writer(recording_file file, std::uint64_t offset)
        : file_(std::move(file)), offset_(offset) {}
    expected<void> skip_whole_blocks();

    recording_file file_;
    std::uint64_t offset_ = 0;
    std::uint64_t messages_ = 0;
    std::uint64_t before_ = 0;
    std::uint64_t dropped_ = 0;

    // The block.
    std::vector<std::byte> block_;
    std::vector<std::byte> packed_;
    std::uint32_t count_ = 0;
    std::int64_t clock_ = 0;
    std::map<std::string, std::uint64_t, std::less<>> topics_;
    std::map<endpoint_id, std::uint64_t> origins_;
};

}  // namespace bzmq::cli
