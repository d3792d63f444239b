#include "bzmq/zeek.hpp"

#include "commands.hpp"
#include "line_input.hpp"
#include "message_reader.hpp"
#include "option_checks.hpp"
#include "output.hpp"
#include "value_format.hpp"
#include <fmt/format.h>

#include <memory>
#include <utility>

namespace bzmq::cli {
namespace {

struct options {
    std::string topic;
    std::vector<std::string> values;
    std::string event;
    value_format format = value_format::text;
    bool reliable = false;
    std::size_t wait = 0;

    /// Each line is a message as `sub --json` prints it.
    [[nodiscard]] bool whole() const { return topic == "-"; }
};

bool good_topic(std::string_view topic) {
    return !topic.empty() && topic.size() <= topic_bytes_max;
}

std::string expected_topic() {
    return fmt::format("expected a topic of 1 to {} bytes", topic_bytes_max);
}

/// Publishes and counts.
class sender {
  public:
    sender(endpoint& node, const options& how, const context& ctx)
        : node_(node),
          how_(how),
          ctx_(ctx),
          mode_(how.reliable ? delivery_mode::reliable : delivery_mode::best_effort) {}

    expected<void> send(std::string_view text) {
        if (how_.whole()) {
            const auto what = read_message(text);
            return what ? send(what->topic, what->value) : tl::unexpected{what.error()};
        }
        const auto value = read_value(text, how_.format);
        return value ? send(how_.topic, *value) : tl::unexpected{value.error()};
    }
    /// One event with all values as its arguments.
    expected<void> send_event() {
        zeek::event one{how_.event};
        for (const auto& text : how_.values) {
            auto value = read_value(text, how_.format);
            if (!value) {
                return tl::unexpected{value.error()};
            }
            one.args.push_back(std::move(*value));
        }
        return send(how_.topic, zeek::to_data(one));
    }
    [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
    [[nodiscard]] delivery_mode mode() const noexcept { return mode_; }

  private:
    expected<void> send(std::string_view topic, const data& value) {
        if (how_.whole() && count_ == 0) {
            if (auto known = await_subscribers(node_, ctx_, topic, how_.wait); !known) {
                return known;
            }
        }
        if (!good_topic(topic)) {
            return fail(ec::invalid_topic,
                        fmt::format("message {} not published: {}", count_ + 1, expected_topic()));
        }
        if (const auto code = node_.publish(topic, value, mode_); code != ec::none) {
            return fail(code, fmt::format("message {} not published", count_ + 1));
        }
        ++count_;
        return {};
    }

    endpoint& node_;
    const options& how_;
    const context& ctx_;
    delivery_mode mode_;
    std::uint64_t count_ = 0;
};

expected<void> send_all(sender& out, const options& how, const context& ctx) {
    if (!how.event.empty()) {
        return out.send_event();
    }
    for (const auto& value : how.values) {
        if (auto sent = out.send(value); !sent) {
            return sent;
        }
    }
    if (!how.values.empty()) {
        return {};
    }
    line_input input{*ctx.interrupt};
    std::string_view line;
    for (std::uint64_t number = 1;; ++number) {
        const auto more = input.next(line);
        if (!more) {
            return tl::unexpected{more.error()};
        }
        if (!*more) {
            return {};
        }
        if (const auto sent = out.send(line); !sent) {
            return fail(sent.error().code(),
                        fmt::format("standard input, line {}: {}", number, sent.error().message()));
        }
    }
}

exit_code run(const options& how, const context& ctx) {
    if (how.whole() && !how.values.empty()) {
        return report(exit_code::usage, "values cannot be given with -, which reads messages");
    }
    if (how.whole() && !how.event.empty()) {
        return report(exit_code::usage, "an event cannot be given with -, which reads messages");
    }
    if (!good_topic(how.topic)) {
        return report(exit_code::usage, expected_topic());
    }
    for (const auto& value : how.values) {
        if (const auto good = read_value(value, how.format); !good) {
            return report(exit_code::failure, to_string(good.error()));
        }
    }
    auto node = open_endpoint(ctx, "bzmq-cli pub");
    if (!node) {
        return end_with(node.error(), ctx);
    }
    if (!how.whole()) {
        if (const auto known = await_subscribers(*node, ctx, how.topic, how.wait); !known) {
            return end_with(known.error(), ctx);
        }
    }
    sender out{*node, how, ctx};
    expected<void> sent;
    {
        const interrupt::handler stop{*ctx.interrupt, [&node] { node->shutdown(); }};
        sent = send_all(out, how, ctx);
    }
    const auto finished = finish(*node, ctx, out.mode(), how.wait);
    if (ctx.common.json) {
        std::string line = "{";
        if (!how.whole()) {
            append_json_topic(line, how.topic);
            line += ',';
        }
        line += fmt::format("\"published\":{},\"mode\":\"{}\"}}", out.count(),
                            how.reliable ? "reliable" : "best_effort");
        line_output{}.line(line);
    }
    if (!sent) {
        return end_with(sent.error(), ctx);
    }
    return finished ? exit_code::ok : end_with(finished.error(), ctx);
}

}  // namespace

void add_pub(CLI::App& app, context& ctx) {
    auto how = std::make_shared<options>();
    auto* command =
        app.add_subcommand("pub", "Publish values from the command line or standard input");
    command->add_option("TOPIC", how->topic, "The messages' topic; - reads messages, each with its topic, "
                        "as `sub --json` prints them")->required()->type_name("");
    command
        ->add_option("VALUE", how->values,
                     "One message each; without any, one message per line of standard input")
        ->type_name("");
    command
        ->add_option("--event", how->event,
                     "Publish one Zeek event of this name, whose arguments are the VALUEs, if any")
        ->type_name("NAME")
        ->check(not_empty());
    add_format(*command, how->format, "How values are written (text)");
    command->add_flag("--reliable", how->reliable,
                      "Deliver for certain as long as some path leads to the receivers");
    add_wait(*command, how->wait);
    command->footer("Returns once all is handed over, and with --reliable acknowledged.");
    add_common(*command, ctx.common);
    command->callback([how, &ctx] { ctx.run = [how, &ctx] { return run(*how, ctx); }; });
}

}  // namespace bzmq::cli
