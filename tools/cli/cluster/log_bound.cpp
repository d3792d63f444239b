#include "cluster/log_bound.hpp"

#include "descriptor.hpp"
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

/// From `begin` on to the end, which moves meanwhile. Without the rest of a line that began before,
/// where `begin` is not the file's beginning: moves it to where the first whole one does.
bool copy_from(std::uint64_t& begin, int from, int to) {
    std::vector<char> chunk(chunk_bytes);
    auto at = begin;
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
            const auto left_out = end == std::string_view::npos ? text.size() : end + 1;
            text.remove_prefix(left_out);
            begin += left_out;
            within_line = end == std::string_view::npos;
        }
        if (!write_all(to, text)) {
            return false;
        }
    }
}

}  // namespace

expected<std::optional<std::uint64_t>> bound_log(const std::string& file, std::uint64_t bytes_max) {
    const descriptor from{::open(file.c_str(), O_RDWR | O_CLOEXEC)};
    if (from.get() < 0) {
        return errno == ENOENT ? expected<std::optional<std::uint64_t>>{std::nullopt} : failed(file);
    }
    const auto size = size_of(from.get());
    if (size < bytes_max) {
        return std::nullopt;
    }
    const auto part = file + ".1.part";
    const descriptor to{::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)};
    if (to.get() < 0) {
        return failed(part);
    }
    auto begin = size - bytes_max;
    // In this order: what breaks off between the two leaves lines twice, not none.
    if (!copy_from(begin, from.get(), to.get())
        || std::rename(part.c_str(), (file + ".1").c_str()) != 0) {
        auto out = failed(file + ".1");
        ::unlink(part.c_str());
        return out;
    }
    if (::ftruncate(from.get(), 0) != 0) {
        return failed(file);
    }
    return begin;
}

}  // namespace bzmq::cli
