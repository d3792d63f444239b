#include "log_packer.hpp"

#include "bzmq/error.hpp"

#include "descriptor.hpp"
#include "log_file.hpp"
#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

namespace bzmq::cli {
namespace {

constexpr std::size_t chunk_bytes = std::size_t{128} << 10;

unexpected failed(const std::string& path) {
    return fail(ec::cannot_write_file, path + ": " + std::strerror(errno));
}

expected<void> write_packed(const std::string& from, const std::string& to) {
    const descriptor in{::open(from.c_str(), O_RDONLY | O_CLOEXEC)};
    if (in.get() < 0) {
        return failed(from);
    }
    const descriptor out{::open(to.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)};
    if (out.get() < 0) {
        return failed(to);
    }
    // zlib closes what it is given.
    gzFile packed = gzdopen(::dup(out.get()), "wb");
    if (packed == nullptr) {
        return failed(to);
    }
    std::vector<char> chunk(chunk_bytes);
    ssize_t count = 0;
    bool good = true;
    errno = 0;
    while (good && (count = ::read(in.get(), chunk.data(), chunk.size())) > 0) {
        good = gzwrite(packed, chunk.data(), static_cast<unsigned>(count)) == count;
    }
    if (good && count < 0) {
        good = false;
    }
    good = gzclose_w(packed) == Z_OK && good;
    if (!good || ::fsync(out.get()) != 0) {
        return failed(to);
    }
    return {};
}

expected<void> pack(const std::string& file) {
    const auto part = file + ".gz.part";
    if (auto written = write_packed(file, part); !written) {
        ::unlink(part.c_str());
        return written;
    }
    if (auto renamed = rename_durably(part, file + ".gz"); !renamed) {
        ::unlink(part.c_str());
        return renamed;
    }
    return ::unlink(file.c_str()) == 0 ? expected<void>{} : failed(file);
}

}  // namespace

log_packer::log_packer(std::function<void(std::string_view)> report)
    : report_(std::move(report)), thread_([this] { run(); }) {}

log_packer::~log_packer() {
    {
        const std::lock_guard lock{mutex_};
        stopping_ = true;
    }
    changed_.notify_one();
    thread_.join();
}

void log_packer::add(std::string file) {
    {
        const std::lock_guard lock{mutex_};
        waiting_.push_back(std::move(file));
    }
    changed_.notify_one();
}

void log_packer::run() {
    std::unique_lock lock{mutex_};
    for (;;) {
        changed_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
        if (waiting_.empty()) {
            return;
        }
        const auto file = std::move(waiting_.front());
        waiting_.pop_front();
        lock.unlock();
        if (const auto packed = pack(file); !packed) {
            report_("not packed: " + packed.error().message());
        }
        lock.lock();
    }
}

}  // namespace bzmq::cli
