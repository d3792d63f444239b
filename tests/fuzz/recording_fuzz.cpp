// Recordings of bzmq-cli: whatever the bytes, messages or an error, and an end. The first byte says
// whether the others are a file, or what a block holds that is packed as it should be.
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "bzmq/data.hpp"
#include "recording/layout.hpp"
#include "recording/recording.hpp"

namespace {

using namespace bzmq::cli;

std::vector<std::byte> file_with_block(std::span<const std::byte> raw) {
    std::vector<std::byte> packed(::compressBound(raw.size()));
    uLongf size = packed.size();
    if (::compress2(reinterpret_cast<Bytef*>(packed.data()), &size,
                    reinterpret_cast<const Bytef*>(raw.data()), raw.size(), 0)
        != Z_OK) {
        std::abort();
    }
    packed.resize(size);
    layout::block_head head{static_cast<std::uint32_t>(size),
                            static_cast<std::uint32_t>(raw.size()), 1'000'000, 0};
    head.checksum = layout::checksum_of(head, packed);
    const auto magic = std::as_bytes(std::span{layout::magic});
    const auto mark = std::as_bytes(std::span{layout::block_mark});
    std::vector<std::byte> out{magic.begin(), magic.end()};
    out.insert(out.end(), mark.begin(), mark.end());
    for (const auto number : {head.packed, head.raw, head.count, head.checksum}) {
        layout::put_u32(out, number);
    }
    out.insert(out.end(), packed.begin(), packed.end());
    return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    if (size == 0) {
        return 0;
    }
    const auto rest = std::as_bytes(std::span{bytes + 1, size - 1});
    const auto file = (bytes[0] & 1) != 0 ? file_with_block(rest)
                                          : std::vector<std::byte>{rest.begin(), rest.end()};
    const int fd = ::memfd_create("recording", 0);
    if (fd < 0 || ::write(fd, file.data(), file.size()) != static_cast<ssize_t>(file.size())) {
        std::abort();
    }
    auto in = recording_reader::over({"input", fd});
    if (!in) {
        return 0;
    }
    bzmq::message what;
    bzmq::timestamp at;
    // Each message takes some bytes of a block, and each error gets at least one byte on.
    for (std::size_t calls = 0; calls <= file.size() * (layout::ratio_max + 1); ++calls) {
        const auto more = in->next(what, at);
        if (more && !*more) {
            return 0;
        }
        if (more) {
            static_cast<void>(what.value());
        }
    }
    std::abort();
}
