#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/prng.hpp"
#include "replica/host.hpp"
#include "sim/stores_disk.hpp"

/// Endpoints with stores under a virtual network, clock and disks: the machines of
/// replica/host.hpp, without hubs. One thread, one seed: a run repeats exactly.
namespace bzmq::sim::stores {

using std::chrono::nanoseconds;

/// A place where one endpoint after another may live.
using slot_index = unsigned;
/// A store, by its place in the list of all.
using store_index = unsigned;

/// Who makes a standby the master.
enum class failover : std::uint8_t { none, by_operator, by_election };

struct store_spec {
    std::string name;
    bool durable = false;
    failover over = failover::none;
    std::vector<slot_index> standbys;    ///< where copies are durable, the first master's place included
    std::vector<slot_index> bystanders;  ///< likewise; but they elect nobody, and do not count
    replica::master_options master;
    replica::clone_options clone;
};

struct conditions {
    nanoseconds delay_min = std::chrono::microseconds{100};
    nanoseconds delay_mean = std::chrono::milliseconds{1};
    bool ordered = true;  ///< messages of one pair keep their order
    // Of 10,000 messages:
    unsigned lost = 0;
    unsigned duplicated = 0;
};

/// A master or clone in one life of an endpoint.
struct machine {
    store_index store = 0;
    bool master = false;
    replica::store_id id = 0;  ///< of this run of the simulator
    replica::table values;
    replica::no_gate gate;
};

class world;

/// Watches the run; called in the midst of the machines' calls, and must not change anything.
class watcher {
  public:
    virtual ~watcher() = default;
    virtual void attached(slot_index at, const machine& what) = 0;
    /// By a crash: without a word to anybody.
    virtual void gone(slot_index at, const machine& what, bool crashed) = 0;
    virtual void answered(slot_index at, replica::ticket to, const replica::answer& what) = 0;
    virtual void changed(slot_index at, const machine& what, const replica::effect& effect) = 0;
    virtual void on_disk(store_index store, const disk_image& image) = 0;
    virtual void reported(slot_index at, const error& what) = 0;
    virtual void promoted(slot_index at, const machine& what) = 0;
    virtual void demoted(slot_index at, const machine& what) = 0;
    virtual void orphaned(slot_index at, const machine& what, replica::sequence first,
                          replica::sequence last) = 0;
    virtual void turn_ended(slot_index at) = 0;
};

/// One place and the endpoint that lives there.
class endpoint final : public replica::host_output, public replica::directory {
  public:
    endpoint(world& around, slot_index slot) : around_(around), slot_(slot) {}

    [[nodiscard]] bool alive() const { return host != nullptr; }
    [[nodiscard]] machine* find(store_index store, bool master);
    [[nodiscard]] machine* find(replica::store_id id);
    [[nodiscard]] timestamp wall() const;

    void send(std::span<const endpoint_id> to, std::vector<std::byte> message) override;
    void persist(replica::store_id store, replica::persist_batch batch) override;
    void answered(replica::ticket to, const replica::answer& what) override;
    void changed(replica::store_id store, const replica::effect& what) override;
    [[nodiscard]] bool wants_changes(replica::store_id store) const override;
    void report(error what) override;
    void status_changed(replica::store_id, const replica::clone_status&) override {}
    void services_changed(std::vector<std::string> services) override;
    void ended(replica::store_id store, const error& why) override;
    void persist_snapshot(replica::store_id store, replica::snapshot_image image) override;
    void persist_vote(replica::store_id store, replica::vote_record what) override;
    void orphaned(replica::store_id store, replica::orphan_set what) override;
    void promoted(replica::store_id store, const replica::identity& who) override;
    void demoted(replica::store_id store, const error& why) override;
    [[nodiscard]] std::vector<endpoint_id> providers(std::string_view service) const override;

    struct input {
        endpoint_id from;                  ///< nil: of the disk
        shared_bytes message;
        store_index store = 0;
        virtual_disk::verdict verdict;
    };

    endpoint_id id;
    std::unique_ptr<replica::host> host;
    std::map<replica::store_id, std::unique_ptr<machine>> machines;
    std::vector<replica::store_id> ended_ones;           ///< to be forgotten when the call is over
    std::map<endpoint_id, std::vector<std::string>> view;  ///< what the directory says
    std::vector<std::string> services;
    std::deque<input> inbox;
    std::map<store_index, std::unique_ptr<virtual_disk>> disks;
    nanoseconds pace = std::chrono::microseconds{10};    ///< how long a turn takes
    nanoseconds wall_offset{};
    bool watches = true;                                 ///< wants changes of its clones
    bool view_dirty = false;
    std::uint64_t life = 0;
    instant busy_until{};
    instant wake_at = never;
    std::uint64_t spins = 0;

  private:
    virtual_disk& disk_of(replica::store_id store);

    world& around_;
    slot_index slot_;
};

class world {
  public:
    explicit world(std::uint64_t seed);
    world(const world&) = delete;
    world& operator=(const world&) = delete;

    void watch(watcher* who) { watcher_ = who; }
    void set_verbose(bool verbose) { verbose_ = verbose; }
    [[nodiscard]] bool verbose() const { return verbose_; }
    void say(const std::string& line) const;
    void set_conditions(const conditions& what) { conditions_ = what; }
    /// How long an endpoint takes at most to hear what others offer.
    void set_view_delay(nanoseconds most) { view_delay_ = most; }
    void set_disk_latency(nanoseconds mean) { disk_latency_ = mean; }

    // -- Stores and endpoints ---------------------------------------------------------------------
    store_index add_store(store_spec what);
    slot_index add_endpoint();
    [[nodiscard]] std::size_t size() const { return slots_.size(); }
    [[nodiscard]] const std::vector<store_spec>& stores() const { return stores_; }
    [[nodiscard]] endpoint& at(slot_index slot) { return *slots_[slot]; }
    [[nodiscard]] bool alive(slot_index slot) const { return slots_[slot]->alive(); }

    error attach_master(slot_index slot, store_index store);
    error attach_clone(slot_index slot, store_index store);
    /// A clone that keeps a durable copy, with what the disk there has.
    error attach_standby(slot_index slot, store_index store);
    void detach(slot_index slot, replica::store_id id);
    error promote(slot_index slot, store_index store);
    ec submit(slot_index slot, replica::store_id id, replica::ticket to,
              std::span<const std::byte> command);
    [[nodiscard]] replica::master* master_at(slot_index slot, store_index store);
    /// Where the master of a store is; the one that knows the newest epoch. Nothing: there is none.
    [[nodiscard]] std::optional<slot_index> master_of(store_index store);
    [[nodiscard]] replica::clone* clone_at(slot_index slot, store_index store);

    // -- Faults -----------------------------------------------------------------------------------
    /// Its memory is gone, and nobody is told.
    void crash(slot_index slot);
    /// A new life with a new id, without stores.
    void restart(slot_index slot);
    /// Messages between different groups are lost.
    void partition(std::vector<unsigned> groups);
    void heal() { partition({}); }
    [[nodiscard]] bool cut_off(slot_index a, slot_index b) const {
        return !groups_.empty() && groups_[a] != groups_[b];
    }
    void set_disk_full(slot_index slot, store_index store, bool full);
    virtual_disk& disk(slot_index slot, store_index store);

    // -- Time -------------------------------------------------------------------------------------
    [[nodiscard]] instant now() const { return now_; }
    void run_until(instant until);
    void run_for(nanoseconds span) { run_until(now_ + span); }
    /// False where `done` still does not hold after `limit`.
    bool run_until(const std::function<bool()>& done, nanoseconds limit, nanoseconds step);
    void after(nanoseconds span, std::function<void()> action) {
        schedule(now_ + span, std::move(action));
    }
    prng& random() { return random_; }

    // -- Findings ---------------------------------------------------------------------------------
    [[nodiscard]] const std::string& complaint() const { return complaint_; }
    void complain(const std::string& what);
    [[nodiscard]] std::uint64_t trace_hash() const { return trace_; }
    [[nodiscard]] std::uint64_t events() const { return events_run_; }
    [[nodiscard]] std::uint64_t messages() const { return messages_; }

  private:
    friend class endpoint;
    struct event {
        instant at;
        std::uint64_t sequence;
        std::function<void()> action;
    };
    struct later {
        bool operator()(const event& a, const event& b) const {
            return a.at != b.at ? a.at > b.at : a.sequence > b.sequence;
        }
    };

    void schedule(instant at, std::function<void()> action);
    void mix(std::uint64_t value);
    void wake(slot_index slot, instant when);
    void turn(slot_index slot);
    void hear(endpoint& one, endpoint::input& what);
    void finish_call(slot_index slot);
    [[nodiscard]] replica::clone_options standby_options(slot_index slot, store_index store);
    void post(slot_index from, const endpoint_id& to, const shared_bytes& message);
    void write_disk(slot_index slot, store_index store);
    /// Everybody's view becomes true, each in its own time.
    void refresh_views();
    void refresh_view(slot_index slot);
    /// The part of a start that the storage layer does: what is on disk, or a new store.
    replica::master::start load(endpoint& one, store_index store, machine& into);

    prng random_;
    prng id_random_;
    conditions conditions_;
    nanoseconds view_delay_ = std::chrono::milliseconds{500};
    nanoseconds disk_latency_ = std::chrono::milliseconds{2};
    watcher* watcher_ = nullptr;
    bool verbose_ = false;
    std::vector<store_spec> stores_;
    std::vector<std::unique_ptr<endpoint>> slots_;
    std::map<endpoint_id, slot_index> slot_of_;
    std::map<std::pair<slot_index, slot_index>, instant> last_arrival_;
    std::vector<unsigned> groups_;
    replica::store_id last_machine_ = 0;
    instant now_{std::chrono::hours{1}};
    std::vector<event> heap_;
    std::uint64_t last_sequence_ = 0;
    std::uint64_t events_run_ = 0;
    std::uint64_t messages_ = 0;
    std::uint64_t trace_ = 0xcbf29ce484222325ULL;
    std::string complaint_;
};

/// A message or log entry in a few words, for traces.
std::string describe(std::span<const std::byte> message);
std::string describe_entry(std::span<const std::byte> entry);

}  // namespace bzmq::sim::stores
