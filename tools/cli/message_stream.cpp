#include "message_stream.hpp"

#include "option_checks.hpp"
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace bzmq::cli {
namespace {

using clock = std::chrono::steady_clock;

constexpr std::size_t batch_max = 4096;

}  // namespace

void add_stream(CLI::App& command, stream_options& how, const std::string& verb) {
    command.add_option("TOPIC", how.topics, "Prefixes of the topics to " + verb)
        ->required()
        ->type_name("");
    command.add_option("-n,--count", how.limit, "End after COUNT messages")
        ->type_name("COUNT")
        ->check(whole_number(1));
    command
        .add_option_function<std::string>(
            "--overflow",
            [&how](const std::string& name) {
                const auto policy = parse_overflow_policy(name);
                if (!policy) {
                    throw CLI::ValidationError{
                        "\"" + name + "\": expected block, drop_newest, drop_oldest or disconnect"};
                }
                how.overflow = policy;
            },
            "What to do where this command is too slow; block holds publishers up (drop_newest)")
        ->type_name("POLICY");
}

message_stream::message_stream(subscriber source, std::uint64_t limit, const context& ctx)
    : source_(std::move(source)), limit_(limit), ctx_(&ctx) {
    if (ctx.common.timeout) {
        deadline_ = clock::now() + *ctx.common.timeout;
    }
}

expected<message_stream> message_stream::open(endpoint& node, const stream_options& how,
                                              const context& ctx) {
    queue_options queue;
    queue.overflow = how.overflow;
    auto source = node.make_subscriber(how.topics, queue);
    if (source.ended()) {
        return tl::unexpected{source.last_error()};
    }
    return message_stream{std::move(source), how.limit, ctx};
}

bool message_stream::next(std::vector<message>& out, timespan wait) {
    out.clear();
    if (limit_ > 0 && count_ >= limit_) {
        return false;
    }
    if (deadline_) {
        wait = std::min(wait, std::max(timespan{0}, timespan{*deadline_ - clock::now()}));
    }
    const auto room = limit_ == 0 ? batch_max : std::min<std::uint64_t>(limit_ - count_, batch_max);
    const bool ended = source_.ended();  // Before: what came meanwhile is for the next call.
    count_ += source_.take(out, room, wait);
    return !out.empty() || (!ended && (!deadline_ || clock::now() < *deadline_));
}

exit_code message_stream::outcome() const {
    const auto lost = source_.dropped();
    if (lost > 0) {
        warn(fmt::format("{} messages were dropped because this command is too slow", lost));
    }
    if (ctx_->interrupt->raised()) {
        return ctx_->interrupt->code();
    }
    const auto enough = std::max<std::uint64_t>(limit_, 1);
    if (count_ < enough) {
        return deadline_ ? report(exit_code::timeout,
                                  fmt::format("{} of {} messages came in time", count_, enough))
                         : report(source_.last_error());
    }
    return lost > 0 ? exit_code::failure : exit_code::ok;
}

}  // namespace bzmq::cli
