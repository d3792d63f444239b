// A clone's own commands, on their way to the master. Each has a number; the master takes them in
// order and each once. The answer is the log entry that a command became.
#include <algorithm>
#include <array>

#include "replica/clone.hpp"

namespace bzmq::replica {
namespace {

using namespace std::chrono_literals;

// A command that was taken and does not show for so long may have failed: the master is asked.
constexpr auto probe_after = 1s;
// What keeps the number of a command that must have no effect any more: a batch of nothing.
constexpr std::array void_command{static_cast<std::byte>(operation::batch)};

}  // namespace

writer_id next_writer(const writer_id& after) noexcept {
    auto bytes = after.bytes();
    const auto high = stable_hash(std::as_bytes(std::span{bytes}), 1);
    const auto low = stable_hash(std::as_bytes(std::span{bytes}), 2);
    std::memcpy(bytes.data(), &high, sizeof high);
    std::memcpy(bytes.data() + sizeof high, &low, sizeof low);
    return writer_id{bytes};
}

ec clone::submit(instant now, ticket to, std::span<const std::byte> bytes) {
    const auto cost = bytes.size() + command_overhead_bytes;
    if (cost > options_.mutation_buffer_bytes) {
        return ec::message_too_big;
    }
    if (command_bytes_ + cost > options_.mutation_buffer_bytes) {
        return ec::queue_full;
    }
    own_command fresh;
    fresh.bytes.assign(bytes.begin(), bytes.end());
    fresh.to = to;
    fresh.expires = after(now, options_.mutation_buffer_interval);
    commands_.push_back(std::move(fresh));
    command_bytes_ += cost;
    return ec::none;
}

void clone::send_commands(instant now) {
    if (!attached_ || commands_.empty()) {
        probe_due_ = never;
        return;
    }
    if (probe_due_ == never) {
        probe_due_ = now + probe_after;
    }
    while (sent_ < last_number() && in_flight_ < options_.window_bytes) {
        write_message out;
        out.clone = self_;
        out.epoch = epoch_;
        out.round = round_;
        out.done = first_number_ - 1;
        out.first = sent_ + 1;
        std::size_t bytes = 0;
        while (sent_ < last_number() && bytes < options_.frame_bytes) {
            auto& own = command_at(++sent_);
            out.commands.push_back(own.bytes.empty() ? std::span<const std::byte>{void_command}
                                                     : own.bytes);
            own.on_its_way = out.commands.back().size();
            bytes += own.on_its_way;
        }
        in_flight_ += bytes;
        ever_sent_ = std::max(ever_sent_, sent_);
        send(encode(options_.name, out));
    }
    if (sent_ > taken_ && resend_due_ == never) {
        resend_due_ = now + resend_after(in_flight_, resends_);
    }
}

void clone::ask_after_first() {
    if (attached_ && !commands_.empty() && first_number_ <= taken_) {
        write_message out;
        out.clone = self_;
        out.epoch = epoch_;
        out.round = round_;
        out.done = first_number_ - 1;
        out.first = first_number_;
        send(encode(options_.name, out));
    }
}

void clone::handle(const taken_message& what) {
    if (what.clone != self_ || what.epoch != epoch_ || what.up_to > ever_sent_) {
        return;
    }
    note_taken(what.up_to);
    if (what.gap) {
        sent_ = std::max(taken_, first_number_ - 1);
        in_flight_ = 0;
    }
}

/// The master has all commands up to this one.
void clone::note_taken(std::uint64_t up_to) {
    if (up_to <= taken_) {
        return;
    }
    for (auto number = std::max(taken_ + 1, first_number_); number <= std::min(up_to, sent_);
         ++number) {
        in_flight_ -= std::min(in_flight_, command_at(number).on_its_way);
    }
    taken_ = up_to;
    sent_ = std::max(sent_, taken_);
    ever_sent_ = std::max(ever_sent_, sent_);
    resend_due_ = never;  // What is still on its way starts the clock anew.
    resends_ = 0;
}

void clone::handle(const failed_message& what) {
    if (what.clone != self_) {
        return;
    }
    for (auto number = std::max(what.first, first_number_);
         number <= std::min(what.last, last_number()); ++number) {
        if (number <= sent_) {
            complete(number, {what.code, 0, {}});
        }
    }
}

void clone::complete(std::uint64_t number, const answer& what) {
    if (number < first_number_ || number > last_number()) {
        return;
    }
    auto& own = command_at(number);
    if (!own.done) {
        own.done = true;
        make_void(own);
        if (own.to != 0) {
            output_.answered(own.to, what);
        }
    }
    note_taken(number);
    probe_due_ = never;
    while (!commands_.empty() && commands_.front().done) {
        command_bytes_ -= commands_.front().cost();
        commands_.pop_front();
        ++first_number_;
    }
    // Those that had their answers before this one are not sent again either.
    taken_ = std::max(taken_, first_number_ - 1);
    sent_ = std::max(sent_, taken_);
}

void clone::note_entry(sequence number, std::span<const std::byte> entry) {
    auto& writers = building_ ? building_->writers() : writers_;
    if (!writers.note(entry, self_)) {
        return;
    }
    entry_reader in{entry};
    const auto head = in.head();
    // A writer's numbers come in order: those that the log skips never got into it.
    for (auto skipped = first_number_; skipped < head.number && skipped <= last_number(); ++skipped) {
        complete_or_defer(skipped, {ec::backend_failure, 0, {}});
    }
    answer what{head.result, number, {}};
    for (change each; in.next(each);) {
        if (each.kind <= change_kind::put_expiring) {
            what.value = each.value;
        }
    }
    complete_or_defer(head.number, what);
}

void clone::complete_or_defer(std::uint64_t number, const answer& what) {
    if (building_) {
        deferred_.push_back({number, what.code, what.revision, {what.value.begin(), what.value.end()}});
    } else {
        complete(number, what);
    }
}

/// Answers the commands whose entries the snapshot stands for, and those behind that came meanwhile.
void clone::complete_unseen() {
    const auto until = std::min(unseen_number_, last_number());
    for (auto number = first_number_; number <= until; ++number) {
        answer what;
        if (number < unseen_results_from_) {
            what.code = ec::request_timeout;  // Done, but nobody knows how it went.
        }
        for (const auto& each : unseen_failures_) {
            if (each.first <= number && number <= each.last) {
                what.code = each.result;
            }
        }
        complete(number, what);
    }
    unseen_failures_.clear();
    unseen_number_ = 0;
    for (const auto& each : std::exchange(deferred_, {})) {
        complete(each.number, {each.code, each.revision, each.value});
    }
}

/// A command that is past its time is answered so. Where some master may have it, one that does
/// nothing keeps its number: the master takes no number before the one ahead of it. Has it the first
/// one already, it was in time. All others go, and those behind them get their numbers.
void clone::expire_commands(instant now) {
    expired_ = std::max(expired_, first_number_ - 1);
    const auto sent = std::min(ever_sent_, last_number());
    while (expired_ < sent && command_at(expired_ + 1).expires <= now) {
        auto& own = command_at(++expired_);
        if (own.done) {
            continue;
        }
        if (own.to != 0) {
            output_.answered(std::exchange(own.to, 0), {ec::request_timeout, 0, {}});
        }
        make_void(own);
    }
    if (expired_ < sent) {
        return;  // Nor are those behind it.
    }
    const auto unsent = commands_.begin() + static_cast<std::ptrdiff_t>(sent + 1 - first_number_);
    std::vector<ticket> late;
    auto at = unsent;
    for (; at != commands_.end() && at->expires <= now; ++at) {
        late.push_back(at->to);
        command_bytes_ -= at->cost();
    }
    commands_.erase(unsent, at);
    for (const auto to : late) {
        if (to != 0) {
            output_.answered(to, {ec::request_timeout, 0, {}});
        }
    }
}

/// What has its answer must not have an effect any more when it is sent again.
void clone::make_void(own_command& own) {
    command_bytes_ -= own.cost();
    own.bytes = {};
    command_bytes_ += own.cost();
}

/// Becomes a new writer, whose numbers begin at 1. What the former one sent may have had its effect.
void clone::renew_writer() {
    self_ = next_writer(self_);
    sent_to_ = {};
    writers_.disown();
    if (building_) {
        building_->writers().disown();
    }
    deferred_.clear();  // Those were answers to the former one.
    unseen_number_ = 0;
    std::deque<own_command> kept;
    for (auto number = first_number_; number <= last_number(); ++number) {
        auto& own = command_at(number);
        if (own.done) {
            continue;
        }
        if (number <= ever_sent_) {
            if (own.to != 0) {
                output_.answered(own.to, {ec::request_timeout, 0, {}});
            }
            continue;
        }
        kept.push_back(std::move(own));
    }
    commands_.swap(kept);
    command_bytes_ = 0;
    for (const auto& own : commands_) {
        command_bytes_ += own.cost();
    }
    first_number_ = 1;
    sent_ = ever_sent_ = taken_ = expired_ = 0;
    in_flight_ = 0;
    resends_ = 0;
    resend_due_ = probe_due_ = never;
}

void clone::close() {
    // First, and without asking for memory: somebody waits for each of these.
    for (auto number = first_number_; number <= last_number(); ++number) {
        const auto& own = command_at(number);
        if (!own.done && own.to != 0) {
            output_.answered(own.to, {number <= ever_sent_ ? ec::request_timeout
                                                           : ec::shutting_down, 0, {}});
        }
    }
    commands_.clear();
    command_bytes_ = 0;
    if (!master_.is_nil()) {
        send(encode(options_.name, detach_message{self_}));
    }
}

}  // namespace bzmq::replica
