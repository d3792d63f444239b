#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bzmq::node {

/// What a peer may do over its links, by the key that it has shown.
struct link_rules {
    /// Prefixes of the topics of messages that may come from it; unset: of all.
    std::optional<std::vector<std::string>> publish;
    /// Likewise of those that may go to it.
    std::optional<std::vector<std::string>> subscribe;
    /// Names of the stores whose messages pass, both ways; unset: of all.
    std::optional<std::vector<std::string>> stores;

    friend bool operator==(const link_rules&, const link_rules&) = default;
};
/// Null where nothing is forbidden: such links do not look at what they carry.
using rules_ptr = std::shared_ptr<const link_rules>;

/// The rules of all keys.
class permissions {
  public:
    /// Stands for every key that has no rules of its own.
    static constexpr std::string_view any_key = "*";

    /// Sets what holds for a key (Z85). False where that was set before.
    bool add(std::string key, link_rules rules);
    /// Is there something for every key?
    [[nodiscard]] bool covers_all() const { return by_key_.contains(any_key); }
    /// Null also where nothing is said of the key.
    [[nodiscard]] rules_ptr of(std::string_view public_key) const;

    friend bool operator==(const permissions& a, const permissions& b);

  private:
    std::map<std::string, rules_ptr, std::less<>> by_key_;
};

}  // namespace bzmq::node
