// Recordings of bzmq-cli: whatever the bytes, messages or an error, and an end.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>

#include "recording/recording.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const int fd = ::memfd_create("recording", 0);
    if (fd < 0 || ::write(fd, bytes, size) != static_cast<ssize_t>(size)) {
        std::abort();
    }
    auto in = bzmq::cli::recording_reader::over({"input", fd});
    if (!in) {
        return 0;
    }
    bzmq::message what;
    bzmq::timestamp at;
    // Each call gets at least one byte on, or ends.
    for (std::size_t calls = 0;; ++calls) {
        const auto more = in->next(what, at);
        if (more && !*more) {
            return 0;
        }
        if (more && what.topic().size() + what.payload().size() > in->size() * 2000) {
            std::abort();
        }
    }
}
