#include "node/permissions.hpp"

#include <algorithm>
#include <utility>

#include "overlay/filter.hpp"

namespace bzmq::node {

bool permissions::add(std::string key, link_rules rules) {
    for (auto* prefixes : {&rules.publish, &rules.subscribe}) {
        if (*prefixes) {
            **prefixes = overlay::minimise(std::move(**prefixes));
        }
    }
    if (rules.stores) {
        std::sort(rules.stores->begin(), rules.stores->end());
    }
    const bool restricts = rules != link_rules{};
    return by_key_
        .try_emplace(std::move(key),
                     restricts ? std::make_shared<const link_rules>(std::move(rules)) : nullptr)
        .second;
}

rules_ptr permissions::of(std::string_view public_key) const {
    auto at = by_key_.find(public_key);
    if (at == by_key_.end()) {
        at = by_key_.find(any_key);
    }
    return at == by_key_.end() ? nullptr : at->second;
}

bool operator==(const permissions& a, const permissions& b) {
    return std::equal(a.by_key_.begin(), a.by_key_.end(), b.by_key_.begin(), b.by_key_.end(),
                      [](const auto& x, const auto& y) {
                          return x.first == y.first
                                 && (x.second == y.second
                                     || (x.second && y.second && *x.second == *y.second));
                      });
}

}  // namespace bzmq::node
