#include "storage/env_copy.hpp"

#include "storage/thread_start.hpp"
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>
#include <vector>

namespace bzmq::storage {
namespace {

class descriptor {
  public:
    explicit descriptor(int number) noexcept : number_(number) {}
    descriptor(const descriptor&) = delete;
    descriptor& operator=(const descriptor&) = delete;
    ~descriptor() { close(); }
    [[nodiscard]] int get() const noexcept { return number_; }
    void close() noexcept {
        if (number_ >= 0) {
            ::close(number_);
            number_ = -1;
        }
    }

  private:
    int number_;
};

error cannot_write(const std::filesystem::path& file, int why) {
    return {ec::cannot_write_file, file.string() + ": " + std::generic_category().message(why)};
}

bool write_all(int file, const std::byte* at, std::size_t left) noexcept {
    while (left > 0) {
        const auto written = ::write(file, at, left);
        if (written < 0 && errno != EINTR) {
            return false;
        }
        if (written > 0) {
            at += written;
            left -= static_cast<std::size_t>(written);
        }
    }
    return true;
}

std::uint64_t bytes_about(MDB_env* env) noexcept {
    MDB_envinfo info{};
    MDB_stat stat{};
    ::mdb_env_info(env, &info);
    ::mdb_env_stat(env, &stat);
    return (info.me_last_pgno + 1) * stat.ms_psize;
}

/// From the pipe into the file, until the far end closes it.
error pump(int from, int to, const std::filesystem::path& file, std::uint64_t total,
           const work_progress& told) {
    std::vector<std::byte> room(std::size_t{1} << 20);
    for (std::uint64_t done = 0;;) {
        const auto size = ::read(from, room.data(), room.size());
        if (size == 0) {
            return {};
        }
        if (size < 0) {
            if (errno == EINTR) {
                continue;
            }
            return cannot_write(file, errno);
        }
        if (!write_all(to, room.data(), static_cast<std::size_t>(size))) {
            return cannot_write(file, errno);
        }
        done += static_cast<std::uint64_t>(size);
        if (told && !told(std::min(done, total), total)) {
            return ec::cancelled;
        }
    }
}

}  // namespace

error copy_env(lmdb_store& from, const std::filesystem::path& file, const work_progress& told) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) {
        return cannot_write(file, errno);
    }
    descriptor out{ends[0]};
    descriptor in{ends[1]};
    const descriptor to{::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666)};
    if (to.get() < 0) {
        return cannot_write(file, errno);
    }
    // LMDB writes; we count. A pipe that closes under it makes it stop.
    int code = MDB_SUCCESS;
    auto& env = from.environment();
    const auto held = env.hold();
    auto writer = start_without_signals([&env, &in, &code] {
        code = ::mdb_env_copyfd2(env.raw(), in.get(), MDB_CP_COMPACT);
        in.close();
    });
    auto problem = pump(out.get(), to.get(), file, bytes_about(env.raw()), told);
    out.close();
    writer.join();
    if (!problem && code != MDB_SUCCESS) {
        problem = {ec::backend_failure,
                   "store " + env.folder().string() + " cannot be copied: " + code_text(code)};
    }
    if (!problem && ::fsync(to.get()) != 0) {
        problem = cannot_write(file, errno);
    }
    if (problem) {
        ::unlink(file.c_str());
    }
    return problem;
}

namespace {

error sync_folder_of(const std::filesystem::path& file) {
    const descriptor folder{::open(file.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    return folder.get() >= 0 && ::fsync(folder.get()) == 0 ? error{} : cannot_write(file, errno);
}

}  // namespace

error move_file(const std::filesystem::path& from, const std::filesystem::path& to) {
    return ::rename(from.c_str(), to.c_str()) == 0 ? sync_folder_of(to) : cannot_write(to, errno);
}

expected<new_file> new_file::make(std::filesystem::path path) {
    const int number = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (number < 0) {
        return unexpected{cannot_write(path, errno)};
    }
    return new_file{std::move(path), number};
}

new_file::~new_file() {
    if (number_ >= 0) {
        ::close(number_);
        ::unlink(path_.c_str());  // No half of it.
    }
}

error new_file::append(std::string_view more) {
    const auto* bytes = reinterpret_cast<const std::byte*>(more.data());
    return write_all(number_, bytes, more.size()) ? error{} : cannot_write(path_, errno);
}

error new_file::finish() {
    if (::fsync(number_) != 0) {
        return cannot_write(path_, errno);
    }
    if (auto problem = sync_folder_of(path_)) {
        return problem;
    }
    ::close(std::exchange(number_, -1));
    return {};
}

}  // namespace bzmq::storage
