#include "endpoint/filter_room.hpp"

#include <algorithm>

#include "overlay/filter.hpp"
#include "overlay/limits.hpp"

namespace bzmq {
namespace {

struct totals {
    std::size_t prefixes = 0;
    std::size_t bytes = 0;
    std::size_t longest = 0;

    void add(const std::vector<std::string>& more) {
        prefixes += more.size();
        for (const auto& each : more) {
            bytes += each.size();
            longest = std::max(longest, each.size());
        }
    }
    [[nodiscard]] bool fits() const {
        return prefixes <= overlay::prefixes_max && bytes <= overlay::filter_bytes_max;
    }
};

}  // namespace

error filter_room::check() const {
    totals sum;
    for (const auto* each : subscribed_) {
        sum.add(*each);
    }
    for (const auto* each : bridged_) {
        sum.add(*each);
    }
    if (sum.longest > overlay::prefix_bytes_max) {
        return {ec::invalid_topic, "expected topics of at most "
                                       + std::to_string(overlay::prefix_bytes_max)
                                       + " bytes, got one of " + std::to_string(sum.longest)};
    }
    if (sum.fits()) {
        return {};
    }
    // Prefixes that others cover take no room: the sum above may be too large.
    std::vector<std::string> all;
    for (const auto* each : subscribed_) {
        all.insert(all.end(), each->begin(), each->end());
    }
    sum = {};
    sum.add(overlay::minimise(std::move(all)));
    for (const auto* each : bridged_) {
        sum.add(overlay::minimise(*each));
    }
    if (sum.fits()) {
        return {};
    }
    return {ec::invalid_topic,
            "this endpoint would subscribe to " + std::to_string(sum.prefixes)
                + " topic prefixes with " + std::to_string(sum.bytes) + " bytes; expected at most "
                + std::to_string(overlay::prefixes_max) + " with "
                + std::to_string(overlay::filter_bytes_max) + " bytes"};
}

}  // namespace bzmq
