#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <utility>
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
/// A longer payload is cut into parts of this size, or of `frame_bytes` where that is more, each in
/// a frame of its own. The slowest path that we expect takes two seconds for one, so that the link is
/// heard of within the default `peer_timeout`.
constexpr std::size_t part_bytes_min = std::size_t{128} * 1024;
/// More is not packed into one frame, whatever `frame_bytes` says.
constexpr std::size_t batch_bytes_max = std::size_t{1} << 20;

struct channel_options {
    endpoint_id self;
    std::size_t frame_bytes = 64 * 1024;
    std::size_t part_bytes = 0;  ///< 0: as `part_bytes_min` says
    std::size_t window_bytes = 4 * 1024 * 1024;
    /// What a peer may send while it is paused, whatever window it has chosen.
    std::size_t overdraft_bytes = overdraft_bytes_min;
    /// The longest payloads that are taken in parts: of messages, and of what stores say.
    std::size_t data_section_bytes_max = wire::section_bytes_max(wire::message_bytes_max);
    std::size_t control_section_bytes_max = wire::control_section_bytes_max;
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
    channel(channel_options options, instant now);

    // -- Sending ----------------------------------------------------------------------------
    /// Queues an encoded link-state item; it overtakes waiting sections, but not those that go in parts.
    void push_control(instant now, wire::item_tag tag, std::span<const std::byte> body);
    /// Queues a section. Control sections and traces overtake data: acknowledgements and questions
    /// have no order to keep, and must neither wait behind a backlog nor for credit. Those of stores
    /// (`section_bulk`) need no credit either, but keep their order and let the others pass.
    void push(instant now, routed_section section);
    /// Sends what may go now. `view_hash` is told to the peer where a heartbeat is due.
    void flush(instant now, std::uint64_t view_hash, channel_events& events);

    [[nodiscard]] std::size_t queued_bytes() const noexcept {
        return data_.bytes + urgent_.bytes + bulk_.bytes;
    }
    /// Of these, what messages take.
    [[nodiscard]] std::size_t data_bytes() const noexcept { return data_.bytes; }
    [[nodiscard]] std::size_t queued_messages() const noexcept { return queued_messages_; }
    /// Does a control section or trace wait with those of stores? So do large ones, marked or not.
    [[nodiscard]] bool goes_bulk(const routed_section& section) const noexcept {
        return (section.body->flags & wire::section_bulk) != 0 || is_large(section);
    }
    /// Control sections that wait to be sent, without those of stores and large ones.
    [[nodiscard]] std::size_t urgent_sections() const noexcept { return urgent_.sections.size(); }
    [[nodiscard]] std::size_t urgent_bytes() const noexcept { return urgent_.bytes; }
    /// Those.
    [[nodiscard]] std::size_t bulk_sections() const noexcept { return bulk_.sections.size(); }
    [[nodiscard]] std::size_t bulk_bytes() const noexcept { return bulk_.bytes; }
    /// Bytes of control items that wait to be sent.
    [[nodiscard]] std::size_t queued_control_bytes() const noexcept { return control_bytes_; }
    /// Bytes held for retransmission.
    [[nodiscard]] std::size_t unacknowledged_bytes() const noexcept { return unacknowledged_bytes_; }
    /// Everything queued has been sent and its receipt confirmed.
    [[nodiscard]] bool drained() const noexcept {
        return data_.sections.empty() && urgent_.sections.empty() && bulk_.sections.empty()
               && control_.empty() && unacknowledged_.empty();
    }
    /// Is this reliable section still here, for all receivers of `copy`, waiting to be sent or for
    /// its receipt to be confirmed? Then it needs no copy: it arrives, or comes back undelivered. May
    /// say no where that would take long to find out.
    [[nodiscard]] bool holds(const routed_section& copy) const;
    /// Removes waiting best-effort sections, oldest first, until `bytes` and `messages` fit.
    /// Returns the number of messages removed.
    std::uint64_t drop_oldest(std::size_t bytes_max, std::size_t messages_max);
    /// Sections that have been sent, if only in part, and whose receipt is not confirmed.
    [[nodiscard]] std::size_t unconfirmed_sections() const noexcept;
    /// The link has ended: all sections whose receipt is not confirmed, whole ones, also those of which
    /// some parts have come; those that have been sent first, and else in order.
    std::vector<routed_section> take_undelivered();

    // -- Receiving --------------------------------------------------------------------------
    /// Handles a frame of type heartbeat, heartbeat_echo, ack or batch; false where it breaks the
    /// protocol, as `fault` says, or the peer is `overdrawn`.
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
    /// What was wrong with the frame that `receive` refused.
    [[nodiscard]] std::string_view fault() const noexcept { return fault_; }
    /// Bytes held of sections of which more parts are to come.
    [[nodiscard]] std::size_t partial_bytes() const noexcept;

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
        std::vector<routed_section> sections;  ///< that end with it
        bool paced = false;                    ///< it has a part, or a section of a store
        instant sent_at{};
        std::size_t ahead = 0;                 ///< unacknowledged bytes with it, when it was sent
    };
    /// Sections that wait in order. Of the first one some parts may have gone.
    struct lane {
        std::deque<routed_section> sections;
        std::size_t bytes = 0;
        std::size_t begun = 0;  ///< bytes of the first one's payload that have gone
    };
    /// A section that comes in parts.
    struct partial {
        routed_section section;
        std::shared_ptr<section_body> body;  ///< of the section; its payload comes last
        std::shared_ptr<const incoming_tree> tree;
        block_ptr block;
        std::size_t size = 0;
        std::size_t total = 0;

        partial() {}  // For clang 14, which needs the initialisers above before the class is whole.
        void append(std::span<const std::byte> bytes, channel_events& events);
    };
    struct control_item {
        wire::item_tag tag;
        std::vector<std::byte> body;
        instant since;         ///< it waits
        std::uint64_t behind;  ///< goes when so much of `data_pushed_` has gone
    };
    struct tree_slot {
        subtree_ptr tree;
        std::uint64_t used = 0;
    };

    struct frame_builder;
    void note_held(const routed_section& section);
    void forget_held(const routed_section& section);
    /// May another batch with data begin?
    [[nodiscard]] bool has_credit() const noexcept {
        return unconsumed_bytes_ < options_.window_bytes
               && unacknowledged_bytes_ < options_.window_bytes;
    }
    /// It has used its credit up, and gets no more until subscribers of the peer's have room.
    [[nodiscard]] bool is_starved() const noexcept {
        return peer_at_.consumed < peer_at_.received && unconsumed_bytes_ >= options_.window_bytes;
    }
    [[nodiscard]] bool is_large(const routed_section& section) const noexcept {
        return section.body->payload.size() > part_bytes_;
    }
    [[nodiscard]] bool paced_may_go() const noexcept { return paced_bytes_ < pace_bytes_; }
    [[nodiscard]] bool data_may_go() const noexcept {
        return !data_.sections.empty() && has_credit()
               && (!is_large(data_.sections.front()) || paced_may_go());
    }
    [[nodiscard]] bool bulk_may_go() const noexcept {
        return !bulk_.sections.empty() && paced_may_go();
    }
    void send_batches(instant now, channel_events& events);
    [[nodiscard]] bool control_may_go(instant now) const noexcept;
    void send_one_batch(instant now, channel_events& events, bool with_control, bool with_bulk,
                        bool with_data);
    void send_part(instant now, lane& from, channel_events& events);
    void send(instant now, sent_frame frame, channel_events& events);
    void note_pace(instant now, const sent_frame& frame);
    [[nodiscard]] bool fits(const routed_section& section, const frame_builder& out,
                            const sent_frame& frame) const;
    std::byte* put_batch_head(std::byte* to);
    void put_section(routed_section& section, frame_builder& out);
    shared_bytes pack(instant now, bool with_bulk, bool with_data, sent_frame& frame,
                      channel_events& events);
    shared_bytes pack_in_place(sent_frame& frame);
    void move_to(sent_frame& frame, lane& from);
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
    bool receive_section(byte_reader& in, const shared_bytes& whole, const std::byte*& reusable,
                         channel_events& events);
    bool begin_partial(const wire::section_head& head, routed_section section,
                       std::shared_ptr<section_body> body,
                       const std::shared_ptr<const incoming_tree>& tree, channel_events& events);
    bool receive_part(byte_reader& in, channel_events& events);
    bool within_overdraft(bool data) noexcept;
    bool refuse(std::string_view why) noexcept {
        fault_ = why;
        return false;
    }
    bool define_tree(byte_reader& in);
    void note_round_trip(instant now, std::uint64_t clock);

    channel_options options_;
    // Sending.
    std::deque<control_item> control_;
    std::size_t control_bytes_ = 0;
    std::size_t part_bytes_;
    lane urgent_;  // control sections and traces, but for
    lane bulk_;    // those of stores, and large ones
    lane data_;
    std::uint64_t data_pushed_ = 0;  // bytes, ever
    bool data_next_ = false;  // of these two, where both may go
    std::size_t queued_messages_ = 0;
    /// The trees of reliable sections here, queued or unconfirmed, by origin and number. Their
    /// sections keep them alive.
    std::multimap<std::pair<endpoint_id, std::uint64_t>, const subtree*> held_;
    std::size_t pace_bytes_ = part_bytes_min;
    std::size_t paced_bytes_ = 0;  // unacknowledged, in frames that are paced
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
    std::string_view fault_ = "malformed frame";
    std::array<std::optional<partial>, 2> partials_;  // by wire::part_lane
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
    std::chrono::nanoseconds shortest_round_trip_{};  ///< ever; zero before the first
    std::uint64_t peer_view_hash_ = 0;
    channel_counters counters_;
    std::vector<std::uint64_t> distances_scratch_;
};

}  // namespace bzmq::session
