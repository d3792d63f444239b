#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "bzmq/endpoint_id.hpp"
#include "bzmq/error.hpp"
#include "bzmq/shared_bytes.hpp"
#include "bzmq/status.hpp"
#include "endpoint/lmdb_disk.hpp"
#include "endpoint/store_disk.hpp"
#include "endpoint/store_state.hpp"
#include "node/hub.hpp"
#include "replica/host.hpp"

namespace bzmq {

/// The stores of an endpoint: their pure machines, between handles on any thread, the hub and the
/// disks. All but `commands_came` is for the core's thread.
class store_room final : public replica::host_output, public replica::directory {
  public:
    struct outside {
        std::function<void()> wake;  ///< any thread
        std::function<void(error)> report;
        std::function<void(sc, std::string)> tell = [](sc, const std::string&) {};
    };

    store_room(const endpoint_id& self, node::hub& hub, outside around);
    ~store_room() override;

    /// From any thread: there is something in this store's queue. Nothing after `shutdown`.
    void commands_came(std::uint32_t store);

    // -- The core's thread ------------------------------------------------------------------------

    /// Why this endpoint cannot have the master of this name, if so.
    [[nodiscard]] error ask_for_master(instant now, std::string_view name) {
        now_ = now;
        return host_.ask_for_master(now, name, *this);
    }
    /// `fenced`: what it is when a newer master of the same store turns up.
    error attach_master(instant now, const std::shared_ptr<store_state>& store,
                        replica::master_options options, opened_disk from,
                        replica::clone_options fenced);
    error promote(instant now, std::uint32_t id, timespan patience);
    /// Nothing as long as that goes on; then what became of it.
    [[nodiscard]] std::optional<error> promotion(std::uint32_t id) const;
    /// The same for who waits no longer. It ends when the longest patience for it is over: what goes
    /// on then is another's, or an election's.
    [[nodiscard]] error promotion_so_far(std::uint32_t id) const;
    /// Asks another endpoint's standby to become master; it may get lost.
    void ask_to_promote(instant now, std::string_view store, const endpoint_id& at);
    [[nodiscard]] std::vector<endpoint_id> masters(std::string_view store) const {
        return hub_.providers(replica::service_of(store));
    }
    [[nodiscard]] std::vector<endpoint_id> standbys(std::string_view store) const {
        return hub_.providers(replica::standby_service_of(store));
    }
    void persisted(std::uint32_t id, const store_disk::outcome& what);
    error attach_clone(instant now, const std::shared_ptr<store_state>& store,
                       replica::clone_options options, opened_disk from = {});
    /// The disk, if any, is the caller's to close: that takes as long as the disk does.
    std::unique_ptr<store_disk> detach(std::uint32_t id, const error& why);
    [[nodiscard]] std::shared_ptr<store_state> find(std::string_view name, bool master) const;
    [[nodiscard]] bool holds(std::uint32_t id) const { return stores_.contains(id); }
    [[nodiscard]] bool idle(std::uint32_t id) const;
    /// Messages of stores that broke the protocol.
    [[nodiscard]] std::uint64_t malformed() const noexcept { return host_.malformed(); }
    [[nodiscard]] store_info info(std::uint32_t id) const;
    void follow(instant now, std::uint32_t id);

    void message_came(const endpoint_id& from, shared_bytes message) {
        inbox_.emplace_back(from, std::move(message));
    }
    /// Does all that is to be done; true where more can be done at once.
    bool turn(instant now);
    [[nodiscard]] instant next_deadline() const;
    /// No command waits to be decided, or for a disk.
    [[nodiscard]] bool drained() const;
    /// Ends all stores; none can be attached any more.
    void shutdown(const error& why);
    /// The same in the middle of anything: nothing is said to others.
    void abandon(const error& why) noexcept;

  private:
    struct held {
        std::shared_ptr<store_state> state;
        std::unique_ptr<store_disk> disk;
        command_queue::commands taken;  ///< of its queue, not decided from `next` on
        std::size_t next = 0, next_byte = 0;
        bool listed = false;            ///< in `busy_`
        /// It was a clone, and is master as soon as this entry counts: then its table has all that
        /// anybody was told of.
        std::optional<replica::sequence> master_from;
        bool stale = false;             ///< and told so
    };
    enum class progress : std::uint8_t { done, held_up, more };

    bool take_commands(instant now);
    progress take_commands(instant now, timestamp wall, std::uint32_t id, held& of,
                           std::size_t& budget);
    std::unique_ptr<store_disk> release(std::uint32_t id, const error& why);
    void close_doors();
    void make_room();
    void submit(instant now, timestamp wall, std::uint32_t id, write_state* state,
                std::span<const std::byte> command);
    void end_commands(held& of, const error& why) noexcept;
    void finish(write_state* state, error problem, std::uint64_t revision,
                std::span<const std::byte> value) noexcept;
    void close(std::unique_ptr<store_disk> disk);
    void wake() noexcept { write_gates::wake(std::exchange(to_wake_, 0)); }
    /// Wakes and calls back for writes that are done and reads that need not wait: outside of the machines,
    /// since whoever is called may want something of them.
    void call_back();
    void note_settled();

    // replica::host_output
    void send(std::span<const endpoint_id> to, std::vector<std::byte> message) override;
    void persist(replica::store_id store, replica::persist_batch batch) override;
    void answered(replica::ticket to, const replica::answer& what) override;
    void changed(replica::store_id store, const replica::effect& what) override;
    [[nodiscard]] bool wants_changes(replica::store_id store) const override;
    void report(error what) override;
    void status_changed(replica::store_id store, const replica::clone_status& now) override;
    void services_changed(std::vector<std::string> services) override;
    void ended(replica::store_id store, const error& why) override;
    void persist_snapshot(replica::store_id store, replica::snapshot_image image) override;
    void persist_vote(replica::store_id store, replica::vote_record what) override;
    void orphaned(replica::store_id store, replica::orphan_set what) override;
    void promoted(replica::store_id store, const replica::identity& who) override;
    void demoted(replica::store_id store, const error& why) override;
    // replica::directory
    [[nodiscard]] std::vector<endpoint_id> providers(std::string_view service) const override {
        return hub_.providers(service);
    }

    const endpoint_id self_;
    node::hub& hub_;
    const outside around_;

    std::mutex ready_mutex_;
    std::vector<std::uint32_t> ready_;     // stores whose queues were empty and are not any more, once each
    bool closed_ = false;                  // written under the lock, by the core's thread

    bool silent_ = false;
    instant now_{};
    error failure_;                        // of the disk that a master is just being told of
    std::vector<std::uint32_t> busy_;      // stores with commands that are not decided
    std::vector<write_state*> to_call_back_;
    write_gates::set to_wake_ = 0;
    std::vector<std::thread> closers_;     // of disks that nobody waits for
    replica::host host_;
    std::map<std::uint32_t, held> stores_;
    std::vector<std::pair<endpoint_id, shared_bytes>> inbox_;
    std::uint64_t seen_version_ = 0;
};

}  // namespace bzmq
