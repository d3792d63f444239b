#pragma once

#include "bzmq/error.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace bzmq::cli {

/// Where the file that processes append to has `bytes_max` or more, its last so many bytes become
/// FILE.1, in place of the one before, and it is empty again. Yields how many bytes of the file FILE.1
/// lacks at its beginning; nothing where it is shorter. The processes keep it open and notice
/// nothing; what they write in the very moment between the two may get lost. Fails with
/// `ec::cannot_write_file`, and leaves the file as it is.
expected<std::optional<std::uint64_t>> bound_log(const std::string& file, std::uint64_t bytes_max);

}  // namespace bzmq::cli
