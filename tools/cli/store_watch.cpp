#include "store_command.hpp"
#include <fmt/format.h>

#include <algorithm>

namespace bzmq::cli {
namespace {

using clock = std::chrono::steady_clock;

void print_json(std::string& line, const store_event& what) {
    fmt::format_to(std::back_inserter(line), "{{\"event\":\"{}\"", to_string(what.what));
    if (what.what != store_event::kind::clear) {
        line += ",\"key\":" + to_json(what.key);
    }
    if (what.old_value) {
        line += ",\"old\":" + to_json(*what.old_value);
    }
    if (what.new_value) {
        line += ",\"new\":" + to_json(*what.new_value);
        append_expiry(line, what.expiry);
        fmt::format_to(std::back_inserter(line), ",\"revision\":{}", what.revision);
    }
    line += '}';
}

void print_text(std::string& line, const store_event& what, const store_options& how) {
    line += to_string(what.what);
    if (what.what == store_event::kind::clear) {
        return;
    }
    line += '\t';
    append_value(line, what.key, how.key_format);
    const auto& value = what.new_value ? what.new_value : what.old_value;
    if (value) {
        line += '\t';
        append_value(line, *value, how.format);
    }
}

/// Prints until the count, the time, a signal or the reader ends it; yields how many.
std::uint64_t print_events(store_event_subscriber& source, const store_options& how,
                           const key_range& range, std::optional<clock::time_point> deadline,
                           store_printer& out) {
    std::uint64_t printed = 0;
    while (out.out().good() && (how.count == 0 || printed < how.count)) {
        if (source.available() == 0) {
            out.out().flush();
        }
        const auto wait =
            deadline ? std::max(timespan{0}, timespan{*deadline - clock::now()}) : timespan::max();
        const auto event = source.get(wait);
        if (!event) {
            break;
        }
        if (event->what != store_event::kind::clear && !range.has(event->key)) {
            continue;
        }
        auto& line = out.out().buffer();
        if (out.json()) {
            print_json(line, *event);
        } else {
            print_text(line, *event, how);
        }
        out.out().end_line();
        ++printed;
    }
    out.out().flush();
    return printed;
}

}  // namespace

exit_code run_store_watch(const store_options& how, const context& ctx) {
    const auto range = key_range::of(how);
    if (!range) {
        return report(range.error());
    }
    std::optional<clock::time_point> deadline;
    if (ctx.common.timeout) {
        deadline = clock::now() + *ctx.common.timeout;
    }
    auto session = open_store(how, ctx);
    if (!session) {
        return end_with(session.error(), ctx);
    }
    auto source = session->store.events();
    // Whoever waits for this line misses nothing that is written behind it.
    warn("watching store " + how.store);
    store_printer out{how, ctx};
    std::uint64_t printed = 0;
    {
        const interrupt::handler stop{*ctx.interrupt, [&session] { session->node.shutdown(); }};
        printed = print_events(source, how, *range, deadline, out);
    }
    const auto dropped = source.dropped();
    if (dropped > 0) {
        warn(fmt::format("{} events were dropped because output is too slow", dropped));
    }
    if (!out.out().good()) {
        return exit_code::broken_pipe;
    }
    if (ctx.interrupt->raised()) {
        return ctx.interrupt->code();
    }
    const auto wanted = std::max<std::uint64_t>(how.count, 1);
    if (printed < wanted) {
        return deadline ? report(exit_code::timeout,
                                 fmt::format("{} of {} events came in time", printed, wanted))
                        : report(exit_code::failure, "the store has ended");
    }
    return dropped > 0 ? exit_code::failure : exit_code::ok;
}

}  // namespace bzmq::cli
