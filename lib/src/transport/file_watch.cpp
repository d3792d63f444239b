#include "transport/file_watch.hpp"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <string_view>
#include <system_error>
#include <utility>

namespace bzmq::transport {
namespace {

/// Time stamps of files advance with the kernel's tick, 10 ms at most.
constexpr std::int64_t stamp_granularity_ns = 20'000'000;

std::int64_t nanoseconds(const timespec& time) {
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

std::int64_t wall_clock_ns() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

unexpected cannot_read(const std::string& path) {
    return fail(ec::cannot_open_file, path + ": " + std::generic_category().message(errno));
}

}  // namespace

expected<file_watch::state> file_watch::fingerprints(const std::string& path) {
    state found;
    const auto add = [&found](const std::string& name) -> bool {
        struct stat info {};
        if (::stat(name.c_str(), &info) != 0) {
            return false;
        }
        found.files.push_back({name, info.st_dev, info.st_ino,
                               static_cast<std::uint64_t>(info.st_size),
                               nanoseconds(info.st_mtim), nanoseconds(info.st_ctim)});
        return S_ISDIR(info.st_mode);
    };
    found.directory = add(path);
    if (found.files.empty()) {
        return cannot_read(path);
    }
    if (!found.directory) {
        return found;
    }
    DIR* listing = ::opendir(path.c_str());
    if (listing == nullptr) {
        return cannot_read(path);
    }
    while (const dirent* entry = ::readdir(listing)) {
        if (std::string_view{entry->d_name}.ends_with(".key")) {
            add(path + "/" + entry->d_name);
        }
    }
    ::closedir(listing);
    std::sort(found.files.begin() + 1, found.files.end(),
              [](const fingerprint& a, const fingerprint& b) { return a.path < b.path; });
    return found;
}

expected<std::optional<std::vector<std::string>>> file_watch::look() {
    const auto started = wall_clock_ns();
    auto now = fingerprints(path_);
    if (!now) {
        return tl::make_unexpected(now.error());
    }
    if (settled_ && now->files == seen_) {
        return std::nullopt;
    }
    found_ = std::move(now->files);
    found_settled_ = std::all_of(found_.begin(), found_.end(), [started](const auto& file) {
        return file.modified_ns < started - stamp_granularity_ns;
    });
    std::vector<std::string> to_read;
    for (std::size_t i = now->directory ? 1 : 0; i < found_.size(); ++i) {
        to_read.push_back(found_[i].path);
    }
    return to_read;
}

void file_watch::settle() {
    seen_ = std::move(found_);
    found_.clear();
    settled_ = found_settled_;
}

}  // namespace bzmq::transport
