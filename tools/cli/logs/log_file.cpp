#include "log_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

namespace bzmq::cli {
namespace {

unexpected failed(const std::string& path) {
    return fail(ec::cannot_write_file, path + ": " + std::strerror(errno));
}

expected<void> sync_folder_of(const std::string& path) {
    const auto slash = path.rfind('/');
    const auto folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
    const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return failed(folder);
    }
    const bool done = ::fsync(fd) == 0;
    const auto out = done ? expected<void>{} : failed(folder);
    ::close(fd);
    return out;
}

}  // namespace

log_file::log_file(log_file&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      buffer_(std::move(other.buffer_)),
      done_(std::exchange(other.done_, 0)),
      written_(other.written_),
      whole_lines_(other.whole_lines_) {}

log_file& log_file::operator=(log_file&& other) noexcept {
    if (this != &other) {
        close();
        path_ = std::move(other.path_);
        fd_ = std::exchange(other.fd_, -1);
        buffer_ = std::move(other.buffer_);
        done_ = std::exchange(other.done_, 0);
        written_ = other.written_;
        whole_lines_ = other.whole_lines_;
    }
    return *this;
}

log_file::~log_file() { close(); }

void log_file::close() noexcept {
    if (fd_ < 0) {
        return;
    }
    if (whole_lines_ < written_) {
        // Best effort: there is nobody left to tell.
        [[maybe_unused]] const int cut = ::ftruncate(fd_, static_cast<off_t>(whole_lines_));
    }
    ::close(std::exchange(fd_, -1));
}

expected<log_file> log_file::create(std::string path) {
    log_file out;
    out.fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0644);
    if (out.fd_ < 0) {
        return fail(ec::cannot_open_file, path + ": " + std::strerror(errno));
    }
    out.path_ = std::move(path);
    return out;
}

expected<void> log_file::flush() {
    while (done_ < buffer_.size()) {
        const auto* const from = buffer_.data() + done_;
        const auto count = ::write(fd_, from, buffer_.size() - done_);
        if (count < 0) {
            if (errno == EINTR) {
                continue;
            }
            return failed(path_);
        }
        const std::string_view now{from, static_cast<std::size_t>(count)};
        if (const auto end = now.rfind('\n'); end != std::string_view::npos) {
            whole_lines_ = written_ + end + 1;
        }
        written_ += now.size();
        done_ += now.size();
    }
    buffer_.clear();
    done_ = 0;
    return {};
}

expected<void> log_file::sync() {
    if (auto flushed = flush(); !flushed) {
        return flushed;
    }
    return ::fsync(fd_) == 0 ? expected<void>{} : failed(path_);
}

expected<void> rename_durably(const std::string& from, const std::string& to) {
    if (::access(to.c_str(), F_OK) == 0) {
        errno = EEXIST;
        return failed(to);
    }
    if (::rename(from.c_str(), to.c_str()) != 0) {
        return failed(to);
    }
    return sync_folder_of(to);
}

}  // namespace bzmq::cli
