#include "bzmq/network_info.hpp"

#include "endpoint/configuration_sources.hpp"
#include "endpoint/configuration_table.hpp"
#include "endpoint/toml_document.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <type_traits>
#include <utility>

namespace bzmq::config {
namespace {

constexpr std::array<std::string_view, 7> peer_keys{
    "url", "server_key", "retry", "overflow", "queue_bytes", "queue_messages", "link_cost"};

/// Applies one parsed document; knows the file's name for its messages.
class toml_source {
  public:
    toml_source(endpoint_options& to, std::string_view file_name, places* where = nullptr)
        : to_(to), file_name_(file_name), where_(where) {}

    expected<void> apply(const toml::table& document) {
        for (const auto& [key, node] : document) {
            const auto* what = find_option(key.str());
            if (what == nullptr) {
                return unknown(key, nearest_option(key.str()));
            }
            const toml::node& value = node;  // clang 14 captures no structured binding.
            auto done = std::visit([&](auto member) { return set(*what, to_.*member, value); },
                                   what->member);
            if (!done) {
                return done;
            }
            if (where_ != nullptr) {
                where_->insert_or_assign(what->key, place_text(file_name_, key.source().begin));
            }
        }
        return {};
    }

  private:
    unexpected invalid(const toml::source_position& at, const std::string& message) const {
        return invalid_at(file_name_, at, message);
    }

    unexpected unknown(const toml::key& key, std::string_view meant) const {
        return invalid(
            key.source().begin,
            "unknown key \"" + printable(key.str()) + '"'
                + (meant.empty() ? "" : "; did you mean \"" + std::string{meant} + "\"?"));
    }

    unexpected wrong_value(const toml::node& node, std::string_view key,
                           const std::string& why) const {
        return invalid(node.source().begin, std::string{key} + ": " + why);
    }

    /// Switches, numbers, and everything that has a text form.
    template <class value_type>
    expected<void> set(const option& what, value_type&, const toml::node& node) {
        constexpr bool is_switch = std::is_same_v<value_type, bool>;
        const bool is_plain_number =
            (std::is_same_v<value_type, std::size_t> && what.in == unit::none)
            || std::is_same_v<value_type, std::uint32_t>;
        std::string text;
        if (const auto* flag = node.as_boolean(); flag != nullptr && is_switch) {
            text = flag->get() ? "true" : "false";
        } else if (const auto* string = node.as_string();
                   string != nullptr && !is_switch && !is_plain_number) {
            text = string->get();
        } else if (const auto* number = node.as_integer();
                   number != nullptr && !is_switch && !std::is_same_v<value_type, std::string>) {
            text = std::to_string(number->get());
        } else {
            return wrong_value(node, what.key, expectation(what));
        }
        auto done = set_from_text(to_, what, text);
        return done ? expected<void>{} : wrong_value(node, what.key, done.error());
    }

    expected<void> set(const option& what, std::vector<std::string>& urls, const toml::node& node) {
        urls.clear();
        return for_each_entry(what, node, [&](const toml::node& entry) -> expected<void> {
            const auto* url = entry.as_string();
            if (url == nullptr) {
                return wrong_value(entry, what.key, expectation(what));
            }
            if (const auto info = parse_network_info(url->get()); !info) {
                return wrong_value(entry, what.key, info.error().message());
            }
            urls.push_back(url->get());
            return {};
        });
    }

    expected<void> set(const option& what, std::vector<peer_options>& peers,
                       const toml::node& node) {
        peers.clear();
        return for_each_entry(what, node, [&](const toml::node& entry) -> expected<void> {
            peer_options peer;
            if (const auto* table = entry.as_table()) {
                if (auto done = read_peer(peer, *table); !done) {
                    return done;
                }
            } else if (const auto* url = entry.as_string()) {
                peer.url = url->get();
            } else {
                return wrong_value(entry, what.key, expectation(what));
            }
            if (const auto info = parse_network_info(peer.url); !info) {
                return wrong_value(entry, what.key, info.error().message());
            }
            peers.push_back(std::move(peer));
            return {};
        });
    }

    /// A list may be written as its only entry. Ends with the checks on the list as a whole.
    template <class visitor>
    expected<void> for_each_entry(const option& what, const toml::node& node, visitor visit) {
        if (const auto* list = node.as_array()) {
            for (const auto& entry : *list) {
                if (auto done = visit(entry); !done) {
                    return done;
                }
            }
        } else if (auto done = visit(node); !done) {
            return done;
        }
        auto done = check(to_, what);
        return done ? expected<void>{} : wrong_value(node, what.key, done.error());
    }

    expected<void> read_peer(peer_options& peer, const toml::table& table) {
        for (const auto& [key, value] : table) {
            const auto name = key.str();
            const auto* text = value.as_string();
            if (name == "url" && text != nullptr) {
                peer.url = text->get();
            } else if (name == "server_key" && text != nullptr) {
                peer.server_key = text->get();
            } else if (name == "retry") {
                const auto* number = value.as_integer();
                auto retry = parse_duration(text != nullptr     ? text->get()
                                            : number != nullptr ? std::to_string(number->get())
                                                                : std::string{});
                if (!retry) {
                    return wrong_value(value, "peers: retry", retry.error());
                }
                peer.retry = *retry;
            } else if (name == "overflow") {
                if (auto done = set_limit(peer.limits.overflow, &endpoint_options::peer_overflow,
                                          "peer_overflow", name, value);
                    !done) {
                    return done;
                }
            } else if (name == "queue_bytes") {
                if (auto done = set_limit(peer.limits.queue_bytes,
                                          &endpoint_options::peer_queue_bytes, "peer_queue_bytes",
                                          name, value);
                    !done) {
                    return done;
                }
            } else if (name == "queue_messages") {
                if (auto done = set_limit(peer.limits.queue_messages,
                                          &endpoint_options::peer_queue_messages,
                                          "peer_queue_messages", name, value);
                    !done) {
                    return done;
                }
            } else if (name == "link_cost") {
                if (auto done = set_limit(peer.limits.link_cost, &endpoint_options::link_cost,
                                          "link_cost", name, value);
                    !done) {
                    return done;
                }
            } else if (name == "url" || name == "server_key") {
                return wrong_value(value, "peers: " + std::string{name}, "expected text");
            } else {
                return unknown(key, nearest_name(name, peer_keys));
            }
        }
        if (peer.url.empty()) {
            return wrong_value(table, "peers", "expected a url in each peer");
        }
        return {};
    }

    /// Reads what holds for one peer as the option that it stands in for.
    template <class value_type>
    expected<void> set_limit(std::optional<value_type>& to, value_type endpoint_options::*member,
                             std::string_view stands_for, std::string_view name,
                             const toml::node& node) const {
        endpoint_options scratch;
        auto what = *find_option(stands_for);
        const auto shown = "peers: " + std::string{name};
        what.key = shown;
        auto done = toml_source{scratch, file_name_}.set(what, scratch.*member, node);
        if (done) {
            to = scratch.*member;
        }
        return done;
    }

    endpoint_options& to_;
    std::string_view file_name_;
    places* where_;
};

}  // namespace

expected<void> apply_toml(endpoint_options& to, std::string_view document,
                          std::string_view file_name, places* where) {
    const auto parsed = parse_toml(document, file_name);
    return parsed ? toml_source{to, file_name, where}.apply(*parsed)
                  : expected<void>{tl::unexpected{parsed.error()}};
}

}  // namespace bzmq::config
