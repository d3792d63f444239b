#include <fcntl.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "layout.hpp"
#include "recording.hpp"

namespace bzmq::cli {
namespace {

std::string_view text_of(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// The head at the front of `bytes`, if there is one that can be.
std::optional<layout::block_head> head_at(std::span<const std::byte, layout::block_head::bytes> bytes) {
    if (std::memcmp(bytes.data(), layout::block_mark.data(), layout::block_mark.size()) != 0) {
        return std::nullopt;
    }
    const auto* at = bytes.data() + layout::block_mark.size();
    const layout::block_head out{layout::get_u32(at), layout::get_u32(at + 4),
                                 layout::get_u32(at + 8), layout::get_u32(at + 12)};
    const bool can_be = out.raw <= layout::raw_bytes_max && out.count > 0
                        && out.raw <= layout::ratio_max * (std::uint64_t{out.packed} + 1)
                        && out.packed <= ::compressBound(out.raw);
    return can_be ? std::optional{out} : std::nullopt;
}

}  // namespace

expected<recording_reader> recording_reader::open(const std::string& file) {
    const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
    recording_file opened{file, fd};
    if (fd < 0) {
        return tl::unexpected{opened.failure("cannot be opened", errno)};
    }
    return over(std::move(opened));
}

expected<recording_reader> recording_reader::over(recording_file file) {
    std::array<std::byte, layout::magic.size()> begin{};
    const auto got = file.read(0, begin);
    if (!got) {
        return tl::unexpected{got.error()};
    }
    if (*got < begin.size() || std::memcmp(begin.data(), layout::magic.data(), begin.size() - 1) != 0) {
        return fail(ec::invalid_data, file.name() + " is no recording of bzmq-cli");
    }
    if (std::to_integer<char>(begin.back()) != layout::magic.back()) {
        return fail(ec::invalid_data,
                    file.name() + " is a recording in format "
                        + std::to_string(std::to_integer<unsigned>(begin.back()))
                        + "; this program knows format 1");
    }
    recording_reader out{std::move(file)};
    out.offset_ = layout::magic.size();
    return out;
}

error recording_reader::damaged(std::string_view what) const {
    return {ec::invalid_data, file_.name() + ": the block at byte " + std::to_string(offset_)
                                  + " is damaged (" + std::string{what} + ")"};
}

/// Where the next mark is; the file's size where there is none.
std::uint64_t recording_reader::find_block(std::uint64_t from) const {
    std::vector<std::byte> window(std::size_t{1} << 16);
    while (true) {
        const auto got = file_.read(from, window);
        if (!got || *got < layout::block_mark.size()) {
            return size();
        }
        const auto text = text_of({window.data(), *got});
        const auto at = text.find({layout::block_mark.data(), layout::block_mark.size()});
        if (at != std::string_view::npos) {
            return from + at;
        }
        from += *got - layout::block_mark.size() + 1;
    }
}

expected<bool> recording_reader::read_block() {
    std::array<std::byte, layout::block_head::bytes> bytes{};
    const auto got = file_.read(offset_, bytes);
    if (!got) {
        return tl::unexpected{got.error()};
    }
    if (*got < bytes.size()) {
        cut_off_ = *got;
        return false;
    }
    // Before anything that can fail: the next call goes on behind what is damaged.
    const auto fail_here = [&](std::string_view what) {
        auto problem = damaged(what);
        offset_ = find_block(offset_ + 1);
        return tl::unexpected{std::move(problem)};
    };
    const auto head = head_at(bytes);
    if (!head) {
        return fail_here("no block begins there");
    }
    packed_.resize(std::min<std::uint64_t>(head->packed, size() - std::min(size(), offset_)));
    const auto came = file_.read(offset_ + bytes.size(), packed_);
    if (!came) {
        return tl::unexpected{came.error()};
    }
    if (*came < head->packed) {
        if (find_block(offset_ + 1) < size()) {
            return fail_here("its length is wrong");
        }
        cut_off_ = bytes.size() + *came;
        return false;
    }
    if (layout::checksum_of(*head, packed_) != head->checksum) {
        return fail_here("its checksum is wrong");
    }
    block_.resize(head->raw);
    uLongf size = head->raw;
    if (::uncompress(reinterpret_cast<Bytef*>(block_.data()), &size,
                     reinterpret_cast<const Bytef*>(packed_.data()), head->packed) != Z_OK
        || size != head->raw) {
        return fail_here("it cannot be unpacked");
    }
    offset_ += bytes.size() + head->packed;
    position_ = 0;
    left_ = head->count;
    clock_ = 0;
    topics_.clear();
    origins_.clear();
    return true;
}

bool recording_reader::read_record(message& out, timestamp& at) {
    layout::cursor in{block_, position_};
    const auto add = [](std::int64_t a, std::int64_t b) {  // A damaged one may overflow.
        return static_cast<std::int64_t>(static_cast<std::uint64_t>(a)
                                         + static_cast<std::uint64_t>(b));
    };
    clock_ = add(clock_, in.signed_varint());
    at = timestamp{timespan{clock_}};
    auto* batch = new message_batch;
    const batch_ptr owner{batch};
    batch->count = 1;
    batch->sent_at = timestamp{timespan{add(clock_, in.signed_varint())}};
    const auto flags = in.take(2);
    const auto origin = in.varint();
    if (origin == origins_.size()) {
        endpoint_id::bytes_type id{};
        const auto bytes = in.take(id.size());
        if (in.good()) {
            std::memcpy(id.data(), bytes.data(), id.size());
            origins_.emplace_back(id);
        }
    }
    const auto topic = in.varint();
    if (topic == topics_.size()) {
        topics_.push_back(text_of(in.bytes()));
    }
    const auto payload = in.bytes();
    if (!in.good() || origin >= origins_.size() || topic >= topics_.size()) {
        return false;
    }
    batch->mode = (flags[0] & std::byte{1}) != std::byte{0} ? delivery_mode::reliable
                                                            : delivery_mode::best_effort;
    batch->hops = std::to_integer<std::uint8_t>(flags[1]);
    batch->origin = origins_[static_cast<std::size_t>(origin)];
    position_ = in.position();
    out = message{owner, topics_[static_cast<std::size_t>(topic)], payload};
    return true;
}

expected<bool> recording_reader::next(message& out, timestamp& at) {
    while (left_ == 0) {
        const auto more = read_block();
        if (!more || !*more) {
            return more;
        }
    }
    --left_;
    if (!read_record(out, at)) {
        left_ = 0;
        return tl::unexpected{damaged("the block before it holds no messages")};
    }
    return true;
}

}  // namespace bzmq::cli
