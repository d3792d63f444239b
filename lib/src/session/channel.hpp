#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/bytes.hpp"
#include "base/time.hpp"
#include "session/section.hpp"
#include "wire/frames.hpp"

/// The sequenced half of one link, from its READY to its end: batching, sequence numbers,
/// acknowledgements, credit, retransmission, heartbeats. Pure: frames and the time in, frames out.
namespace bzmq::session {

/// The largest window that every receiver lets a sender choose.
constexpr std::size_t overdraft_bytes_min = std::size_t{64} << 20;

struct channel_options {
    endpoint_id self;
    std::size_t frame_bytes = 64 * 1024;
    std::size_t window_bytes = 4 * 1024 * 1024;
    /// What a peer may send while it is paused, whatever window it has chosen.
    std::size_t overdraft_bytes = overdraft_bytes_min;
    std::chrono::nanoseconds heartbeat_interval = std::chrono::seconds{1};
    std::chrono::nanoseconds peer_timeout = std::chrono::seconds{3};
};

/// What a channel does to its owner.
class channel_events {
  public:
    virtual ~channel_events() = default;
    virtual void send_frame(shared_bytes frame) = 0;
    virtual block_ptr allocate(std::size_t capacity) = 0;
    virtual void section_received(const std::shared_ptr<const incoming_tree>& tree,
                                  routed_section section) = 0;
    /// A link-state record or digest, still encoded.
    virtual void control_received(wire::item_tag tag, std::span<const std::byte> body) = 0;
};

struct channel_counters {
    std::uint64_t sent_messages = 0, sent_bytes = 0;
    std::uint64_t received_messages = 0, received_bytes = 0;
    std::uint64_t retransmitted_frames = 0;
};

class channel {
  public:
    channel(channel_options options, instant now)
        : options_(options), answered_at_(now), last_heard_(now), heartbeat_due_(now) {}

    // -- Sending ----------------------------------------------------------------------------
    /// Queues an encoded link-state item; it overtakes waiting sections.
    void push_control(wire::item_tag tag, std::span<const std::byte> body);
    /// Queues a section. Control sections and traces overtake data: acknowledgements and questions
    /// have no order to keep, and must neither wait behind a backlog nor for credit.
    void push(instant now, routed_section section);
    /// Sends what may go now. `view_hash` is told to the peer where a heartbeat is due.
    void flush(instant now, std::uint64_t view_hash, channel_events& events);

    [[nodiscard]] std::size_t queued_bytes() const noexcept {
        return queued_bytes_ + urgent_bytes_;
    }
    [[nodiscard]] std::size_t queued_messages() const noexcept { return queued_messages_; }
    /// Control sections that wait to be sent.
    [[nodiscard]] std::size_t urgent_sections() const noexcept { return urgent_.size(); }
    [[nodiscard]] std::size_t urgent_bytes() const noexcept { return urgent_bytes_; }
    /// Bytes of control items that wait to be sent.
    [[nodiscard]] std::size_t queued_control_bytes() const noexcept { return control_bytes_; }
    /// Bytes held for retransmission.
    [[nodiscard]] std::size_t unacknowledged_bytes() const noexcept { return unacknowledged_bytes_; }
    /// Everything queued has been sent and its receipt confirmed.
    [[nodiscard]] bool drained() const noexcept {
        return queue_.empty() && urgent_.empty() && control_.empty() && unacknowledged_.empty();
    }
    /// Removes waiting best-effort sections, oldest first, until `bytes` and `messages` fit.
    /// Returns the number of messages removed.
    std::uint64_t drop_oldest(std::size_t bytes_max, std::size_t messages_max);
    /// Sections that have been sent and whose receipt is not confirmed.
    [[nodiscard]] std::size_t unconfirmed_sections() const noexcept;
    /// The link has ended: all sections whose receipt is not confirmed, in order, those
    /// that have been sent first.
    std::vector<routed_section> take_undelivered();

    // -- Receiving --------------------------------------------------------------------------
    /// Handles a frame of type heartbeat, heartbeat_echo, ack or batch; false where it breaks the
    /// protocol: it is malformed, or the peer is `overdrawn`.
    bool receive(instant now, std::span<const std::byte> frame, const shared_bytes& whole,
                 channel_events& events);
    /// While paused the peer gets no new credit: what it has sent already still comes in.
    void pause(bool paused) noexcept {
        paused_ = paused;
        if (!paused) {
            owed_bytes_ = 0;
        }
    }
    [[nodiscard]] bool paused() const noexcept { return paused_; }
    /// Bytes that have come since `pause`, the batch that caused it included.
    [[nodiscard]] std::size_t owed_bytes() const noexcept { return owed_bytes_; }
    /// The peer went on sending messages without credit, beyond `overdraft_bytes`.
    [[nodiscard]] bool overdrawn() const noexcept { return overdrawn_; }

    // -- Time ---------------------------------------------------------------------------------
    [[nodiscard]] bool timed_out(instant now) const noexcept {
        return now - last_heard_ >= options_.peer_timeout;
    }
    /// The peer is heard of, but for five `peer_timeout`s has acknowledged nothing new, or, where
    /// nothing waits for that, echoed no heartbeat: it does not read, and what we send piles up.
    [[nodiscard]] bool unanswered(instant now) const noexcept { return now >= answer_deadline(); }
    /// For so long nobody looked: what the peer sent then is no silence of its.
    void forgive(std::chrono::nanoseconds unwatched) noexcept {
        last_heard_ += unwatched;
        answered_at_ += unwatched;
    }
    [[nodiscard]] bool heartbeat_due(instant now) const noexcept { return now >= heartbeat_due_; }
    [[nodiscard]] instant next_deadline() const noexcept;

    /// The smallest round trip of the recent past; zero before the first.
    [[nodiscard]] std::chrono::nanoseconds round_trip() const noexcept { return round_trip_; }
    /// The peer's view hash of its newest heartbeat.
    [[nodiscard]] std::uint64_t peer_view_hash() const noexcept { return peer_view_hash_; }
    [[nodiscard]] const channel_counters& counters() const noexcept { return counters_; }

  private:
    struct sent_frame {
        std::uint64_t sequence;
        shared_bytes bytes;
        std::vector<routed_section> sections;
    };
    struct control_item {
        wire::item_tag tag;
        std::vector<std::byte> body;
    };
    struct tree_slot {
        subtree_ptr tree;
        std::uint64_t used = 0;
    };

    struct frame_builder;
    /// May another batch with data begin?
    [[nodiscard]] bool has_credit() const noexcept {
        return unconsumed_bytes_ < options_.window_bytes
               && unacknowledged_bytes_ < options_.window_bytes;
    }
    void send_batches(instant now, channel_events& events);
    void send_one_batch(instant now, channel_events& events, bool with_sections);
    [[nodiscard]] bool fits(const routed_section& section, const frame_builder& out,
                            const sent_frame& frame) const;
    std::byte* put_batch_head(std::byte* to);
    void put_section(routed_section& section, frame_builder& out);
    shared_bytes pack(bool with_sections, sent_frame& frame, channel_events& events);
    shared_bytes pack_in_place(sent_frame& frame);
    void move_to(sent_frame& frame);
    std::uint32_t slot_of(const subtree_ptr& tree, frame_builder& out);
    std::uint32_t node_of(const endpoint_id& id, frame_builder& out);
    void acknowledged(instant now, const wire::progress& at);
    void retransmit(instant now, channel_events& events);
    [[nodiscard]] instant answer_deadline() const noexcept;
    [[nodiscard]] wire::progress my_progress();
    void send_ack(channel_events& events, bool gap);
    bool receive_batch(instant now, byte_reader& in, const shared_bytes& whole,
                       channel_events& events);
    bool receive_item(byte_reader& in, const shared_bytes& whole, const std::byte*& reusable,
                      channel_events& events);
    bool define_tree(byte_reader& in);
    void note_round_trip(instant now, std::uint64_t clock);

    channel_options options_;
    // Sending.
    std::deque<control_item> control_;
    std::size_t control_bytes_ = 0;
    std::deque<routed_section> urgent_;  // control sections and traces
    std::size_t urgent_bytes_ = 0;
    std::deque<routed_section> queue_;   // data
    std::size_t queued_bytes_ = 0;
    std::size_t queued_messages_ = 0;
    instant oldest_queued_{};
    std::deque<sent_frame> unacknowledged_;
    std::size_t unacknowledged_bytes_ = 0;
    std::deque<std::pair<std::uint64_t, std::size_t>> unconsumed_;  // (sequence, bytes)
    std::size_t unconsumed_bytes_ = 0;
    std::uint64_t sent_ = 0;
    wire::progress peer_at_;
    instant retransmitted_at_{std::chrono::hours{-1}};
    unsigned fruitless_ = 0;  ///< retransmissions since the last new acknowledgement
    /// Of the newest acknowledgement that brought news, or when what waits for one began to; of the
    /// newest echo where nothing waits.
    instant answered_at_;
    std::unordered_map<endpoint_id, std::uint32_t> tx_nodes_;
    std::unordered_map<const subtree*, std::uint32_t> tx_slot_of_;
    std::vector<tree_slot> tx_slots_;
    std::uint64_t slot_clock_ = 0;
    std::size_t tx_tree_nodes_ = 0;  ///< in all slots
    // Receiving.
    std::uint64_t received_ = 0;
    std::uint64_t consumed_ = 0;
    std::uint64_t told_received_ = 0;
    std::uint64_t told_consumed_ = 0;
    std::size_t untold_bytes_ = 0;
    instant ack_due_ = never;
    instant gap_told_at_{std::chrono::hours{-1}};
    std::uint64_t newest_seen_ = 0;  ///< newest sequence heard of; beyond received_ some are missing
    bool paused_ = false;
    std::size_t owed_bytes_ = 0;
    bool overdrawn_ = false;
    std::vector<endpoint_id> rx_nodes_;
    std::vector<std::shared_ptr<const incoming_tree>> rx_slots_;
    std::size_t rx_tree_nodes_ = 0;  ///< in all slots
    // Time.
    instant last_heard_;
    instant heartbeat_due_;
    bool echo_due_ = false;
    std::uint64_t echo_clock_ = 0;
    std::chrono::nanoseconds round_trip_{};
    instant round_trip_at_{};
    std::uint64_t peer_view_hash_ = 0;
    channel_counters counters_;
    std::vector<std::uint64_t> distances_scratch_;
};

}  // namespace bzmq::session
