#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "layout.hpp"
#include "recording.hpp"

namespace bzmq::cli {

std::uint32_t layout::checksum_of(const block_head& head, std::span<const std::byte> packed) {
    std::vector<std::byte> sizes;
    put_u32(sizes, head.packed);
    put_u32(sizes, head.raw);
    put_u32(sizes, head.count);
    const auto* first = reinterpret_cast<const Bytef*>(sizes.data());
    const auto sum = ::crc32(0, first, static_cast<uInt>(sizes.size()));
    return static_cast<std::uint32_t>(
        ::crc32(sum, reinterpret_cast<const Bytef*>(packed.data()), static_cast<uInt>(packed.size())));
}

recording_file::~recording_file() {
    if (fd_ >= 0) {
        ::close(fd_);
    }
}

recording_file::recording_file(recording_file&& other) noexcept
    : name_(std::move(other.name_)), fd_(std::exchange(other.fd_, -1)) {}

recording_file& recording_file::operator=(recording_file&& other) noexcept {
    std::swap(name_, other.name_);
    std::swap(fd_, other.fd_);
    return *this;
}

std::uint64_t recording_file::size() const {
    struct stat what {};
    return ::fstat(fd_, &what) == 0 ? static_cast<std::uint64_t>(what.st_size) : 0;
}

expected<std::size_t> recording_file::read(std::uint64_t offset, std::span<std::byte> out) const {
    std::size_t done = 0;
    while (done < out.size()) {
        const auto got = ::pread(fd_, out.data() + done, out.size() - done,
                                 static_cast<off_t>(offset + done));
        if (got == 0) {
            break;
        }
        if (got < 0 && errno != EINTR) {
            return tl::unexpected{failure("cannot be read", errno)};
        }
        done += got > 0 ? static_cast<std::size_t>(got) : 0;
    }
    return done;
}

expected<void> recording_file::write(std::uint64_t offset, std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        const auto put = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (put < 0 && errno != EINTR) {
            return tl::unexpected{failure("cannot be written", errno)};
        }
        const auto count = put > 0 ? static_cast<std::size_t>(put) : 0;
        bytes = bytes.subspan(count);
        offset += count;
    }
    return {};
}

expected<void> recording_file::cut(std::uint64_t size) {
    if (::ftruncate(fd_, static_cast<off_t>(size)) != 0) {
        return tl::unexpected{failure("cannot be cut", errno)};
    }
    return {};
}

error recording_file::failure(std::string_view what, int code) const {
    return {ec::backend_failure, name_ + " " + std::string{what} + ": " + std::strerror(code)};
}

}  // namespace bzmq::cli
