#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sim/stores_world.hpp"

/// What must hold of stores in every run, judged from outside the machines.
namespace bzmq::sim::stores {

/// Which decision of which master: two logs agree up to an entry where they agree on it.
struct log_place {
    std::uint64_t epoch = 0;
    replica::sequence number = 0;
    friend auto operator<=>(const log_place&, const log_place&) = default;
};
[[nodiscard]] log_place place_of(const replica::identity& who, replica::sequence number);

/// All states that any master of one store had.
class lineage {
  public:
    /// The state after an entry; nothing, or what is wrong.
    std::string note(const replica::identity& who, replica::sequence number, std::uint64_t hash);
    /// A master shows its state up to here.
    void note_committed(const replica::identity& who, replica::sequence number);
    /// What the state after this entry is, entries without effect included.
    [[nodiscard]] std::uint64_t hash_at(const replica::identity& who,
                                        replica::sequence number) const;
    [[nodiscard]] bool committed(const replica::identity& who, replica::sequence number) const;
    /// A write is acknowledged.
    void note_acknowledged(log_place at);
    /// The first acknowledged write that a log up to `last` does not have, and that nobody has
    /// handed out as an orphan; or nothing.
    [[nodiscard]] std::optional<log_place> lost(const replica::identity& who,
                                                replica::sequence last) const;
    void note_orphans(const replica::identity& who, replica::sequence first,
                      replica::sequence last);
    /// A machine begins to be master of an epoch; false where another one has been.
    bool note_master(std::uint64_t epoch, replica::store_id machine);

  private:
    std::map<std::uint64_t, std::map<replica::sequence, std::uint64_t>> states_;  // by epoch
    std::map<std::uint64_t, replica::sequence> committed_;
    std::map<std::uint64_t, std::set<replica::sequence>> acknowledged_;
    std::set<log_place> orphans_;
    std::map<std::uint64_t, replica::store_id> masters_;
};

/// What is known of a command.
struct write_note {
    enum class fate : std::uint8_t {
        open,
        done,
        failed,   ///< it had no effect, and never will
        unknown,  ///< it may have had its effect once
    };
    store_index store = 0;
    slot_index slot = 0;
    replica::store_id by = 0;
    std::vector<std::vector<std::byte>> tagged;  ///< vectors to which it pushes its ticket
    std::vector<std::byte> counter;              ///< to which it adds
    std::uint64_t amount = 0;
    fate now = fate::open;
    endpoint_id done_in;  ///< the store whose master did it
};

class book final : public watcher {
  public:
    explicit book(world& around) : around_(around) { around.watch(this); }

    // -- What the workload tells ------------------------------------------------------------------
    replica::ticket submitting(write_note what);
    /// It was refused at once.
    void refused(replica::ticket to) { notes_.at(to - 1).now = write_note::fate::failed; }
    /// Counters and tags of this store count: nobody clears it.
    void set_counted(store_index store) { counted_.push_back(store); }

    // -- What the world tells ---------------------------------------------------------------------
    void attached(slot_index at, const machine& what) override;
    void gone(slot_index at, const machine& what, bool crashed) override;
    void answered(slot_index at, replica::ticket to, const replica::answer& what) override;
    void changed(slot_index at, const machine& what, const replica::effect& effect) override;
    void on_disk(store_index store, const disk_image& image) override;
    void reported(slot_index at, const error& what) override;
    void promoted(slot_index at, const machine& what) override;
    void demoted(slot_index at, const machine& what) override;
    void orphaned(slot_index at, const machine& what, replica::sequence first,
                  replica::sequence last) override;
    void turn_ended(slot_index at) override;

    // -- Findings ---------------------------------------------------------------------------------
    void fail(std::string what);
    [[nodiscard]] const std::vector<std::string>& failures() const { return failures_; }
    /// Why the stores have not come to rest; empty when they have.
    [[nodiscard]] std::vector<std::string> unrest() const;
    /// Looks at stores at rest.
    void judge();
    [[nodiscard]] std::uint64_t writes() const { return notes_.size(); }
    [[nodiscard]] std::uint64_t done() const { return done_; }

  private:
    /// What follows a machine from outside.
    struct shadow {
        std::uint64_t hash = 0;        ///< by the changes told
        replica::sequence at = 0;      ///< of the newest change
        bool open = false;             ///< changes of entry `at` may follow
        replica::sequence seen = 0;    ///< applied or committed when last looked at
        endpoint_id store;
        std::uint64_t looks = 0;
    };

    void check_master(slot_index at, const machine& what, replica::master& its);
    void check_clone(slot_index at, const machine& what, replica::clone& its);
    void begin_master(slot_index at, const machine& what);
    void check_lost(slot_index at, const machine& what, const replica::master& its);
    [[nodiscard]] bool may_lose(store_index store) const;
    void judge_disks(store_index store, const replica::master& its);
    void settle_shadow(slot_index at, const machine& what, shadow& its);
    void check_visible(slot_index at, const machine& what, replica::ticket to,
                       const replica::answer& said);
    void judge_store(store_index store, const machine& what, replica::master& its);
    void judge_tags(const std::string& name, const replica::table& values,
                    const endpoint_id& store, const std::vector<const write_note*>& notes);
    void judge_counters(const std::string& name, const replica::table& values,
                        const endpoint_id& store, const std::vector<const write_note*>& notes);
    [[nodiscard]] std::string name(slot_index at, const machine& what) const;

    world& around_;
    std::map<endpoint_id, lineage> lineages_;
    std::map<replica::store_id, shadow> shadows_;
    std::vector<write_note> notes_;  // by ticket - 1
    std::vector<store_index> counted_;
    std::vector<std::string> failures_;
    std::uint64_t done_ = 0;
};

}  // namespace bzmq::sim::stores
