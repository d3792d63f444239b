// How a master feeds its clones, and takes their commands.
#include <algorithm>
#include <utility>

#include "replica/master.hpp"

namespace bzmq::replica {
namespace {

using namespace std::chrono_literals;

constexpr auto look_interval = 250ms;
// A clone that was sent back to a snapshot and does not know it is told again; the pause doubles, so
// that the answer can come in time however far it is.
constexpr std::chrono::nanoseconds welcome_pause_min = 500ms;
constexpr std::chrono::nanoseconds welcome_pause_max = 10s;

std::int64_t nanoseconds(timestamp wall) { return wall.time_since_epoch().count(); }

}  // namespace

bool master::received(instant now, timestamp wall, const endpoint_id& from, message_type type,
                      byte_reader& in) {
    set_time(now, wall);
    const auto handle_if = [&](const auto& what) {
        if (what) {
            handle(from, *what);
        }
        return what.has_value();
    };
    switch (type) {
        case message_type::attach:
            return handle_if(read_attach(in));
        case message_type::ack:
            return handle_if(read_ack(in));
        case message_type::write:
            return handle_if(read_write(in));
        case message_type::detach:
            return handle_if(read_detach(in));
        default:
            return true;  // Not for masters.
    }
}

void master::handle(const endpoint_id& from, const detach_message& what) {
    const auto at = clones_.find(from);
    if (at != clones_.end() && at->second.id == what.clone) {
        clones_.erase(at);
    }
}

void master::close(ec lost) {
    // First, and without asking for memory: somebody waits for each of these.
    auto number = committed_;
    for (const auto& each : undecided_) {
        // It may yet reach the disk, or some replica or former master has it.
        const bool nowhere = options_.durable && ++number > handed_to_disk_
                             && each.writer == own_writer;
        if (each.to != 0) {
            output_.answered(each.to, {nowhere ? lost : ec::request_timeout, 0, {}});
        }
    }
    undecided_.clear();
    std::vector<endpoint_id> to;
    for (const auto& [id, clone] : clones_) {
        to.push_back(id);
    }
    if (!to.empty()) {
        output_.send(to, encode_closing(options_.name));
    }
}

handover master::release() {
    handover out;
    out.who = who_;
    out.applied = committed_;
    out.log = std::move(log_);
    for (const auto& [index, writer] : writers_) {
        if (writer.settled > 0) {
            out.writers.push_back({index, writer.id, writer.settled, ec::none});
        }
    }
    out.on_disk = on_disk_;
    out.handed_to_disk = handed_to_disk_;
    return out;
}

// -- Attaching ------------------------------------------------------------------------------------

void master::handle(const endpoint_id& from, const attach_message& what) {
    note_epoch(what.store, what.epoch);
    if (fenced() || !established()) {
        return;
    }
    auto& clone = clones_[from];
    if (clone.id == what.clone && what.attempt <= clone.attempt) {
        return;  // A late copy.
    }
    clone = {};
    clone.id = what.clone;
    clone.attempt = what.attempt;
    clone.standby = what.standby;
    clone.elector = what.elector;
    clone.heard = clone.progressed = now_;
    look_due_ = std::min(look_due_, now_ + look_interval);
    const bool follows = what.store == who_.store && what.last >= log_.base()
                         && what.last <= sendable() && log_.chain_at(what.last) == what.chain;
    if (follows) {
        clone.round = ++last_round_;
        clone.sent = clone.acked = what.last;
        clone.stored = std::min(what.stored, what.last);
        if (clone.standby && clone.stored > 0) {
            doubt_standbys(from);
        }
    } else {
        begin_snapshot(clone);
    }
    welcome(from, clone);
    clone.welcome_due = never;  // It asks again.
}

/// Some other standby may have been this one before it started again, and one disk counts once. Those
/// that live soon say again what they have. Electors are told apart by their names.
void master::doubt_standbys(const endpoint_id& but) {
    for (auto& [id, clone] : clones_) {
        if (id != but && options_.electors.empty()) {
            clone.stored = 0;
        }
    }
}

void master::begin_snapshot(clone_state& clone) {
    clone.round = ++last_round_;
    clone.confirmed = false;
    clone.in_snapshot = true;
    clone.at_end = false;
    clone.cursor = clone.cursor_acked = 0;
    clone.parts.clear();
    clone.part_bytes = 0;
    clone.sent = clone.acked = committed_;
    clone.applied = 0;
    clone.stored = 0;  // Its disk has nothing of this log, as far as we know.
    clone.covered = log_.offset_at(committed_);
    clone.progressed = now_;
}

void master::welcome(const endpoint_id& to, clone_state& clone) {
    clone.welcome_pause = std::min(std::max(2 * clone.welcome_pause, welcome_pause_min),
                                   welcome_pause_max);
    clone.welcome_due = now_ + clone.welcome_pause;
    welcome_message out;
    out.clone = clone.id;
    out.attempt = clone.attempt;
    out.round = clone.round;
    out.store = who_.store;
    out.epoch = who_.epoch();
    out.from = clone.sent;
    out.chain = log_.chain_at(clone.sent);
    out.committed = released();
    out.snapshot = clone.in_snapshot;
    out.durable = options_.durable;
    out.wall = nanoseconds(wall_);
    out.heartbeat = options_.heartbeat_interval.count();
    out.epochs = who_.epochs;
    if (clone.in_snapshot) {
        for (const auto& [index, writer] : writers_) {
            // A writer whose opening entry is not settled yet comes with the log.
            if (writer.settled > 0) {
                out.writers.push_back({index, writer.id, writer.settled, ec::none});
            }
        }
        if (const auto own = writer_by_id_.find(clone.id); own != writer_by_id_.end()) {
            const auto& writer = writers_.at(own->second);
            out.number = writer.settled;
            out.results_from = writer.results_from;
            out.failures.assign(writer.failures.begin(), writer.failures.end());
            out.failures.insert(out.failures.end(), writer.without_entry.begin(),
                                writer.without_entry.end());
        }
    }
    output_.send({&to, 1}, encode(options_.name, out));
}

void master::handle(const endpoint_id& from, const ack_message& what) {
    const auto at = clones_.find(from);
    if (at == clones_.end() || what.epoch != who_.epoch() || what.round != at->second.round) {
        return;
    }
    auto& clone = at->second;
    clone.heard = now_;
    clone.confirmed = true;
    clone.welcome_due = never;
    clone.welcome_pause = {};
    if (what.received > clone.acked && what.received <= sendable()) {
        clone.acked = what.received;
        clone.sent = std::max(clone.sent, clone.acked);
        clone.progressed = now_;
        clone.resends = 0;
    }
    if (!what.in_snapshot) {
        clone.applied = what.applied;
    }
    if (what.stored > clone.stored && what.stored <= sendable()) {
        clone.stored = what.stored;
    }
    if (what.gap && what.received >= log_.base() && what.received < clone.sent
        && now_ >= clone.gap_heard_until) {
        // Until all that is sent again can be there, more gaps are of what was sent before.
        const auto again_from = std::max(what.received, clone.acked);
        clone.gap_heard_until
            = now_ + travel_time(log_.offset_at(clone.sent) - log_.offset_at(again_from));
        clone.sent = again_from;
    }
    if (clone.in_snapshot && what.in_snapshot) {
        if (what.cursor > clone.cursor_acked) {
            clone.cursor_acked = what.cursor;
            clone.progressed = now_;
            clone.resends = 0;
        }
        while (!clone.parts.empty()
               && (clone.parts.front().to != 0 ? clone.parts.front().to <= what.cursor
                                               : what.cursor == cursor_end)) {
            clone.covered = clone.parts.front().offset;
            clone.part_bytes -= clone.parts.front().bytes;
            clone.parts.pop_front();
        }
    } else if (clone.in_snapshot) {
        clone.in_snapshot = false;
        clone.parts.clear();
        clone.part_bytes = 0;
    }
    if (clone.standby) {
        advance();
    }
}

// -- Feeding --------------------------------------------------------------------------------------

/// Bytes of log that this clone may have to hold: not acknowledged yet, or behind what chunks show.
std::uint64_t master::on_its_way(const clone_state& clone) const {
    const auto acked = log_.offset_at(clone.acked);
    // With all chunks it only waits for entries, and for us to say that they count.
    const bool holds = clone.in_snapshot && clone.cursor_acked != cursor_end;
    const auto begin = holds ? std::min(acked, clone.covered) : acked;
    const auto end = log_.offset_at(clone.sent);
    return end > begin ? end - begin : 0;
}

void master::send_log() {
    const auto until = sendable();
    // Clones that stand at the same place are served by one message.
    std::map<sequence, std::vector<endpoint_id>> groups;
    for (;;) {
        groups.clear();
        for (auto& [id, clone] : clones_) {
            if (clone.sent < log_.base()) {
                begin_snapshot(clone);
                welcome(id, clone);
            }
            if (clone.sent < until && on_its_way(clone) < options_.window_bytes) {
                groups[clone.sent].push_back(id);
            }
        }
        if (groups.empty()) {
            break;
        }
        for (const auto& [sent, members] : groups) {
            log_message out;
            out.epoch = who_.epoch();
            out.first = sent + 1;
            out.committed = released();
            out.wall = nanoseconds(wall_);
            std::size_t bytes = 0;
            auto next = out.first;
            for (; next <= until && bytes < options_.frame_bytes; ++next) {
                out.entries.push_back(log_.at(next).bytes.span());
                bytes += out.entries.back().size();
            }
            output_.send(members, encode(options_.name, out));
            for (const auto& id : members) {
                auto& clone = clones_.at(id);
                clone.sent = next - 1;
                clone.told_committed = released();
            }
        }
    }
    std::vector<endpoint_id> to;  // Whom nothing else tells what may be shown now.
    for (auto& [id, clone] : clones_) {
        if (clone.told_committed < released() && clone.sent >= released()) {
            clone.told_committed = released();
            if (options_.sync_replicas > 0) {
                to.push_back(id);
            }
        }
    }
    send_heartbeat(to);
}

void master::send_heartbeat(std::span<const endpoint_id> to) {
    if (to.empty()) {
        return;
    }
    heartbeat_message out;
    out.epoch = who_.epoch();
    out.last = sendable();
    out.committed = released();
    out.chained = committed_;
    out.chain = log_.chain_at(committed_);
    out.wall = nanoseconds(wall_);
    output_.send(to, encode(options_.name, out));
}

void master::send_chunks(const endpoint_id& to, clone_state& clone) {
    std::vector<item_ptr> items;
    while (!clone.at_end && clone.part_bytes < options_.window_bytes) {
        items.clear();
        const auto position = state_.walk(clone.cursor, options_.frame_bytes, items);
        chunk_message out;
        out.epoch = who_.epoch();
        out.round = clone.round;
        out.from = clone.cursor;
        out.to = position.at_end ? 0 : position.next;
        out.at = committed_;
        out.total = state_.size();
        std::size_t bytes = 0;
        out.values.reserve(items.size());
        for (const auto& each : items) {
            out.values.push_back({each->key(), each->value(), each->expiry(), each->revision()});
            bytes += each->footprint();
        }
        clone.cursor = position.next;
        clone.at_end = position.at_end;
        clone.parts.push_back({out.to, bytes, log_.offset_at(committed_)});
        clone.part_bytes += bytes;
        output_.send({&to, 1}, encode(options_.name, out));
    }
}

void master::check_clones() {
    look_due_ = now_ + look_interval;
    for (auto at = clones_.begin(); at != clones_.end();) {
        auto& clone = at->second;
        if (now_ >= clone.heard + options_.clone_timeout) {
            at = clones_.erase(at);
            continue;
        }
        if (now_ >= clone.welcome_due) {
            begin_snapshot(clone);
            welcome(at->first, clone);
        }
        const bool waits = clone.sent > clone.acked || clone.in_snapshot;
        if (!waits) {
            clone.progressed = now_;
            clone.resends = 0;
        } else if (now_ >= clone.progressed
                               + resend_after(on_its_way(clone) + clone.part_bytes,
                                              clone.resends)) {
            clone.progressed = now_;
            ++clone.resends;
            clone.sent = clone.acked;
            if (clone.in_snapshot) {
                clone.cursor = clone.cursor_acked;
                clone.at_end = false;
                clone.parts.clear();
                clone.part_bytes = 0;
            }
        }
        ++at;
    }
}

// -- Clones' commands -----------------------------------------------------------------------------

master::writer_state* master::writer_for(const endpoint_id& from, const write_message& what,
                                         writer_index& index) {
    const auto known = writer_by_id_.find(what.clone);
    if (known != writer_by_id_.end() && !writers_.at(known->second).closing) {
        index = known->second;
        return &writers_.at(index);
    }
    if (known != writer_by_id_.end() || what.done != 0) {
        // Its first commands are done: it was known once.
        output_.send({&from, 1},
                     encode(options_.name, refuse_message{what.clone, ec::stale_data,
                                                          "this writer is not known any more"}));
        return nullptr;
    }
    if (writers_.size() >= writers_max) {
        forget_oldest_writer();
        return nullptr;  // It asks again.
    }
    return &open_writer(what.clone, index);
}

master::writer_state& master::open_writer(const writer_id& id, writer_index& index) {
    while (next_writer_ == own_writer || next_writer_ > writers_max
           || writers_.contains(next_writer_)) {
        next_writer_ = next_writer_ >= writers_max ? 1 : next_writer_ + 1;
    }
    index = next_writer_++;
    writer_by_id_[id] = index;
    auto& fresh = writers_[index];
    fresh.id = id;
    return fresh;
}

void master::handle(const endpoint_id& from, const write_message& what) {
    // A late copy may be of a writer that is forgotten: its commands would be taken for new ones. And
    // nobody is more than one writer, so that none takes the room of all others.
    const auto clone = clones_.find(from);
    if (clone == clones_.end() || what.epoch != who_.epoch()
        || what.round != clone->second.round || what.clone != clone->second.id) {
        return;
    }
    writer_index index = own_writer;
    auto* writer = writer_for(from, what, index);
    if (writer == nullptr) {
        return;
    }
    writer->at = from;
    writer->heard = now_;
    if (!std::exchange(writer->tell_taken, true)) {
        to_tell_.push_back(index);
    }
    // What has its answer is not asked for again, whether it got into the log or not.
    writer->number = std::max(writer->number, what.done);
    for (auto* told : {&writer->failures, &writer->without_entry}) {
        while (!told->empty() && told->front().last <= what.done) {
            told->pop_front();
        }
    }
    std::uint64_t told_to = 0;
    if (what.commands.empty()) {
        tell_failed(from, *writer, what.first, told_to);
    }
    auto number = what.first;
    for (const auto& bytes : what.commands) {
        if (number <= writer->number) {
            tell_failed(from, *writer, number, told_to);
        } else if (number > writer->number + 1 || !ready()) {
            writer->gap = true;
            break;
        } else {
            // What is malformed becomes an entry that says so.
            decide(0, index, number, valid_command(bytes) ? bytes : std::span<const std::byte>{});
            writer->number = number;
        }
        ++number;
    }
}

/// Says of a command that it is in no log, and never will be; if so, and not yet said.
void master::tell_failed(const endpoint_id& to, const writer_state& writer, std::uint64_t number,
                         std::uint64_t& told_to) {
    for (const auto& each : writer.without_entry) {
        if (each.first <= number && number <= each.last && number > told_to) {
            told_to = each.last;
            output_.send({&to, 1}, encode(options_.name, failed_message{writer.id, each.first,
                                                                        each.last, each.result}));
        }
    }
}

void master::send_taken() {
    for (const auto index : std::exchange(to_tell_, {})) {
        const auto at = writers_.find(index);
        if (at == writers_.end() || !at->second.tell_taken) {
            continue;
        }
        auto& writer = at->second;
        if (writer.gap && !ready()) {
            to_tell_.push_back(index);
            continue;
        }
        const taken_message out{writer.id, who_.epoch(), writer.number, writer.gap};
        writer.tell_taken = writer.gap = false;
        const auto to = writer.at;
        output_.send({&to, 1}, encode(options_.name, out));
    }
}

}  // namespace bzmq::replica
