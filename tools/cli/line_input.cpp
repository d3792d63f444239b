#include "line_input.hpp"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace bzmq::cli {
namespace {

constexpr std::size_t read_bytes = std::size_t{64} << 10;
constexpr std::size_t line_bytes_max = std::size_t{64} << 20;

}  // namespace

expected<bool> line_input::next(std::string_view& line) {
    for (;;) {
        const auto end = buffer_.find('\n', searched_);
        if (end != std::string::npos) {
            line = std::string_view{buffer_}.substr(begin_, end - begin_);
            begin_ = searched_ = end + 1;
            return true;
        }
        searched_ = buffer_.size();
        if (at_end_) {
            line = std::string_view{buffer_}.substr(begin_);
            begin_ = searched_;
            return !line.empty();
        }
        if (buffer_.size() - begin_ > line_bytes_max) {
            return fail(ec::invalid_data, name_ + ": a line is longer than 64 MiB");
        }
        if (const auto read = fill(); !read) {
            return tl::unexpected{read.error()};
        }
    }
}

expected<void> line_input::fill() {
    buffer_.erase(0, begin_);
    dropped_ += begin_;
    searched_ -= begin_;
    begin_ = 0;
    std::array<pollfd, 2> fds{{{fd_, POLLIN, 0}, {stop_.fd(), POLLIN, 0}}};
    while (::poll(fds.data(), fds.size(), -1) < 0 && errno == EINTR) {
    }
    if (fds[1].revents != 0) {
        return fail(ec::cancelled);
    }
    const auto before = buffer_.size();
    buffer_.resize(before + read_bytes);
    const auto count = ::read(fd_, buffer_.data() + before, read_bytes);
    buffer_.resize(before + (count > 0 ? static_cast<std::size_t>(count) : 0));
    if (count < 0 && errno != EINTR && errno != EAGAIN) {
        return fail(ec::cannot_open_file, name_ + ": " + std::strerror(errno));
    }
    at_end_ = count == 0;
    return {};
}

}  // namespace bzmq::cli
