#include "bzmq/request.hpp"

#include "commands.hpp"
#include "output.hpp"
#include "overlay_view.hpp"
#include "shell_command.hpp"
#include "value_format.hpp"
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>

namespace bzmq::cli {
namespace {

struct request_arguments {
    std::string topic;
    std::string data;
    std::string to;
    std::size_t answers = 1;
    bool all = false;
    std::size_t wait = 1;
    value_format format = value_format::text;
};

void print_answer(line_output& out, const answer& one, const endpoint& node, value_format format,
                  bool json) {
    auto& line = out.buffer();
    if (json) {
        line += "{\"from\":\"" + to_string(one.from) + "\",\"name\":";
        append_json_string(line, label_in(node.topology(), one.from));
        if (one.value) {
            line += ",\"data\":" + to_json(*one.value) + '}';
        } else {
            line += ",\"error\":\"" + std::string{to_string(one.value.error().code())}
                    + "\",\"message\":";
            append_json_string(line, one.value.error().message());
            line += '}';
        }
        out.end_line();
    } else if (one.value) {
        append_value(line, *one.value, format);
        out.end_line();
    } else {
        warn(label_in(node.topology(), one.from) + ": " + to_string(one.value.error()));
    }
}

/// The one endpoint that is called so, or has this id.
expected<endpoint_id> find_server(const endpoint& node, const std::string& wanted,
                                  const context& ctx) {
    const auto deadline = std::chrono::steady_clock::now() + ctx.common.timeout_or_default();
    const auto found = await_nodes(node, wanted, deadline, ctx);
    if (!found) {
        return tl::unexpected{found.error()};
    }
    if (found->size() > 1) {
        return fail(ec::invalid_configuration,
                    fmt::format("{} endpoints are called {}; take an id", found->size(), wanted));
    }
    return found->front().id;
}

expected<void> await_server(endpoint& node, const request_arguments& how, const context& ctx) {
    if (!how.to.empty()) {
        return {};  // Answers for itself.
    }
    bool found = false;
    {
        const interrupt::handler stop{*ctx.interrupt, [&node] { node.shutdown(); }};
        found = node.wait_for_server(how.topic, how.wait, ctx.common.timeout_or_default());
    }
    if (ctx.interrupt->raised()) {
        return fail(ec::cancelled);
    }
    return found ? expected<void>{}
                 : fail(ec::request_timeout,
                        fmt::format("fewer than {} endpoints serve {}", how.wait, how.topic));
}

exit_code run_request(const request_arguments& how, const context& ctx) {
    auto value = read_value(how.data, how.format);
    if (!value) {
        return report(value.error());
    }
    auto node = open_endpoint(ctx, "bzmq-cli request");
    if (!node) {
        return end_with(node.error(), ctx);
    }
    request_options options;
    options.timeout = ctx.common.timeout_or_default();
    options.answers = how.all ? 0 : how.answers;
    if (!how.to.empty()) {
        const auto server = find_server(*node, how.to, ctx);
        if (!server) {
            return end_with(server.error(), ctx);
        }
        options.to = *server;
    }
    if (const auto there = await_server(*node, how, ctx); !there) {
        return end_with(there.error(), ctx);
    }
    const auto asked = node->request_async(how.topic, *value, options);
    replies got;
    {
        const interrupt::handler stop{*ctx.interrupt, [&asked] { asked.cancel(); }};
        got = asked.wait();
    }
    line_output out;
    error first;
    for (const auto& one : got.answers) {
        print_answer(out, one, *node, how.format, ctx.common.json);
        if (!one.value && !first) {
            first = one.value.error();
        }
    }
    out.flush();
    node->shutdown();
    if (got.why) {
        return end_with(got.why, ctx);
    }
    // Each has been told above.
    return first ? exit_code_of(first) : exit_code::ok;
}

struct serve_arguments {
    std::string topic;
    std::string command;
    value_format format = value_format::text;
};

/// What a command said, as a value: without the end of its last line.
expected<data> answer_of(const command_outcome& outcome, value_format format) {
    std::string_view text = outcome.output;
    if (format != value_format::bytes && text.ends_with('\n')) {
        text.remove_suffix(1);
    }
    return read_value(text, format);
}

expected<data> run_for(const request& what, const serve_arguments& how, const context& ctx) {
    shell_command command{how.command,
                          {{"REQUEST_TOPIC", what.topic}, {"REQUEST_FROM", to_string(what.from)}},
                          true};
    std::string input;
    append_value(input, what.value, how.format);
    if (how.format != value_format::bytes) {
        input += '\n';
    }
    const auto outcome = run_command(command, input, *ctx.interrupt);
    if (!outcome) {
        return tl::unexpected{outcome.error()};
    }
    if (outcome->status != 0) {
        return fail(ec::backend_failure, fmt::format("the command ended with {}", outcome->status));
    }
    return answer_of(*outcome, how.format);
}

exit_code run_serve(const serve_arguments& how, const context& ctx) {
    auto node = open_endpoint(ctx, "bzmq-cli serve");
    if (!node) {
        return end_with(node.error(), ctx);
    }
    auto server = node->serve(how.topic, [&](const request& what) -> expected<data> {
        auto out = run_for(what, how, ctx);
        if (!out && !ctx.interrupt->raised()) {
            warn(what.topic + ": " + to_string(out.error()));
        }
        return out;
    });
    if (const auto why = server.last_error()) {
        return end_with(why, ctx);
    }
    {
        const interrupt::handler stop{*ctx.interrupt, [&node] { node->shutdown(); }};
        server.wait();
    }
    server.stop();
    return ctx.interrupt->raised() ? exit_code::ok : report(server.last_error());
}

}  // namespace

void add_request(CLI::App& app, context& ctx) {
    auto how = std::make_shared<request_arguments>();
    auto* command =
        app.add_subcommand("request", "Ask those who serve a topic, and print their answers");
    command->add_option("TOPIC", how->topic, "What is served")->required()->type_name("");
    command->add_option("DATA", how->data, "The value to ask with")->required()->type_name("");
    command->add_option("--to", how->to, "Ask only the endpoint with this id or name")
        ->type_name("NODE");
    auto* answers = command->add_option("--answers", how->answers, "End after N good answers (1)")
                        ->type_name("N")
                        ->check(CLI::PositiveNumber.description(""));
    command->add_flag("--all", how->all, "Wait for all answers of all servers")->excludes(answers);
    command->add_option("--servers", how->wait, "First wait until N endpoints serve the topic (1)")
        ->type_name("N")
        ->check(CLI::PositiveNumber.description(""));
    add_format(*command, how->format, "How DATA is read and answers are written");
    command->footer("--timeout limits the wait for servers, and then the request. A server's error "
                    "is told on standard error and makes the exit code.");
    add_common(*command, ctx.common);
    command->callback([how, &ctx] { ctx.run = [how, &ctx] { return run_request(*how, ctx); }; });
}

void add_serve(CLI::App& app, context& ctx) {
    auto how = std::make_shared<serve_arguments>();
    auto* command = app.add_subcommand(
        "serve", "Answer requests with what a command prints, until Ctrl-C or SIGTERM");
    command->add_option("TOPIC", how->topic, "What is served, with all that lies below it")
        ->required()
        ->type_name("");
    command
        ->add_option("--exec", how->command,
                     "The shell command: the request's value is its standard input, REQUEST_TOPIC "
                     "and REQUEST_FROM are in its environment, what it prints is the answer")
        ->required()
        ->type_name("COMMAND");
    add_format(*command, how->format, "How the command is given values and how its output is read");
    command->footer("One request after the other. Where the command fails, the asker is told.");
    add_common(*command, ctx.common);
    command->callback([how, &ctx] { ctx.run = [how, &ctx] { return run_serve(*how, ctx); }; });
}

}  // namespace bzmq::cli
