#include "bzmq/zeek.hpp"

#include "commands.hpp"
#include "message_printer.hpp"
#include "message_stream.hpp"
#include "output.hpp"
#include "shell_command.hpp"
#include "value_format.hpp"
#include <fmt/format.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace bzmq::cli {
namespace {

struct options {
    stream_options stream;
    value_format format = value_format::text;
    std::string command;
    bool events = false;
};

/// Calls `what` with each event of a message, those of batches one by one; false where it is none.
template <class function>
bool for_events(const zeek::any_message& in, const function& what) {
    if (const auto* one = std::get_if<zeek::event>(&in.content)) {
        what(*one);
        return true;
    }
    bool found = false;
    if (const auto* several = std::get_if<zeek::batch>(&in.content)) {
        for (const auto& each : several->messages) {
            found = for_events(each, what) || found;
        }
    }
    return found;
}

/// Prints messages, or their events, until something ends them, or the reader. How many had no
/// event where these are wanted.
std::uint64_t print_messages(message_stream& source, const options& how, line_output& out) {
    message_printer form{how.format};
    std::vector<message> batch;
    std::uint64_t others = 0;
    while (out.good() && source.next(batch)) {
        for (const auto& one : batch) {
            if (!how.events) {
                form.print(out, one);
                continue;
            }
            const auto content = zeek::parse(one.value());
            const bool found = content && for_events(*content, [&](const zeek::event& each) {
                                   form.append(out.buffer(), one, each);
                                   out.end_line();
                               });
            others += found ? 0 : 1;
        }
        out.flush();
    }
    return others;
}

/// What a command is told of a message beside its value. Not BZMQ_…, which are the options of
/// endpoints: the command may well be another bzmq-cli.
std::vector<std::pair<std::string, std::string>> environment_of(const message& what) {
    return {{"MESSAGE_TOPIC", std::string{what.topic()}},
            {"MESSAGE_ORIGIN", to_string(what.origin())},
            {"MESSAGE_HOPS", std::to_string(what.hops())},
            {"MESSAGE_SENT_AT", to_string(what.sent_at())}};
}

struct runs {
    std::uint64_t failures = 0;
    std::uint64_t missed = 0;  ///< messages that came too late for their command to end in time
};

/// Runs the command for each message, one after the other, until the time is over.
expected<runs> run_for_messages(message_stream& source, const options& how, const context& ctx) {
    message_printer form{how.format};
    shell_command command{how.command, {}, false};
    command_limits limits;
    limits.deadline = source.deadline();
    std::vector<message> batch;
    std::string input;
    runs done;
    while (source.next(batch)) {
        for (std::size_t i = 0; i < batch.size(); ++i) {
            const auto& one = batch[i];
            if (ctx.interrupt->raised()) {
                return done;
            }
            if (limits.deadline && std::chrono::steady_clock::now() >= *limits.deadline) {
                done.missed = batch.size() - i + source.available();
                return done;
            }
            input.clear();
            if (how.format == value_format::text) {
                append_text(input, one.value());  // The topic is in the environment.
            } else {
                form.append(input, one);
            }
            input += '\n';
            command.environment = environment_of(one);
            const auto outcome = run_command(command, input, *ctx.interrupt, limits);
            if (!outcome && outcome.error() == ec::request_timeout) {
                done.missed = batch.size() - i + source.available();
                return done;
            }
            if (!outcome) {
                return tl::unexpected{outcome.error()};
            }
            if (outcome->status != 0 && !ctx.interrupt->raised()) {
                ++done.failures;
                warn(fmt::format("the command ended with {} for a message of {}", outcome->status,
                                 one.topic()));
            }
        }
    }
    return done;
}

exit_code run(options& how, const context& ctx) {
    if (ctx.common.json) {
        how.format = value_format::json;
    }
    if (how.events && how.format == value_format::bytes) {
        return report(exit_code::usage, "events have no bytes; take text or json");
    }
    auto node = open_endpoint(ctx, "bzmq-cli sub");
    if (!node) {
        return end_with(node.error(), ctx);
    }
    auto source = message_stream::open(*node, how.stream, ctx);
    if (!source) {
        return end_with(source.error(), ctx);
    }
    line_output out;
    expected<runs> done;
    std::uint64_t others = 0;
    {
        const interrupt::handler stop{*ctx.interrupt, [&source] { source->close(); }};
        if (how.command.empty()) {
            others = print_messages(*source, how, out);
        } else {
            done = run_for_messages(*source, how, ctx);
        }
    }
    node->shutdown();
    if (!out.good()) {
        return exit_code::broken_pipe;
    }
    if (!done) {
        return end_with(done.error(), ctx);
    }
    if (others > 0) {
        warn(fmt::format("{} messages had no events", others));
    }
    const auto outcome = source->outcome();
    if (outcome == exit_code::ok && done->missed > 0) {
        return report(exit_code::timeout,
                      fmt::format("the command had no time left for {} messages", done->missed));
    }
    return outcome == exit_code::ok && done->failures > 0 ? exit_code::failure : outcome;
}

}  // namespace

void add_sub(CLI::App& app, context& ctx) {
    auto how = std::make_shared<options>();
    auto* command = app.add_subcommand("sub", "Print the messages of some topics, one a line");
    add_stream(*command, how->stream, "print");
    add_format(*command, how->format, "How messages are written (text: topic and value)");
    auto* events = command->add_flag(
        "--events", how->events, "Print the Zeek events in them instead: topic, name, arguments");
    command
        ->add_option("--exec", how->command,
                     "Run a shell command for each message, one after the other, instead: the value "
                     "is its standard input, MESSAGE_TOPIC, MESSAGE_ORIGIN, MESSAGE_HOPS and "
                     "MESSAGE_SENT_AT are in its environment")
        ->excludes(events)
        ->type_name("COMMAND");
    command->footer(
        "--timeout ends it after that time: with code 3 where fewer than COUNT messages came, or, "
        "without a COUNT, none. --json is --format json; `bzmq-cli pub -` reads it. With --exec, "
        "the command ends then, too, code 3 where it had not run for all that came; code 1 where "
        "it failed for a message.");
    add_common(*command, ctx.common);
    command->callback([how, &ctx] { ctx.run = [how, &ctx] { return run(*how, ctx); }; });
}

}  // namespace bzmq::cli
