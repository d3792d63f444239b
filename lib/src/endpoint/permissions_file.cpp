#include "endpoint/permissions_file.hpp"

#include "bzmq/certificate.hpp"
#include "bzmq/configuration.hpp"

#include "endpoint/configuration_text.hpp"
#include "endpoint/toml_document.hpp"
#include "transport/files.hpp"
#include "wire/frames.hpp"

#include <array>
#include <optional>
#include <vector>

namespace bzmq {
namespace {

constexpr std::array<std::string_view, 1> root_keys{"permissions"};
constexpr std::array<std::string_view, 4> entry_keys{"key", "publish", "subscribe", "stores"};

/// Reads one document; knows the file's name for its messages.
class permissions_reader {
  public:
    explicit permissions_reader(std::string_view file_name) : file_name_(file_name) {}

    expected<node::permissions> read(const toml::table& document) {
        for (const auto& [key, node] : document) {
            if (key.str() != root_keys[0]) {
                return unknown(key, root_keys);
            }
            const auto* entries = node.as_array();
            if (entries == nullptr) {
                return no_entry(node);
            }
            for (const auto& entry : *entries) {
                const auto* table = entry.as_table();
                if (table == nullptr) {
                    return no_entry(entry);
                }
                if (auto done = read_entry(*table); !done) {
                    return tl::unexpected{std::move(done.error())};
                }
            }
        }
        if (!rules_.covers_all()) {
            return wrong(document, "permissions: expected a table with key = \"*\" too: what keys "
                                   "without a table of their own may do");
        }
        return std::move(rules_);
    }

  private:
    unexpected wrong(const toml::node& node, std::string_view message) const {
        return config::invalid_at(file_name_, node.source().begin, message);
    }

    unexpected no_entry(const toml::node& node) const {
        return wrong(node, "permissions: expected tables, each under [[permissions]]");
    }

    unexpected unknown(const toml::key& key, std::span<const std::string_view> known) const {
        const auto meant = config::nearest_name(key.str(), known);
        return config::invalid_at(
            file_name_, key.source().begin,
            "unknown key \"" + config::printable(key.str()) + '"'
                + (meant.empty() ? "" : "; did you mean \"" + std::string{meant} + "\"?"));
    }

    expected<void> read_entry(const toml::table& table) {
        const toml::node* at = &table;
        std::string key;
        node::link_rules rules;
        for (const auto& [name, value] : table) {
            expected<void> done;
            if (name == "key") {
                const auto* text = value.as_string();
                if (text == nullptr
                    || (text->get() != node::permissions::any_key && !is_key_text(text->get()))) {
                    return wrong(value, "key: expected a public key, 40 characters of Z85, or "
                                        "\"*\" for all that have no permissions of their own");
                }
                key = text->get();
                at = &value;
            } else if (name == "publish") {
                done = read_list(rules.publish, name.str(), value, topic_bytes_max,
                                 "topic prefixes, such as [\"/zeek/logs/\"]");
            } else if (name == "subscribe") {
                done = read_list(rules.subscribe, name.str(), value, topic_bytes_max,
                                 "topic prefixes, such as [\"/zeek/logs/\"]");
            } else if (name == "stores") {
                done = read_list(rules.stores, name.str(), value, wire::store_name_bytes_max,
                                 "names of stores");
            } else {
                return unknown(name, entry_keys);
            }
            if (!done) {
                return done;
            }
        }
        if (key.empty()) {
            return wrong(table, "permissions: expected a key in each table");
        }
        if (!rules_.add(key, std::move(rules))) {
            return wrong(*at, "key: expected one table a key, but " + key + " has another one");
        }
        return {};
    }

    expected<void> read_list(std::optional<std::vector<std::string>>& to, std::string_view name,
                             const toml::node& node, std::size_t bytes_max,
                             std::string_view of_what) const {
        const auto expected_list = [&](const toml::node& where) {
            return wrong(where, std::string{name} + ": expected a list of "
                                    + std::string{of_what} + ", each of at most "
                                    + std::to_string(bytes_max) + " bytes");
        };
        const auto* list = node.as_array();
        if (list == nullptr) {
            return expected_list(node);
        }
        to.emplace();
        for (const auto& entry : *list) {
            const auto* text = entry.as_string();
            if (text == nullptr || text->get().size() > bytes_max) {
                return expected_list(entry);
            }
            to->push_back(text->get());
        }
        return {};
    }

    std::string_view file_name_;
    node::permissions rules_;
};

}  // namespace

expected<node::permissions> parse_permissions(std::string_view document,
                                              std::string_view file_name) {
    const auto parsed = config::parse_toml(document, file_name);
    return parsed ? permissions_reader{file_name}.read(*parsed)
                  : expected<node::permissions>{tl::unexpected{parsed.error()}};
}

expected<permissions_file> permissions_file::load(std::string path) {
    permissions_file made{std::move(path)};
    if (auto done = made.reload_if_changed(); !done) {
        return tl::unexpected{std::move(done.error())};
    }
    return made;
}

expected<bool> permissions_file::reload_if_changed() {
    const auto files = watch_.look();
    if (!files) {
        return tl::unexpected{files.error()};
    }
    if (!*files) {
        return false;
    }
    const auto content = transport::read_small_file(watch_.path());
    if (!content) {
        return tl::unexpected{content.error()};
    }
    auto rules = parse_permissions(*content, watch_.path());
    if (!rules) {
        return tl::unexpected{std::move(rules.error())};
    }
    watch_.settle();
    const bool changed = !(*rules == rules_);
    rules_ = std::move(*rules);
    return changed;
}

}  // namespace bzmq
