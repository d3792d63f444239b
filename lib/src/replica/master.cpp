// The master's log: decisions, disk, settling. How clones are fed is in master_clones.cpp.
#include "replica/master.hpp"

#include <algorithm>
#include <limits>
#include <set>

namespace bzmq::replica {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::nanoseconds writers_look_interval_max = 60s;
constexpr std::chrono::nanoseconds writers_look_interval_min = 1s;
// Results of a writer that are remembered for a clone that comes back.
constexpr std::size_t failures_max = 4'096;
// Items that one entry expires, and how many entries in one turn.
constexpr std::size_t expiries_per_entry = 1'000;
constexpr int expiry_entries_per_tick = 16;
// After a failure of the disk nothing is tried so long, so that it does not fail as fast as it can.
constexpr auto failure_pause = 1s;

}  // namespace

master::master(master_options options, start from, table& state, write_gate& gate,
               store_output& output, instant now, timestamp wall)
    : options_(std::move(options)),
      who_(std::move(from.who)),
      state_(state),
      gate_(gate),
      output_(output),
      base_(state),
      on_disk_(from.last),
      handed_to_disk_(from.last),
      committed_(from.last),
      newest_epoch_(who_.epoch()),
      heartbeat_due_(now + options_.heartbeat_interval),
      look_due_(now),
      writers_look_due_(now + writers_look_interval()) {
    set_time(now, wall);
    if (who_.epochs.size() > epochs_max) {
        who_.epochs.erase(who_.epochs.begin(), who_.epochs.end() - epochs_max);
    }
    log_.reset(from.last, from.chain);
    if (options_.sync_replicas > 0) {
        begin_due_ = now;
    }
    load_writers(from.writers);
    state_.for_each([this](const item& each) { note_expiry(each); });
}

master::master(master_options options, handover from, table& state, write_gate& gate,
               store_output& output, instant now, timestamp wall)
    : master(std::move(options),
             start{from.who, from.applied, from.log.chain_at(from.applied), from.writers}, state,
             gate, output, now, wall) {
    promoted_ = true;
    log_ = std::move(from.log);
    for (auto number = log_.base() + 1; number <= from.applied; ++number) {
        note_loaded(log_.at(number).bytes.span());
    }
    for (auto number = from.applied + 1; number <= log_.last(); ++number) {
        inherit(number);
    }
    on_disk_ = from.on_disk;
    handed_to_disk_ = from.handed_to_disk;
    begin_epoch();
}

/// An entry of a former master that nobody knows to count: now it does, as soon as it is settled.
void master::inherit(sequence number) {
    undecided about;
    entry_reader in{log_.at(number).bytes.span()};
    about.writer = in.head().writer;
    about.number = in.head().number;
    about.result = in.head().result;
    for (change each; in.next(each);) {
        if (each.kind == change_kind::open_writer) {
            about.opens = true;
            auto& fresh = writers_[each.writer] = {};
            fresh.id = each.id;
            fresh.opened = true;
            fresh.heard = now_;
            writer_by_id_[each.id] = each.writer;
            next_writer_ = std::max(next_writer_, each.writer + 1);
        } else if (each.kind == change_kind::close_writer) {
            close_inherited(each.writer);
        } else if (auto what = effect_of(each, number, &view_)) {
            view_.add(*what, number);
            about.effects.push_back(std::move(*what));
        }
    }
    if (const auto at = writers_.find(about.writer); at != writers_.end()) {
        auto& writer = at->second;
        note_failures(writer, writer.without_entry,
                      {writer.number + 1, about.number - 1, ec::backend_failure});
        writer.number = about.number;
    } else {
        about.writer = own_writer;  // A log that makes no sense does no harm.
    }
    undecided_.push_back(std::move(about));
}

/// At once, as it is on disk: the next entry may give the index to another writer.
void master::close_inherited(writer_index index) {
    if (const auto at = writers_.find(index); at != writers_.end()) {
        writer_by_id_.erase(at->second.id);
        writers_.erase(at);
    }
    for (auto& each : undecided_) {
        if (each.writer == index) {
            each.writer = own_writer;  // Nobody asks for its results.
        }
    }
}

/// An entry without effect. What former masters left unsettled counts only when an entry of ours
/// does: a standby that has that one never gives way to one without.
void master::begin_epoch() {
    begin_due_ = never;
    if (last() < who_.epochs.back().first) {
        effects_scratch_.clear();
        undecided about;
        about.number = who_.epoch();  // So that no other epoch's log has the same bytes.
        append(std::move(about));
    }
}

void master::load_writers(const std::vector<stored_writer>& from) {
    for (const auto& each : from) {
        auto& writer = writers_[each.index];
        writer.id = each.id;
        writer.number = writer.settled = each.number;
        writer.results_from = each.number + 1;
        writer.opened = true;
        writer.heard = now_;
        writer_by_id_[each.id] = each.index;
        next_writer_ = std::max(next_writer_, each.index + 1);
    }
}

void master::load_log(sequence number, std::uint64_t chain, std::span<const std::byte> entry) {
    if (number != log_.last() + 1 || log_.last() == committed_) {
        log_.reset(number - 1, 0);  // Whoever asks for what was before gets a snapshot.
    }
    log_.append(arena_.keep(entry));
    log_.set_last_chain(chain);
    note_loaded(entry);
}

void master::note_loaded(std::span<const std::byte> entry) {
    entry_reader in{entry};
    if (const auto at = writers_.find(in.head().writer); at != writers_.end()) {
        change first;
        if (in.next(first) && first.kind == change_kind::open_writer) {
            // What came before was another one's, whose index it was.
            at->second.failures.clear();
            at->second.without_entry.clear();
            at->second.loaded = 0;
        }
        // What it is told when it asks again. Numbers that the log skips never got into it.
        auto& writer = at->second;
        const auto head = in.head();
        if (writer.loaded == 0) {
            writer.results_from = head.number;
        }
        if (writer.loaded != 0) {
            note_failures(writer, writer.without_entry,
                          {writer.loaded + 1, head.number - 1, ec::backend_failure});
        }
        if (head.result != ec::none) {
            note_failures(writer, writer.failures, {head.number, head.number, head.result});
        }
        writer.loaded = head.number;
    }
}

// -- Commands -------------------------------------------------------------------------------------

bool master::ready() const noexcept {
    return log_.offset_at(last()) - log_.offset_at(committed_) < options_.unsettled_bytes;
}

void master::submit(instant now, timestamp wall, ticket to, std::span<const std::byte> bytes) {
    set_time(now, wall);
    decide(to, own_writer, 0, bytes);
}

void master::adopt(ticket to, const writer_id& writer, std::uint64_t number,
                   std::span<const std::byte> bytes) {
    auto index = own_writer;
    const auto known = writer_by_id_.find(writer);
    if (known == writer_by_id_.end() && writers_.size() >= writers_max) {
        output_.answered(to, {ec::request_timeout, 0, {}});
        return;
    }
    auto& state = known == writer_by_id_.end() ? open_writer(writer, index)
                                               : writers_.at(index = known->second);
    if (number > state.number && !state.closing) {
        state.heard = now_;
        state.number = number;
        decide(to, index, number, bytes);
        return;
    }
    for (auto& each : undecided_) {
        if (each.writer == index && each.number == number) {
            each.to = to;
            return;
        }
    }
    output_.answered(to, {ec::request_timeout, 0, {}});
}

void master::decide(ticket to, writer_index writer, std::uint64_t number,
                    std::span<const std::byte> bytes) {
    effects_scratch_.clear();
    const auto what = read_command(bytes);
    const state_view& view = immediate() ? static_cast<const state_view&>(base_) : view_;
    const auto result = what ? evaluate(*what, view, wall_, last() + 1, effects_scratch_)
                             : ec::invalid_data;
    if (writer == own_writer && (result != ec::none || effects_scratch_.empty())) {
        if (to != 0) {
            output_.answered(to, {result, 0, {}});
        }
        return;  // Nobody else need know.
    }
    undecided about;
    about.to = to;
    about.writer = writer;
    about.number = number;
    about.result = result;
    if (writer != own_writer) {
        auto& state = writers_.at(writer);
        about.opens = !state.opened;
        state.opened = true;
    }
    append(std::move(about));
}

void master::append(undecided about) {
    scratch_.clear();
    put_head(scratch_, {about.writer, about.number, about.result});
    if (about.opens) {
        change opening;
        opening.kind = change_kind::open_writer;
        opening.writer = about.writer;
        opening.id = writers_.at(about.writer).id;
        put_change(scratch_, opening);
    }
    if (about.closes != own_writer) {
        change closing;
        closing.kind = change_kind::close_writer;
        closing.writer = about.closes;
        put_change(scratch_, closing);
    }
    for (const auto& each : effects_scratch_) {
        put_change(scratch_, change_of(each));
    }
    log_.append(arena_.keep(scratch_));
    about.effects.swap(effects_scratch_);
    const auto at = last();
    if (immediate()) {
        {
            const write_lock lock{gate_};
            apply_effects(at, about);
        }
        committed_ = on_disk_ = at;
        tell(at, about);
        about.effects.swap(effects_scratch_);  // Keeps its memory.
        return;
    }
    for (const auto& each : about.effects) {
        view_.add(each, at);
    }
    undecided_.push_back(std::move(about));
}

void master::apply_effects(sequence number, const undecided& what) {
    for (const auto& each : what.effects) {
        apply(each, state_);
        if (!view_.empty()) {
            view_.settle(each, number);
        }
    }
}

/// What follows once an entry counts.
void master::tell(sequence number, const undecided& what) {
    std::span<const std::byte> value;
    const bool changes = output_.wants_changes();
    for (const auto& each : what.effects) {
        if (each.after) {
            note_expiry(*each.after);
            value = each.after->value();
        }
        if (changes) {
            output_.changed(each);
        }
    }
    if (what.to != 0) {
        output_.answered(what.to, {what.result, number, value});
    }
    if (what.writer != own_writer) {
        note_result(what);
    }
    if (what.closes != own_writer) {
        if (const auto at = writers_.find(what.closes); at != writers_.end()) {
            writer_by_id_.erase(at->second.id);
            writers_.erase(at);
        }
    }
}

void master::note_result(const undecided& what) {
    auto& writer = writers_.at(what.writer);
    writer.settled = what.number;
    if (what.result != ec::none) {
        note_failures(writer, writer.failures, {what.number, what.number, what.result});
    }
}

void master::note_failures(writer_state& writer, std::deque<failed_commands>& in,
                           const failed_commands& what) {
    if (what.last < what.first) {
        return;
    }
    if (!in.empty() && in.back().last + 1 == what.first && in.back().result == what.result) {
        in.back().last = what.last;
        return;
    }
    in.push_back(what);
    if (in.size() > failures_max) {
        writer.results_from = std::max(writer.results_from, in.front().last + 1);
        in.pop_front();
    }
}

// -- Disk and replicas ----------------------------------------------------------------------------

sequence master::replicated() const {
    if (options_.sync_replicas == 0) {
        return std::numeric_limits<sequence>::max();
    }
    std::vector<sequence> have;
    std::map<std::string_view, sequence> have_electors;
    for (const auto& [id, clone] : clones_) {
        if (!clone.standby) {
            continue;
        }
        if (options_.electors.empty()) {
            have.push_back(clone.stored);
        } else if (std::ranges::count(options_.electors, clone.elector) != 0
                   && !doubled_electors_.contains(clone.elector)) {
            auto& its = have_electors[clone.elector];  // One that starts again may be there twice.
            its = std::max(its, clone.stored);
        }
    }
    for (const auto& [name, stored] : have_electors) {
        have.push_back(stored);
    }
    if (have.size() < options_.sync_replicas) {
        return 0;
    }
    std::sort(have.begin(), have.end(), std::greater<>{});
    return have[options_.sync_replicas - 1];
}

/// Settles what is on disk and with enough replicas.
void master::advance() {
    auto target = std::min(sendable(), replicated());
    if (!established()
        || (options_.sync_replicas > 0 && target < who_.epochs.back().first)) {
        return;
    }
    released_ = std::max(released_, std::min(target, last()));
    if (target <= committed_) {
        return;
    }
    const auto count = static_cast<std::size_t>(target - committed_);
    {
        const write_lock lock{gate_};
        for (std::size_t i = 0; i < count; ++i) {
            apply_effects(committed_ + 1 + i, undecided_[i]);
        }
    }
    for (std::size_t i = 0; i < count; ++i) {
        const auto what = std::move(undecided_.front());
        undecided_.pop_front();
        ++committed_;
        tell(committed_, what);
    }
}

void master::persisted(instant now, timestamp wall, sequence last, const error& problem) {
    set_time(now, wall);
    on_disk_ = std::max(on_disk_, std::min(last, handed_to_disk_));
    if (problem) {
        output_.report(problem);
        roll_back(problem);
    }
    advance();
}

/// The entries that are not on disk never were.
void master::roll_back(const error& problem) {
    const auto kept = static_cast<std::size_t>(on_disk_ - committed_);
    std::deque<undecided> lost;
    while (undecided_.size() > kept) {
        lost.push_front(std::move(undecided_.back()));
        undecided_.pop_back();
    }
    log_.drop_after(on_disk_);
    handed_to_disk_ = on_disk_;
    if (promoted_ || options_.sync_replicas > 0) {
        begin_due_ = now_ + failure_pause;
    }
    view_.reset();
    for (std::size_t i = 0; i < undecided_.size(); ++i) {
        for (const auto& each : undecided_[i].effects) {
            view_.add(each, committed_ + 1 + i);
        }
    }
    expiry_hold_ = now_ + failure_pause;
    std::set<writer_index> hit;
    for (const auto& each : lost) {
        for (const auto& effect : each.effects) {
            // What was to go, or be replaced, stays and has its time as before.
            if (effect.before && state_.find(effect.before->key(), effect.before->hash())
                                     == effect.before.get()) {
                note_expiry(*effect.before);
            } else if (effect.kind == change_kind::clear) {
                state_.for_each([this](const item& held) { note_expiry(held); });
            }
        }
        if (each.to != 0) {
            // What was a clone's may yet count in the log of another master.
            const auto code = each.writer == own_writer ? problem.code() : ec::request_timeout;
            output_.answered(each.to, {code, 0, {}});
        }
        if (each.closes != own_writer) {
            writers_.at(each.closes).closing = false;
        }
        if (each.writer == own_writer) {
            continue;
        }
        auto& writer = writers_.at(each.writer);
        writer.opened = writer.opened && !each.opens;
        note_failures(writer, writer.without_entry, {each.number, each.number, problem.code()});
        hit.insert(each.writer);
    }
    for (const auto index : hit) {
        const auto& writer = writers_.at(index);
        std::uint64_t told_to = 0;
        tell_failed(writer.at, writer, writer.without_entry.back().last, told_to);
    }
}

// -- Time -----------------------------------------------------------------------------------------

void master::note_expiry(const item& what) {
    if (what.expiry() == no_expiry) {
        return;
    }
    due_.push({what.expiry(), what.hash(), what.revision()},
              [this](const auto& each) { return still_due(each); });
    expiry_due_ = std::min(expiry_due_, expiry_deadline(what.expiry()));
}

/// Or was it written again?
bool master::still_due(const expiry_heap::note& what) const noexcept {
    const auto* held = state_.find(what.hash, what.revision);
    return held != nullptr && held->expiry() == what.at;
}

/// When what expires at this time goes.
instant master::expiry_deadline(timestamp at) const noexcept {
    const auto wait = at <= wall_ ? timespan{0} : at - wall_;
    return std::max(expiry_hold_, wait >= never - now_ ? never : now_ + wait);
}

void master::expire() {
    for (int entries = 0; entries < expiry_entries_per_tick; ++entries) {
        effects_scratch_.clear();
        while (!due_.empty() && due_.top().at <= wall_
               && effects_scratch_.size() < expiries_per_entry) {
            const auto due = due_.top();
            while (!due_.empty() && due_.top() == due) {
                due_.pop();  // Noted again when the disk had failed.
            }
            const auto* held = state_.find(due.hash, due.revision);
            if (held == nullptr || held->expiry() != due.at
                || (!immediate() && view_.find(held->key(), due.hash) != held)) {
                continue;  // Written again since.
            }
            effects_scratch_.push_back({change_kind::expire, item_ptr::share(held), {}});
        }
        if (effects_scratch_.empty()) {
            break;
        }
        append({});
    }
    expiry_due_ = due_.empty() ? never : expiry_deadline(due_.top().at);
}

std::chrono::nanoseconds master::writers_look_interval() const noexcept {
    return std::clamp<std::chrono::nanoseconds>(options_.writer_timeout / 4,
                                                writers_look_interval_min,
                                                writers_look_interval_max);
}

bool master::is_attached(const writer_state& writer) const {
    const auto clone = clones_.find(writer.at);
    return clone != clones_.end() && clone->second.id == writer.id;
}

void master::forget_writers() {
    std::vector<writer_index> gone;
    for (auto& [index, writer] : writers_) {
        if (is_attached(writer)) {
            writer.heard = now_;
        } else if (!writer.closing && now_ >= writer.heard + options_.writer_timeout) {
            gone.push_back(index);
        }
    }
    for (const auto index : gone) {
        forget(index);
    }
}

/// Makes room for another one.
void master::forget_oldest_writer() {
    auto oldest = writers_.end();
    for (auto at = writers_.begin(); at != writers_.end(); ++at) {
        if (at->second.closing) {
            return;  // There will be room.
        }
        if (!is_attached(at->second)
            && (oldest == writers_.end() || at->second.heard < oldest->second.heard)) {
            oldest = at;
        }
    }
    if (oldest != writers_.end()) {
        forget(oldest->first);
    }
}

void master::forget(writer_index index) {
    auto& writer = writers_.at(index);
    if (!writer.opened) {
        writer_by_id_.erase(writer.id);  // The log does not know it.
        writers_.erase(index);
        return;
    }
    writer.closing = true;
    undecided about;
    about.closes = index;
    effects_scratch_.clear();
    append(std::move(about));
}

void master::tick(instant now, timestamp wall) {
    set_time(now, wall);
    if (now >= begin_due_) {
        begin_epoch();
    }
    if (now >= expiry_due_) {
        expire();
    }
    if (now >= writers_look_due_) {
        writers_look_due_ = now + writers_look_interval();
        forget_writers();
    }
    if (now >= look_due_) {
        check_clones();
    }
    if (now >= heartbeat_due_) {
        heartbeat_due_ = now + options_.heartbeat_interval;
        std::vector<endpoint_id> to;
        for (auto& [id, clone] : clones_) {
            to.push_back(id);
        }
        send_heartbeat(to);
    }
}

instant master::next_deadline() const noexcept {
    const auto clones = clones_.empty() ? never : std::min(heartbeat_due_, look_due_);
    const auto writers = writers_.empty() ? never : writers_look_due_;
    return std::min({clones, writers, expiry_due_, begin_due_});
}

void master::flush(instant now, timestamp wall) {
    set_time(now, wall);
    if (options_.durable && handed_to_disk_ < last()) {
        persist_batch batch;
        batch.first = handed_to_disk_ + 1;
        for (auto at = batch.first; at <= last(); ++at) {
            batch.entries.push_back(log_.at(at).bytes);
        }
        batch.chain_after = log_.chain();
        if (batch.first <= who_.epochs.back().first) {
            batch.epochs = who_.epochs;
        }
        handed_to_disk_ = last();
        output_.persist(std::move(batch));
    }
    advance();
    send_taken();
    send_log();
    for (auto& [id, clone] : clones_) {
        if (clone.in_snapshot) {
            send_chunks(id, clone);
        }
    }
    log_.trim(options_.log_bytes,
              std::min(committed_, options_.durable ? on_disk_ : committed_) + 1);
    due_.tidy(state_.expiring(), [this](const auto& each) { return still_due(each); });
}

bool master::idle() const noexcept {
    return undecided_.empty()
           && std::all_of(clones_.begin(), clones_.end(), [this](const auto& each) {
                  const auto& clone = each.second;
                  return !clone.in_snapshot && clone.applied >= last()
                         && (!clone.standby || clone.stored >= last());
              });
}

std::vector<master::clone_view> master::clones() const {
    std::vector<clone_view> out;
    for (const auto& [id, clone] : clones_) {
        out.push_back({id, clone.standby, clone.in_snapshot, clone.acked, clone.stored});
    }
    return out;
}

}  // namespace bzmq::replica
