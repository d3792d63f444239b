#include "transport/allow_list.hpp"

#include "bzmq/certificate.hpp"

#include "transport/files.hpp"
#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
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

expected<std::vector<allow_list::fingerprint>> allow_list::look(const std::string& path) {
    std::vector<fingerprint> found;
    const auto add = [&found](const std::string& name) -> bool {
        struct stat info {};
        if (::stat(name.c_str(), &info) != 0) {
            return false;
        }
        found.push_back({name, info.st_dev, info.st_ino, static_cast<std::uint64_t>(info.st_size),
                         nanoseconds(info.st_mtim), nanoseconds(info.st_ctim)});
        return S_ISDIR(info.st_mode);
    };
    const bool directory = add(path);
    if (found.empty()) {
        return cannot_read(path);
    }
    if (!directory) {
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
    std::sort(found.begin() + 1, found.end(),
              [](const fingerprint& a, const fingerprint& b) { return a.path < b.path; });
    return found;
}

expected<void> allow_list::read_keys(const std::string& path, key_set& into) {
    auto content = read_small_file(path);
    if (!content) {
        return tl::make_unexpected(content.error());
    }
    std::size_t number = 0;
    for (std::string_view rest = *content; !rest.empty();) {
        ++number;
        const auto end = rest.find('\n');
        const auto line = trimmed(rest.substr(0, end));
        rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
        if (line.empty() || line.front() == '#') {
            continue;  // No key starts with '#': the first digit of four bytes in Z85 is below it.
        }
        if (line == "metadata" || line == "curve") {
            auto loaded = load_certificate(path);
            if (!loaded) {
                return tl::make_unexpected(loaded.error());
            }
            into.insert(loaded->public_key);
            return {};
        }
        const auto key = line.substr(0, line.find_first_of(" \t"));
        const auto comment = trimmed(line.substr(key.size()));
        if (!is_key_text(key) || (!comment.empty() && comment.front() != '#')) {
            return fail(ec::invalid_certificate,
                        path + ":" + std::to_string(number) + ": not a key in Z85");
        }
        into.emplace(key);
    }
    return {};
}

expected<allow_list> allow_list::load(std::string path) {
    allow_list made;
    made.path_ = std::move(path);
    if (auto done = made.reload_if_changed(); !done) {
        return tl::make_unexpected(done.error());
    }
    return made;
}

expected<bool> allow_list::reload_if_changed() {
    const auto started = wall_clock_ns();
    auto now = look(path_);
    if (!now) {
        return tl::make_unexpected(now.error());
    }
    if (settled_ && *now == seen_) {
        return false;
    }
    const bool directory = now->size() > 1 || [&] {
        struct stat info {};
        return ::stat(path_.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
    }();
    key_set keys;
    for (std::size_t i = directory ? 1 : 0; i < now->size(); ++i) {
        if (auto done = read_keys((*now)[i].path, keys); !done) {
            return tl::make_unexpected(done.error());
        }
    }
    settled_ = std::all_of(now->begin(), now->end(), [started](const fingerprint& file) {
        return file.modified_ns < started - stamp_granularity_ns;
    });
    seen_ = std::move(*now);
    const bool changed = keys != keys_;
    keys_ = std::move(keys);
    return changed;
}

}  // namespace bzmq::transport
