#include "progress_bar.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>

namespace bzmq::cli {
namespace {

constexpr auto redraw_interval = std::chrono::milliseconds{100};
constexpr std::size_t width = 30;

}  // namespace

progress_bar::progress_bar() : terminal_(::isatty(STDERR_FILENO) == 1) {}

void progress_bar::show(std::string_view label, std::uint64_t done, std::uint64_t total,
                        std::uint64_t records) {
    const auto now = std::chrono::steady_clock::now();
    if (!terminal_ || now < next_) {
        return;
    }
    next_ = now + redraw_interval;
    drawn_ = true;
    if (total == 0) {
        fmt::print(stderr, "\r\x1b[K{}  {} records", label, records);
    } else {
        const auto share = std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
        const auto filled = static_cast<std::size_t>(share * static_cast<double>(width));
        fmt::print(stderr, "\r\x1b[K{}  [{}{}] {:3.0f}%  {} records", label,
                   std::string(filled, '#'), std::string(width - filled, '.'), share * 100,
                   records);
    }
    std::fflush(stderr);
}

void progress_bar::clear() {
    if (drawn_) {
        fmt::print(stderr, "\r\x1b[K");
        std::fflush(stderr);
        drawn_ = false;
    }
}

}  // namespace bzmq::cli
