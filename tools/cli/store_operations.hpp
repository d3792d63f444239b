#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace bzmq::cli {

/// One of the operations of `bzmq-cli store`, as --help, the man page, the completions and the
/// check of the command line know it.
struct store_operation {
    std::string_view name;
    std::string_view arguments;  ///< as a synopsis shows them
    std::string_view meaning;
    std::size_t arguments_min = 0;
    std::size_t arguments_max = 0;
    std::string_view options;  ///< those of its own, with a space around each
};

std::span<const store_operation> store_operations() noexcept;
/// Null where there is none with this name.
const store_operation* find_store_operation(std::string_view name) noexcept;

}  // namespace bzmq::cli
