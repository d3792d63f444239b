// How a master feeds its clones, and takes their commands.
#include <algorithm>

#include "replica/master.hpp"

namespace bzmq::replica {
namespace {

using namespace std::chrono_literals;

// Without progress for so long, what was sent is sent again.
constexpr auto resend_after = 500ms;
constexpr auto look_interval = 250ms;

std::int64_t nanoseconds(timestamp wall) { return wall.time_since_epoch().count(); }

}  // namespace

void master::received(instant now, timestamp wall, const endpoint_id& from, message_type type,
                      byte_reader& in) {
    set_time(now, wall);
    switch (type) {
        case message_type::attach:
            if (const auto what = read_attach(in)) {
                handle(from, *what);
            }
            break;
        case message_type::ack:
            if (const auto what = read_ack(in)) {
                handle(from, *what);
            }
            break;
        case message_type::write:
            if (const auto what = read_write(in)) {
                handle(from, *what);
            }
            break;
        case message_type::detach:
            if (const auto what = read_detach(in)) {
                const auto at = clones_.find(from);
                if (at != clones_.end() && at->second.id == what->clone) {
                    clones_.erase(at);
                }
            }
            break;
        default:
            break;  // Not for masters.
    }
}

void master::unreachable(const endpoint_id& who) { clones_.erase(who); }

void master::close() {
    for (const auto& each : undecided_) {
        if (each.to != 0) {
            output_.answered(each.to, {ec::shutting_down, 0, {}});
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

// -- Attaching ------------------------------------------------------------------------------------

void master::handle(const endpoint_id& from, const attach_message& what) {
    auto& clone = clones_[from];
    clone = {};
    clone.id = what.clone;
    clone.standby = what.standby;
    clone.heard = clone.progressed = now_;
    look_due_ = std::min(look_due_, now_ + look_interval);
    const bool follows = what.store == who_.store && what.last >= log_.base()
                         && what.last <= sendable() && log_.chain_at(what.last) == what.chain;
    if (follows) {
        clone.sent = clone.acked = what.last;
    } else {
        begin_snapshot(clone);
    }
    welcome(from, clone);
}

void master::begin_snapshot(clone_state& clone) {
    clone.in_snapshot = true;
    clone.at_end = false;
    clone.cursor = clone.cursor_acked = 0;
    clone.parts.clear();
    clone.part_bytes = 0;
    clone.sent = clone.acked = committed_;
    clone.progressed = now_;
}

void master::welcome(const endpoint_id& to, const clone_state& clone) {
    welcome_message out;
    out.clone = clone.id;
    out.store = who_.store;
    out.epoch = who_.epoch();
    out.from = clone.sent;
    out.chain = log_.chain_at(clone.sent);
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
        }
    }
    output_.send({&to, 1}, encode(options_.name, out));
}

void master::handle(const endpoint_id& from, const ack_message& what) {
    const auto at = clones_.find(from);
    if (at == clones_.end() || at->second.id != what.clone || what.epoch != who_.epoch()) {
        return;
    }
    auto& clone = at->second;
    clone.heard = now_;
    if (what.received > clone.acked && what.received <= sendable()) {
        clone.acked = what.received;
        clone.sent = std::max(clone.sent, clone.acked);
        clone.progressed = now_;
    }
    if (what.gap && what.received >= log_.base() && what.received < clone.sent) {
        clone.sent = std::max(what.received, clone.acked);
    }
    if (clone.in_snapshot && what.in_snapshot) {
        if (what.cursor > clone.cursor_acked) {
            clone.cursor_acked = what.cursor;
            clone.progressed = now_;
        }
        while (!clone.parts.empty() && clone.parts.front().to != 0
               && clone.parts.front().to <= what.cursor) {
            clone.part_bytes -= clone.parts.front().bytes;
            clone.parts.pop_front();
        }
    } else if (clone.in_snapshot && clone.at_end) {
        clone.in_snapshot = false;
        clone.parts.clear();
        clone.part_bytes = 0;
    }
    if (clone.standby) {
        advance();
    }
}

// -- Feeding --------------------------------------------------------------------------------------

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
            const auto in_flight = log_.offset_at(clone.sent) - log_.offset_at(clone.acked);
            if (clone.sent < until && in_flight < options_.window_bytes) {
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
            out.committed = committed_;
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
                clone.told_committed = committed_;
            }
        }
    }
    std::vector<endpoint_id> to;  // Whom nothing else tells what may be shown now.
    for (auto& [id, clone] : clones_) {
        if (clone.told_committed < committed_ && clone.sent >= committed_) {
            clone.told_committed = committed_;
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
    out.committed = committed_;
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
        out.clone = clone.id;
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
        clone.parts.push_back({out.to, bytes});
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
        const bool waits = clone.sent > clone.acked || clone.in_snapshot;
        if (!waits) {
            clone.progressed = now_;
        } else if (now_ >= clone.progressed + resend_after) {
            clone.progressed = now_;
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

master::writer_state* master::writer_for(const writer_id& id, std::uint64_t done,
                                         writer_index& index) {
    if (const auto known = writer_by_id_.find(id); known != writer_by_id_.end()) {
        index = known->second;
        auto& writer = writers_.at(index);
        return writer.closing ? nullptr : &writer;
    }
    if (done != 0 || writers_.size() >= writers_max) {
        return nullptr;  // Its first commands are done: it was known once.
    }
    while (next_writer_ == own_writer || next_writer_ > writers_max
           || writers_.contains(next_writer_)) {
        next_writer_ = next_writer_ >= writers_max ? 1 : next_writer_ + 1;
    }
    index = next_writer_++;
    writer_by_id_[id] = index;
    auto& fresh = writers_[index];
    fresh.id = id;
    return &fresh;
}

void master::handle(const endpoint_id& from, const write_message& what) {
    writer_index index = own_writer;
    auto* writer = writer_for(what.clone, what.done, index);
    if (writer == nullptr) {
        output_.send({&from, 1}, encode(options_.name, refuse_message{
                                                           what.clone, ec::stale_data,
                                                           "this writer is not known any more"}));
        return;
    }
    writer->at = from;
    writer->heard = now_;
    writer->tell_taken = true;
    auto number = what.first;
    const failed_message* repeated = nullptr;
    for (const auto& bytes : what.commands) {
        if (number <= writer->number) {
            for (const auto& failed : writer->without_entry) {
                if (failed.first <= number && number <= failed.last && &failed != repeated) {
                    repeated = &failed;
                    output_.send({&from, 1}, encode(options_.name, failed));
                }
            }
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

void master::send_taken() {
    for (auto& [index, writer] : writers_) {
        if (!writer.tell_taken || (writer.gap && !ready())) {
            continue;
        }
        const taken_message out{writer.id, who_.epoch(), writer.number, writer.gap};
        writer.tell_taken = writer.gap = false;
        const auto to = writer.at;
        output_.send({&to, 1}, encode(options_.name, out));
    }
}

}  // namespace bzmq::replica
