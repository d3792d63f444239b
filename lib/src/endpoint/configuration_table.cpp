#include "endpoint/configuration_table.hpp"

#include "bzmq/network_info.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <type_traits>
#include <utility>

namespace bzmq::config {
namespace {

using o = endpoint_options;

constexpr std::uint64_t kib = 1 << 10;
constexpr std::uint64_t mib = 1 << 20;
constexpr std::uint64_t gib = 1 << 30;
constexpr std::uint64_t million = 1'000'000;

constexpr std::size_t text_bytes_max = 4096;
constexpr std::size_t list_entries_max = 1000;

// The order is the documentation's.
constexpr option option_table[] = {
    {"name", &o::name, unit::none, 0, 255,
     "what other endpoints and operators see this one called"},
    {"domain", &o::domain, unit::none, 0, 255,
     "the overlay that this endpoint belongs to; endpoints of different domains do not peer"},
    {"listen", &o::listen, unit::url, 0, 0, "addresses to listen on; port 0 takes a free one"},
    {"peers", &o::peers, unit::url, 0, 0,
     "endpoints to connect to; in a file also tables of `url` and what holds for that peer alone"},

    {"cert", &o::cert, unit::none, 0, text_bytes_max,
     "path of this endpoint's secret key file (`NAME.key_secret`); turns encryption on"},
    {"server_key", &o::server_key, unit::none, 0, text_bytes_max,
     "public key of the listeners to connect to: 40 characters of Z85, or the path of a `.key` "
     "file"},
    {"allow", &o::allow, unit::none, 0, text_bytes_max,
     "public keys that may connect: a `.key` file or a folder of them; read again when it changes"},
    {"allow_any_client", &o::allow_any_client, unit::none, 0, 0,
     "encrypt, but let every key connect"},
    {"permissions", &o::permissions, unit::none, 0, text_bytes_max,
     "path of a file that says what each key may publish and receive; read again when it changes"},
    {"allow_insecure_listen", &o::allow_insecure_listen, unit::none, 0, 0,
     "listen without keys even where other machines can connect"},

    {"heartbeat_interval", &o::heartbeat_interval, unit::none, 10 * ms, 60 * s,
     "pause between two signs of life on an idle link"},
    {"peer_timeout", &o::peer_timeout, unit::none, 20 * ms, h,
     "silence after which a peer counts as lost; more than `heartbeat_interval`"},
    {"handshake_timeout", &o::handshake_timeout, unit::none, 10 * ms, h,
     "longest handshake of a new link"},
    {"connect_timeout", &o::connect_timeout, unit::none, 10 * ms, h, "longest attempt to connect"},
    {"retry_min", &o::retry_min, unit::none, ms, h,
     "first pause before a lost or refused peer is tried again; it doubles, with jitter"},
    {"retry_max", &o::retry_max, unit::none, ms, 24 * h,
     "longest pause between attempts; at least `retry_min`"},

    {"link_cost", &o::link_cost, unit::none, 0, million,
     "cost of this endpoint's links for the choice of paths; 0 measures the round trip"},
    {"forwarding", &o::forwarding, unit::none, 0, 0, "relay messages of others"},
    {"hide_peers", &o::hide_peers, unit::none, 0, 0,
     "tell peers of this endpoint only, not of each other: for a gateway's side with many agents"},
    {"forget_after", &o::forget_after, unit::none, s, 24 * h,
     "how long the map keeps an endpoint that nobody reaches any more"},

    {"frame_bytes", &o::frame_bytes, unit::bytes, kib, 16 * mib,
     "how much a busy link packs into one frame; one frame has 1MiB at most"},
    {"link_window_bytes", &o::link_window_bytes, unit::bytes, 4 * kib, gib,
     "most bytes on the way to a peer without its acknowledgement; at least `frame_bytes`"},
    {"max_message_bytes", &o::max_message_bytes, unit::bytes, kib, 64 * mib,
     "longest message to publish or accept, as encoded value; peers are told and send no larger "
     "one, and one that comes is dropped"},

    {"peer_queue_bytes", &o::peer_queue_bytes, unit::bytes, 4 * kib, 1024 * gib,
     "bytes of messages that may wait for one peer"},
    {"peer_queue_messages", &o::peer_queue_messages, unit::none, 1, 1000 * million,
     "messages that may wait for one peer"},
    {"peer_overflow", &o::peer_overflow, unit::none, 0, 0, "what happens to more"},
    {"subscriber_queue_bytes", &o::subscriber_queue_bytes, unit::bytes, 4 * kib, 1024 * gib,
     "bytes that may wait in one subscriber"},
    {"subscriber_queue_messages", &o::subscriber_queue_messages, unit::none, 1, 1000 * million,
     "messages that may wait in one subscriber"},
    {"subscriber_overflow", &o::subscriber_overflow, unit::none, 0, 0, "what happens to more"},
    {"publish_queue_bytes", &o::publish_queue_bytes, unit::bytes, 4 * kib, 1024 * gib,
     "bytes that publishing threads may hand over before the core takes them"},
    {"publish_timeout", &o::publish_timeout, unit::none, 0, 24 * h,
     "longest wait of a publisher that a `block` policy holds; 0 waits for ever"},
    {"local_delivery", &o::local_delivery, unit::none, 0, 0,
     "subscribers of this endpoint get what it publishes itself"},

    {"reliable_window_bytes", &o::reliable_window_bytes, unit::bytes, 4 * kib, gib,
     "reliable messages that a publisher keeps for repeating"},
    {"reliable_hold", &o::reliable_hold, unit::none, 100 * ms, h,
     "how long a reliable message waits for a path to return"},
    {"reorder_hold", &o::reorder_hold, unit::none, 0, 60 * s,
     "how long a message that overtook another waits for it"},

    {"log_level", &o::log_level, unit::none, 0, 0,
     "how much to log; each level includes those before it"},
    {"log_file", &o::log_file, unit::none, 0, text_bytes_max,
     "where to log; empty for standard error"},
};

template <class... fs>
struct overloaded : fs... {
    using fs::operator()...;
};
template <class... fs>
overloaded(fs...) -> overloaded<fs...>;

template <class name_list>
std::string alternatives(const name_list& names) {
    std::string out;
    for (std::size_t i = 0; i < names.size(); ++i) {
        out += i == 0 ? "" : i + 1 == names.size() ? " or " : ", ";
        out += names[i];
    }
    return out;
}

constexpr std::array policies{overflow_policy::block, overflow_policy::drop_newest,
                              overflow_policy::drop_oldest, overflow_policy::disconnect};
constexpr std::array levels{log_level::off, log_level::error, log_level::warning, log_level::info,
                            log_level::debug};

template <class enumeration, std::size_t n>
std::vector<std::string_view> names_of(const std::array<enumeration, n>& values) {
    std::vector<std::string_view> out;
    for (const auto value : values) {
        out.push_back(to_string(value));
    }
    return out;
}

std::string number_text(const option& what, std::uint64_t value) {
    return what.in == unit::bytes ? size_text(value) : std::to_string(value);
}

checked<void> check_range(const option& what, std::uint64_t value) {
    return value < what.min || value > what.max ? wrong(expectation(what)) : checked<void>{};
}

checked<void> check_url(std::string_view url) {
    const auto info = parse_network_info(url);
    return info ? checked<void>{} : wrong(info.error().message());
}

/// Walks the parts of a comma-separated list, without the blanks around them.
template <class visitor>
checked<void> for_each_part(std::string_view list, visitor visit) {
    while (!list.empty()) {
        const auto comma = std::min(list.find(','), list.size());
        auto part = list.substr(0, comma);
        list.remove_prefix(std::min(comma + 1, list.size()));
        part.remove_prefix(std::min(part.find_first_not_of(' '), part.size()));
        part = part.substr(0, part.find_last_not_of(' ') + 1);
        if (part.empty()) {
            continue;
        }
        if (auto done = visit(part); !done) {
            return done;
        }
    }
    return {};
}

/// Sets the member from text, for every type that is no list.
template <class value_type>
checked<value_type> parse_value(const option& what, std::string_view text) {
    if constexpr (std::is_same_v<value_type, std::string>) {
        return std::string{text};
    } else if constexpr (std::is_same_v<value_type, bool>) {
        if (text == "true" || text == "1") {
            return true;
        }
        if (text == "false" || text == "0") {
            return false;
        }
    } else if constexpr (std::is_same_v<value_type, timespan>) {
        return parse_duration(text).map_error(
            [&](const std::string&) { return expectation(what); });
    } else if constexpr (std::is_same_v<value_type, overflow_policy>) {
        if (const auto policy = parse_overflow_policy(text)) {
            return *policy;
        }
    } else if constexpr (std::is_same_v<value_type, log_level>) {
        if (const auto level = parse_log_level(text)) {
            return *level;
        }
    } else {
        const auto number = what.in == unit::bytes ? parse_size(text) : parse_count(text);
        if (number && *number <= std::numeric_limits<value_type>::max()) {
            return static_cast<value_type>(*number);
        }
    }
    return wrong(expectation(what));
}

checked<void> set_or_add(endpoint_options& to, const option& what, std::string_view text,
                         bool add) {
    auto set = overloaded{
        [&](std::vector<std::string>& urls) {
            return for_each_part(text, [&](std::string_view part) -> checked<void> {
                urls.emplace_back(part);
                return {};
            });
        },
        [&](std::vector<peer_options>& peers) {
            return for_each_part(text, [&](std::string_view part) -> checked<void> {
                peers.push_back({std::string{part}, {}, {}});
                return {};
            });
        },
        [&]<class value_type>(value_type& value) -> checked<void> {
            auto parsed = parse_value<value_type>(what, text);
            if (!parsed) {
                return wrong(std::move(parsed.error()));
            }
            value = std::move(*parsed);
            return {};
        },
    };
    auto done = std::visit(
        [&](auto member) -> checked<void> {
            using value_type = std::remove_reference_t<decltype(to.*member)>;
            if constexpr (
                std::is_same_v<
                    value_type,
                    std::vector<
                        std::string>> || std::is_same_v<value_type, std::vector<peer_options>>) {
                if (!add) {
                    (to.*member).clear();
                }
            }
            return set(to.*member);
        },
        what.member);
    return done ? check(to, what) : done;
}

}  // namespace

std::span<const option> options() noexcept {
    return option_table;
}

const option* find_option(std::string_view key) noexcept {
    const auto* const found = std::find_if(std::begin(option_table), std::end(option_table),
                                           [&](const option& known) { return known.key == key; });
    return found == std::end(option_table) ? nullptr : found;
}

std::string_view nearest_option(std::string_view key) {
    std::vector<std::string_view> keys;
    for (const auto& known : options()) {
        keys.push_back(known.key);
    }
    return nearest_name(key, keys);
}

std::string type_name(const option& what) {
    return std::visit(overloaded{
                          [](std::string o::*) { return "text"; },
                          [](std::vector<std::string> o::*) { return "list of URLs"; },
                          [](std::vector<peer_options> o::*) { return "list of peers"; },
                          [](bool o::*) { return "switch"; },
                          [](timespan o::*) { return "duration"; },
                          [](overflow_policy o::*) { return "policy"; },
                          [](log_level o::*) { return "level"; },
                          [&](auto) { return what.in == unit::bytes ? "size" : "number"; },
                      },
                      what.member);
}

std::string range_text(const option& what) {
    return std::visit(
        overloaded{
            [&](std::string o::*) { return "at most " + std::to_string(what.max) + " bytes"; },
            [](std::vector<std::string> o::*) { return std::string{}; },
            [](std::vector<peer_options> o::*) { return std::string{}; },
            [](bool o::*) { return std::string{"true or false"}; },
            [&](timespan o::*) {
                return duration_text(timespan{what.min}) + " to "
                       + duration_text(timespan{what.max});
            },
            [](overflow_policy o::*) { return alternatives(names_of(policies)); },
            [](log_level o::*) { return alternatives(names_of(levels)); },
            [&](auto) {
                return number_text(what, what.min) + " to " + number_text(what, what.max);
            },
        },
        what.member);
}

std::string expectation(const option& what) {
    const auto range = range_text(what);
    return "expected "
           + std::visit(
               overloaded{
                   [&](std::string o::*) {
                       return "text of " + range + " without control characters";
                   },
                   [](std::vector<std::string> o::*) {
                       return std::string{"a list of URLs such as \"tcp://127.0.0.1:9999\""};
                   },
                   [](std::vector<peer_options> o::*) {
                       return std::string{
                           "a list of peers, each a URL or a table with a url"};
                   },
                   [&](timespan o::*) {
                       return "a duration from " + range + ", such as \"250ms\" or \"3s\"";
                   },
                   [&](std::size_t o::*) {
                       return what.in == unit::bytes
                                  ? "a size from " + range + ", such as \"64KiB\" or 65536"
                                  : "a whole number from " + range;
                   },
                   [&](std::uint32_t o::*) { return "a whole number from " + range; },
                   [&](auto) { return range; },
               },
               what.member);
}

std::string default_text(const option& what) {
    static const endpoint_options defaults;
    return std::visit(
        overloaded{
            [](std::string o::*member) { return defaults.*member; },
            [](std::vector<std::string> o::*) { return std::string{"[]"}; },
            [](std::vector<peer_options> o::*) { return std::string{"[]"}; },
            [](bool o::*member) { return std::string{defaults.*member ? "true" : "false"}; },
            [](timespan o::*member) { return duration_text(defaults.*member); },
            [](overflow_policy o::*member) { return std::string{to_string(defaults.*member)}; },
            [](log_level o::*member) { return std::string{to_string(defaults.*member)}; },
            [&](auto member) { return number_text(what, defaults.*member); },
        },
        what.member);
}

checked<void> set_from_text(endpoint_options& to, const option& what, std::string_view text) {
    return set_or_add(to, what, text, false);
}

checked<void> add_from_text(endpoint_options& to, const option& what, std::string_view text) {
    return set_or_add(to, what, text, true);
}

checked<void> check(const endpoint_options& from, const option& what) {
    const auto check_text = [](std::string_view text, std::size_t max) {
        return text.size() <= max && std::none_of(text.begin(), text.end(), [](unsigned char c) {
                   return c < ' ' || c == 0x7f;
               });
    };
    return std::visit(
        overloaded{
            [&](std::string o::*member) {
                return check_text(from.*member, what.max) ? checked<void>{}
                                                          : wrong(expectation(what));
            },
            [&](std::vector<std::string> o::*member) {
                checked<void> result;
                if ((from.*member).size() > list_entries_max) {
                    return checked<void>{wrong("expected at most 1000 entries")};
                }
                for (const auto& url : from.*member) {
                    result = result ? check_url(url) : result;
                }
                return result;
            },
            [&](std::vector<peer_options> o::*member) {
                checked<void> result;
                if ((from.*member).size() > list_entries_max) {
                    return checked<void>{wrong("expected at most 1000 entries")};
                }
                for (const auto& peer : from.*member) {
                    result = result ? check_url(peer.url) : result;
                    if (result && !check_text(peer.server_key, text_bytes_max)) {
                        result = wrong("expected a public key or a path as server_key");
                    }
                    if (result && peer.retry
                        && (peer.retry->count() < 0 || *peer.retry > timespan{24 * h})) {
                        result = wrong("expected a retry from 0 to 24h");
                    }
                    result = result ? check_limits(peer.limits) : result;
                }
                return result;
            },
            [&](timespan o::*member) {
                const auto value = (from.*member).count();
                return value < 0 ? wrong(expectation(what))
                                 : check_range(what, static_cast<std::uint64_t>(value));
            },
            [&](std::size_t o::*member) { return check_range(what, from.*member); },
            [&](std::uint32_t o::*member) { return check_range(what, from.*member); },
            [&](overflow_policy o::*member) {
                return from.*member <= policies.back() ? checked<void>{} : wrong(expectation(what));
            },
            [&](log_level o::*member) {
                return from.*member <= levels.back() ? checked<void>{} : wrong(expectation(what));
            },
            [](bool o::*) { return checked<void>{}; },
        },
        what.member);
}

checked<void> check_limits(const peering_limits& limits) {
    const endpoint_options defaults;
    endpoint_options held;
    held.peer_overflow = limits.overflow.value_or(defaults.peer_overflow);
    held.peer_queue_bytes = limits.queue_bytes.value_or(defaults.peer_queue_bytes);
    held.peer_queue_messages = limits.queue_messages.value_or(defaults.peer_queue_messages);
    held.link_cost = limits.link_cost.value_or(defaults.link_cost);
    for (const std::string_view key :
         {"peer_overflow", "peer_queue_bytes", "peer_queue_messages", "link_cost"}) {
        if (auto good = check(held, *find_option(key)); !good) {
            return wrong(std::string{key.substr(key.starts_with("peer_") ? 5 : 0)} + ": "
                         + good.error());
        }
    }
    return {};
}

std::optional<misfit> check_together(const endpoint_options& from) {
    if (from.peer_timeout <= from.heartbeat_interval) {
        return misfit{"peer_timeout", "heartbeat_interval",
                      "peer_timeout = " + duration_text(from.peer_timeout)
                          + ": expected more than heartbeat_interval, which is "
                          + duration_text(from.heartbeat_interval)};
    }
    if (from.retry_max < from.retry_min) {
        return misfit{"retry_max", "retry_min",
                      "retry_max = " + duration_text(from.retry_max)
                          + ": expected at least retry_min, which is "
                          + duration_text(from.retry_min)};
    }
    if (from.link_window_bytes < from.frame_bytes) {
        return misfit{"link_window_bytes", "frame_bytes",
                      "link_window_bytes = " + size_text(from.link_window_bytes)
                          + ": expected at least frame_bytes, which is "
                          + size_text(from.frame_bytes)};
    }
    if (from.allow_any_client && !from.allow.empty()) {
        return misfit{"allow_any_client", "allow",
                      "allow_any_client = true: expected false, since allow names who may connect"};
    }
    if (!from.cert.empty()) {
        return std::nullopt;
    }
    if (!from.allow.empty()) {
        return misfit{"allow", "cert",
                      "allow: expected a cert too, since only encrypted links know who connects"};
    }
    if (from.allow_any_client) {
        return misfit{
            "allow_any_client", "cert",
            "allow_any_client = true: expected a cert too, since only it turns encryption on"};
    }
    if (!from.permissions.empty()) {
        return misfit{"permissions", "cert",
                      "permissions: expected a cert too, since only encrypted links know whose key "
                      "is at their far end"};
    }
    if (!from.server_key.empty()) {
        return misfit{"server_key", "cert", key_without_cert};
    }
    if (std::any_of(from.peers.begin(), from.peers.end(),
                    [](const auto& peer) { return !peer.server_key.empty(); })) {
        return misfit{"peers", "cert", std::string{"peers: "} + key_without_cert};
    }
    return std::nullopt;
}

std::vector<std::string_view> copy_where_changed(endpoint_options& to, const endpoint_options& from,
                                                 const endpoint_options& base) {
    std::vector<std::string_view> changed;
    for (const auto& known : options()) {
        std::visit(
            [&](auto member) {
                if (from.*member != base.*member) {
                    to.*member = from.*member;
                    changed.push_back(known.key);
                }
            },
            known.member);
    }
    return changed;
}

std::string markdown_table() {
    std::string out = "| Option | Type | Default | Range | Meaning |\n|---|---|---|---|---|\n";
    for (const auto& known : options()) {
        const auto initial = default_text(known);
        out += "| `" + std::string{known.key} + "` | " + type_name(known) + " | "
               + (initial.empty() ? "empty" : '`' + initial + '`') + " | " + range_text(known)
               + " | " + std::string{known.description} + " |\n";
    }
    return out;
}

}  // namespace bzmq::config
