#include "commands.hpp"
#include "message_printer.hpp"
#include "message_stream.hpp"
#include "output.hpp"
#include "shell_command.hpp"
#include "value_format.hpp"
#include <fmt/format.h>

#include <memory>

namespace bzmq::cli {
namespace {

struct options {
    stream_options stream;
    value_format format = value_format::text;
    std::string command;
};

/// Prints messages until something ends them, or the reader.
void print_messages(message_stream& source, value_format format, line_output& out) {
    message_printer form{format};
    std::vector<message> batch;
    while (out.good() && source.next(batch)) {
        for (const auto& one : batch) {
            form.print(out, one);
        }
        out.flush();
    }
}

/// What a command is told of a message beside its value. Not BZMQ_…, which are the options of
/// endpoints: the command may well be another bzmq-cli.
std::vector<std::pair<std::string, std::string>> environment_of(const message& what) {
    return {{"MESSAGE_TOPIC", std::string{what.topic()}},
            {"MESSAGE_ORIGIN", to_string(what.origin())},
            {"MESSAGE_HOPS", std::to_string(what.hops())},
            {"MESSAGE_SENT_AT", to_string(what.sent_at())}};
}

/// Runs the command for each message, one after the other; yields how often it failed.
expected<std::uint64_t> run_for_messages(message_stream& source, const options& how,
                                         const context& ctx) {
    message_printer form{how.format};
    shell_command command{how.command, {}, false};
    std::vector<message> batch;
    std::string input;
    std::uint64_t failures = 0;
    while (source.next(batch)) {
        for (const auto& one : batch) {
            if (ctx.interrupt->raised()) {
                return failures;
            }
            input.clear();
            if (how.format == value_format::text) {
                append_text(input, one.value());  // The topic is in the environment.
            } else {
                form.append(input, one);
            }
            input += '\n';
            command.environment = environment_of(one);
            const auto outcome = run_command(command, input, *ctx.interrupt);
            if (!outcome) {
                return tl::unexpected{outcome.error()};
            }
            if (outcome->status != 0 && !ctx.interrupt->raised()) {
                ++failures;
                warn(fmt::format("the command ended with {} for a message of {}", outcome->status,
                                 one.topic()));
            }
        }
    }
    return failures;
}

exit_code run(options& how, const context& ctx) {
    if (ctx.common.json) {
        how.format = value_format::json;
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
    expected<std::uint64_t> failures = 0;
    {
        const interrupt::handler stop{*ctx.interrupt, [&source] { source->close(); }};
        if (how.command.empty()) {
            print_messages(*source, how.format, out);
        } else {
            failures = run_for_messages(*source, how, ctx);
        }
    }
    node->shutdown();
    if (!out.good()) {
        return exit_code::broken_pipe;
    }
    if (!failures) {
        return end_with(failures.error(), ctx);
    }
    const auto outcome = source->outcome();
    return outcome == exit_code::ok && *failures > 0 ? exit_code::failure : outcome;
}

}  // namespace

void add_sub(CLI::App& app, context& ctx) {
    auto how = std::make_shared<options>();
    auto* command = app.add_subcommand("sub", "Print the messages of some topics, one a line");
    add_stream(*command, how->stream, "print");
    add_format(*command, how->format, "How messages are written (text: topic and value)");
    command
        ->add_option("--exec", how->command,
                     "Run a shell command for each message, one after the other, instead: the value "
                     "is its standard input, MESSAGE_TOPIC, MESSAGE_ORIGIN, MESSAGE_HOPS and "
                     "MESSAGE_SENT_AT are in its environment")
        ->type_name("COMMAND");
    command->footer(
        "--timeout ends it after that time: with code 3 where fewer than COUNT messages came, or, "
        "without a COUNT, none. --json is --format json; `bzmq-cli pub -` reads it. With --exec, "
        "code 1 where the command failed for a message.");
    add_common(*command, ctx.common);
    command->callback([how, &ctx] { ctx.run = [how, &ctx] { return run(*how, ctx); }; });
}

}  // namespace bzmq::cli
