#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "replica/command.hpp"
#include "replica/log_tail.hpp"
#include "replica/messages.hpp"
#include "replica/output.hpp"
#include "replica/table.hpp"

namespace bzmq::replica {

struct clone_options {
    std::string name;
    writer_id self;                             ///< random, made anew with each clone
    std::chrono::nanoseconds resync_interval = std::chrono::seconds{10};   ///< longest pause between attempts
    std::chrono::nanoseconds stale_interval = std::chrono::minutes{5};
    std::chrono::nanoseconds mutation_buffer_interval = std::chrono::minutes{2};
    std::size_t mutation_buffer_bytes = 64 * 1024 * 1024;
    std::size_t window_bytes = 1024 * 1024;     ///< of commands on their way
    std::size_t frame_bytes = 64 * 1024;
    /// A master of another store under this name: take its state for ours? A durable master never
    /// starts over by itself, so that ours is kept unless it says otherwise.
    bool follow_new_store = false;
};

/// A copy of a store: follows the master's log, forwards commands to it. Pure: see store_output.
class clone {
  public:
    clone(clone_options options, table& state, write_gate& gate, store_output& output, instant now);

    // -- Commands ---------------------------------------------------------------------------------

    /// Queues a command for the master; trusted bytes. Its answer comes later. `queue_full` at once
    /// where the buffer is.
    ec submit(instant now, ticket to, std::span<const std::byte> bytes);

    // -- Events -----------------------------------------------------------------------------------

    /// Who is the master, as far as the overlay knows; nil: nobody.
    void master_is(instant now, const endpoint_id& who);
    void received(instant now, timestamp wall, const endpoint_id& from, message_type type,
                  byte_reader& in);
    void tick(instant now);
    [[nodiscard]] instant next_deadline() const noexcept;
    void flush(instant now);
    /// Says goodbye; commands that have no answer yet get `shutting_down`.
    void close();
    /// Takes the state of whatever store its master has, once.
    void accept_new_store(instant now);

    // -- Questions --------------------------------------------------------------------------------

    [[nodiscard]] const clone_status& status() const noexcept { return status_; }
    [[nodiscard]] const identity& who() const noexcept { return who_; }
    [[nodiscard]] sequence applied() const noexcept { return applied_; }
    [[nodiscard]] std::uint64_t chain() const noexcept { return chain_applied_; }
    /// No command without an answer.
    [[nodiscard]] bool idle() const noexcept { return commands_.empty(); }
    /// The master's clock minus ours, as last heard.
    [[nodiscard]] timespan clock_offset() const noexcept { return clock_offset_; }
    [[nodiscard]] bool in_snapshot() const noexcept { return building_ != nullptr; }
    /// Bytes of commands without an answer, and of entries that are not shown yet.
    [[nodiscard]] std::size_t command_bytes() const noexcept { return command_bytes_; }
    [[nodiscard]] std::size_t waiting_bytes() const noexcept;
    /// Values of the snapshot so far, and in all.
    [[nodiscard]] std::pair<std::uint64_t, std::uint64_t> snapshot_progress() const noexcept {
        return {building_ ? building_->size() : 0, snapshot_total_};
    }

  private:
    struct own_command {
        std::vector<std::byte> bytes;
        ticket to = 0;
        instant expires{};
        std::size_t on_its_way = 0;       ///< bytes, when it was last sent
        bool done = false;                ///< it has its answer
    };
    /// Waits until the state that it belongs to is shown.
    struct deferred_answer {
        std::uint64_t number = 0;
        ec code = ec::none;
        sequence revision = 0;
        std::vector<std::byte> value;
    };
    struct waiting_entry {
        shared_bytes bytes;
        std::uint64_t chain = 0;
    };
    /// Hashes below `to` and from the part before on stand as of entry `at`.
    struct covered {
        std::uint64_t to = 0;  // 0: to the end
        sequence at = 0;
    };

    void seek(instant now);
    void lose_master();
    void note_clock(timestamp wall, std::int64_t master_wall);
    void note_heard(instant now);
    void handle(instant now, const welcome_message& what);
    void handle(instant now, const log_message& what);
    void handle(instant now, const chunk_message& what);
    void handle(instant now, const heartbeat_message& what);
    void handle(const taken_message& what);
    void handle(instant now, const refuse_message& what);
    void diverged(instant now, std::string_view how);
    void handle(const failed_message& what);
    bool accepts(const welcome_message& what);
    void note_gap(instant now);
    void take_entries(const log_message& what);
    /// Applies what may be shown.
    void advance();
    void advance_snapshot();
    void finish_snapshot();
    void apply_to_building(sequence number, std::span<const std::byte> entry, std::size_t from_part);
    /// Writers that come and go, and the answer to a command of our own.
    void note_entry(sequence number, std::span<const std::byte> entry);
    bool note_writers(const entry_head& head, std::span<const std::byte> entry);
    void complete(std::uint64_t number, const answer& what);
    void note_taken(std::uint64_t up_to);
    void complete_unseen();
    void begin_snapshot(const welcome_message& what);
    void drop_snapshot();
    void renew_writer();
    void tell_difference(const table& before);
    void expire_commands(instant now);
    void make_void(own_command& own);
    void send_commands(instant now);
    void ask_after_first();
    void set_status(clone_status next);
    void send(std::vector<std::byte> message) { output_.send({&master_, 1}, std::move(message)); }
    void send_ack(bool gap);
    [[nodiscard]] sequence received_up_to() const noexcept { return applied_base_ + waiting_.size(); }

    const clone_options options_;
    writer_id self_;
    endpoint_id sent_to_;              ///< the store whose master may know `self_`
    table& state_;
    write_gate& gate_;
    store_output& output_;

    // The master.
    endpoint_id master_;               ///< as the overlay says
    bool attached_ = false;
    std::uint64_t epoch_ = 0;
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

    // The state. Entries behind `applied_` wait until they may be shown.
    identity who_;
    sequence applied_ = 0;
    std::uint64_t chain_applied_ = 0;
    std::deque<waiting_entry> waiting_;   ///< from `applied_base_` + 1 on
    sequence applied_base_ = 0;           ///< == `applied_` but in a snapshot
    std::uint64_t chain_received_ = 0;
    sequence committed_ = 0;
    std::size_t unacked_bytes_ = 0;
    instant ack_due_ = never;
    instant gap_told_at_{std::chrono::hours{-1}};
    std::map<writer_index, writer_id> writers_;
    writer_index own_index_ = own_writer;
    bool forgotten_ = false;              ///< the log says that the master has forgotten us
    entry_arena arena_;

    // A snapshot on its way.
    std::unique_ptr<table> building_;
    std::vector<covered> parts_;
    std::uint64_t cursor_ = 0;
    bool snapshot_whole_ = false;         ///< its last chunk has come
    sequence building_at_ = 0;            ///< entries up to here are in what has come
    std::uint64_t snapshot_total_ = 0;
    identity building_who_;
    std::uint64_t unseen_number_ = 0;     ///< our commands up to here are in the snapshot
    std::uint64_t unseen_results_from_ = 1;
    std::vector<failed_commands> unseen_failures_;
    std::vector<deferred_answer> deferred_;

    // Commands without an answer, by number from `first_number_` on.
    [[nodiscard]] std::uint64_t last_number() const noexcept {
        return first_number_ + commands_.size() - 1;
    }
    own_command& command_at(std::uint64_t number) {
        return commands_[static_cast<std::size_t>(number - first_number_)];
    }
    std::deque<own_command> commands_;
    std::size_t command_bytes_ = 0;
    std::uint64_t first_number_ = 1;
    std::uint64_t taken_ = 0;             ///< the master has those up to here
    std::uint64_t sent_ = 0;
    std::uint64_t ever_sent_ = 0;         ///< some master may have those up to here
    std::size_t in_flight_ = 0;           ///< bytes sent and not taken
    std::uint64_t expired_ = 0;           ///< commands up to here are past their time
    instant resend_due_ = never;
    instant probe_due_ = never;           ///< to ask what became of the first one
    std::vector<effect> effects_scratch_;
};

}  // namespace bzmq::replica
