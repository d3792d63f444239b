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
    if (due()) {
        fmt::print(stderr, "\r\x1b[K{}{}  {} records", label, bar(done, total), records);
        std::fflush(stderr);
    }
}

void progress_bar::show(std::string_view label, std::uint64_t done, std::uint64_t total) {
    if (due()) {
        fmt::print(stderr, "\r\x1b[K{}{}", label, bar(done, total));
        std::fflush(stderr);
    }
}

bool progress_bar::due() {
    const auto now = std::chrono::steady_clock::now();
    if (!terminal_ || now < next_) {
        return false;
    }
    next_ = now + redraw_interval;
    drawn_ = true;
    return true;
}

std::string progress_bar::bar(std::uint64_t done, std::uint64_t total) {
    if (total == 0) {
        return {};
    }
    const auto share = std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
    const auto filled = static_cast<std::size_t>(share * static_cast<double>(width));
    return fmt::format("  [{}{}] {:3.0f}%", std::string(filled, '#'),
                       std::string(width - filled, '.'), share * 100);
}

void progress_bar::clear() {
    if (drawn_) {
        fmt::print(stderr, "\r\x1b[K");
        std::fflush(stderr);
        drawn_ = false;
    }
}

}  // namespace bzmq::cli
