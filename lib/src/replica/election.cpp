#include "replica/election.hpp"

#include <algorithm>

namespace bzmq::replica {
namespace {

using namespace std::chrono_literals;

constexpr auto ask_interval = 200ms;
// How long a candidate waits for answers.
constexpr std::chrono::nanoseconds patience_min = 1s;

}  // namespace

election::election(election_options options, vote_record promised, const endpoint_id& self,
                   instant now)
    : options_(std::move(options)),
      self_(self),
      random_(options_.seed),
      promised_(std::move(promised)),
      newest_(promised_.epoch),
      heard_at_(now),
      lead_(pause()) {}

/// Different for each, so that the votes are not split for long.
std::chrono::nanoseconds election::pause() {
    const auto most = std::max<std::int64_t>(options_.timeout.count() / 2, 1);
    return std::chrono::nanoseconds{
        static_cast<std::int64_t>(random_.below(static_cast<std::uint64_t>(most)))};
}

void election::heard_master(instant now) {
    heard_at_ = now;
    if (stage_ != stage::won) {
        rest(now);
    }
}

/// No candidate any more, for a while.
void election::rest(instant now) {
    if (stage_ == stage::waiting) {
        return;
    }
    stage_ = stage::waiting;
    granted_.clear();
    ask_due_ = give_up_ = never;
    due_ = after(now, options_.timeout / 2 + pause());
    lead_ = pause();
}

void election::end(instant now) {
    stage_ = stage::asking;
    rest(now);
}

void election::stand(instant now) {
    stage_ = stage::trying;
    epoch_ = epoch_after_promotion(std::max(newest_, promised_.epoch), self_);
    granted_ = {options_.name};
    ask_due_ = now;
    give_up_ = after(now, std::max(patience_min, options_.timeout / 2));
}

void election::begin_store(instant now, std::uint64_t epoch) {
    end(now);
    promised_ = record_ = {};
    newest_ = epoch;
    record_for_ = {};
    to_write_ = false;
}

bool election::has_majority() const {
    const auto counts = [this](const auto& name) { return !doubled_.contains(name); };
    const auto granted = std::count_if(granted_.begin(), granted_.end(), counts);
    return static_cast<std::size_t>(granted) > options_.names.size() / 2;
}

election::step election::tick(instant now, bool able) {
    able = able && !is_doubled();
    if (to_write_ && !writing_) {
        to_write_ = false;
        writing_ = true;
        return record{record_};
    }
    if (!enabled() || stage_ == stage::won) {
        return nothing{};
    }
    if (stage_ == stage::waiting) {
        if (now < next_deadline()) {
            return nothing{};
        }
        if (!able || writing_) {
            due_ = now + ask_interval;
            return nothing{};
        }
        stand(now);
    }
    if (!able || now >= give_up_) {
        rest(now);
        return nothing{};
    }
    if (stage_ == stage::trying && has_majority() && !writing_) {
        stage_ = stage::recording;
        promised_ = record_ = {epoch_, options_.name};
        record_for_ = {};
        writing_ = true;
        return record{record_};
    }
    if (stage_ == stage::asking && has_majority()) {
        stage_ = stage::won;
        return victory{epoch_};
    }
    if (stage_ != stage::recording && now >= ask_due_) {
        ask_due_ = now + ask_interval;
        return question{stage_ == stage::trying, epoch_};
    }
    return nothing{};
}

instant election::next_deadline() const noexcept {
    if (to_write_ && !writing_) {
        return instant{};
    }
    if (!enabled() || stage_ == stage::won) {
        return never;
    }
    if (stage_ == stage::waiting) {
        return std::max(due_, after(after(heard_at_, options_.timeout), lead_));
    }
    return stage_ == stage::recording ? give_up_ : std::min(ask_due_, give_up_);
}

bool election::would_grant(instant now, const ask_vote_message& what, const log_rank& ours) const {
    const bool lost_master = now >= after(heard_at_, options_.timeout);
    return lost_master && what.epoch > std::max(promised_.epoch, newest_) && what.rank >= ours
           && std::ranges::count(options_.names, what.candidate) != 0
           && what.candidate != options_.name && stage_ != stage::won && !is_doubled();
}

std::optional<vote_message> election::asked(instant now, const endpoint_id& from,
                                            const ask_vote_message& what, const log_rank& ours) {
    if (!enabled()) {
        return std::nullopt;
    }
    vote_message out;
    out.store = what.store;
    out.trial = what.trial;
    out.voter = options_.name;
    out.epoch = what.epoch;
    const bool again = !what.trial && !writing_ && !to_write_
                       && promised_ == vote_record{what.epoch, std::string{what.candidate}};
    const bool grants = again || would_grant(now, what, ours);
    if (grants && !what.trial && !again) {
        if (writing_ || to_write_) {
            return std::nullopt;  // It asks again.
        }
        rest(now);
        promised_ = record_ = {what.epoch, std::string{what.candidate}};
        record_for_ = from;
        store_ = what.store;
        to_write_ = true;
        due_ = std::max(due_, after(now, options_.timeout / 2 + pause()));
        return std::nullopt;  // When it is on disk.
    }
    out.granted = grants;
    out.promised = std::max(promised_.epoch, newest_);
    return out;
}

void election::answered(const vote_message& what) {
    heard_epoch(what.promised);
    const bool expected = what.epoch == epoch_
                          && stage_ == (what.trial ? stage::trying : stage::asking);
    if (expected && what.granted && std::ranges::count(options_.names, what.voter) != 0) {
        granted_.emplace(what.voter);
    }
}

std::optional<election::reply> election::recorded(instant now, bool well) {
    if (!std::exchange(writing_, false)) {
        return std::nullopt;
    }
    heard_epoch(record_.epoch);
    if (!well) {
        promised_.candidate.clear();  // We keep it, and tell nobody.
    }
    if (record_for_.is_nil()) {
        if (stage_ == stage::recording && epoch_ == record_.epoch) {
            if (!well) {
                rest(now);
                return std::nullopt;
            }
            stage_ = stage::asking;
            granted_ = {options_.name};
            ask_due_ = now;
            give_up_ = after(now, std::max(patience_min, options_.timeout / 2));
        }
        return std::nullopt;
    }
    if (!well) {
        return std::nullopt;
    }
    vote_message out;
    out.store = store_;
    out.granted = true;
    out.voter = options_.name;
    out.epoch = record_.epoch;
    out.promised = record_.epoch;
    return reply{record_for_, out};
}

}  // namespace bzmq::replica
