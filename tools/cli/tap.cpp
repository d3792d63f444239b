#include "commands.hpp"
#include "message_stream.hpp"
#include "option_checks.hpp"
#include "output.hpp"
#include "overlay_view.hpp"
#include "rate_table.hpp"
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>

namespace bzmq::cli {
namespace {

using clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

struct options {
    stream_options stream;
    std::optional<timespan> interval;
    std::size_t depth = 0;
    std::size_t top = 0;  ///< 0: what fits the terminal; all where there is none
};

/// The first `depth` parts of a topic: "/zeek/" of "/zeek/dns"; all of it where it has no more.
std::string_view head_of(std::string_view topic, std::size_t depth) {
    std::size_t end = 0;
    for (std::size_t part = 0; depth > 0 && part < depth; ++part) {
        end = topic.find('/', part == 0 && topic.starts_with('/') ? 1 : end);
        if (end == std::string_view::npos) {
            return topic;
        }
        ++end;
    }
    return depth == 0 ? topic : topic.substr(0, end);
}

/// One interval, to be shown.
struct picture {
    timestamp at;
    double seconds = 1;
    std::uint64_t dropped = 0;
    std::vector<rate_table::row> topics;
    std::vector<rate_table::row> origins;  ///< by id
};

traffic sum_of(const std::vector<rate_table::row>& rows) {
    traffic out;
    for (const auto& each : rows) {
        out.messages += each.now.messages;
        out.bytes += each.now.bytes;
    }
    return out;
}

/// 1234567 as "1.23M".
std::string short_number(double value) {
    constexpr std::string_view units = " kMGT";
    std::size_t unit = 0;
    while (value >= 999.5 && unit + 1 < units.size()) {
        value /= 1000;
        ++unit;
    }
    auto out = unit == 0 ? fmt::format("{:.0f}", value) : fmt::format("{:.3g}", value);
    if (unit > 0) {
        out += units[unit];
    }
    return out;
}

/// Shows one picture after the other: as JSON, as tables, or as tables in place of the one before.
class screen {
  public:
    screen(const context& ctx, std::size_t top)
        : json_(ctx.common.json), live_(!json_ && ::isatty(STDOUT_FILENO) == 1), top_(top) {
        if (live_) {
            out_.buffer() += "\x1b[?1049h\x1b[?25l";
        }
    }
    ~screen() {
        if (live_) {
            out_.buffer() += "\x1b[?25h\x1b[?1049l";
        }
    }
    screen(const screen&) = delete;
    screen& operator=(const screen&) = delete;

    void show(const picture& what, const std::map<std::string, std::string>& names) {
        if (json_) {
            show_json(what, names);
        } else {
            show_tables(what, names);
        }
        out_.flush();
    }
    [[nodiscard]] bool good() const noexcept { return out_.good(); }

  private:
    void show_json(const picture& what, const std::map<std::string, std::string>& names);
    void append_json_counts(const rate_table::row& row);
    void show_tables(const picture& what, const std::map<std::string, std::string>& names);
    void append_table(std::string_view head, const std::vector<rate_table::row>& rows, double seconds,
                      std::size_t most, const std::map<std::string, std::string>& names);
    void end_line() {
        if (live_) {
            out_.buffer() += "\x1b[K";
        }
        out_.end_line();
    }
    [[nodiscard]] std::size_t rows_of_terminal() const {
        ::winsize size{};
        return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 ? size.ws_row : 24;
    }

    bool json_;
    bool live_;
    std::size_t top_;
    line_output out_;
};

void screen::append_json_counts(const rate_table::row& row) {
    fmt::format_to(std::back_inserter(out_.buffer()),
                   "\"messages\":{},\"bytes\":{},\"messages_in_all\":{},\"bytes_in_all\":{}}}",
                   row.now.messages, row.now.bytes, row.all.messages, row.all.bytes);
}

void screen::show_json(const picture& what, const std::map<std::string, std::string>& names) {
    auto& line = out_.buffer();
    const auto sum = sum_of(what.topics);
    fmt::format_to(std::back_inserter(line),
                   "{{\"at\":\"{}\",\"seconds\":{:.6f},\"messages\":{},\"bytes\":{},\"dropped\":{}",
                   to_string(what.at), what.seconds, sum.messages, sum.bytes, what.dropped);
    line += ",\"topics\":[";
    for (std::size_t i = 0; i < what.topics.size(); ++i) {
        line += i == 0 ? "{" : ",{";
        append_json_topic(line, what.topics[i].key);
        line += ',';
        append_json_counts(what.topics[i]);
    }
    line += "],\"origins\":[";
    for (std::size_t i = 0; i < what.origins.size(); ++i) {
        line += i == 0 ? "{\"id\":" : ",{\"id\":";
        append_json_string(line, what.origins[i].key);
        line += ",\"name\":";
        const auto name = names.find(what.origins[i].key);
        append_json_string(line, name == names.end() ? std::string{} : name->second);
        line += ',';
        append_json_counts(what.origins[i]);
    }
    line += "]}";
    out_.end_line();
}

void screen::append_table(std::string_view head, const std::vector<rate_table::row>& rows,
                          double seconds, std::size_t most,
                          const std::map<std::string, std::string>& names) {
    constexpr std::size_t key_width = 40;
    fmt::format_to(std::back_inserter(out_.buffer()), "{:<{}} {:>9} {:>9} {:>10} {:>9}", head,
                   key_width, "MSG/S", "BYTES/S", "MESSAGES", "BYTES");
    end_line();
    for (std::size_t i = 0; i < std::min(most, rows.size()); ++i) {
        const auto& row = rows[i];
        const auto name = names.find(row.key);
        std::string key;
        if (name == names.end()) {
            append_topic(key, row.key);
        } else {
            key = name->second;
        }
        fmt::format_to(std::back_inserter(out_.buffer()), "{:<{}} {:>9} {:>9} {:>10} {:>9}", key,
                       key_width, short_number(static_cast<double>(row.now.messages) / seconds),
                       short_number(static_cast<double>(row.now.bytes) / seconds),
                       short_number(static_cast<double>(row.all.messages)),
                       short_number(static_cast<double>(row.all.bytes)));
        end_line();
    }
    if (rows.size() > most) {
        fmt::format_to(std::back_inserter(out_.buffer()), "... and {} more", rows.size() - most);
        end_line();
    }
}

void screen::show_tables(const picture& what, const std::map<std::string, std::string>& names) {
    if (live_) {
        out_.buffer() += "\x1b[H";
    }
    const auto sum = sum_of(what.topics);
    fmt::format_to(std::back_inserter(out_.buffer()), "{}  {} msg/s  {} bytes/s  dropped here {}",
                   to_string(what.at), short_number(static_cast<double>(sum.messages) / what.seconds),
                   short_number(static_cast<double>(sum.bytes) / what.seconds), what.dropped);
    end_line();
    // Five lines are heads and the like; a third of the others is for who published.
    const auto rows = live_ ? std::max<std::size_t>(rows_of_terminal(), 12) - 5 : ~std::size_t{0};
    const auto origins =
        std::min({what.origins.size(), std::max<std::size_t>(rows / 3, 1), top_ ? top_ : rows});
    append_table("TOPIC", what.topics, what.seconds,
                 std::min(top_ ? top_ : rows, live_ ? rows - origins : rows), {});
    append_table("PUBLISHER", what.origins, what.seconds, origins, names);
    if (live_) {
        out_.buffer() += "\x1b[J";
    } else {
        out_.end_line();
    }
}

/// Counts what comes, and shows it once in an interval.
void watch(message_stream& source, const endpoint& node, const options& how, screen& out) {
    const auto interval = how.interval.value_or(1s);
    rate_table topics;
    rate_table origins;
    std::map<endpoint_id, std::string> ids;
    std::vector<message> batch;
    auto began = clock::now();
    bool more = true;
    while (more && out.good()) {
        more = source.next(batch, std::max(timespan{0}, timespan{began + interval - clock::now()}));
        for (const auto& each : batch) {
            topics.count(head_of(each.topic(), how.depth), each.payload().size());
            auto& id = ids[each.origin()];
            if (id.empty()) {
                id = to_string(each.origin());
            }
            origins.count(id, each.payload().size());
        }
        const auto now = clock::now();
        if (more && now < began + interval) {
            continue;
        }
        std::map<std::string, std::string> names;
        for (const auto& each : node.topology()) {
            names.emplace(to_string(each.id), label(each.id, each.name));
        }
        out.show({std::chrono::time_point_cast<timespan>(std::chrono::system_clock::now()),
                  std::chrono::duration<double>(now - began).count(), source.dropped(), topics.turn(),
                  origins.turn()},
                 names);
        began = now;
        if (ids.size() > rate_table::keys_max) {
            ids.clear();
        }
    }
}

exit_code run(const options& how, const context& ctx) {
    if (how.interval && *how.interval < shortest_interval) {
        return report(exit_code::usage, "--interval: expected an interval of "
                                            + to_string(shortest_interval) + " or more");
    }
    auto node = open_endpoint(ctx, "bzmq-cli tap");
    if (!node) {
        return end_with(node.error(), ctx);
    }
    auto source = message_stream::open(*node, how.stream, ctx);
    if (!source) {
        return end_with(source.error(), ctx);
    }
    bool good = true;
    {
        screen out{ctx, how.top};
        const interrupt::handler stop{*ctx.interrupt, [&source] { source->close(); }};
        watch(*source, *node, how, out);
        good = out.good();
    }
    node->shutdown();
    return good ? source->outcome() : exit_code::broken_pipe;
}

}  // namespace

void add_tap(CLI::App& app, context& ctx) {
    auto how = std::make_shared<options>();
    auto* command = app.add_subcommand(
        "tap", "Watch the traffic of some topics: rates per topic and per publisher, live");
    add_stream(*command, how->stream, "watch");
    add_duration(*command, "--interval", how->interval, "How often to show them (1s)");
    command->add_option("--depth", how->depth,
                        "Count topics together that agree in their first N parts")
        ->type_name("N")
        ->check(whole_number(1));
    command->add_option("--top", how->top,
                        "Show the N busiest only; without, as many as the terminal has room for, "
                        "and all where there is none")
        ->type_name("N")
        ->check(whole_number(1));
    command->footer(
        "Bytes are those of values as they travel. --json gives one object per interval.");
    add_common(*command, ctx.common);
    command->callback([how, &ctx] { ctx.run = [how, &ctx] { return run(*how, ctx); }; });
}

}  // namespace bzmq::cli
