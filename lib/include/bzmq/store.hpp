#pragma once

#include "bzmq/data.hpp"
#include "bzmq/endpoint_id.hpp"
#include "bzmq/error.hpp"
#include "bzmq/export.hpp"
#include "bzmq/fwd.hpp"
#include "bzmq/time.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

/// Replicated key-value stores: one master, any number of clones. docs/stores.md tells what they
/// promise.
namespace bzmq {

// Scoped enumerators shadow nothing, but GCC 12 says that they do.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"

/// Where a master keeps its state.
enum class backend : std::uint8_t {
    memory,  ///< gone when the endpoint ends
    lmdb,    ///< in memory to read, and on disk
};

/// When a write at an LMDB master counts.
enum class durability : std::uint8_t {
    sync,   ///< on disk, each on its own
    group,  ///< on disk, together with all that came meanwhile
    async,  ///< with the operating system; on disk within 100 ms
};

#pragma GCC diagnostic pop

/// Who takes a master's place when it is out of reach. docs/stores.md has the limits.
struct failover_options {
    /// Names of the standbys that may elect one of them, the first master's among them, the same
    /// everywhere and over restarts; empty: an operator promotes (`store::promote`).
    std::vector<std::string> electors = {};
    std::string elector = {};                      ///< our own name among them
    /// Without a master for so long they elect one. Above zero.
    timespan timeout = std::chrono::seconds{10};
};

/// Options of a master. Path, durability and bytes have no effect in memory; what needs a disk,
/// `sync_replicas` and electors, is refused there.
struct master_options {
    std::string path = {};  ///< the LMDB store's folder; made where it is not there
    bzmq::durability durability = bzmq::durability::group;
    std::size_t log_bytes = std::size_t{64} << 20;  ///< of past writes, kept for clones that lag
    std::size_t map_bytes_max = std::size_t{1} << 40;  ///< the file never grows beyond
    /// A write counts when so many standbys have it on disk as well: failover loses none then. While
    /// fewer are there, writes wait.
    unsigned sync_replicas = 0;
    failover_options failover = {};
};

/// The same by name, as the tradition has it: "path", "durability" (strings), "log_bytes",
/// "map_bytes_max", "sync_replicas" (counts), "electors" (a vector of strings), "elector" (string),
/// "failover_timeout" (timespan).
using backend_options = std::unordered_map<std::string, data>;

/// Options of a clone. Zero or less is `invalid_configuration`, but for `get_delay`.
struct clone_options {
    /// Longest pause between attempts to reach the master; below 100 ms it is that.
    timespan resync_interval = std::chrono::seconds{10};
    /// Without word from the master for so long, reads say `ec::stale_data`.
    timespan stale_interval = std::chrono::minutes{5};
    /// So long writes wait for a master that is away; then they fail with `ec::request_timeout`.
    timespan mutation_buffer_interval = std::chrono::minutes{2};
    /// Of writes that wait, with 80 for each; then `ec::queue_full`. One that is larger gets
    /// `ec::message_too_big`.
    std::size_t mutation_buffer_bytes = std::size_t{64} << 20;
    /// So long a read waits for a clone that has no state yet; then it says `ec::stale_data`.
    timespan get_delay = std::chrono::seconds{5};
    /// Take over the state of a master that holds another store than the one copied so far, where
    /// either is a durable one's. Otherwise the copy is kept, and goes stale, until `store::follow`.
    bool follow_new_store = false;
    /// Set: a standby. It keeps its copy in an LMDB store at `standby->path`, and may take the
    /// master's place; the rest is how it is master then.
    std::optional<master_options> standby = {};
};

/// What stands under a key.
struct store_entry {
    data value;
    /// The write that made it. Every write of a store has a number of its own, rising.
    std::uint64_t revision = 0;
    std::optional<timestamp> expiry = {};
};

/// What became of a write.
struct write_outcome {
    std::uint64_t revision = 0;      ///< 0 where nothing had to change
    std::optional<data> value = {};  ///< what stands under the key now, where the write put something
};

/// A write on its way. Needs not be waited for.
class BZMQ_EXPORT store_write {
  public:
    /// One that has failed.
    explicit store_write(error why);
    store_write(const store_write& other) noexcept;
    store_write(store_write&& other) noexcept;
    store_write& operator=(store_write other) noexcept;
    ~store_write();

    /// Waits for the outcome, at most `timeout` long. At a clone, what was written can be read there
    /// then. Errors: `type_clash`, `no_such_key`, `invalid_data`, `key_exists`, `revision_mismatch`,
    /// `message_too_big` (at a clone also what exceeds its `mutation_buffer_bytes`), `backend_failure`
    /// (the disk; nothing was written), `queue_full` (of a clone with that many bytes on their way),
    /// `request_timeout` (of this wait, or the clone could not reach its master in time, or the store
    /// ended meanwhile: it may have been written all the same), `shutting_down`, `no_such_master`,
    /// `master_exists` (nothing was written).
    [[nodiscard]] expected<write_outcome> wait(timespan timeout = timespan::max()) const;
    [[nodiscard]] bool done() const;
    /// Calls back once with the outcome: at once where it is there, else on the endpoint's thread,
    /// which must not be kept waiting. What would wait there for this endpoint gets
    /// `request_timeout` instead; what the callback throws is reported as an error of the endpoint.
    void then(std::function<void(const expected<write_outcome>&)> done) const;

  private:
    friend class store;
    [[nodiscard]] expected<write_outcome> outcome() const;
    explicit store_write(write_state* adopted) noexcept : state_(adopted) {}
    write_state* state_ = nullptr;
    error failed_;
};

/// Several writes that take effect together, or not at all.
class BZMQ_EXPORT store_batch {
  public:
    store_batch& put(const data& key, const data& value, std::optional<timespan> expiry = {});
    store_batch& put_unique(const data& key, const data& value,
                            std::optional<timespan> expiry = {});
    store_batch& compare_and_put(const data& key, std::uint64_t revision, const data& value,
                                 std::optional<timespan> expiry = {});
    store_batch& increment(const data& key, const data& amount = count{1},
                           std::optional<timespan> expiry = {});
    store_batch& decrement(const data& key, const data& amount = count{1},
                           std::optional<timespan> expiry = {});
    store_batch& append(const data& key, std::string_view text,
                        std::optional<timespan> expiry = {});
    store_batch& insert_into(const data& key, const data& element,
                             std::optional<timespan> expiry = {});
    store_batch& insert_into(const data& key, const data& index, const data& value,
                             std::optional<timespan> expiry = {});
    store_batch& remove_from(const data& key, const data& index,
                             std::optional<timespan> expiry = {});
    store_batch& push(const data& key, const data& value, std::optional<timespan> expiry = {});
    store_batch& pop(const data& key, std::optional<timespan> expiry = {});
    store_batch& erase(const data& key);
    store_batch& clear();

    [[nodiscard]] std::size_t size() const noexcept { return size_; }

  private:
    friend class store;
    store_batch& add(const std::vector<std::byte>* command);
    std::vector<std::byte> parts_;
    std::size_t size_ = 0;
    ec problem_ = ec::none;
};

/// What happened to an entry of a store.
struct store_event {
    enum class kind : std::uint8_t {
        insert,
        update,
        erase,
        expire,
        clear,  ///< everything is gone: no event for each entry, and no key or value
    };
    kind what = kind::insert;
    std::string store;
    data key;
    std::optional<data> old_value = {};
    std::optional<data> new_value = {};
    std::optional<timestamp> expiry = {};
    std::uint64_t revision = 0;  ///< of the new value
};

BZMQ_EXPORT std::string_view to_string(store_event::kind what) noexcept;

/// Receives what happens to a store, in order, from the moment it was made. Bounded: where the
/// reader is too slow the oldest events are dropped and counted. Thread-safe.
class BZMQ_EXPORT store_event_subscriber {
  public:
    ~store_event_subscriber();
    store_event_subscriber(store_event_subscriber&&) noexcept;
    store_event_subscriber& operator=(store_event_subscriber&&) noexcept;

    /// Nothing where none came in time, or the store has ended; in a callback on its endpoint's thread
    /// where none is there.
    [[nodiscard]] std::optional<store_event> get(timespan timeout = timespan::max());
    [[nodiscard]] std::vector<store_event> poll();
    [[nodiscard]] std::size_t available() const;
    [[nodiscard]] std::uint64_t dropped() const;
    /// Readable while `poll` would return something.
    [[nodiscard]] int fd();

  private:
    friend class store;
    explicit store_event_subscriber(std::shared_ptr<store_event_queue> queue,
                                    std::shared_ptr<store_state> state);
    std::shared_ptr<store_event_queue> queue_;
    std::shared_ptr<store_state> state_;
};

/// How a store stands.
struct store_info {
    std::string name;
    bool master = false;
    bool standby = false;              ///< a clone that may become master
    bzmq::backend backend = backend::memory;
    std::size_t entries = 0;           ///< as `store::size`
    std::size_t bytes = 0;             ///< in memory, about
    std::uint64_t revision = 0;        ///< of the newest write that can be read
    std::uint64_t epoch = 0;           ///< rises with each start of a master of the same store
    std::uint64_t hash = 0;            ///< over all writes: equal on copies with equal revisions
    /// On disk: transactions that have brought writes there since it was attached. Writes that were
    /// waited for at the same time share them.
    std::uint64_t commits = 0;
    endpoint_id master_at;             ///< a master's is its own endpoint; nil: nobody known
    bool synced = false;               ///< a clone: has all of a state
    bool stale = false;
    bool attached = false;             ///< a clone: its master answers
    /// A clone that takes a snapshot: what has come of it, which nobody can read yet; else 0.
    std::size_t arrived_entries = 0;
    std::size_t arrived_bytes = 0;     ///< in memory, about
    std::size_t arriving_entries = 0;  ///< all that there are, as the master said last
    struct clone {
        endpoint_id at;
        bool in_snapshot = false;
        bool standby = false;
        std::uint64_t acknowledged = 0;
        std::uint64_t stored = 0;      ///< of a standby: on its disk
    };
    std::vector<clone> clones;         ///< a master's
};

/// A handle to a master or clone of this endpoint. Copies share it; they may outlive the endpoint,
/// and then say `ec::shutting_down`. Thread-safe.
///
/// Reads are local: no other thread is asked. A thread that has written through a master sees its
/// own writes: its next read waits for them. A clone shows a write when its master has told it;
/// `store_write::wait` waits for that.
class BZMQ_EXPORT store {
  public:
    class proxy;

    /// A handle to nothing: `ec::no_such_master`.
    store() = default;

    [[nodiscard]] const std::string& name() const;
    [[nodiscard]] bool is_master() const;
    [[nodiscard]] explicit operator bool() const noexcept { return state_ != nullptr; }
    [[nodiscard]] expected<store_info> info() const;

    // -- Reading ----------------------------------------------------------------------------------
    // Errors of all: stale_data (of a clone without state, or without word from its master for
    // too long), shutting_down, no_such_master, master_exists (this master had to give way).

    /// Also `no_such_key`.
    [[nodiscard]] expected<data> get(const data& key) const;
    [[nodiscard]] expected<store_entry> get_entry(const data& key) const;
    /// Of a set: whether it has `index` (boolean). Of a table: the value under it. Of a vector: the
    /// element at that position. Also `no_such_key`, `type_clash`.
    [[nodiscard]] expected<data> get_index_from_value(const data& key, const data& index) const;
    /// A boolean.
    [[nodiscard]] expected<data> exists(const data& key) const;
    /// All keys, as a set.
    [[nodiscard]] expected<data> keys() const;
    /// The entries that can be read. O(1); O(entries of the store) where any of them has an expiry,
    /// and of more than 10,000 then not at one moment, so that writes need not wait.
    [[nodiscard]] expected<std::size_t> size() const;
    /// All of it at one moment.
    [[nodiscard]] expected<std::map<data, data>> snapshot() const;
    /// The entries with `from` <= key < `to` (unset: no bound), in the order of their keys, at most
    /// `max`, at one moment. Time O(entries of the store), memory O(`max`).
    [[nodiscard]] expected<std::vector<std::pair<data, store_entry>>> range(
        const std::optional<data>& from, const std::optional<data>& to,
        std::size_t max = std::size_t(-1)) const;
    /// The entries whose keys are strings that begin with `text`; as `range`.
    [[nodiscard]] expected<std::vector<std::pair<data, store_entry>>> prefix(
        std::string_view text, std::size_t max = std::size_t(-1)) const;

    // -- Writing ----------------------------------------------------------------------------------
    // With `expiry` the entry goes so long after the master applied the write. `put`, `put_unique`
    // and `compare_and_put` without it make an entry that stays; the others leave the time that an
    // entry has. Where a write does not fit the value's type it gets `type_clash` and changes
    // nothing.

    store_write put(const data& key, const data& value, std::optional<timespan> expiry = {});
    /// Waits. A boolean: true where this call put the value, false where the key was there already.
    expected<data> put_unique(const data& key, const data& value,
                              std::optional<timespan> expiry = {});
    /// The same without waiting: many may be on their way. `key_exists` where it was there already.
    store_write put_unique_nosync(const data& key, const data& value,
                                  std::optional<timespan> expiry = {});
    /// Only where the entry is still of this revision; 0: where there is none. Otherwise
    /// `revision_mismatch`.
    store_write compare_and_put(const data& key, std::uint64_t revision, const data& value,
                                std::optional<timespan> expiry = {});
    /// Adds to a count, integer, real, timespan or (a timespan) to a timestamp; begins at zero where
    /// there is nothing. `invalid_data` where the sum is out of range; of reals it is infinite then.
    store_write increment(const data& key, const data& amount = count{1},
                          std::optional<timespan> expiry = {});
    store_write decrement(const data& key, const data& amount = count{1},
                          std::optional<timespan> expiry = {});
    store_write append(const data& key, std::string_view text,
                       std::optional<timespan> expiry = {});
    /// Into a set.
    store_write insert_into(const data& key, const data& element,
                            std::optional<timespan> expiry = {});
    /// Into a table.
    store_write insert_into(const data& key, const data& index, const data& value,
                            std::optional<timespan> expiry = {});
    /// From a set or table; of a vector, the element at that position.
    store_write remove_from(const data& key, const data& index,
                            std::optional<timespan> expiry = {});
    /// At the end of a vector.
    store_write push(const data& key, const data& value, std::optional<timespan> expiry = {});
    store_write pop(const data& key, std::optional<timespan> expiry = {});
    store_write erase(const data& key);
    store_write clear();
    /// All of the batch, or the error of the first that cannot be done and nothing.
    store_write apply(const store_batch& batch);

    // -- Waiting ----------------------------------------------------------------------------------

    /// A master: until all clones have, and show, all that was written. A clone: until all writes made here
    /// have their outcome. False where `timeout` was over first.
    bool await_idle(timespan timeout = std::chrono::seconds{15});
    /// A clone: until it has all of its master's state. A master: at once.
    bool await_sync(timespan timeout = std::chrono::seconds{15});

    // -- More -------------------------------------------------------------------------------------

    /// At most `max` events wait to be read, and 256 MiB of old and new values.
    [[nodiscard]] store_event_subscriber events(std::size_t max = 1'000'000);
    /// A clone: takes the state of the store that the master has now, whatever it held before.
    void follow();
    /// A standby: makes it the master, and waits until it is. Whoever was master before becomes a
    /// clone when it hears of it; what only it had it writes to a file beside its store and reports.
    /// Errors: `invalid_configuration` (no standby), `stale_data` (no whole copy on disk yet),
    /// `master_exists` (a master of this endpoint, or a newer one elsewhere), `request_timeout` (its
    /// disk did not get done in time: it is a standby as before, but where the message says that it is
    /// about to be master, or that its promotion goes on: for others that wait longer, or as this is
    /// a callback on the endpoint's thread, which waits for nothing).
    expected<void> promote(timespan timeout = std::chrono::seconds{15});
    /// Ends the master or clone. The other handles to it then say `no_such_master`.
    void detach();

  private:
    friend class endpoint;
    explicit store(std::shared_ptr<store_state> state) noexcept : state_(std::move(state)) {}
    store_write submit(const std::vector<std::byte>* command);
    std::shared_ptr<store_state> state_;
};

/// Asks a store without waiting, and collects the answers through a file descriptor. Thread-safe.
class BZMQ_EXPORT store::proxy {
  public:
    using request_id = std::uint64_t;
    struct response {
        expected<data> answer;
        request_id id = 0;
    };

    explicit proxy(store& of);
    ~proxy();
    proxy(proxy&&) noexcept;
    proxy& operator=(proxy&&) noexcept;

    // Ids count from 1 on.
    request_id get(const data& key);
    request_id exists(const data& key);
    request_id get_index_from_value(const data& key, const data& index);
    request_id keys();
    request_id put_unique(const data& key, const data& value, std::optional<timespan> expiry = {});
    /// Any write: nil as its answer, or what stands under the key then.
    request_id increment(const data& key, const data& amount = count{1},
                         std::optional<timespan> expiry = {});
    request_id put(const data& key, const data& value, std::optional<timespan> expiry = {});

    /// Waits for the next answer. Answers may come in another order than the requests. A callback on
    /// the store's endpoint's thread gets what is there.
    [[nodiscard]] std::optional<response> receive(timespan timeout = timespan::max());
    /// Waits for `count` answers.
    [[nodiscard]] std::vector<response> receive(std::size_t count,
                                                timespan timeout = timespan::max());
    /// Readable while an answer is there.
    [[nodiscard]] int fd();

  private:
    template <class F>
    request_id ask(F read);
    std::shared_ptr<proxy_state> state_;
};

}  // namespace bzmq
