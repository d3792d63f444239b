#include "overlay/filter.hpp"

#include <algorithm>
#include <utility>

namespace bzmq::overlay {

std::vector<std::string> minimise(std::vector<std::string> prefixes) {
    if (is_minimised(prefixes)) {
        return prefixes;
    }
    std::sort(prefixes.begin(), prefixes.end());
    // Whatever begins with a prefix follows it in the order, with nothing else in between.
    auto kept = prefixes.begin();
    for (auto at = prefixes.begin(); at != prefixes.end(); ++at) {
        if (at == prefixes.begin()) {
            continue;
        }
        if (!at->starts_with(*kept)) {
            ++kept;
            if (kept != at) {
                *kept = std::move(*at);
            }
        }
    }
    prefixes.erase(kept + 1, prefixes.end());
    return prefixes;
}

bool is_minimised(std::span<const std::string> prefixes) noexcept {
    const auto out_of_place = [](const std::string& first, const std::string& second) {
        return second <= first || second.starts_with(first);
    };
    return std::adjacent_find(prefixes.begin(), prefixes.end(), out_of_place) == prefixes.end();
}

bool matches(std::span<const std::string> filter, std::string_view topic) noexcept {
    // Strings between a prefix of the topic and the topic begin with that prefix, so that a
    // minimised filter holds none of them: the prefix is the last one up to the topic.
    const auto behind = std::upper_bound(filter.begin(), filter.end(), topic);
    return behind != filter.begin() && topic.starts_with(*std::prev(behind));
}

}  // namespace bzmq::overlay
