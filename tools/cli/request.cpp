#include "bzmq/request.hpp"

#include "commands.hpp"
#include "line_input.hpp"
#include "message_reader.hpp"
#include "option_checks.hpp"
#include "output.hpp"
#include "overlay_view.hpp"
#include "value_format.hpp"
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace bzmq::cli {
namespace {

struct request_arguments {
    std::string topic;
    std::optional<std::string> data;  ///< none or "-": lines of standard input
    std::string to;
    std::size_t answers = 1;
    bool all = false;
    std::size_t wait = 1;
    std::optional<value_format> format;

    [[nodiscard]] bool asks_lines() const { return !data || *data == "-"; }
};

/// About what a value takes in memory.
std::size_t bytes_of(const data& value) {
    const auto of_all = [](const auto& elements) {
        std::size_t out = 0;
        for (const auto& one : elements) {
            if constexpr (requires { one.first; }) {
                out += bytes_of(one.first) + bytes_of(one.second);
            } else {
                out += bytes_of(one);
            }
        }
        return out;
    };
    if (const auto* text = get_if<std::string>(&value)) {
        return sizeof value + text->size();
    }
    if (const auto* several = get_if<vector>(&value)) {
        return sizeof value + of_all(*several);
    }
    if (const auto* several = get_if<set>(&value)) {
        return sizeof value + of_all(*several);
    }
    if (const auto* several = get_if<table>(&value)) {
        return sizeof value + of_all(*several);
    }
    return sizeof value;
}

/// What one or more requests brought, printed as it comes.
class asker {
  public:
    asker(endpoint& node, const request_arguments& how, const context& ctx)
        : node_(node),
          how_(how),
          ctx_(ctx),
          json_(ctx.common.json),
          format_(how.format.value_or(json_ ? value_format::json : value_format::text)) {
        options_.timeout = ctx.common.timeout_or_default();
        options_.answers = how.all ? 0 : how.answers;
    }

    void ask_only(const endpoint_id& server) { options_.to = server; }
    /// A value as the user writes it.
    [[nodiscard]] expected<data> read(std::string_view text) const {
        return json_ && format_ == value_format::json ? read_answer(text)
                                                      : read_value(text, format_);
    }
    /// Asks, and prints what comes until it has ended. Fails where the request did.
    expected<void> ask(const data& value);
    [[nodiscard]] bool good() const { return out_.good(); }
    /// What a server told first instead of an answer.
    [[nodiscard]] const error& first_error() const noexcept { return first_; }

  private:
    /// What the endpoint's thread hands over: it must not wait, and is not held up by printing. What
    /// there is no room for is dropped and counted.
    struct mailbox {
        static constexpr std::size_t bytes_max = std::size_t{64} << 20;

        std::mutex mutex;
        std::condition_variable changed;
        std::vector<answer> answers;
        std::size_t bytes = 0;
        std::uint64_t dropped = 0;
        bool done = false;
    };

    void print(const answer& one);
    void print_end(const error& why);

    endpoint& node_;
    const request_arguments& how_;
    const context& ctx_;
    const bool json_;
    const value_format format_;
    request_options options_;
    line_output out_;
    error first_;
};

expected<void> asker::ask(const data& value) {
    auto box = std::make_shared<mailbox>();
    const auto asked = node_.request_async(how_.topic, value, options_, [box](const answer& one) {
        const auto bytes = sizeof one + (one.value ? bytes_of(*one.value) : 0);
        const std::lock_guard lock{box->mutex};
        if (box->answers.empty() || box->bytes + bytes <= mailbox::bytes_max) {
            box->answers.push_back(one);
            box->bytes += bytes;
        } else {
            ++box->dropped;
        }
        box->changed.notify_one();
    });
    asked.then([box](const replies&) {
        const std::lock_guard lock{box->mutex};
        box->done = true;
        box->changed.notify_one();
    });
    const interrupt::handler stop{*ctx_.interrupt, [&asked] { asked.cancel(); }};
    std::vector<answer> some;
    std::uint64_t dropped = 0;
    for (bool done = false; !done;) {
        {
            std::unique_lock lock{box->mutex};
            box->changed.wait(lock, [&] { return box->done || !box->answers.empty(); });
            done = box->done;
            some = std::exchange(box->answers, {});
            box->bytes = 0;
            dropped = box->dropped;
        }
        if (dropped > 0) {
            asked.cancel();  // Is not whole any more.
        }
        for (const auto& one : some) {
            print(one);
        }
        out_.flush();
        if (!out_.good()) {
            asked.cancel();  // Whoever read has gone.
            return {};
        }
    }
    const auto why = dropped == 0 ? asked.wait().why
                                  : error{ec::queue_full,
                                          fmt::format("{} answers were dropped because they are not "
                                                      "read fast enough",
                                                      dropped)};
    if (why) {
        print_end(why);
        return tl::unexpected{why};
    }
    return {};
}

void append_failure(std::string& line, const error& why) {
    line += "\"error\":\"";
    line += to_string(why.code());
    line += "\",\"message\":";
    append_json_string(line, why.message());
}

void asker::print(const answer& one) {
    if (!one.value && !first_) {
        first_ = one.value.error();
    }
    auto& line = out_.buffer();
    if (json_) {
        line += "{\"from\":\"" + to_string(one.from) + "\",\"name\":";
        append_json_string(line, label_in(node_.topology(), one.from));
        line += ',';
        if (one.value) {
            line += "\"data\":" + to_json(*one.value);
        } else {
            append_failure(line, one.value.error());
        }
        line += '}';
        out_.end_line();
    } else if (one.value) {
        append_value(line, *one.value, format_);
        out_.end_line();
    } else {
        warn(label_in(node_.topology(), one.from) + ": " + to_string(one.value.error()));
    }
}

/// Where the request itself failed: no server's word.
void asker::print_end(const error& why) {
    if (json_) {
        out_.buffer() += '{';
        append_failure(out_.buffer(), why);
        out_.buffer() += '}';
        out_.end_line();
        out_.flush();
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

/// Asks with each line, one after the other. A request that fails is told, and the next ones go on.
exit_code ask_lines(asker& with, const context& ctx) {
    line_input input{*ctx.interrupt};
    std::string_view line;
    auto code = exit_code::ok;
    for (std::uint64_t number = 1; with.good(); ++number) {
        const auto more = input.next(line);
        if (!more) {
            return end_with(more.error(), ctx);
        }
        if (!*more) {
            break;
        }
        const auto where = fmt::format("standard input, line {}: ", number);
        const auto value = with.read(line);
        if (!value) {
            return report(exit_code_of(value.error()), where + to_string(value.error()));
        }
        if (const auto asked = with.ask(*value); !asked) {
            if (ctx.interrupt->raised()) {
                return ctx.interrupt->code();
            }
            const auto failed =
                report(exit_code_of(asked.error()), where + to_string(asked.error()));
            code = code == exit_code::ok ? failed : code;
        }
    }
    return code;
}

exit_code run_request(const request_arguments& how, const context& ctx) {
    // What cannot be read is told before anybody is asked.
    const auto format =
        how.format.value_or(ctx.common.json ? value_format::json : value_format::text);
    if (!how.asks_lines() && !(format == value_format::json && ctx.common.json)) {
        if (const auto good = read_value(*how.data, format); !good) {
            return report(good.error());
        }
    }
    auto node = open_endpoint(ctx, "bzmq-cli request");
    if (!node) {
        return end_with(node.error(), ctx);
    }
    asker with{*node, how, ctx};
    if (!how.to.empty()) {
        const auto server = find_server(*node, how.to, ctx);
        if (!server) {
            return end_with(server.error(), ctx);
        }
        with.ask_only(*server);
    }
    if (const auto there = await_server(*node, how, ctx); !there) {
        return end_with(there.error(), ctx);
    }
    auto code = exit_code::ok;
    if (how.asks_lines()) {
        code = ask_lines(with, ctx);
    } else if (const auto value = with.read(*how.data); !value) {
        code = report(value.error());
    } else if (const auto asked = with.ask(*value); !asked) {
        code = end_with(asked.error(), ctx);
    }
    node->shutdown();
    if (!with.good()) {
        return exit_code::broken_pipe;
    }
    // Each has been told above.
    return code == exit_code::ok && with.first_error() ? exit_code_of(with.first_error()) : code;
}

}  // namespace

void add_request(CLI::App& app, context& ctx) {
    auto how = std::make_shared<request_arguments>();
    auto* command =
        app.add_subcommand("request", "Ask those who serve a topic, and print their answers");
    command->add_option("TOPIC", how->topic, "What is served")->required()->type_name("");
    command
        ->add_option("DATA", how->data,
                     "The value to ask with; without it, or with -, one request for each line of "
                     "standard input, one after the other")
        ->type_name("");
    command->add_option("--to", how->to, "Ask only the endpoint with this id or name")
        ->type_name("NODE");
    auto* answers = command->add_option("--answers", how->answers, "End after N good answers (1)")
                        ->type_name("N")
                        ->check(whole_number(1));
    command->add_flag("--all", how->all, "Wait for all answers of all servers")->excludes(answers);
    command->add_option("--servers", how->wait, "First wait until N endpoints serve the topic (1)")
        ->type_name("N")
        ->check(whole_number(1));
    add_format(*command, how->format, "How DATA is read and answers are written (text)");
    command->footer("Prints answers as they come. --timeout limits the wait for servers, and then "
                    "each request. A server's error is told on standard error and makes the exit "
                    "code. --json reads DATA as JSON, too: a value, or an object with \"data\", as "
                    "it prints them.");
    add_common(*command, ctx.common);
    command->callback([how, &ctx] { ctx.run = [how, &ctx] { return run_request(*how, ctx); }; });
}

}  // namespace bzmq::cli
