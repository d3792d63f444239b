#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "replica/command.hpp"
#include "replica/election.hpp"
#include "replica/handover.hpp"
#include "replica/known_writers.hpp"
#include "replica/log_tail.hpp"
#include "replica/master.hpp"
#include "replica/messages.hpp"
#include "replica/output.hpp"
#include "replica/snapshot_builder.hpp"
#include "replica/table.hpp"

namespace bzmq::replica {

struct clone_options {
    std::string name;
    writer_id self;                             ///< random, made anew with each clone
    std::chrono::nanoseconds resync_interval = std::chrono::seconds{10};   ///< longest pause between attempts, `attach_pause_min` or more
    std::chrono::nanoseconds stale_interval = std::chrono::minutes{5};
    std::chrono::nanoseconds mutation_buffer_interval = std::chrono::minutes{2};
    std::size_t mutation_buffer_bytes = 64 * 1024 * 1024;
    std::size_t window_bytes = 1024 * 1024;     ///< of commands on their way
    std::size_t frame_bytes = 64 * 1024;
    /// A master of another store under this name: take its state for ours? A durable master never
    /// starts over by itself, so that ours is kept where either is of one, unless this says otherwise.
    bool follow_new_store = false;

    // -- Standbys ---------------------------------------------------------------------------------

    bool standby = false;                       ///< keeps a durable copy, and may become master
    std::size_t disk_backlog_bytes = 16 * 1024 * 1024;   ///< of entries that wait for its disk
    /// As a master; `name`, `durable` and `electors` follow from the above and below.
    master_options promoted = {};
    /// The standbys that may elect a master among them when theirs is out of reach, by names that
    /// they keep over restarts; empty: an operator promotes.
    std::vector<std::string> electors = {};
    std::string elector = {};                   ///< our own name among them
    std::chrono::nanoseconds failover_timeout = std::chrono::seconds{10};
    /// A promotion that its disk does not get done for so long ends, and it is a standby as before.
    std::chrono::nanoseconds promotion_timeout = std::chrono::seconds{30};
    std::uint64_t seed = 0;                     ///< of the pauses between elections
};

/// The first pause between attempts to attach; it doubles.
constexpr std::chrono::nanoseconds attach_pause_min = std::chrono::milliseconds{100};

/// Is there anything wrong with how a standby would be promoted?
[[nodiscard]] error check_failover(const clone_options& options);

/// The name that a writer goes by when it begins anew.
[[nodiscard]] writer_id next_writer(const writer_id& after) noexcept;

/// A command without an answer, of a clone that became master.
struct open_command {
    std::uint64_t number = 0;
    ticket to = 0;
    std::vector<std::byte> bytes;
};

/// A copy of a store: follows the master's log, forwards commands to it. Pure: see store_output.
class clone {
  public:
    clone(clone_options options, table& state, write_gate& gate, store_output& output, instant now);
    /// Starts with what a standby's disk has, or a former master leaves. What is in the table is not
    /// shown as synced before a master says that it counts.
    clone(clone_options options, handover from, vote_record promised, table& state,
          write_gate& gate, store_output& output, instant now);
    /// Hands a standby log entries from disk, as `master::load_log`.
    void load_log(sequence number, std::uint64_t chain, std::span<const std::byte> entry);

    // -- Commands ---------------------------------------------------------------------------------

    /// Queues a command for the master; trusted bytes. Its answer comes later. `queue_full` at once
    /// where the buffer is, `message_too_big` where it would not fit even if it were empty.
    ec submit(instant now, ticket to, std::span<const std::byte> bytes);

    // -- Events -----------------------------------------------------------------------------------

    /// Who may be the master, as far as the overlay knows. The one that is followed is kept as long
    /// as it is among them.
    void masters_are(instant now, std::vector<endpoint_id> who);
    /// Where the other standbys are.
    void standbys_are(std::vector<endpoint_id> who) { standbys_ = std::move(who); }
    /// Names of electors that several endpoints go by: their votes do not count.
    void doubled_electors(std::set<std::string, std::less<>> names) {
        election_.doubled(std::move(names));
    }
    /// False where the message is malformed.
    bool received(instant now, timestamp wall, const endpoint_id& from, message_type type,
                  byte_reader& in);
    void persisted(instant now, sequence last, const error& problem);
    void snapshot_persisted(instant now, const error& problem);
    void vote_persisted(instant now, const error& problem);
    void tick(instant now);
    [[nodiscard]] instant next_deadline() const noexcept;
    void flush(instant now);
    /// Ends: commands without an answer get `request_timeout` where a master may have them, and
    /// `shutting_down` where none has; says goodbye.
    void close();
    /// Takes the state of whatever store its master has, once.
    void accept_new_store(instant now);

    /// A master of this epoch of the store exists.
    void note_epoch(std::uint64_t epoch) noexcept {
        newest_epoch_ = std::max(newest_epoch_, epoch);
        election_.heard_epoch(epoch);
    }

    // -- Promotion --------------------------------------------------------------------------------

    /// Begins to become master: leaves its master at once, and is `promotable` when all that it has
    /// is on disk. Ends without that after `patience`, the option's by default, or when it hears of
    /// a newer master: then it reports why and is a standby as before.
    error promote(instant now, std::optional<std::chrono::nanoseconds> patience = {});
    [[nodiscard]] bool promoting() const noexcept { return promoting_ != 0; }
    /// Why the last promotion ended without success; none where it did not.
    [[nodiscard]] const error& promotion_problem() const noexcept { return promotion_problem_; }
    void end_promotion(instant now, error why);
    /// The epoch to begin, when it is ready to be master.
    [[nodiscard]] std::optional<std::uint64_t> promotable() const;
    /// What it leaves to the master that takes its place.
    [[nodiscard]] handover release(std::vector<open_command>& commands);

    // -- Questions --------------------------------------------------------------------------------

    [[nodiscard]] const clone_options& options() const noexcept { return options_; }
    [[nodiscard]] const writer_id& writer() const noexcept { return self_; }
    [[nodiscard]] const clone_status& status() const noexcept { return status_; }
    [[nodiscard]] const identity& who() const noexcept { return who_; }
    [[nodiscard]] sequence applied() const noexcept { return applied_; }
    [[nodiscard]] std::uint64_t chain() const noexcept { return log_.chain_at(applied_); }
    /// The newest entry that it has; and of a standby: that is on disk.
    [[nodiscard]] sequence last() const noexcept { return log_.last(); }
    [[nodiscard]] sequence stored() const noexcept;
    /// What a standby's disk is worth.
    [[nodiscard]] log_rank rank() const noexcept { return rank_of(disk_.who, disk_.last); }
    [[nodiscard]] std::uint64_t promised() const noexcept { return election_.promised(); }
    /// No command without an answer.
    [[nodiscard]] bool idle() const noexcept { return commands_.empty(); }
    /// The master's clock minus ours, as last heard.
    [[nodiscard]] timespan clock_offset() const noexcept { return clock_offset_; }
    [[nodiscard]] bool in_snapshot() const noexcept { return building_ != nullptr; }
    /// What has come of a snapshot that is on its way.
    struct arrival {
        std::size_t entries = 0;
        std::size_t bytes = 0;
        std::uint64_t total = 0;          ///< entries that there are, as the master said last
    };
    [[nodiscard]] arrival arrived() const noexcept {
        return building_ ? arrival{building_->values().size(), building_->values().bytes(),
                                   building_->total()}
                         : arrival{};
    }
    /// Bytes of commands without an answer, and of entries that are not shown yet.
    [[nodiscard]] std::size_t command_bytes() const noexcept { return command_bytes_; }
    [[nodiscard]] std::size_t waiting_bytes() const noexcept;

  private:
    /// Of memory that a command takes beside its bytes, about.
    static constexpr std::size_t command_overhead_bytes = 80;
    struct own_command {
        std::vector<std::byte> bytes;     ///< none where it must not have an effect any more
        ticket to = 0;
        instant expires{};
        std::size_t on_its_way = 0;       ///< bytes, when it was last sent
        bool done = false;                ///< it has its answer
        [[nodiscard]] std::size_t cost() const noexcept {
            return bytes.size() + command_overhead_bytes;
        }
    };
    /// Waits until the state that it belongs to is shown.
    struct deferred_answer {
        std::uint64_t number = 0;
        ec code = ec::none;
        sequence revision = 0;
        std::vector<std::byte> value;
    };
    /// What is on a standby's disk, and on its way there.
    struct disk_state {
        identity who;                     ///< of the log that it has
        sequence last = 0;
        sequence handed = 0;
        /// Its log is not the one that is followed: it must be replaced, by one that has at least
        /// entry `reach`, which may count already.
        bool replace_due = false;
        bool due_before = false;          ///< likewise, without the snapshot that is on its way
        sequence reach = 0;
        bool replacing = false;
        bool stale = false;               ///< what is being written is of an earlier attempt
        bool epochs_due = false;          ///< `who` may not be on disk
        identity next_who;
        sequence next_last = 0;
        instant hold_until{};
    };

    // The master.
    void seek(instant now);
    void next_master(instant now, const endpoint_id& who);
    void lose_master();
    void note_clock(timestamp wall, std::int64_t master_wall);
    void note_heard(instant now);
    void handle(instant now, const welcome_message& what);
    void handle(instant now, const log_message& what);
    void handle(instant now, const chunk_message& what);
    void handle(instant now, const heartbeat_message& what);
    void handle(const taken_message& what);
    void handle(instant now, const refuse_message& what);
    void handle(const failed_message& what);
    void handle(instant now, const endpoint_id& from, const ask_vote_message& what);
    void handle(instant now, const vote_message& what);
    void handle(instant now, const endpoint_id& from, const claim_message& what);
    bool accepts(const welcome_message& what);
    bool is_other_store(instant now, const welcome_message& what);
    void diverged(instant now, std::string_view how);
    void set_status(clone_status next);
    void send(std::vector<std::byte> message) { output_.send({&master_, 1}, std::move(message)); }

    // The log.
    void note_gap(instant now);
    void take_entries(const log_message& what);
    void send_ack(bool gap);
    /// Applies what may be shown.
    void advance();
    void apply_some(std::size_t count);
    void note_shown();
    void begin_snapshot(const welcome_message& what);
    void advance_snapshot();
    void finish_snapshot();
    void drop_snapshot();
    void tell_difference(const table& before);
    void tell_replaced(const endpoint_id& by, std::size_t entries);
    void tell_given_up(const welcome_message& what);
    void tell_orphans(sequence common);
    [[nodiscard]] log_tail& followed() noexcept { return building_ ? building_->log() : log_; }
    [[nodiscard]] const log_tail& followed() const noexcept {
        return building_ ? building_->log() : log_;
    }
    [[nodiscard]] sequence received_up_to() const noexcept { return followed().last(); }
    [[nodiscard]] sequence acknowledged() const noexcept;

    // Own commands.
    void note_entry(sequence number, std::span<const std::byte> entry);
    void complete(std::uint64_t number, const answer& what);
    void complete_or_defer(std::uint64_t number, const answer& what);
    void note_taken(std::uint64_t up_to);
    void complete_unseen();
    void renew_writer();
    void expire_commands(instant now);
    void make_void(own_command& own);
    void send_commands(instant now);
    void ask_after_first();
    [[nodiscard]] std::uint64_t last_number() const noexcept {
        return first_number_ + commands_.size() - 1;
    }
    own_command& command_at(std::uint64_t number) {
        return commands_[static_cast<std::size_t>(number - first_number_)];
    }

    // Standbys.
    void write_disk(instant now);
    void replace_disk();
    void vote(instant now);
    void begin_promotion(instant now, std::uint64_t epoch, std::chrono::nanoseconds patience);
    void look_after_promotion(instant now);
    [[nodiscard]] bool changes_store() const noexcept;
    /// Masters of a store that are older are not followed.
    [[nodiscard]] std::uint64_t promised_in(const endpoint_id& store) const noexcept {
        return store == disk_.who.store ? election_.promised() : 0;
    }
    [[nodiscard]] bool whole_on_disk() const noexcept;
    [[nodiscard]] sequence safe_on_disk() const noexcept;
    [[nodiscard]] instant disk_deadline() const noexcept;

    const clone_options options_;
    writer_id self_;
    endpoint_id sent_to_;              ///< the store whose master may know `self_`
    table& state_;
    table_view view_{state_};
    write_gate& gate_;
    store_output& output_;

    std::vector<endpoint_id> candidates_;   ///< masters as the overlay says
    std::vector<endpoint_id> standbys_;
    endpoint_id master_;               ///< whom we follow, or ask to
    bool attached_ = false;
    unsigned fruitless_ = 0;           ///< attempts at this one
    std::uint64_t epoch_ = 0;
    std::uint64_t newest_epoch_ = 0;   ///< of this store, that was heard of
    std::uint64_t attempt_ = 0;
    std::uint64_t round_ = 0;          ///< of the newest welcome message
    instant attach_due_ = never;
    std::chrono::nanoseconds attach_pause_{};
    instant heard_at_{};
    std::chrono::nanoseconds heartbeat_ = std::chrono::seconds{1};
    timespan clock_offset_{};
    bool refused_store_told_ = false;
    bool accept_once_ = false;
    clone_status status_;

    // The state that is shown, as of entry `applied_`, and the log behind it.
    identity who_;
    bool of_durable_ = false;          ///< its master has it on disk
    bool building_durable_ = false;    ///< likewise, of the snapshot that is on its way
    sequence applied_ = 0;
    sequence committed_ = 0;
    sequence committed_before_ = 0;    ///< likewise, without the snapshot that is on its way
    sequence show_from_ = 0;           ///< a snapshot is not shown before it has this entry
    log_tail log_;
    known_writers writers_;
    bool trusted_ = true;              ///< the log may go on from here
    bool keeps_orphans_ = false;
    sequence orphans_told_ = 0;        ///< up to this one,
    sequence orphans_common_ = 0;      ///< and all behind this one
    std::size_t unacked_bytes_ = 0;
    instant ack_due_ = never;
    instant gap_told_at_{std::chrono::hours{-1}};
    entry_arena arena_;
    std::vector<effect> effects_scratch_;

    std::unique_ptr<snapshot_builder> building_;   ///< a snapshot on its way
    std::uint64_t unseen_number_ = 0;     ///< our commands up to here are in the snapshot
    std::uint64_t unseen_results_from_ = 1;
    std::vector<failed_commands> unseen_failures_;
    std::vector<deferred_answer> deferred_;

    // Commands without an answer, by number from `first_number_` on.
    std::deque<own_command> commands_;
    std::size_t command_bytes_ = 0;
    std::uint64_t first_number_ = 1;
    std::uint64_t taken_ = 0;             ///< the master has those up to here
    std::uint64_t sent_ = 0;
    std::uint64_t ever_sent_ = 0;         ///< some master may have those up to here
    std::size_t in_flight_ = 0;           ///< bytes sent and not taken
    std::uint64_t expired_ = 0;           ///< commands up to here are past their time
    instant resend_due_ = never;
    unsigned resends_ = 0;                ///< since the master last took one
    instant probe_due_ = never;           ///< to ask what became of the first one

    disk_state disk_;
    election election_;
    std::uint64_t promoting_ = 0;         ///< the epoch that we are about to begin
    instant promotion_due_ = never;       ///< when we give up
    instant ask_masters_due_ = never;     ///< whether one of them is newer
    error promotion_problem_;
};

}  // namespace bzmq::replica
