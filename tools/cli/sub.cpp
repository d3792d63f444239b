#include "bzmq/overflow_policy.hpp"
#include "bzmq/subscriber.hpp"

#include "commands.hpp"
#include "output.hpp"
#include "value_format.hpp"
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>

namespace bzmq::cli {
namespace {

using clock = std::chrono::steady_clock;

constexpr std::size_t batch_max = 4096;

struct options {
    std::vector<std::string> topics;
    std::uint64_t limit = 0;
    value_format format = value_format::text;
    std::optional<overflow_policy> overflow;  ///< unset: as configured
};

/// Writes messages in the chosen form.
class printer {
  public:
    explicit printer(value_format format) : format_(format) {}

    void print(line_output& out, const message& what) {
        auto& line = out.buffer();
        switch (format_) {
            case value_format::json:
                print_json(line, what);
                break;
            case value_format::bytes:
                append_value(line, what.value(), format_);
                break;
            default:
                append_topic(line, what.topic());
                line += ' ';
                append_text(line, what.value());
        }
        out.end_line();
    }

  private:
    void print_json(std::string& line, const message& what) {
        if (what.origin() != origin_ || origin_text_.empty()) {
            origin_ = what.origin();
            origin_text_ = to_string(origin_);
        }
        line += '{';
        append_json_topic(line, what.topic());
        line += ",\"data\":";
        line += to_json(what.value());
        fmt::format_to(std::back_inserter(line),
                       ",\"origin\":\"{}\",\"hops\":{},\"sent_at\":\"{}\",\"mode\":\"{}\"}}",
                       origin_text_, what.hops(), to_string(what.sent_at()),
                       what.mode() == delivery_mode::reliable ? "reliable" : "best_effort");
    }

    value_format format_;
    endpoint_id origin_;
    std::string origin_text_;
};

/// Prints until the count, the time, a signal or the reader ends it; yields how many.
std::uint64_t print_messages(subscriber& source, const options& how,
                             std::optional<clock::time_point> deadline, line_output& out) {
    printer form{how.format};
    std::vector<message> batch;
    std::uint64_t printed = 0;
    while (out.good() && (how.limit == 0 || printed < how.limit)) {
        auto wait = timespan::max();
        if (deadline) {
            wait = std::max(timespan{0}, timespan{*deadline - clock::now()});
        }
        const auto room = how.limit == 0 ? batch_max : how.limit - printed;
        batch.clear();
        if (source.take(batch, std::min<std::uint64_t>(room, batch_max), wait) == 0) {
            break;
        }
        for (const auto& one : batch) {
            form.print(out, one);
        }
        printed += batch.size();
        out.flush();
    }
    return printed;
}

exit_code run(options& how, const context& ctx) {
    if (ctx.common.json) {
        how.format = value_format::json;
    }
    std::optional<clock::time_point> deadline;
    if (ctx.common.timeout) {
        deadline = clock::now() + *ctx.common.timeout;
    }
    auto node = open_endpoint(ctx, "bzmq-cli sub");
    if (!node) {
        return end_with(node.error(), ctx);
    }
    queue_options queue;
    queue.overflow = how.overflow;
    auto source = node->make_subscriber(how.topics, queue);
    if (source.ended()) {
        return end_with(source.last_error(), ctx);
    }
    line_output out;
    std::uint64_t printed = 0;
    {
        const interrupt::handler stop{*ctx.interrupt, [&source] { source.close(); }};
        printed = print_messages(source, how, deadline, out);
    }
    const auto lost = source.dropped();
    node->shutdown();
    if (lost > 0) {
        warn(fmt::format("{} messages were dropped because output is too slow", lost));
    }
    if (!out.good()) {
        return exit_code::broken_pipe;
    }
    if (ctx.interrupt->raised()) {
        return ctx.interrupt->code();
    }
    if (printed < std::max<std::uint64_t>(how.limit, 1)) {
        return deadline ? report(exit_code::timeout,
                                 fmt::format("{} of {} messages came in time", printed,
                                             std::max<std::uint64_t>(how.limit, 1)))
                        : report(source.last_error());
    }
    return lost > 0 ? exit_code::failure : exit_code::ok;
}

}  // namespace

void add_sub(CLI::App& app, context& ctx) {
    auto how = std::make_shared<options>();
    auto* command = app.add_subcommand("sub", "Print the messages of some topics, one a line");
    command->add_option("TOPIC", how->topics, "Prefixes of the topics to print")
        ->required()
        ->type_name("");
    command->add_option("-n,--count", how->limit, "End after COUNT messages")
        ->type_name("COUNT")
        ->check(CLI::PositiveNumber.description(""));
    add_format(*command, how->format, "How messages are written (text: topic and value)");
    command
        ->add_option_function<std::string>(
            "--overflow",
            [how](const std::string& name) {
                const auto policy = parse_overflow_policy(name);
                if (!policy) {
                    throw CLI::ValidationError{
                        "\"" + name + "\": expected block, drop_newest, drop_oldest or disconnect"};
                }
                how->overflow = policy;
            },
            "What to do where output is too slow; block holds publishers up (drop_newest)")
        ->type_name("POLICY");
    command->footer(
        "--timeout ends it after that time: with code 3 where fewer than COUNT messages came, or, "
        "without a COUNT, none. --json is --format json.");
    add_common(*command, ctx.common);
    command->callback([how, &ctx] { ctx.run = [how, &ctx] { return run(*how, ctx); }; });
}

}  // namespace bzmq::cli
