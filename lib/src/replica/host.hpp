#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.hpp"
#include "replica/clone.hpp"
#include "replica/master.hpp"
#include "replica/output.hpp"

namespace bzmq::replica {

/// One master or clone of this endpoint; chosen by the shell, never reused in a run.
using store_id = std::uint32_t;

/// What masters are known by in the overlay; and standbys that may elect one.
[[nodiscard]] std::string service_of(std::string_view store);
[[nodiscard]] std::string standby_service_of(std::string_view store);
/// What the endpoints with an elector of a store are known by, each under its elector's name.
[[nodiscard]] std::string elector_service_of(std::string_view store, std::string_view elector);

/// What an endpoint's stores want done: as store_output, for one of several stores.
class host_output {
  public:
    virtual ~host_output() = default;
    virtual void send(std::span<const endpoint_id> to, std::vector<std::byte> message) = 0;
    virtual void persist(store_id store, persist_batch batch) = 0;
    virtual void answered(ticket to, const answer& what) = 0;
    virtual void changed(store_id store, const effect& what) = 0;
    [[nodiscard]] virtual bool wants_changes(store_id store) const = 0;
    virtual void report(error what) = 0;
    virtual void status_changed(store_id store, const clone_status& now) = 0;
    /// The services that this endpoint tells the overlay of have changed.
    virtual void services_changed(std::vector<std::string> services) = 0;
    /// A master had to give way to another; it is gone.
    virtual void ended(store_id store, const error& why) = 0;

    // -- Only where there are standbys: see store_output ------------------------------------------

    virtual void persist_snapshot(store_id, snapshot_image) {}
    virtual void persist_vote(store_id, vote_record) {}
    virtual void orphaned(store_id, orphan_set) {}
    /// The standby is the master now, of the last of these epochs.
    virtual void promoted(store_id, const identity&) {}
    /// The master is a clone now, of a newer one.
    virtual void demoted(store_id, const error&) {}
};

/// What the overlay knows.
class directory {
  public:
    virtual ~directory() = default;
    /// Reachable endpoints that offer a service, this one included, by id.
    [[nodiscard]] virtual std::vector<endpoint_id> providers(std::string_view service) const = 0;
};

/// All stores of one endpoint: tells messages apart, knows who is whose master. Pure.
class host {
  public:
    host(const endpoint_id& self, host_output& output);
    ~host();

    /// Why `attach_master` would refuse the name: `master_exists` where this endpoint or another one
    /// has it; `invalid_topic` for a bad name; `queue_full` where there are `stores_max` already.
    [[nodiscard]] error may_attach_master(std::string_view name, const directory& overlay) const;
    /// The same; and where another endpoint has it, that one is told, so that it can report who
    /// wanted to be a second master.
    error ask_for_master(instant now, std::string_view name, const directory& overlay);
    /// Likewise; `invalid_configuration` where failover would lose acknowledged writes. `fenced`: what it is
    /// when a newer master of the same store turns up; without it, it ends then.
    error attach_master(instant now, timestamp wall, store_id id, master_options options,
                        master::start from, table& state, write_gate& gate,
                        const directory& overlay, std::optional<clone_options> fenced = {});
    /// `from`: what a standby's disk has, its log to follow by `clone::load_log`; `promised`: what
    /// it last gave to `persist_vote`.
    error attach_clone(instant now, store_id id, clone_options options, table& state,
                       write_gate& gate, const directory& overlay, master::start from = {},
                       vote_record promised = {});
    /// Makes a standby the master. Takes effect when all that it has is on disk: `promoted`; or ends
    /// without effect, see clone::promote.
    error promote(instant now, timestamp wall, store_id id,
                  std::optional<std::chrono::nanoseconds> patience = {});
    /// Says goodbye and forgets it. False where unknown.
    bool detach(store_id id);

    /// `ec::none`, or why the command is not even queued.
    ec submit(instant now, timestamp wall, store_id id, ticket to,
              std::span<const std::byte> command);
    /// Can the store take commands?
    [[nodiscard]] bool ready(store_id id) const;

    void received(instant now, timestamp wall, const endpoint_id& from,
                  std::span<const std::byte> message);
    void persisted(instant now, timestamp wall, store_id id, sequence last, const error& problem);
    void snapshot_persisted(instant now, store_id id, const error& problem);
    void vote_persisted(instant now, store_id id, const error& problem);
    /// Who offers what may have changed.
    void view_changed(instant now, const directory& overlay);
    void tick(instant now, timestamp wall);
    [[nodiscard]] instant next_deadline() const;
    void flush(instant now, timestamp wall);
    void shutdown();

    [[nodiscard]] master* master_of(store_id id);
    [[nodiscard]] clone* clone_of(store_id id);
    [[nodiscard]] std::uint64_t malformed() const noexcept { return malformed_; }

  private:
    struct store;
    store* find(store_id id) const;
    store* find(std::string_view name, bool is_master) const;
    void tell_services();
    void send_claims(instant now);
    void handle_claim(instant now, timestamp wall, store& ours, const endpoint_id& from,
                      byte_reader& in);
    void note_refused(instant now, store& ours, const endpoint_id& from);
    [[nodiscard]] error check_elector(std::string_view name, bool is_master,
                                      const clone_options* options) const;
    void look_for_doubles(instant now, store& each, const directory& overlay);
    void check_doubles(instant now);
    static void apply_doubles(store& each);
    void end_role(store& ours, const error& why);
    void fence(instant now, store& ours, const error& why);
    void begin_mastership(instant now, timestamp wall, store& ours);
    [[nodiscard]] error check_new_store(std::string_view name) const;
    void change_role(instant now, timestamp wall, store& ours);
    void change_roles(instant now, timestamp wall);
    void post(std::span<const endpoint_id> to, std::vector<std::byte> message);

    const endpoint_id self_;
    host_output& output_;
    std::map<store_id, std::unique_ptr<store>> stores_;
    std::map<std::string, store*, std::less<>> masters_;
    std::map<std::string, store*, std::less<>> clones_;
    std::deque<std::vector<std::byte>> to_self_;
    instant claims_due_ = never;
    instant doubles_due_ = never;
    /// Names for which this endpoint wanted a master in vain, and when it last said so.
    std::map<std::string, instant, std::less<>> refused_;
    std::uint64_t malformed_ = 0;
};

}  // namespace bzmq::replica
