#include "events.hpp"

#include "bzmq/error.hpp"
#include "bzmq/status.hpp"

#include "node_stats.hpp"

#include <algorithm>
#include <chrono>

namespace bzmq::cli {
namespace {

/// Adds what a status or an error says.
void describe(event_line& line, const status_variant& news) {
    if (const auto* failure = get_if<error>(&news)) {
        line.field("event", "error")
            .field("code", to_string(failure->code()))
            .field("message", failure->message());
        return;
    }
    const auto& what = get<status>(news);
    const auto& whom = what.context();
    line.field("event", to_string(what.code()))
        .field("id", to_string(whom.node))
        .field("name", whom.name)
        .field("address", whom.address)
        .field("message", what.message());
}

}  // namespace

event_line& event_line::field(std::string_view name, std::string_view value) {
    if (json_) {
        text_ += text_.empty() ? "\"" : ",\"";
        text_ += name;
        text_ += "\":";
        append_json_string(text_, value);
    } else if (!value.empty()) {
        if (!text_.empty()) {
            text_ += ' ';
        }
        text_ += value;
    }
    return *this;
}

void event_printer::announce(const endpoint& node) {
    for (const auto& url : node.listeners()) {
        print(begin(node).field("event", "listening").field("url", url));
    }
    print(begin(node)
              .field("event", "ready")
              .field("id", to_string(node.node_id()))
              .field("name", node.name()));
}

void event_printer::announce(const endpoint& node, const store& which, std::string_view role) {
    print(begin(node).field("event", "store").field("role", role).field("store", which.name()));
}

void event_printer::follow(const endpoint& node, status_subscriber& statuses,
                           std::optional<timespan> interval, std::span<const store> stores) {
    using clock = std::chrono::steady_clock;
    auto due = clock::now() + interval.value_or(timespan{0});
    for (;;) {
        // One with a time limit cannot tell the end; after the end the other one waits no more.
        const bool timed = interval && !node.is_shutdown();
        const auto news = timed ? statuses.get(std::max(timespan{0}, timespan{due - clock::now()}))
                                : std::optional{statuses.get()};
        if (timed && clock::now() >= due) {
            print(stats_line(node.metrics(), stores, json_));
            due = std::max(due + *interval, clock::now());  // What was missed is not made up for.
        }
        if (!news) {
            continue;
        }
        if (const auto* failure = get_if<error>(&*news);
            failure != nullptr && *failure == ec::shutting_down) {
            return;
        }
        auto line = begin(node);
        describe(line, *news);
        print(line);
    }
}

void event_printer::stopped() { print(event_line{json_}.field("event", "stopped")); }

event_line event_printer::begin(const endpoint& node) const {
    event_line line{json_};
    if (with_domain_) {
        line.field("domain", node.options().domain);
    }
    return line;
}

void event_printer::print(const std::string& line) {
    const std::lock_guard lock{mutex_};
    out_.line(line);
}

}  // namespace bzmq::cli
