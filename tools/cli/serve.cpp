#include "bzmq/request.hpp"

#include "commands.hpp"
#include "message_reader.hpp"
#include "output.hpp"
#include "shell_command.hpp"
#include "value_format.hpp"
#include <fmt/format.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

namespace bzmq::cli {
namespace {

using clock = std::chrono::steady_clock;

struct serve_arguments {
    std::string topic;
    std::string command;
    std::optional<value_format> format;
};

/// A request that waits for the command.
struct waiting_request {
    request what;
    responder to;
    clock::time_point came;
};

/// Requests between the service's thread, which has to go on to hear of those that are cancelled,
/// and the one that runs commands. Holds the former up where it is full.
class request_queue {
  public:
    void push(waiting_request one) {
        std::unique_lock lock{mutex_};
        room_.wait(lock, [this] { return closed_ || waiting_.size() < waiting_max; });
        if (!closed_) {
            waiting_.push_back(std::move(one));
            changed_.notify_one();
        }
    }
    /// The next one; nothing once it is closed.
    std::optional<waiting_request> pop() {
        std::unique_lock lock{mutex_};
        changed_.wait(lock, [this] { return closed_ || !waiting_.empty(); });
        if (closed_) {
            return std::nullopt;
        }
        auto out = std::move(waiting_.front());
        waiting_.pop_front();
        room_.notify_one();
        return out;
    }
    /// Nobody answers what waits: the askers are told.
    void close() {
        std::deque<waiting_request> dropped;  // Its responders tell without our lock.
        const std::lock_guard lock{mutex_};
        closed_ = true;
        dropped.swap(waiting_);
        changed_.notify_all();
        room_.notify_all();
    }

  private:
    static constexpr std::size_t waiting_max = 1024;

    std::mutex mutex_;
    std::condition_variable changed_;
    std::condition_variable room_;
    std::deque<waiting_request> waiting_;
    bool closed_ = false;
};

/// Runs the command for requests.
class command_server {
  public:
    command_server(const serve_arguments& how, const context& ctx)
        : how_(how),
          ctx_(ctx),
          whole_(ctx.common.json && !how.format),
          format_(how.format.value_or(value_format::text)) {}

    void answer(const waiting_request& one) const;

  private:
    [[nodiscard]] expected<data> run_for(const waiting_request& one) const;
    [[nodiscard]] std::string input_of(const request& what) const;
    [[nodiscard]] expected<data> answer_in(std::string_view output) const;

    const serve_arguments& how_;
    const context& ctx_;
    const bool whole_;  // Requests and answers as JSON objects.
    const value_format format_;
};

std::string command_server::input_of(const request& what) const {
    std::string out;
    if (whole_) {
        out += '{';
        append_json_topic(out, what.topic);
        out += ",\"data\":" + to_json(what.value) + ",\"from\":\"" + to_string(what.from) + "\"}";
    } else {
        append_value(out, what.value, format_);
    }
    if (whole_ || format_ != value_format::bytes) {
        out += '\n';
    }
    return out;
}

/// What a command said, as a value: without the end of its last line.
expected<data> command_server::answer_in(std::string_view output) const {
    if ((whole_ || format_ != value_format::bytes) && output.ends_with('\n')) {
        output.remove_suffix(1);
    }
    return whole_ ? read_answer(output) : read_value(output, format_);
}

expected<data> command_server::run_for(const waiting_request& one) const {
    const auto& what = one.what;
    const shell_command command{
        how_.command,
        {{"REQUEST_TOPIC", what.topic}, {"REQUEST_FROM", to_string(what.from)}},
        true};
    command_limits limits;
    limits.wanted = [&] { return one.to.wanted(); };
    if (what.timeout < clock::time_point::max() - one.came) {
        limits.deadline = one.came + what.timeout;
    }
    const auto outcome = run_command(command, input_of(what), *ctx_.interrupt, limits);
    if (!outcome) {
        return tl::unexpected{outcome.error()};
    }
    if (outcome->status != 0) {
        return fail(ec::backend_failure, fmt::format("the command ended with {}", outcome->status));
    }
    return answer_in(outcome->output);
}

void command_server::answer(const waiting_request& one) const {
    if (!one.to.wanted()) {
        warn(one.what.topic + ": not run: its asker waits no more");
        return;
    }
    expected<data> out = fail(ec::backend_failure);
    try {
        out = run_for(one);
    } catch (const std::exception& problem) {
        // One answer is not worth the service.
        out = fail(ec::backend_failure, problem.what());
    }
    if (out) {
        one.to.finish(*out);
        return;
    }
    if (!ctx_.interrupt->raised()) {
        warn(one.what.topic + ": " + to_string(out.error()));
    }
    one.to.fail(out.error());
}

/// Stops a service at its end, first the queue that its handler may wait at.
class ending {
  public:
    ending(service& server, request_queue& waiting) : server_(server), waiting_(waiting) {}
    ~ending() {
        waiting_.close();
        server_.stop();
    }
    ending(const ending&) = delete;
    ending& operator=(const ending&) = delete;

  private:
    service& server_;
    request_queue& waiting_;
};

exit_code run_serve(const serve_arguments& how, const context& ctx) {
    auto node = open_endpoint(ctx, "bzmq-cli serve");
    if (!node) {
        return end_with(node.error(), ctx);
    }
    auto waiting = std::make_shared<request_queue>();
    auto server = node->serve(how.topic, [waiting](const request& what, responder to) {
        waiting->push({what, std::move(to), clock::now()});
    });
    if (const auto why = server.last_error()) {
        return end_with(why, ctx);
    }
    {
        const interrupt::handler stop{*ctx.interrupt, [&] {
                                          waiting->close();
                                          node->shutdown();
                                      }};
        const std::jthread end{[&] {
            server.wait();  // Also where the endpoint ends for a reason of its own.
            waiting->close();
        }};
        // Behind `end`, which waits for the service: that ends however this does.
        const ending stopped{server, *waiting};
        const command_server runner{how, ctx};
        while (const auto one = waiting->pop()) {
            runner.answer(*one);
        }
    }
    return ctx.interrupt->raised() ? exit_code::ok : report(server.last_error());
}

}  // namespace

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
    add_format(*command, how->format,
               "How the command is given values and how its output is read (text)");
    command->footer("One request after the other. Where the command fails, the asker is told; when "
                    "the asker waits no more, the command is ended. With --json its input is an "
                    "object with topic, data and from, and its output one with data, or a value.");
    add_common(*command, ctx.common);
    command->callback([how, &ctx] { ctx.run = [how, &ctx] { return run_serve(*how, ctx); }; });
}

}  // namespace bzmq::cli
