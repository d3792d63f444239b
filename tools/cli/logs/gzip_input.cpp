#include "gzip_input.hpp"

#include "descriptor.hpp"
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

namespace bzmq::cli {
namespace {

constexpr std::size_t buffer_bytes = std::size_t{128} << 10;
constexpr int gzip_only = 16 + MAX_WBITS;
constexpr std::array<unsigned char, 2> magic{0x1f, 0x8b};

}  // namespace

struct gzip_input::state {
    enum class form { unknown, plain, gzip, ended };

    state(std::string name, int fd, int stop_fd) : name_(std::move(name)), stop_fd_(stop_fd) {
        if (fd != STDIN_FILENO) {
            own_.set(fd);
        }
    }
    ~state() {
        if (has_stream_) {
            ::inflateEnd(&stream_);
        }
    }
    state(const state&) = delete;
    state& operator=(const state&) = delete;

    expected<std::size_t> read(char* to, std::size_t size);
    [[nodiscard]] int fd() const { return own_.get() >= 0 ? own_.get() : STDIN_FILENO; }
    /// True where what has come is used up.
    [[nodiscard]] bool is_empty() const { return left_ == 0 && !has_output_; }

    expected<void> fill();
    void recognise();
    std::size_t unpack(char* to, std::size_t size);

    std::string name_;
    descriptor own_;
    int stop_fd_;
    std::uint64_t total_ = 0;

    std::vector<char> buffer_ = std::vector<char>(buffer_bytes);
    std::size_t at_ = 0;    // What is not used of it begins here,
    std::size_t left_ = 0;  // and is so long.
    std::uint64_t came_ = 0;
    bool at_end_ = false;

    form form_ = form::unknown;
    z_stream stream_{};
    bool has_stream_ = false;
    bool has_output_ = false;  // The stream may have more, without any input.
    std::string damage_;
};

expected<std::size_t> gzip_input::state::read(char* to, std::size_t size) {
    for (;;) {
        if (!damage_.empty()) {
            return fail(ec::invalid_data, "expected a sound gzip stream: " + damage_);
        }
        if (form_ == form::unknown) {
            recognise();
        }
        if (form_ == form::ended) {
            return std::size_t{0};
        }
        if (form_ == form::unknown || is_empty()) {
            if (at_end_ && form_ == form::gzip) {
                return fail(ec::invalid_data, "expected more: the gzip stream is cut off");
            }
            if (at_end_) {
                return std::size_t{0};
            }
            if (const auto filled = fill(); !filled) {
                return tl::unexpected{filled.error()};
            }
            continue;
        }
        if (form_ == form::plain) {
            const auto count = std::min(size, left_);
            std::memcpy(to, buffer_.data() + at_, count);
            at_ += count;
            left_ -= count;
            return count;
        }
        if (const auto count = unpack(to, size); count > 0) {
            return count;
        }
    }
}

/// Waits for more of the file, or its end.
expected<void> gzip_input::state::fill() {
    std::memmove(buffer_.data(), buffer_.data() + at_, left_);
    at_ = 0;
    for (;;) {
        std::array<pollfd, 2> fds{{{fd(), POLLIN, 0}, {stop_fd_, POLLIN, 0}}};
        if (::poll(fds.data(), fds.size(), -1) < 0) {
            continue;
        }
        if (fds[1].revents != 0) {
            return fail(ec::cancelled);
        }
        const auto count = ::read(fd(), buffer_.data() + left_, buffer_.size() - left_);
        if (count >= 0) {
            at_end_ = count == 0;
            left_ += static_cast<std::size_t>(count);
            came_ += static_cast<std::uint64_t>(count);
            return {};
        }
        if (errno != EINTR && errno != EAGAIN) {
            return fail(ec::cannot_open_file, name_ + ": " + std::strerror(errno));
        }
    }
}

/// Tells what follows, at the beginning and behind each stream, as soon as enough of it is there.
void gzip_input::state::recognise() {
    const auto known = std::min(left_, magic.size());
    if ((at_end_ && known < magic.size())
        || std::memcmp(buffer_.data() + at_, magic.data(), known) != 0) {
        form_ =
            has_stream_ ? form::ended : form::plain;  // Tools ignore what else follows a stream.
        return;
    }
    if (known < magic.size()) {
        return;
    }
    const auto code = has_stream_ ? ::inflateReset(&stream_) : ::inflateInit2(&stream_, gzip_only);
    has_stream_ = has_stream_ || code == Z_OK;
    damage_ = code == Z_OK ? "" : ::zError(code);
    form_ = form::gzip;
}

std::size_t gzip_input::state::unpack(char* to, std::size_t size) {
    stream_.next_in = reinterpret_cast<Bytef*>(buffer_.data() + at_);
    stream_.avail_in = static_cast<uInt>(left_);
    stream_.next_out = reinterpret_cast<Bytef*>(to);
    stream_.avail_out = static_cast<uInt>(size);
    const auto code = ::inflate(&stream_, Z_NO_FLUSH);
    at_ += left_ - stream_.avail_in;
    left_ = stream_.avail_in;
    has_output_ = code == Z_OK && stream_.avail_out == 0;
    if (code == Z_STREAM_END) {
        form_ = form::unknown;
    } else if (code != Z_OK && code != Z_BUF_ERROR) {
        damage_ = stream_.msg != nullptr ? stream_.msg : ::zError(code);
    }
    return size - stream_.avail_out;
}

expected<gzip_input> gzip_input::open(const std::string& file, int stop_fd) {
    const bool is_input = file == "-";
    // A pipe that nobody writes to yet must not hold us up here, where no signal is heard.
    const int fd =
        is_input ? STDIN_FILENO : ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return fail(ec::cannot_open_file, file + ": " + std::strerror(errno));
    }
    auto own = std::make_unique<state>(is_input ? "standard input" : file, fd, stop_fd);
    struct stat info {};
    if (::fstat(fd, &info) == 0) {
        if (S_ISDIR(info.st_mode)) {
            return fail(ec::cannot_open_file, file + ": is a directory");
        }
        own->total_ = S_ISREG(info.st_mode) ? static_cast<std::uint64_t>(info.st_size) : 0;
    }
    return gzip_input{std::move(own)};
}

gzip_input::gzip_input(std::unique_ptr<state> own) : state_(std::move(own)) {}
gzip_input::gzip_input(gzip_input&&) noexcept = default;
gzip_input& gzip_input::operator=(gzip_input&&) noexcept = default;
gzip_input::~gzip_input() = default;

expected<std::size_t> gzip_input::read(char* to, std::size_t size) {
    return state_->read(to, size);
}

bool gzip_input::would_wait() const {
    if (!state_->is_empty() || state_->at_end_ || !state_->damage_.empty()) {
        return false;
    }
    pollfd fd{state_->fd(), POLLIN, 0};
    return ::poll(&fd, 1, 0) == 0;
}

const std::string& gzip_input::name() const noexcept {
    return state_->name_;
}
std::uint64_t gzip_input::bytes_consumed() const noexcept {
    return state_->came_ - state_->left_;
}
std::uint64_t gzip_input::bytes_total() const noexcept {
    return state_->total_;
}

}  // namespace bzmq::cli
