#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/time.hpp"
#include "replica/command.hpp"
#include "replica/durable.hpp"
#include "replica/expiry_heap.hpp"
#include "replica/handover.hpp"
#include "replica/log_tail.hpp"
#include "replica/messages.hpp"
#include "replica/output.hpp"
#include "replica/table.hpp"

namespace bzmq::replica {

struct master_options {
    std::string name;
    bool durable = false;                       ///< entries go to disk before they count
    unsigned sync_replicas = 0;                 ///< and to so many standbys' disks
    /// Names of the standbys that may elect a master; where there are any, only theirs count as
    /// replicas.
    std::vector<std::string> electors;
    std::size_t log_bytes = 64 * 1024 * 1024;   ///< kept for clones that lag
    std::size_t window_bytes = 1024 * 1024;     ///< on the way to one clone, log and snapshot each
    std::size_t frame_bytes = 64 * 1024;        ///< of one message, about
    std::chrono::nanoseconds heartbeat_interval = std::chrono::seconds{1};
    std::chrono::nanoseconds clone_timeout = std::chrono::seconds{10};
    /// Writers that are gone for so long are forgotten. Longer than any clone keeps a write.
    std::chrono::nanoseconds writer_timeout = std::chrono::minutes{15};
    /// Commands whose effects are not settled, in bytes of log; beyond it no more are taken.
    std::size_t unsettled_bytes = 16 * 1024 * 1024;
};

/// The master of one store: orders commands into the log, applies them, feeds the clones. Pure:
/// see store_output. The table is filled with the state as of `last` before the master starts.
class master {
  public:
    struct start {
        identity who;
        sequence last = 0;
        std::uint64_t chain = 0;
        std::vector<stored_writer> writers;
    };
    master(master_options options, start from, table& state, write_gate& gate, store_output& output,
           instant now, timestamp wall);

    /// A standby becomes master: all that it has counts, also what it did not show yet. The last of
    /// `from.who.epochs` is its own, and not on disk yet.
    master(master_options options, handover from, table& state, write_gate& gate,
           store_output& output, instant now, timestamp wall);

    /// Hands the master log entries up to `start::last` from disk, in order, before anything else,
    /// so that clones can go on from there. Entries before a hole are dropped.
    void load_log(sequence number, std::uint64_t chain, std::span<const std::byte> entry);

    // -- Commands ---------------------------------------------------------------------------------

    /// A command of this program; trusted bytes. Its answer comes later or at once.
    void submit(instant now, timestamp wall, ticket to, std::span<const std::byte> bytes);
    /// A command of the clone that this master was, without an answer so far. Some former master may
    /// have it in its log, and so may ours.
    void adopt(ticket to, const writer_id& writer, std::uint64_t number,
               std::span<const std::byte> bytes);
    /// Is there room for commands?
    [[nodiscard]] bool ready() const noexcept;

    // -- Events -----------------------------------------------------------------------------------

    /// Names of electors that several endpoints go by: their disks do not count as replicas.
    void doubled_electors(std::set<std::string, std::less<>> names) {
        doubled_electors_ = std::move(names);
    }
    /// False where the message is malformed.
    bool received(instant now, timestamp wall, const endpoint_id& from, message_type type,
                  byte_reader& in);
    /// All entries up to `last` are on disk, or, with an error, those behind `last` are not.
    void persisted(instant now, timestamp wall, sequence last, const error& problem);
    void tick(instant now, timestamp wall);
    [[nodiscard]] instant next_deadline() const noexcept;
    /// Sends what has come together. Call once per turn.
    void flush(instant now, timestamp wall);
    /// Ends: its own program's commands without an answer get `request_timeout` where they may yet
    /// have an effect, and `lost` where they are in its memory only; clones are told.
    void close(ec lost = ec::shutting_down);
    /// What it leaves behind, once closed.
    [[nodiscard]] handover release();

    // -- Questions --------------------------------------------------------------------------------

    [[nodiscard]] const identity& who() const noexcept { return who_; }
    [[nodiscard]] bool durable() const noexcept { return options_.durable; }
    [[nodiscard]] sequence last() const noexcept { return log_.last(); }
    [[nodiscard]] sequence committed() const noexcept { return committed_; }
    /// A newer master of this store has been heard of: this one must end.
    [[nodiscard]] bool fenced() const noexcept { return newest_epoch_ > who_.epoch(); }
    [[nodiscard]] std::uint64_t newest_epoch() const noexcept { return newest_epoch_; }
    void note_epoch(const endpoint_id& store, std::uint64_t epoch) noexcept {
        if (store == who_.store) {
            newest_epoch_ = std::max(newest_epoch_, epoch);
        }
    }
    /// Nothing unsettled, and all clones have everything and show it.
    [[nodiscard]] bool idle() const noexcept;
    [[nodiscard]] std::uint64_t chain() const { return log_.chain_at(committed_); }
    /// Bytes of log in memory.
    [[nodiscard]] std::size_t log_bytes() const noexcept { return log_.bytes(); }
    /// Notes of what expires; about twice as many as there are such items at most.
    [[nodiscard]] std::size_t expiry_notes() const noexcept { return due_.size(); }
    [[nodiscard]] claim_message claim() const { return {who_.store, who_.epoch(), last()}; }
    struct clone_view {
        endpoint_id at;
        bool standby = false;
        bool in_snapshot = false;
        sequence acknowledged = 0;
        sequence stored = 0;  ///< of a standby: on its disk
    };
    [[nodiscard]] std::vector<clone_view> clones() const;

  private:
    struct writer_state {
        writer_id id;
        endpoint_id at;                     ///< where it was last heard of
        std::uint64_t number = 0;           ///< of its newest command decided
        std::uint64_t settled = 0;          ///< of its newest command that counts
        instant heard{};
        bool opened = false;                ///< the log has, or is about to have, its index
        bool closing = false;
        bool tell_taken = false;            ///< then it is in `to_tell_`
        bool gap = false;
        std::uint64_t loaded = 0;           ///< of the newest command in the log from disk
        // Of commands up to `settled` that have had no answer yet, as far as the master knows:
        std::uint64_t results_from = 1;     ///< those from here on did well unless listed
        std::deque<failed_commands> failures;       ///< with an entry in the log
        std::deque<failed_commands> without_entry;  ///< not in the log
    };
    struct clone_state {
        writer_id id;
        std::uint64_t attempt = 0;
        std::uint64_t round = 0;
        bool confirmed = false;             ///< it has the welcome message of this round
        instant welcome_due = never;        ///< and should get it again
        std::chrono::nanoseconds welcome_pause{};
        bool standby = false;
        std::string elector;
        sequence sent = 0;
        sequence acked = 0;
        sequence applied = 0;               ///< shown there
        sequence stored = 0;                ///< of a standby: on disk
        instant heard{};
        instant progressed{};               ///< when an acknowledgement last moved on
        unsigned resends = 0;               ///< since then
        instant gap_heard_until{};          ///< gaps are no news before: copies are under way
        sequence told_committed = 0;
        // Snapshot.
        bool in_snapshot = false;
        std::uint64_t cursor = 0;           ///< hashes below have been sent
        std::uint64_t cursor_acked = 0;
        std::uint64_t covered = 0;          ///< `offset` of the newest chunk that has come
        bool at_end = false;
        struct part {
            std::uint64_t to = 0;
            std::size_t bytes = 0;
            std::uint64_t offset = 0;       ///< of the entry as of which it shows the state
        };
        std::deque<part> parts;             ///< sent, not acknowledged
        std::size_t part_bytes = 0;
    };
    /// Decided, but not settled: waits for disk or replicas.
    struct undecided {
        std::vector<effect> effects;
        ticket to = 0;
        writer_index writer = own_writer;
        std::uint64_t number = 0;
        ec result = ec::none;
        bool opens = false;                 ///< `writer`
        writer_index closes = own_writer;
    };

    [[nodiscard]] bool immediate() const noexcept {
        return !options_.durable && options_.sync_replicas == 0;
    }
    [[nodiscard]] sequence sendable() const noexcept { return options_.durable ? on_disk_ : last(); }
    void decide(ticket to, writer_index writer, std::uint64_t number,
                std::span<const std::byte> bytes);
    /// Makes an entry of `effects_scratch_` and what `about` says.
    void append(undecided about);
    void inherit(sequence number);
    void close_inherited(writer_index index);
    void begin_epoch();
    /// Its epoch is on disk, so that what it says counts.
    [[nodiscard]] bool established() const noexcept {
        return !promoted_ || on_disk_ >= who_.epochs.back().first;
    }
    /// Entries up to here may be shown by clones.
    [[nodiscard]] sequence released() const noexcept {
        return options_.sync_replicas == 0 ? committed_ : released_;
    }
    void load_writers(const std::vector<stored_writer>& from);
    void note_loaded(std::span<const std::byte> entry);
    void apply_effects(sequence number, const undecided& what);
    void tell(sequence number, const undecided& what);
    void advance();
    [[nodiscard]] sequence replicated() const;
    void roll_back(const error& problem);
    void note_expiry(const item& what);
    [[nodiscard]] bool still_due(const expiry_heap::note& what) const noexcept;
    void expire();
    [[nodiscard]] instant expiry_deadline(timestamp at) const noexcept;
    void forget_writers();
    void forget_oldest_writer();
    void forget(writer_index index);
    [[nodiscard]] bool is_attached(const writer_state& writer) const;
    static void note_failures(writer_state& writer, std::deque<failed_commands>& in,
                              const failed_commands& what);
    [[nodiscard]] std::chrono::nanoseconds writers_look_interval() const noexcept;
    /// The writer, made where none of its commands is done; null where it is not known any more.
    writer_state* writer_for(const endpoint_id& from, const write_message& what,
                             writer_index& index);
    writer_state& open_writer(const writer_id& id, writer_index& index);
    void tell_failed(const endpoint_id& to, const writer_state& writer, std::uint64_t number,
                     std::uint64_t& told_to);

    void handle(const endpoint_id& from, const attach_message& what);
    void handle(const endpoint_id& from, const ack_message& what);
    void handle(const endpoint_id& from, const write_message& what);
    void handle(const endpoint_id& from, const detach_message& what);
    void doubt_standbys(const endpoint_id& but);
    void begin_snapshot(clone_state& clone);
    [[nodiscard]] std::uint64_t on_its_way(const clone_state& clone) const;
    void welcome(const endpoint_id& to, clone_state& clone);
    void send_log();
    void send_chunks(const endpoint_id& to, clone_state& clone);
    void send_heartbeat(std::span<const endpoint_id> to);
    void send_taken();
    void check_clones();
    void note_result(const undecided& what);
    void set_time(instant now, timestamp wall) noexcept {
        now_ = now;
        wall_ = wall;
    }

    const master_options options_;
    identity who_;
    table& state_;
    write_gate& gate_;
    store_output& output_;
    table_view base_;
    overlay_view view_{base_};

    log_tail log_;
    entry_arena arena_;
    sequence on_disk_ = 0;
    sequence handed_to_disk_ = 0;
    sequence committed_ = 0;
    sequence released_ = 0;
    bool promoted_ = false;
    std::uint64_t newest_epoch_ = 0;
    instant begin_due_ = never;            ///< when the epoch shall have its first entry
    std::deque<undecided> undecided_;      ///< of the entries behind `committed_`
    std::unordered_map<writer_id, writer_index> writer_by_id_;
    std::map<writer_index, writer_state> writers_;
    writer_index next_writer_ = 1;
    std::vector<writer_index> to_tell_;    ///< how far their commands have come; may be gone since
    std::map<endpoint_id, clone_state> clones_;
    std::set<std::string, std::less<>> doubled_electors_;
    std::uint64_t last_round_ = 0;
    expiry_heap due_;
    instant heartbeat_due_{};
    instant look_due_{};
    instant writers_look_due_{};
    instant expiry_due_ = never;
    instant expiry_hold_{};               ///< nothing expires before: the disk is in trouble
    instant now_{};
    timestamp wall_{};
    std::vector<std::byte> scratch_;
    std::vector<effect> effects_scratch_;
};

}  // namespace bzmq::replica
