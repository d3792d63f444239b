#include "commands.hpp"
#include "message_printer.hpp"
#include "option_checks.hpp"
#include "output.hpp"
#include "progress_bar.hpp"
#include "recording/recording.hpp"
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>

namespace bzmq::cli {
namespace {

using clock = std::chrono::steady_clock;

constexpr std::uint64_t progress_messages = 256;

struct options {
    std::string file;
    std::vector<std::string> topics;
    double speed = 1;
    bool fast = false;
    std::uint64_t from = 1;
    std::uint64_t limit = 0;
    std::optional<bool> reliable;  ///< unset: each as it was
    std::size_t wait = 0;
    bool skip_damaged = false;
    bool print = false;
    value_format format = value_format::text;
};

/// Reads the messages that are wanted, and counts all.
class selection {
  public:
    selection(recording_reader source, const options& how) : source_(std::move(source)), how_(how) {}

    /// False at the end.
    expected<bool> next(message& out, timestamp& at) {
        while (how_.limit == 0 || chosen_ < how_.limit) {
            auto more = source_.next(out, at);
            if (!more && how_.skip_damaged && more.error() == ec::invalid_data) {
                warn(to_string(more.error()));
                damaged_ = true;
                continue;
            }
            if (!more) {
                return fail(more.error().code(),
                            fmt::format("{}; {} messages before it are whole, --skip-damaged goes on "
                                        "behind it",
                                        more.error().message(), number_));
            }
            if (!*more) {
                return false;
            }
            if (++number_ >= how_.from && wanted(out.topic())) {
                ++chosen_;
                return true;
            }
        }
        return false;
    }
    /// Of the last message, in the file, from 1 on.
    [[nodiscard]] std::uint64_t number() const noexcept { return number_; }
    [[nodiscard]] bool damaged() const noexcept { return damaged_; }
    [[nodiscard]] const recording_reader& source() const noexcept { return source_; }

  private:
    [[nodiscard]] bool wanted(std::string_view topic) const {
        return how_.topics.empty()
               || std::any_of(how_.topics.begin(), how_.topics.end(),
                              [topic](const auto& each) { return topic.starts_with(each); });
    }

    recording_reader source_;
    const options& how_;
    std::uint64_t number_ = 0;
    std::uint64_t chosen_ = 0;
    bool damaged_ = false;
};

/// Publishes what was recorded, at the pace at which it came.
class playback {
  public:
    playback(endpoint& node, selection& source, const options& how, const context& ctx)
        : node_(node), source_(source), how_(how), ctx_(ctx) {}

    expected<void> run();
    [[nodiscard]] std::uint64_t published() const noexcept { return published_; }
    /// The number of the first message that was not published.
    [[nodiscard]] std::uint64_t resume_at() const noexcept { return last_ + 1; }
    [[nodiscard]] delivery_mode strongest() const noexcept { return strongest_; }
    [[nodiscard]] double seconds() const {
        return std::chrono::duration<double>(clock::now() - start_).count();
    }

  private:
    expected<void> publish(const message& what, timestamp at);
    bool pace(timestamp at);
    [[nodiscard]] delivery_mode mode_of(const message& what) const {
        return !how_.reliable    ? what.mode()
               : *how_.reliable ? delivery_mode::reliable
                                : delivery_mode::best_effort;
    }

    endpoint& node_;
    selection& source_;
    const options& how_;
    const context& ctx_;
    progress_bar bar_;
    clock::time_point start_ = clock::now();
    timestamp first_{};
    std::uint64_t published_ = 0;
    std::uint64_t last_ = 0;
    delivery_mode strongest_ = delivery_mode::best_effort;
};

expected<void> playback::run() {
    message what;
    timestamp at;
    last_ = how_.from - 1;
    while (true) {
        const auto more = source_.next(what, at);
        if (!more) {
            return tl::unexpected{more.error()};
        }
        if (!*more) {
            return {};
        }
        if (auto done = publish(what, at); !done) {
            return done;
        }
        last_ = source_.number();
        if (published_ % progress_messages == 0 || !how_.fast) {
            bar_.show(how_.file, source_.source().offset(), source_.source().size(), published_);
        }
    }
}

expected<void> playback::publish(const message& what, timestamp at) {
    if (published_ == 0) {
        if (auto known = await_subscribers(node_, ctx_, what.topic(), how_.wait); !known) {
            return known;
        }
        start_ = clock::now();
        first_ = at;
    }
    if (!pace(at)) {
        return fail(ec::cancelled);
    }
    const auto mode = mode_of(what);
    if (const auto code = node_.publish_raw(what.topic(), what.payload(), mode); code != ec::none) {
        return fail(code, fmt::format("message {} not published", source_.number()));
    }
    if (mode == delivery_mode::reliable) {
        strongest_ = mode;
    }
    ++published_;
    return {};
}

/// Waits until it is its turn; false on a signal.
bool playback::pace(timestamp at) {
    if (how_.fast) {
        return !ctx_.interrupt->raised();
    }
    const auto since = std::chrono::duration<double, std::nano>{at - first_} / how_.speed;
    const timespan wait =
        start_ + std::chrono::duration_cast<timespan>(since) - clock::now();
    return wait > timespan{0} ? !ctx_.interrupt->wait_for(wait) : !ctx_.interrupt->raised();
}

exit_code print_all(selection& source, options& how, const context& ctx) {
    message_printer form{ctx.common.json ? value_format::json : how.format};
    line_output out;
    message what;
    timestamp at;
    while (out.good() && !ctx.interrupt->raised()) {
        const auto more = source.next(what, at);
        if (!more) {
            out.flush();
            return report(more.error());
        }
        if (!*more) {
            break;
        }
        form.print(out, what);
    }
    out.flush();
    if (!out.good()) {
        return exit_code::broken_pipe;
    }
    return ctx.interrupt->raised() ? ctx.interrupt->code()
           : source.damaged()      ? exit_code::failure
                                   : exit_code::ok;
}

void print(const playback& what, const context& ctx) {
    line_output out;
    if (ctx.common.json) {
        out.line(fmt::format("{{\"published\":{},\"seconds\":{:.6f},\"next\":{}}}", what.published(),
                             what.seconds(), what.resume_at()));
    } else {
        out.line(fmt::format("{} messages in {:.3f} s", what.published(), what.seconds()));
    }
}

exit_code play(selection& source, const options& how, const context& ctx) {
    auto node = open_endpoint(ctx, "bzmq-cli play");
    if (!node) {
        return end_with(node.error(), ctx);
    }
    playback player{*node, source, how, ctx};
    expected<void> played;
    {
        const interrupt::handler stop{*ctx.interrupt, [&node] { node->shutdown(); }};
        played = player.run();
    }
    const auto finished = finish(*node, ctx, player.strongest(), how.wait);
    print(player, ctx);
    if (!played) {
        if (ctx.interrupt->raised()) {
            warn(fmt::format("stopped; --from {} goes on", player.resume_at()));
        }
        return end_with(played.error(), ctx);
    }
    if (!finished) {
        return end_with(finished.error(), ctx);
    }
    return source.damaged() ? exit_code::failure : exit_code::ok;
}

exit_code run(options& how, const context& ctx) {
    auto reader = recording_reader::open(how.file);
    if (!reader) {
        return end_with(reader.error(), ctx);
    }
    selection source{std::move(*reader), how};
    const auto outcome = how.print ? print_all(source, how, ctx) : play(source, how, ctx);
    if (source.source().cut_off() > 0) {
        warn(fmt::format("{} ends within a block: its recorder was killed, or records still",
                         how.file));
    }
    return outcome;
}

}  // namespace

void add_play(CLI::App& app, context& ctx) {
    auto how = std::make_shared<options>();
    auto* command =
        app.add_subcommand("play", "Publish the messages of a recording, at the pace they had");
    command->add_option("FILE", how->file, "What `record` wrote")->required()->type_name("");
    command->add_option("--topic", how->topics, "Only topics that begin so; may be repeated")
        ->type_name("PREFIX");
    auto* speed = command
                      ->add_option("--speed", how->speed,
                                   "So many times as fast as it was recorded (1)")
                      ->type_name("X")
                      ->check(above_zero());
    command->add_flag("--fast", how->fast, "As fast as possible")->excludes(speed);
    command->add_option("--from", how->from, "Begin with this message of the file (1)")
        ->type_name("NUMBER")
        ->check(whole_number(1));
    command->add_option("-n,--count", how->limit, "End after COUNT messages")
        ->type_name("COUNT")
        ->check(whole_number(1));
    command->add_flag("--reliable,!--best-effort", how->reliable,
                      "How to deliver; without, each message as it was published");
    command->add_flag("--skip-damaged", how->skip_damaged,
                      "Go on behind blocks that are damaged; ends with code 1");
    auto* print = command->add_flag(
        "--print", how->print, "Print the messages as `sub` does, instead; needs no overlay");
    add_format(*command, how->format, "How --print writes messages (text: topic and value)")
        ->needs(print);
    add_wait(*command, how->wait);
    command->footer(
        "Where it is stopped it names the message to go on --from. --wait is for subscribers of the "
        "first message's topic.");
    add_common(*command, ctx.common);
    command->callback([how, &ctx] { ctx.run = [how, &ctx] { return run(*how, ctx); }; });
}

}  // namespace bzmq::cli
