#pragma once

#include <stdexcept>

namespace bzmq::config {

/// toml++ 3.3 asserts, or with NDEBUG takes for granted, what a malformed document can break, "[:"
/// for one. Here that is an exception in every build.
struct parser_flaw : std::runtime_error {
    parser_flaw() : std::runtime_error{"toml++ met a document that it did not expect"} {}
};

[[noreturn]] inline void throw_parser_flaw() {
    throw parser_flaw{};
}

}  // namespace bzmq::config

#undef NDEBUG
#define TOML_ASSERT(condition) \
    ((condition) ? static_cast<void>(0) : ::bzmq::config::throw_parser_flaw())
#define TOML_HEADER_ONLY 1
#include <toml++/toml.h>
