#include "cluster/log_bound.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <vector>

namespace bzmq::cli {
namespace {

constexpr std::size_t chunk_bytes = std::size_t{128} << 10;

class descriptor {
  public:
    descriptor(const std::string& path, int flags)
        : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0644)) {}
    ~descriptor() {
        if (fd_ >= 0) {
            ::close(fd_);
        }
    }
    descriptor(const descriptor&) = delete;
    descriptor& operator=(const descriptor&) = delete;
    [[nodiscard]] int get() const noexcept { return fd_; }

  private:
    int fd_;
};

unexpected failed(const std::string& path) {
    return fail(ec::cannot_write_file, path + ": " + std::strerror(errno));
}

std::uint64_t size_of(int fd) {
    struct stat info {};
    return ::fstat(fd, &info) == 0 ? static_cast<std::uint64_t>(info.st_size) : 0;
}

bool write_all(int fd, std::string_view text) {
    while (!text.empty()) {
        const auto count = ::write(fd, text.data(), text.size());
        if (count < 0 && errno != EINTR) {
            return false;
        }
        text.remove_prefix(count > 0 ? static_cast<std::size_t>(count) : 0);
    }
    return true;
}

/// From `at` on to the end, which moves meanwhile. Without the rest of a line that began before,
/// where `at` is not the file's beginning.
bool copy_from(std::uint64_t at, int from, int to) {
    std::vector<char> chunk(chunk_bytes);
    bool within_line = at > 0;
    for (;;) {
        const auto count = ::pread(from, chunk.data(), chunk.size(), static_cast<off_t>(at));
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count <= 0) {
            return count == 0;
        }
        at += static_cast<std::uint64_t>(count);
        std::string_view text{chunk.data(), static_cast<std::size_t>(count)};
        if (within_line) {
            const auto end = text.find('\n');
            text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
            within_line = end == std::string_view::npos;
        }
        if (!write_all(to, text)) {
            return false;
        }
    }
}

}  // namespace

expected<bool> bound_log(const std::string& file, std::uint64_t bytes_max) {
    const descriptor from{file, O_RDWR};
    if (from.get() < 0) {
        return errno == ENOENT ? expected<bool>{false} : failed(file);
    }
    const auto size = size_of(from.get());
    if (size < bytes_max) {
        return false;
    }
    const auto part = file + ".1.part";
    const descriptor to{part, O_WRONLY | O_CREAT | O_TRUNC};
    if (to.get() < 0) {
        return failed(part);
    }
    if (!copy_from(size - bytes_max, from.get(), to.get())
        || ::ftruncate(from.get(), 0) != 0 || std::rename(part.c_str(), (file + ".1").c_str()) != 0) {
        auto out = failed(file + ".1");
        ::unlink(part.c_str());
        return out;
    }
    return true;
}

}  // namespace bzmq::cli
