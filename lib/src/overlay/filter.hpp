#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

/// Topic filters: a topic passes where one of the prefixes begins it, byte by byte. The empty
/// prefix lets everything pass, an empty filter nothing.
namespace bzmq::overlay {

/// The same filter with as few prefixes as possible: sorted by bytes, none twice, none that begins
/// with another. Two filters that let the same topics pass have the same minimised form.
[[nodiscard]] std::vector<std::string> minimise(std::vector<std::string> prefixes);

/// True where `prefixes` is as `minimise` leaves it.
[[nodiscard]] bool is_minimised(std::span<const std::string> prefixes) noexcept;

/// True where a prefix of `filter`, which must be minimised, begins `topic`. O(log prefixes).
[[nodiscard]] bool matches(std::span<const std::string> filter, std::string_view topic) noexcept;

}  // namespace bzmq::overlay
