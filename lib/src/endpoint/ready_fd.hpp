#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>
#include <utility>

namespace bzmq {

/// A file descriptor that is readable exactly while a condition holds. Made when first asked for;
/// costs a system call only when the condition changes. Not thread-safe.
class ready_fd {
  public:
    ready_fd() = default;
    ready_fd(const ready_fd&) = delete;
    ready_fd& operator=(const ready_fd&) = delete;
    ~ready_fd() { close(); }

    int open(bool ready) noexcept {
        if (fd_ < 0) {
            fd_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
            readable_ = false;
        }
        set(ready);
        return fd_;
    }
    void set(bool ready) noexcept {
        if (fd_ < 0 || ready == readable_) {
            return;
        }
        readable_ = ready;
        std::uint64_t count = 1;
        [[maybe_unused]] const auto size = ready ? ::write(fd_, &count, sizeof count)
                                                 : ::read(fd_, &count, sizeof count);
    }
    void close() noexcept {
        if (fd_ >= 0) {
            ::close(std::exchange(fd_, -1));
        }
    }

  private:
    int fd_ = -1;
    bool readable_ = false;
};

}  // namespace bzmq
