#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bzmq/endpoint_id.hpp"
#include "bzmq/error.hpp"
#include "bzmq/shared_bytes.hpp"
#include "endpoint/lmdb_disk.hpp"
#include "endpoint/store_disk.hpp"
#include "endpoint/store_state.hpp"
#include "node/hub.hpp"
#include "replica/host.hpp"

namespace bzmq {

/// The stores of an endpoint: their pure machines, between handles on any thread, the hub and the
/// disks. All but `queue` and `close_queue` is for the core's thread.
class store_room final : public replica::host_output, public replica::directory {
  public:
    struct outside {
        std::function<void()> wake;                           ///< any thread
        std::function<bool(std::function<void()>)> post;      ///< runs it on the core's thread
        std::function<void(error)> report;
    };

    store_room(const endpoint_id& self, node::hub& hub, outside around);
    ~store_room() override;

    // -- Any thread -------------------------------------------------------------------------------

    /// Waits for room. Takes over a reference to `state` where it succeeds.
    error queue(store_state& store, std::span<const std::byte> command, write_state* state,
                std::uint64_t& number);
    void close_queue();

    // -- The core's thread ------------------------------------------------------------------------

    error attach_master(instant now, const std::shared_ptr<store_state>& store,
                        replica::master_options options, replica::master::start from,
                        std::unique_ptr<store_disk> disk);
    /// Hands a master the log that its disk holds, right after it was attached.
    void load_log(std::uint32_t id, const lmdb_tail& tail);
    error attach_clone(instant now, const std::shared_ptr<store_state>& store,
                       replica::clone_options options);
    void detach(std::uint32_t id, const error& why);
    [[nodiscard]] std::shared_ptr<store_state> find(std::string_view name, bool master) const;
    [[nodiscard]] bool idle(std::uint32_t id) const;
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
    void shutdown();

  private:
    struct queued {
        std::uint32_t store = 0;
        std::size_t size = 0;
        write_state* state = nullptr;
        std::uint64_t number = 0;
    };
    struct commands {
        std::vector<std::byte> bytes;
        std::vector<queued> heads;
    };
    struct held {
        std::shared_ptr<store_state> state;
        std::unique_ptr<store_disk> disk;
    };

    bool take_commands(instant now);
    void note_settled();
    void refuse(write_state* state, error why);

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
    // replica::directory
    [[nodiscard]] std::vector<endpoint_id> providers(std::string_view service) const override {
        return hub_.providers(service);
    }

    static constexpr std::size_t queue_bytes_max = 16 * 1024 * 1024;

    node::hub& hub_;
    const outside around_;

    std::mutex queue_mutex_;
    std::condition_variable room_;
    commands waiting_;
    std::size_t queued_bytes_ = 0;  // with what is taken and not decided
    bool closed_ = false;

    instant now_{};
    commands taken_;
    std::size_t next_ = 0, next_byte_ = 0;
    replica::host host_;
    std::map<std::uint32_t, held> stores_;
    std::vector<std::pair<endpoint_id, shared_bytes>> inbox_;
    std::uint64_t seen_version_ = 0;
};

}  // namespace bzmq
