#include "transport/files.hpp"

#include <sodium.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <system_error>

namespace bzmq::transport {
namespace {

std::string reason(int code) {
    return std::generic_category().message(code);
}

bool write_all(int fd, std::string_view content) {
    while (!content.empty()) {
        const auto count = ::write(fd, content.data(), content.size());
        if (count < 0) {
            if (errno == EINTR) {
                continue;
            }
            return false;
        }
        content.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
}

}  // namespace

expected<std::string> read_small_file(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return fail(ec::cannot_open_file, path + ": " + reason(errno));
    }
    struct stat info {};
    if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        ::close(fd);
        return fail(ec::cannot_open_file, path + ": not a regular file");
    }
    if (static_cast<std::size_t>(info.st_size) > small_file_bytes_max) {
        ::close(fd);
        return fail(ec::cannot_open_file,
                    path + ": larger than " + std::to_string(small_file_bytes_max) + " bytes");
    }
    std::string content(static_cast<std::size_t>(info.st_size), '\0');
    std::size_t used = 0;
    while (used < content.size()) {
        const auto count = ::read(fd, content.data() + used, content.size() - used);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            const int code = errno;
            ::close(fd);
            sodium_memzero(content.data(), content.size());
            return fail(ec::cannot_open_file, path + ": " + reason(code));
        }
        if (count == 0) {
            break;  // Shortened while we read.
        }
        used += static_cast<std::size_t>(count);
    }
    ::close(fd);
    content.resize(used);
    return content;
}

expected<void> write_file_atomically(const std::string& path, std::string_view content,
                                     unsigned mode, bool replace) {
    std::string temporary = path + ".XXXXXX";
    const int fd = ::mkostemp(temporary.data(), O_CLOEXEC);  // Mode 0600.
    if (fd < 0) {
        return fail(ec::cannot_write_file, path + ": " + reason(errno));
    }
    bool good = write_all(fd, content) && ::fchmod(fd, mode) == 0 && ::fsync(fd) == 0;
    int code = errno;
    ::close(fd);
    if (good) {
        // link() refuses an existing name, rename() replaces it; both are atomic.
        good = (replace ? ::rename(temporary.c_str(), path.c_str())
                        : ::link(temporary.c_str(), path.c_str()))
               == 0;
        code = errno;
    }
    if (!good || !replace) {
        ::unlink(temporary.c_str());
    }
    if (!good) {
        return fail(ec::cannot_write_file, path + ": " + reason(code));
    }
    return {};
}

std::string_view trimmed(std::string_view text) noexcept {
    constexpr std::string_view blank = " \t\r\n\v\f";
    const auto first = text.find_first_not_of(blank);
    if (first == std::string_view::npos) {
        return {};
    }
    return text.substr(first, text.find_last_not_of(blank) - first + 1);
}

}  // namespace bzmq::transport
