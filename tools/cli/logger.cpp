#include "bzmq/subscriber.hpp"

#include "commands.hpp"
#include "events.hpp"
#include "logs/log_message.hpp"
#include "logs/log_writer.hpp"
#include "option_checks.hpp"
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

namespace bzmq::cli {
namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

constexpr std::size_t batch_max = 1024;
constexpr std::uint64_t waiting_bytes_max = std::uint64_t{8} << 20;
constexpr timespan retry_pause = 500ms;

struct options {
    std::vector<std::string> topics;
    log_writer_options logs;
    std::optional<timespan> rotate_every;
    std::optional<timespan> flush_every;
};

timestamp now() { return std::chrono::time_point_cast<timespan>(std::chrono::system_clock::now()); }

/// Takes what a subscriber yields to the disk.
class recorder {
  public:
    recorder(log_writer& writer, const options& how, const context& ctx)
        : writer_(writer), how_(how), ctx_(ctx) {}

    /// Until the subscriber has ended and all that it had is on disk.
    void run(subscriber& source);
    [[nodiscard]] std::uint64_t rejected() const noexcept { return rejected_; }

  private:
    void record(const message& what);
    void reject(const message& of, const data& what, const error& why);
    /// Tries until it succeeds: what was acknowledged is not given up while this process lives.
    void insist(const std::function<expected<void>()>& attempt);

    log_writer& writer_;
    const options& how_;
    const context& ctx_;
    log_reader reader_;
    std::uint64_t rejected_ = 0;
};

bool is_disk_failure(const error& why) {
    return why == ec::cannot_write_file || why == ec::cannot_open_file;
}

void recorder::run(subscriber& source) {
    const auto period = how_.flush_every.value_or(timespan{1s});
    auto due = clock::now() + period;
    std::vector<message> batch;
    for (;;) {
        batch.clear();
        const auto wait = std::max(timespan{0}, timespan{due - clock::now()});
        if (source.take(batch, batch_max, wait) == 0 && source.ended()) {
            // What came between the two is taken at the next turn.
            if (source.available() == 0) {
                break;
            }
        }
        for (const auto& one : batch) {
            record(one);
        }
        // While more waits, writes are gathered.
        const bool is_due = clock::now() >= due;
        if (is_due || source.available() == 0) {
            insist([this] { return writer_.flush(); });
        }
        if (is_due) {
            insist([this] { return writer_.rotate(now()); });
            due = clock::now() + period;
        }
    }
    insist([this] { return writer_.close(now()); });
}

void recorder::record(const message& what) {
    const auto take = [this](const log_schema& schema, std::span<const data> values) {
        expected<void> out;
        insist([&] {
            auto written = writer_.write(schema, values, now());
            if (!written && !is_disk_failure(written.error())) {
                out = std::move(written);
                return expected<void>{};
            }
            return written;
        });
        return out;
    };
    reader_.read(what.origin(), what.topic(), what.value(), take,
                 [&](const data& part, const error& why) { reject(what, part, why); });
    if (writer_.bytes_waiting() > waiting_bytes_max) {
        insist([this] { return writer_.flush(); });
    }
}

void recorder::reject(const message& of, const data& what, const error& why) {
    if (rejected_ == 0) {
        warn(fmt::format("no log record: {}: {}; such messages go to rejected.log", of.topic(),
                         why.message()));
    }
    ++rejected_;
    std::string line = "{";
    append_json_topic(line, of.topic());
    line += ",\"data\":" + to_json(what) + ",\"origin\":\"" + to_string(of.origin())
            + "\",\"reason\":";
    append_json_string(line, why.message());
    line += '}';
    insist([&] { return writer_.write_rejected(line); });
}

void recorder::insist(const std::function<expected<void>()>& attempt) {
    std::string told;
    bool told_stop = false;
    for (;;) {
        const auto done = attempt();
        if (done) {
            if (!told.empty()) {
                warn("writing again");
            }
            return;
        }
        if (done.error().message() != told) {
            told = done.error().message();
            warn(told + "; trying again, publishers wait meanwhile");
        }
        if (ctx_.interrupt->raised() && !told_stop) {
            told_stop = true;
            warn("records are not written yet; a second signal gives them up");
        }
        // Not interrupted by the first signal: there is something to be saved.
        std::this_thread::sleep_for(retry_pause);
    }
}

exit_code run(const options& how, const context& ctx) {
    auto config = make_configuration(ctx, "bzmq-cli logger", true);
    if (!config) {
        return report(config.error());
    }
    const auto peers = std::exchange(config->options().peers, {});
    if (peers.empty() && config->options().listen.empty()) {
        return report(exit_code::usage, "name a peer with --peer, or listen with --listen");
    }
    const auto urls = std::exchange(config->options().listen, {});
    auto writer = log_writer::open(how.logs, [](std::string_view text) { warn(text); });
    if (!writer) {
        return report(writer.error());
    }
    event_printer out{ctx.common.json, false};
    recorder sink{**writer, how, ctx};
    try {
        endpoint node{std::move(*config)};
        auto statuses = node.make_status_subscriber(true);
        // Before anybody is met, so that no peer sees us without it.
        queue_options queue;
        queue.overflow = overflow_policy::block;
        auto source = node.make_subscriber(how.topics, queue);
        if (source.ended()) {
            return report(source.last_error());
        }
        for (const auto& url : urls) {
            if (const auto port = node.listen_url(url); !port) {
                return report(port.error());
            }
        }
        out.announce(node);
        if (const auto begun = start_peerings(node, peers); !begun) {
            return report(begun.error());
        }
        const interrupt::handler stop{*ctx.interrupt, [&node] { node.shutdown(); }};
        std::jthread events{[&] { out.follow(node, statuses); }};
        sink.run(source);
    } catch (const endpoint_error& failure) {
        return report(failure.why());
    }
    out.stopped();
    warn(fmt::format("{} records written to {}", (*writer)->records(), how.logs.folder));
    if (sink.rejected() > 0) {
        warn(fmt::format("{} messages were no log records", sink.rejected()));
    }
    return ctx.interrupt->raised() ? exit_code::ok : exit_code::failure;
}

}  // namespace

void add_logger(CLI::App& app, context& ctx) {
    auto how = std::make_shared<options>();
    auto* command = app.add_subcommand(
        "logger", "Write the log records that come as Zeek logs, until Ctrl-C or SIGTERM");
    command->add_option("TOPIC", how->topics, "Prefixes of the topics of records (/zeek/logs/)")
        ->type_name("");
    command->add_option("--folder", how->logs.folder, "Where logs are written; made if need be")
        ->required()
        ->type_name("FOLDER");
    command
        ->add_option("--log-format", how->logs.format,
                     "Tab-separated with Zeek's headers (tsv, the default) or a JSON object a line")
        ->type_name("tsv|json")
        ->transform(one_of<log_format>({{"tsv", log_format::tsv}, {"json", log_format::json}}));
    command
        ->add_option("--json-time", how->logs.times,
                     "Times in JSON: seconds since 1970 (epoch, the default) or ISO 8601")
        ->type_name("epoch|iso8601")
        ->transform(one_of<json_time>({{"epoch", json_time::epoch}, {"iso8601", json_time::iso8601}}));
    command
        ->add_option("--rotate-size", how->logs.rotate_bytes,
                     "Begin a new file when one has so many bytes (K, M, G: units of 1024)")
        ->type_name("BYTES")
        ->transform(CLI::AsSizeValue(false).description(""));
    add_duration(*command, "--rotate-every", how->rotate_every,
                 "Begin new files at whole multiples of it, in UTC");
    command->add_flag("--gzip", how->logs.gzip, "Pack what was rotated");
    add_duration(*command, "--flush", how->flush_every,
                 "Under load, records are in the file at most that long after they came (1s)");
    command->footer(
        "A log is FOLDER/NAME.log; rotated, NAME.DATE.log. Prints what node prints. A full disk is "
        "told, and holds publishers up until there is room.");
    add_common(*command, ctx.common, true);
    command->callback([how, &ctx] {
        if (how->topics.empty()) {
            how->topics = {"/zeek/logs/"};
        }
        how->logs.rotate_every = how->rotate_every.value_or(timespan{0});
        ctx.run = [how, &ctx] { return run(*how, ctx); };
    });
}

}  // namespace bzmq::cli
