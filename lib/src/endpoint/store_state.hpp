#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "bzmq/store.hpp"
#include "endpoint/clock.hpp"
#include "endpoint/command_queue.hpp"
#include "endpoint/read_gate.hpp"
#include "endpoint/store_event_queue.hpp"
#include "endpoint/write_state.hpp"
#include "replica/output.hpp"
#include "replica/table.hpp"

namespace bzmq {

/// What a handle to nothing says.
inline error no_store() { return {ec::no_such_master, "this handle belongs to no store"}; }

inline std::optional<timestamp> expiry_of(const replica::item& of) {
    return of.expiry() == replica::no_expiry ? std::nullopt : std::optional{of.expiry()};
}

/// What the handles to one master or clone share with the core: the values, how it stands, and how
/// far this program's commands have come. The core's thread is the only writer of all.
class store_state : public std::enable_shared_from_this<store_state> {
  public:
    store_state(std::shared_ptr<endpoint_core> core, std::uint32_t id, std::string name,
                bool master, backend kind, timespan get_delay, std::string folder = {});

    // -- Any thread -------------------------------------------------------------------------------

    [[nodiscard]] endpoint_core& core() const noexcept { return *core_; }
    [[nodiscard]] std::uint32_t id() const noexcept { return id_; }
    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] bool is_master() const noexcept { return master_; }
    /// A standby becomes master, or a master a clone.
    void set_role(bool master);
    [[nodiscard]] backend kind() const noexcept { return kind_; }
    /// Of its disk; empty where it has none.
    [[nodiscard]] const std::string& folder() const noexcept { return folder_; }

    /// Waits until there is something to read, and until this thread's own writes are in it. Then
    /// `ec::none`, or why nothing may be read.
    error prepare_read();
    /// Calls `read` as soon as `prepare_read` has nothing to wait for: now, or on the core's thread.
    void when_readable(std::function<void()> read);
    /// Waits until there is state to read; false where `timeout` was over first.
    bool await_state(timespan timeout);
    /// With the gate held: `read(table, now by the master's clock)`.
    template <class F>
    auto read(F&& what) {
        const auto now = wall_now() + timespan{clock_offset_.load(std::memory_order_relaxed)};
        const read_gate::reading lock{gate_};
        return what(std::as_const(values_), now);
    }
    /// Between two reads of one walk: lets the core write that waits to.
    void let_write() const {
        while (gate_.wanted()) {
            std::this_thread::yield();
        }
    }
    /// Sends a command on its way; where it succeeds, with a reference to `state`.
    error submit(std::span<const std::byte> command, write_state* state);
    [[nodiscard]] std::uint64_t submitted() const noexcept { return queue_.submitted(); }
    /// Of a write that is about to be submitted.
    [[nodiscard]] write_gates::gate next_gate() const noexcept {
        return write_gates::at(id_, submitted());
    }

    // -- The core ---------------------------------------------------------------------------------

    command_queue& queue() noexcept { return queue_; }
    replica::table& values() noexcept { return values_; }
    replica::write_gate& gate() noexcept { return gate_; }
    void set_status(const replica::clone_status& now);
    void set_clock_offset(timespan offset) { clock_offset_ = offset.count(); }
    void end(error why);
    /// Commands up to this number have their effect, or will never have one.
    void settle(std::uint64_t number);
    /// The same, as soon as the master has committed entry `at`, its newest one.
    void settle_later(std::uint64_t number, replica::sequence at);
    void committed(replica::sequence up_to);
    /// Serves reads that need not wait any longer.
    void serve_reads();
    /// When the next one has waited long enough; `never` where none waits.
    [[nodiscard]] instant reads_due() const noexcept { return instant{reads_due_.load()}; }
    void add_events(std::shared_ptr<store_event_queue> queue);
    [[nodiscard]] bool wants_events() const noexcept { return has_events_; }
    void tell(const replica::effect& what);
    std::uint64_t handed = 0;  ///< number of the newest command that the host has

  private:
    struct waiting_read {
        std::uint64_t own = 0;  ///< number of the command that it waits for
        instant deadline{};
        std::function<void()> run;
    };
    error wait_for_state();
    error wait_for_own(std::uint64_t number);
    [[nodiscard]] bool must_wait(const waiting_read& read, instant now) const;
    void note_reads();

    const std::shared_ptr<endpoint_core> core_;
    const std::uint32_t id_;
    const std::string name_;
    std::atomic<bool> master_;
    const backend kind_;
    const timespan get_delay_;
    const std::string folder_;

    replica::table values_;
    read_gate gate_;
    std::atomic<std::int64_t> clock_offset_{0};
    std::atomic<bool> readable_{false};       // synced, not stale, not ended
    std::atomic<std::uint64_t> settled_{0};
    command_queue queue_;
    std::atomic<bool> has_reads_{false};
    std::atomic<std::chrono::nanoseconds::rep> reads_due_{never.count()};

    mutable std::mutex mutex_;                // the rest, and for whoever waits
    std::condition_variable changed_;
    replica::clone_status status_;
    error ended_;
    std::deque<std::pair<replica::sequence, std::uint64_t>> settling_;
    std::vector<waiting_read> reads_;
    std::vector<std::shared_ptr<store_event_queue>> events_;
    std::atomic<bool> has_events_{false};
};

}  // namespace bzmq
