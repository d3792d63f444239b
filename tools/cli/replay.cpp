#include "commands.hpp"
#include "logs/log_message.hpp"
#include "logs/zeek_log_reader.hpp"
#include "option_checks.hpp"
#include "output.hpp"
#include "progress_bar.hpp"

#include <fmt/format.h>

#include <memory>

namespace bzmq::cli {
namespace {

using clock = std::chrono::steady_clock;

constexpr std::uint64_t progress_records = 256;
constexpr std::size_t batch_records = 64;
constexpr std::string_view table_prefix = "/zeek/";
constexpr std::string_view log_prefix = "/zeek/logs/";

struct options {
    std::vector<std::string> files;
    std::string prefix;
    bool logs = false;
    double rate = 0;
    bool reliable = true;
    std::size_t wait = 0;
};

delivery_mode mode_of(const options& how) {
    return how.reliable ? delivery_mode::reliable : delivery_mode::best_effort;
}

/// Publishes the records of logs, in order, not faster than the rate.
class player {
  public:
    player(endpoint& node, const options& how, const context& ctx)
        : node_(node), how_(how), ctx_(ctx) {}

    expected<void> play(const std::string& file);
    [[nodiscard]] bool has_begun() const noexcept { return records_ > 0; }
    void print(line_output& out) const;

  private:
    expected<void> send(const log_record& record);
    expected<void> send_table(const log_record& record);
    expected<void> send_batch();
    void enter(const std::string& path);
    bool pace();

    endpoint& node_;
    const options& how_;
    const context& ctx_;
    progress_bar bar_;
    clock::time_point start_ = clock::now();
    std::uint64_t records_ = 0;
    std::string path_;
    std::string topic_;
    log_batch batch_;
};

expected<void> player::play(const std::string& file) {
    auto reader = zeek_log_reader::open(file, ctx_.interrupt->fd());
    if (!reader) {
        return tl::unexpected{reader.error()};
    }
    log_record record;
    for (;;) {
        if (batch_.size() > 0 && reader->would_wait()) {
            if (auto sent = send_batch(); !sent) {
                return sent;
            }
        }
        const auto more = reader->next(record);
        if (!more) {
            bar_.clear();
            return tl::unexpected{more.error()};
        }
        if (!*more) {
            bar_.clear();
            return send_batch();
        }
        if (auto sent = send(record); !sent) {
            bar_.clear();
            return sent;
        }
        if (records_ % progress_records == 0 || how_.rate > 0) {
            bar_.show(file, reader->bytes_consumed(), reader->bytes_total(), records_);
        }
    }
}

void player::enter(const std::string& path) {
    if (path != path_ || topic_.empty()) {
        path_ = path;
        topic_ = how_.prefix + (how_.prefix.ends_with('/') ? "" : "/") + path_;
    }
}

expected<void> player::send(const log_record& record) {
    if (how_.logs && !batch_.fits(record)) {
        if (auto sent = send_batch(); !sent) {
            return sent;
        }
    }
    enter(record.path);
    if (records_ == 0) {
        if (auto known = await_subscribers(node_, ctx_, topic_, how_.wait); !known) {
            return known;
        }
        start_ = clock::now();
    }
    if (!pace()) {
        return fail(ec::cancelled);
    }
    ++records_;
    if (!how_.logs) {
        return send_table(record);
    }
    batch_.add(record);
    // At a given rate each record goes when it is due.
    return batch_.size() == batch_records || how_.rate > 0 ? send_batch() : expected<void>{};
}

expected<void> player::send_table(const log_record& record) {
    const auto code = node_.publish(topic_, to_data(record), mode_of(how_));
    if (code != ec::none) {
        return fail(code, fmt::format("record {} not published", records_));
    }
    return {};
}

expected<void> player::send_batch() {
    if (batch_.size() == 0) {
        return {};
    }
    const auto code = node_.publish(topic_, batch_.take(), mode_of(how_));
    if (code != ec::none) {
        return fail(code, fmt::format("records up to {} not published", records_));
    }
    return {};
}

bool player::pace() {
    if (how_.rate <= 0) {
        return !ctx_.interrupt->raised();
    }
    const std::chrono::duration<double> due{static_cast<double>(records_) / how_.rate};
    const auto wait = start_ + std::chrono::duration_cast<timespan>(due) - clock::now();
    return wait > timespan{0} ? !ctx_.interrupt->wait_for(wait) : !ctx_.interrupt->raised();
}

void player::print(line_output& out) const {
    const auto seconds = std::chrono::duration<double>(clock::now() - start_).count();
    const auto per_second = seconds > 0 ? static_cast<double>(records_) / seconds : 0.0;
    if (ctx_.common.json) {
        out.line(fmt::format(
            "{{\"records\":{},\"seconds\":{:.6f},\"records_per_second\":{:.1f},\"mode\":\"{}\"}}",
            records_, seconds, per_second, how_.reliable ? "reliable" : "best_effort"));
    } else {
        out.line(
            fmt::format("{} records in {:.3f} s, {:.0f} records/s", records_, seconds, per_second));
    }
}

expected<void> play_all(player& out, const options& how) {
    for (const auto& file : how.files) {
        if (auto played = out.play(file); !played) {
            return played;
        }
    }
    return {};
}

exit_code run(const options& how, const context& ctx) {
    auto node = open_endpoint(ctx, "bzmq-cli replay");
    if (!node) {
        return end_with(node.error(), ctx);
    }
    player player{*node, how, ctx};
    expected<void> played;
    {
        const interrupt::handler stop{*ctx.interrupt, [&node] { node->shutdown(); }};
        played = play_all(player, how);
    }
    const auto finished = finish(*node, ctx, mode_of(how), how.wait);
    line_output out;
    if (played || player.has_begun()) {
        player.print(out);
    }
    if (!played) {
        return end_with(played.error(), ctx);
    }
    return finished ? exit_code::ok : end_with(finished.error(), ctx);
}

}  // namespace

void add_replay(CLI::App& app, context& ctx) {
    auto how = std::make_shared<options>();
    auto* command = app.add_subcommand(
        "replay", "Publish each record of Zeek logs, with its types, under PREFIX + log name");
    command
        ->add_option("FILE", how->files,
                     "Logs: tab-separated or JSON, gzip or not; - is standard input")
        ->required()
        ->type_name("");
    command->add_option("--topic-prefix", how->prefix, "What topics begin with (/zeek/; with --logs /zeek/logs/)")
        ->type_name("PREFIX");
    command->add_flag("--logs", how->logs,
                      "Publish what a logger writes down again, equal: Zeek's log messages, many "
                      "records in each, rather than a table for each record");
    command->add_option("--rate", how->rate, "Records per second; as fast as possible without")
        ->type_name("R")
        ->check(above_zero());
    command->add_flag("--reliable,!--best-effort", how->reliable,
                      "Lose nothing as long as some path leads to the receivers (the default); "
                      "--best-effort may");
    add_wait(*command, how->wait);
    command->footer(
        "Ends with the number of records, the seconds from the first record until all was handed "
        "over, and records/s. --wait is for subscribers of the first record's topic.");
    add_common(*command, ctx.common);
    command->callback([how, &ctx] {
        if (how->prefix.empty()) {
            how->prefix = how->logs ? log_prefix : table_prefix;
        }
        ctx.run = [how, &ctx] { return run(*how, ctx); };
    });
}

}  // namespace bzmq::cli
