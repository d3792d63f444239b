#include "commands.hpp"
#include "message_stream.hpp"
#include "output.hpp"
#include "progress_bar.hpp"
#include "recording/recording.hpp"
#include <fmt/format.h>

#include <memory>

namespace bzmq::cli {
namespace {

using clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

// What a recorder that is killed loses at most.
constexpr auto flush_interval = 1s;

struct options {
    std::string file;
    stream_options stream;
    bool append = false;
    bool overwrite = false;
};

recording_writer::mode mode_of(const options& how) {
    using mode = recording_writer::mode;
    return how.append ? mode::append : how.overwrite ? mode::replace : mode::fresh;
}

timestamp wall_now() {
    return std::chrono::time_point_cast<timespan>(std::chrono::system_clock::now());
}

expected<void> record(message_stream& source, recording_writer& out, const std::string& label) {
    std::vector<message> batch;
    progress_bar bar;
    auto flushed = clock::now();
    while (source.next(batch, flush_interval)) {
        const auto now = wall_now();
        for (const auto& each : batch) {
            if (auto added = out.add(each, now); !added) {
                return added;
            }
        }
        if (clock::now() - flushed >= flush_interval) {
            flushed = clock::now();
            if (auto written = out.flush(); !written) {
                return written;
            }
        }
        bar.show(label, out.bytes(), 0, out.messages());
    }
    return out.flush();
}

void print(const recording_writer& out, const options& how, const context& ctx) {
    line_output to;
    if (ctx.common.json) {
        std::string line = "{\"file\":";
        append_json_string(line, how.file);
        to.line(line
                + fmt::format(",\"messages\":{},\"messages_before\":{},\"bytes\":{}}}",
                              out.messages(), out.messages_before(), out.bytes()));
    } else {
        const auto before =
            how.append ? fmt::format(" behind {} before", out.messages_before()) : std::string{};
        to.line(fmt::format("{} messages{} in {}, {} bytes", out.messages(), before, how.file,
                            out.bytes()));
    }
}

exit_code run(const options& how, const context& ctx) {
    auto out = recording_writer::open(how.file, mode_of(how));
    if (!out) {
        return end_with(out.error(), ctx);
    }
    if (out->dropped_bytes() > 0) {
        warn(fmt::format("{}: {} bytes of a block at its end that was not written to its end were "
                         "cut off",
                         how.file, out->dropped_bytes()));
    }
    auto node = open_endpoint(ctx, "bzmq-cli record");
    if (!node) {
        return end_with(node.error(), ctx);
    }
    auto source = message_stream::open(*node, how.stream, ctx);
    if (!source) {
        return end_with(source.error(), ctx);
    }
    expected<void> done;
    {
        const interrupt::handler stop{*ctx.interrupt, [&source] { source->close(); }};
        done = record(*source, *out, how.file);
    }
    node->shutdown();
    if (!done) {
        return report(done.error());
    }
    print(*out, how, ctx);
    return source->outcome();
}

}  // namespace

void add_record(CLI::App& app, context& ctx) {
    auto how = std::make_shared<options>();
    auto* command = app.add_subcommand(
        "record", "Write all messages of some topics to a file, with their times, for `play`");
    command->add_option("FILE", how->file, "The recording")->required()->type_name("");
    add_stream(*command, how->stream, "record");
    auto* append = command->add_flag("--append", how->append, "Go on with a recording that exists");
    command->add_flag("--overwrite", how->overwrite, "Begin a recording that exists anew")
        ->excludes(append);
    command->footer(
        "Each second at most is written as a block with a checksum: what a recorder that is killed "
        "loses, and --append goes on behind. docs/recordings.md describes the file.");
    add_common(*command, ctx.common);
    command->callback([how, &ctx] { ctx.run = [how, &ctx] { return run(*how, ctx); }; });
}

}  // namespace bzmq::cli
