#pragma once

#include <unistd.h>

#include <utility>

namespace bzmq::cli {

/// A file descriptor that is closed in time; -1 is none.
class descriptor {
  public:
    descriptor() = default;
    explicit descriptor(int fd) noexcept : fd_(fd) {}
    ~descriptor() { close(); }
    descriptor(const descriptor&) = delete;
    descriptor& operator=(const descriptor&) = delete;

    /// Takes one in place of none.
    void set(int fd) noexcept { fd_ = fd; }
    void close() noexcept {
        if (fd_ >= 0) {
            ::close(std::exchange(fd_, -1));
        }
    }
    [[nodiscard]] int get() const noexcept { return fd_; }

  private:
    int fd_ = -1;
};

}  // namespace bzmq::cli
