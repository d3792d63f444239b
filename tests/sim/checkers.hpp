#pragma once

#include "sim/network.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

/// What must hold in every run, judged from outside the hubs.
namespace bzmq::sim {

/// What a simulated message says of itself in its payload.
struct identity {
    life_index origin = no_life;
    delivery_mode mode = delivery_mode::best_effort;
    std::uint64_t number = 0;          ///< the origin's count in this mode, from 1
    life_index destination = no_life;  ///< of a message to one endpoint only
};
std::vector<std::byte> encode(const identity& who, std::size_t padding);
std::optional<identity> decode(std::span<const std::byte> payload);

/// Keeps the book of all messages and statuses: who must get what, who got what, in which order.
class ledger final : public observer {
  public:
    explicit ledger(network& net) : net_(net) { net.watch(this); }

    // -- What the workload tells ------------------------------------------------------------------
    /// From now on best-effort messages must arrive too: there are no faults and nobody is slow.
    void set_calm(bool calm) { calm_ = calm; }
    [[nodiscard]] identity next(life_index origin, delivery_mode mode);
    /// The message is about to be published; whoever its publisher knows to want it must get it.
    void prepare(const identity& who, const std::string& topic);
    /// The hub did not take it after all. `prepare` may follow again.
    void take_back(const identity& who);
    /// Whoever does not match a topic any more need not get it. To be called after each change.
    void filter_changed(node_index at);
    /// Whoever has been out of its publisher's reach for too long need not get it.
    void excuse_cut_off();

    // -- What the network tells -------------------------------------------------------------------
    void started(life_index life) override;
    void ended(life_index life) override;
    void delivered(life_index life, std::span<const node::subscriber_id> to,
                   const message_batch& batch) override;
    void notified(life_index life, const status_variant& what) override;
    void turn_ended(life_index life) override;

    // -- Findings ---------------------------------------------------------------------------------
    void fail(std::string what);
    [[nodiscard]] const std::vector<std::string>& failures() const { return failures_; }
    /// Deliveries that are still due.
    [[nodiscard]] std::size_t outstanding() const { return outstanding_; }
    /// Says of some of them which they are.
    [[nodiscard]] std::vector<std::string> missing(std::size_t most) const;
    [[nodiscard]] std::uint64_t prepared() const { return prepared_; }
    [[nodiscard]] std::uint64_t deliveries() const { return deliveries_; }
    [[nodiscard]] std::size_t buffered_high() const { return buffered_high_; }
    /// `what` was notified at `at` of `about` so many times.
    [[nodiscard]] unsigned count(life_index at, sc what, life_index about) const;

  private:
    [[nodiscard]] bool lost_of_late(life_index origin, life_index receiver) const;
    struct message_note {
        std::string topic;
        instant at{};
        bool issued = false;
        std::vector<life_index> due;
    };
    struct stream_book {
        std::vector<message_note> notes;  ///< by number - 1
        std::size_t first_open = 0;       ///< notes before it have nothing due
    };
    struct sighting {
        bool discovered = false;
        bool peered = false;
        instant lost_at = never;
    };
    struct life_book {
        stream_book streams[2];
        /// (subscriber, origin, mode) -> number of the last message
        std::unordered_map<std::uint64_t, std::uint64_t> last;
        std::map<life_index, sighting> sights;
        std::map<std::tuple<sc, life_index>, unsigned> notified;
    };

    void check_record(life_index life, std::span<const node::subscriber_id> to,
                      const message_batch& batch, std::string_view topic,
                      std::span<const std::byte> payload, std::vector<node::subscriber_id>& wanted);
    void check_data_origin(life_index life, life_index origin, const message_batch& batch);
    /// Drops what is due from `origin` (or from anyone) at `receiver` where `unless` does not hold.
    template <class predicate>
    void excuse(life_index origin, life_index receiver, predicate&& keep);
    std::string name(life_index life) const;

    network& net_;
    bool calm_ = false;
    std::vector<life_book> books_;
    std::vector<std::string> failures_;
    std::size_t outstanding_ = 0;
    std::uint64_t prepared_ = 0;
    std::uint64_t deliveries_ = 0;
    std::size_t buffered_high_ = 0;
};

/// What is wrong with the hubs' views of the overlay, once it should have settled; empty when every
/// view equals the truth. With `equal_costs` distances must be those of a breadth-first search.
std::vector<std::string> check_views(network& net, bool equal_costs);

/// Control bytes that all hubs have sent so far.
std::uint64_t control_bytes(network& net);

/// Changes one subscription in a quiet network and holds the flood to at most 2E - N + 1 records.
/// Returns what is wrong, or nothing.
std::optional<std::string> check_flood_cost(network& net, node_index at);

}  // namespace bzmq::sim
