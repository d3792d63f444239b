#include "storage/folder_claim.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <mutex>
#include <set>
#include <string>
#include <system_error>

namespace bzmq::storage {
namespace {

/// Folders in use by this process. The one thing that is global, because the locks of the operating
/// system that it stands in for are.
struct registry {
    std::mutex mutex;
    std::set<std::pair<dev_t, ino_t>> folders;
};

registry& in_this_process() {
    static registry folders;
    return folders;
}

unexpected refused(const std::filesystem::path& folder, const std::string& why) {
    return fail(ec::cannot_open_file, "store " + folder.string() + " " + why);
}

std::string system_text(int code) {
    return std::generic_category().message(code);
}

std::string holder_of(int lock_file) {
    char text[16] = {};
    const auto size = ::pread(lock_file, text, sizeof text - 1, 0);
    int pid = 0;
    if (size <= 0 || std::from_chars(text, text + size, pid).ec != std::errc{}) {
        return "another process";
    }
    return "process " + std::to_string(pid);
}

void write_pid(int lock_file) {
    // Only for people and error messages: that it fails is no reason not to go on.
    const auto text = std::to_string(::getpid()) + "\n";
    if (::ftruncate(lock_file, 0) == 0) {
        [[maybe_unused]] const auto written = ::pwrite(lock_file, text.data(), text.size(), 0);
    }
}

}  // namespace

expected<folder_claim> folder_claim::within_process(const std::filesystem::path& folder) {
    struct stat about {};
    if (::stat(folder.c_str(), &about) != 0) {
        return refused(folder, "cannot be opened: " + system_text(errno));
    }
    auto& [mutex, folders] = in_this_process();
    const std::lock_guard lock{mutex};
    if (!folders.emplace(about.st_dev, about.st_ino).second) {
        return refused(folder, "is in use by process " + std::to_string(::getpid()) + ", this one");
    }
    return folder_claim{folder_key{about.st_dev, about.st_ino}};
}

expected<folder_claim> folder_claim::for_reading(const std::filesystem::path& folder) {
    auto out = within_process(folder);
    if (!out) {
        return out;
    }
    // Made by the first writer; it is not there where only the data was copied.
    out->readers_file_ = ::open((folder / readers_file_name).c_str(), O_RDONLY | O_CLOEXEC);
    if (out->readers_file_ >= 0 && ::flock(out->readers_file_, LOCK_SH | LOCK_NB) != 0) {
        return refused(folder, "is being compacted or restored");
    }
    return out;
}

error folder_claim::exclude_readers(const std::filesystem::path& folder) {
    readers_file_ =
        ::open((folder / readers_file_name).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (readers_file_ < 0) {
        return std::move(refused(folder, "cannot be locked: " + system_text(errno)).value());
    }
    if (::flock(readers_file_, LOCK_EX | LOCK_NB) != 0) {
        return std::move(refused(folder, "is being read by another process").value());
    }
    return {};
}

expected<folder_claim> folder_claim::for_writing(const std::filesystem::path& folder) {
    auto out = within_process(folder);
    if (!out) {
        return out;
    }
    out->lock_file_ = ::open((folder / lock_file_name).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (out->lock_file_ < 0) {
        return refused(folder, "cannot be locked: " + system_text(errno));
    }
    if (::flock(out->lock_file_, LOCK_EX | LOCK_NB) != 0) {
        const int why = errno;
        return refused(folder, why == EWOULDBLOCK ? "is in use by " + holder_of(out->lock_file_)
                                                  : "cannot be locked: " + system_text(why));
    }
    write_pid(out->lock_file_);
    const int readers = ::open((folder / readers_file_name).c_str(), O_RDONLY | O_CREAT, 0666);
    if (readers >= 0) {
        ::close(readers);
    }
    return out;
}

bool folder_claim::exclude_writers(const std::filesystem::path& folder) {
    lock_file_ = ::open((folder / lock_file_name).c_str(), O_RDONLY | O_CLOEXEC);
    return lock_file_ < 0 ? errno == ENOENT : ::flock(lock_file_, LOCK_SH | LOCK_NB) == 0;
}

folder_claim::folder_claim(folder_claim&& other) noexcept
    : key_(std::exchange(other.key_, std::nullopt)),
      lock_file_(std::exchange(other.lock_file_, -1)),
      readers_file_(std::exchange(other.readers_file_, -1)) {}

folder_claim::~folder_claim() {
    // Closing drops the locks. The files stay: removing them would race.
    for (const int file : {lock_file_, readers_file_}) {
        if (file >= 0) {
            ::close(file);
        }
    }
    if (key_) {
        auto& [mutex, folders] = in_this_process();
        const std::lock_guard lock{mutex};
        folders.erase(*key_);
    }
}

}  // namespace bzmq::storage
