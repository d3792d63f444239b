#include <fcntl.h>
#include <sys/file.h>
#include <zlib.h>

#include <cerrno>
#include <utility>

#include "layout.hpp"
#include "recording.hpp"

namespace bzmq::cli {
namespace {

// Large enough to pack well, small enough to be read at once.
constexpr std::size_t block_bytes = std::size_t{256} << 10;
// The fastest that packs at all: a recorder has to keep up.
constexpr int packing = 1;

}  // namespace

expected<recording_writer> recording_writer::open(const std::string& file, mode how) {
    const int flags = O_RDWR | O_CLOEXEC | O_CREAT | (how == mode::fresh ? O_EXCL : 0);
    const int fd = ::open(file.c_str(), flags, 0644);
    recording_file opened{file, fd};
    if (fd < 0 && errno == EEXIST) {
        return fail(ec::backend_failure, file
                                             + " exists: --append goes on with it, --overwrite "
                                               "begins it anew");
    }
    if (fd < 0) {
        return tl::unexpected{opened.failure("cannot be opened", errno)};
    }
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
        return fail(ec::backend_failure, file + " is being written by another process");
    }
    if (how == mode::append && opened.size() > 0) {
        recording_writer out{std::move(opened), 0};
        if (auto done = out.skip_whole_blocks(); !done) {
            return tl::unexpected{done.error()};
        }
        return out;
    }
    if (auto emptied = opened.cut(0); !emptied) {
        return tl::unexpected{emptied.error()};
    }
    const auto begin = std::as_bytes(std::span{layout::magic});
    if (auto written = opened.write(0, begin); !written) {
        return tl::unexpected{written.error()};
    }
    return recording_writer{std::move(opened), begin.size()};
}

/// Stops at a damaged block, too: what comes behind it is not cut off but refused.
expected<void> recording_writer::skip_whole_blocks() {
    auto reader = recording_reader::over(std::move(file_));
    if (!reader) {
        return tl::unexpected{reader.error()};
    }
    message each;
    timestamp at;
    while (true) {
        const auto more = reader->next(each, at);
        if (!more) {
            return tl::unexpected{more.error()};
        }
        if (!*more) {
            break;
        }
        ++before_;
    }
    dropped_ = reader->cut_off();
    offset_ = reader->offset();
    file_ = std::move(*reader).release();
    return dropped_ > 0 ? file_.cut(offset_) : expected<void>{};
}

expected<void> recording_writer::add(const message& what, timestamp at) {
    if (what.payload().size() > layout::raw_bytes_max / 2) {
        return fail(ec::message_too_big, "a message of " + std::to_string(what.payload().size())
                                             + " bytes does not fit into a recording");
    }
    const auto now = at.time_since_epoch().count();
    layout::put_signed(block_, now - clock_);
    clock_ = now;
    layout::put_signed(block_, what.sent_at().time_since_epoch().count() - now);
    block_.push_back(what.mode() == delivery_mode::reliable ? std::byte{1} : std::byte{0});
    block_.push_back(static_cast<std::byte>(what.hops()));
    const auto id = what.origin();
    const auto [origin, new_origin] = origins_.try_emplace(id, origins_.size());
    layout::put_varint(block_, origin->second);
    if (new_origin) {
        const auto bytes = std::as_bytes(std::span{id.bytes()});
        block_.insert(block_.end(), bytes.begin(), bytes.end());
    }
    auto topic = topics_.find(what.topic());
    if (topic == topics_.end()) {
        topic = topics_.emplace(what.topic(), topics_.size()).first;
        layout::put_varint(block_, topic->second);
        layout::put_bytes(block_, std::as_bytes(std::span{what.topic()}));
    } else {
        layout::put_varint(block_, topic->second);
    }
    layout::put_bytes(block_, what.payload());
    ++count_;
    ++messages_;
    return block_.size() >= block_bytes ? flush() : expected<void>{};
}

expected<void> recording_writer::flush() {
    if (count_ == 0) {
        return {};
    }
    packed_.resize(::compressBound(block_.size()));
    uLongf size = packed_.size();
    if (::compress2(reinterpret_cast<Bytef*>(packed_.data()), &size,
                    reinterpret_cast<const Bytef*>(block_.data()), block_.size(), packing)
        != Z_OK) {
        return fail(ec::backend_failure, "no memory to pack a block of messages");
    }
    packed_.resize(size);
    layout::block_head head{static_cast<std::uint32_t>(size),
                            static_cast<std::uint32_t>(block_.size()), count_, 0};
    head.checksum = layout::checksum_of(head, packed_);
    std::vector<std::byte> bytes;
    const auto mark = std::as_bytes(std::span{layout::block_mark});
    bytes.insert(bytes.end(), mark.begin(), mark.end());
    for (const auto number : {head.packed, head.raw, head.count, head.checksum}) {
        layout::put_u32(bytes, number);
    }
    bytes.insert(bytes.end(), packed_.begin(), packed_.end());
    if (auto written = file_.write(offset_, bytes); !written) {
        static_cast<void>(file_.cut(offset_));  // Best effort: a reader copes with what is left.
        return written;
    }
    offset_ += bytes.size();
    block_.clear();
    count_ = 0;
    clock_ = 0;
    topics_.clear();
    origins_.clear();
    return {};
}

}  // namespace bzmq::cli
