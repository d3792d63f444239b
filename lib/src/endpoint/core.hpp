#pragma once

#include <atomic>
#include <cstring>
#include <exception>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/limits.hpp"
#include "base/time.hpp"
#include "bzmq/configuration.hpp"
#include "bzmq/data.hpp"
#include "bzmq/endpoint.hpp"
#include "bzmq/overlay_info.hpp"
#include "data/msgpack_codec.hpp"
#include "endpoint/core_thread.hpp"
#include "endpoint/fork_guard.hpp"
#include "endpoint/journal.hpp"
#include "endpoint/permissions_file.hpp"
#include "endpoint/publish_queue.hpp"
#include "endpoint/served_topics.hpp"
#include "endpoint/status_queue.hpp"
#include "endpoint/store_room.hpp"
#include "endpoint/subscriber_queue.hpp"
#include "node/hub.hpp"
#include "transport/block_pool.hpp"
#include "transport/socket_hub.hpp"

namespace bzmq {

/// An endpoint's inside: the thread that owns sockets and hub, and what crosses to and from it.
/// While it sleeps it lends them to a publisher (`publish_here`).
///
/// Calls come in as commands, which the thread runs between two polls, or as records in the publish
/// queues. What must wait for something to happen is a `pending` entry, which the thread tries in
/// every turn. Handles hold the core by shared_ptr; after `shutdown` it is an empty shell that
/// refuses everything. An exception on the thread, whoever throws it, makes it that, too: what it
/// was in the middle of may be in no state to go on.
class endpoint_core final : public transport::events,
                           public node::hub_output,
                           public std::enable_shared_from_this<endpoint_core> {
  public:
    /// Throws `endpoint_error`. A nil `self` has it make a random id.
    explicit endpoint_core(endpoint_options options, const endpoint_id& self = {});
    ~endpoint_core();
    endpoint_core(const endpoint_core&) = delete;
    endpoint_core& operator=(const endpoint_core&) = delete;

    // -- Any thread -------------------------------------------------------------------------------

    [[nodiscard]] const endpoint_options& options() const noexcept { return options_; }
    [[nodiscard]] const endpoint_id& self() const noexcept { return self_; }
    /// Not stopped, and not in a forked child.
    [[nodiscard]] error usable() const;
    [[nodiscard]] bool in_child() const noexcept { return forked_.in_child(); }
    /// Waits for the end; from a callback on the core's thread, sees to it that it comes soon after.
    void shutdown();
    [[nodiscard]] bool is_shutdown() const noexcept { return stopped_.load(); }

    expected<transport::listener_info> listen(std::string_view url);
    std::vector<std::string> listeners() const;
    bool stop_listening(std::string_view url);
    /// Waits for the peering where `wait`; nil where it does not.
    expected<endpoint_id> peer(std::string_view url, const peering_options& how, bool wait);
    bool unpeer(std::string_view url, bool wait);

    template <class encoder>
    ec publish(std::string_view topic, std::size_t size, delivery_mode mode, encoder&& encode) {
        if (in_child()) {
            return ec::shutting_down;
        }
        std::unique_lock turn{turn_mutex_, std::defer_lock};
        const auto result =
            lane_of(mode).queue.push(topic, size, std::forward<encoder>(encode), turn);
        if (turn.owns_lock()) {
            publish_here(mode);
        }
        return result;
    }
    ec publish(std::string_view topic, const data& value, delivery_mode mode);
    ec publish_text(std::string_view topic, std::string_view value, delivery_mode mode) {
        if (value.size() > data_bytes_max) {
            return ec::message_too_big;
        }
        return publish(topic, encoded_string_size(value.size()), mode,
                       [value](std::byte* to) { encode_string_to(to, value); });
    }
    ec publish_raw(std::string_view topic, std::span<const std::byte> payload,
                   delivery_mode mode) {
        return publish(topic, payload.size(), mode, [payload](std::byte* to) {
            if (!payload.empty()) {
                std::memcpy(to, payload.data(), payload.size());
            }
        });
    }
    ec publish(const endpoint_id& destination, std::string_view topic, const data& value,
               delivery_mode mode);
    /// The same in best effort, without waiting and without knowing what becomes of it.
    void publish_nosync(const endpoint_id& destination, std::string_view topic, const data& value);

    struct asking {
        endpoint_id to;  ///< nil: whoever receives the topic, this endpoint included
        std::string topic;
        delivery_mode mode = delivery_mode::reliable;
        timespan timeout{};
        std::function<bool()> wanted;
        /// On the core's thread, where it is wanted and in time: why it went to nobody, or to whom.
        std::function<void(error, std::vector<endpoint_id>)> sent;
    };
    /// Publishes a request, which waits for room at its receivers only, and its asker for none but
    /// where too many requests wait so.
    ec publish_request(const data& value, asking how);

    std::pair<node::subscriber_id, std::shared_ptr<subscriber_queue>> subscribe(
        std::vector<std::string> topics, const queue_options& how);
    /// Fails where others could not be told of all topics; then nothing has changed.
    error set_topics(node::subscriber_id id, std::vector<std::string> topics);
    void unsubscribe(node::subscriber_id id);
    void drained(node::subscriber_id id);
    /// Makes a subscription the bridge to the domain `tag`; an empty tag ends that.
    void set_bridge(node::subscriber_id id, std::string tag, std::vector<std::string> topics);
    /// Tells status subscribers and the log of a failure that was found outside the core.
    void report(error what);
    std::shared_ptr<status_queue> subscribe_status(bool statuses);
    void unsubscribe_status(const std::shared_ptr<status_queue>& queue);
    error forward(std::vector<std::string> topics);
    void add_worker(std::shared_ptr<worker_state> worker);
    /// One that the thread itself runs, of this subscription.
    void add_direct_worker(node::subscriber_id id, std::shared_ptr<worker_state> worker);

    /// The room of requests, which `make` makes where there is none yet.
    expected<std::shared_ptr<request_room>> requests(
        const std::function<expected<std::shared_ptr<request_room>>()>& make);
    [[nodiscard]] served_topics& served() noexcept { return served_; }

    // Stores (core_stores.cpp). `self` is this core.
    expected<std::shared_ptr<store_state>> attach_master(
        const std::shared_ptr<endpoint_core>& self, const std::string& name, backend kind,
        const master_options& options);
    expected<std::shared_ptr<store_state>> attach_clone(
        const std::shared_ptr<endpoint_core>& self, const std::string& name,
        const clone_options& options);
    void detach_store(std::uint32_t id);
    error promote_store(const store_state& store, timespan timeout);
    /// The same for a standby of another endpoint; nil: the only one there is.
    expected<endpoint_id> promote_store(const std::string& name, const endpoint_id& at,
                                        timespan timeout);
    void follow_store(std::uint32_t id);
    expected<store_info> store_info_of(std::uint32_t id) const;
    /// Waits until the store has decided all commands queued so far and is idle.
    bool await_idle(const store_state& store, timespan timeout);
    /// There is something for this store to look at.
    void commands_came(std::uint32_t store) { stores_->commands_came(store); }

    /// Waits until `ready`, which the core's thread asks in every turn.
    bool await(std::function<bool(const node::hub&)> ready, timespan timeout);
    /// Waits until all reachable endpoints know our filter.
    bool confirm_filter(timespan timeout);
    expected<ping_result> ping(const endpoint_id& id, timespan timeout);
    /// `question(hub)` on the core's thread; a default value after the end.
    template <class F>
    auto ask(F question) const -> decltype(question(std::declval<const node::hub&>())) {
        using result = decltype(question(std::declval<const node::hub&>()));
        auto* self = const_cast<endpoint_core*>(this);
        return self->call<result>([self, question = std::move(question)](bool alive) {
            return alive ? question(std::as_const(*self->hub_)) : result{};
        });
    }
    endpoint_metrics metrics() const;
    std::vector<peer_info> peers() const;
    /// Grows whenever the view of the overlay may have changed.
    [[nodiscard]] std::uint64_t overlay_version() const noexcept { return overlay_version_; }

  private:
    struct lane {
        lane(publish_queue::settings how, transport::block_pool& pool,
             transport::socket_hub& sockets)
            : queue(how, pool, sockets) {}
        publish_queue queue;
        std::vector<publish_queue::chunk> taken;  // not published yet, oldest first from `next`
        std::size_t next = 0;
        bool held_up = false;
        bool try_anew = false;  // what the hub last said of this mode was of something else
    };
    /// Asked in every turn until it is done, its deadline passes or the endpoint ends.
    struct pending {
        enum class why : std::uint8_t { asked, late, closing };
        instant deadline = never;
        std::function<bool(why)> step;  ///< true: done; ignored unless `asked`
    };
    /// As `peering_options::retry`.
    using retry_pause = std::optional<timespan>;
    /// A place that is dialled, for whoever wants it: all calls of `peer` for one URL share it.
    struct target {
        std::string url;
        std::string server_key;
        bool standing = false;  ///< to be kept up until `unpeer`: nobody waited for it, or it came up
        retry_pause retry;      ///< then
        std::vector<retry_pause> waiting;  ///< of the calls that wait for it
    };
    struct subscription {
        std::shared_ptr<subscriber_queue> queue;
        std::vector<std::string> topics;
        bool bridge = false;
        bool direct = false;  ///< a direct worker reads it
    };
    using command = std::function<void(bool alive)>;

    // Crossing to the core's thread.
    bool post(command what);
    template <class R>
    R call(std::function<R(bool)> what) {
        if (core_thread::of(this)) {
            return what(hub_ != nullptr && !closed_);  // Only this thread closes.
        }
        // The command's alone: where it is given up, the promise is broken and nobody waits for it.
        auto answer = std::make_shared<std::promise<R>>();
        auto future = answer->get_future();
        if (in_child() || !post([answer = std::move(answer), what](bool alive) {
                answer->set_value(what(alive));
            })) {
            return what(false);
        }
        try {
            return future.get();
        } catch (const std::future_error&) {
            return what(false);
        }
    }
    error wait(std::function<std::optional<error>()> ready, timespan timeout);
    void end_requests();
    void end_workers();
    expected<std::unique_lock<std::mutex>> turn_to_open();
    expected<opened_disk> open_disk(store_state& store, const master_options& options,
                                    std::optional<endpoint_id> begun_by);
    instant after(timespan timeout) const;
    expected<shared_bytes> record_of(std::string_view topic, const data& value);

    /// On a publisher's thread, which has the turn: publishes what waits in this mode, as the thread
    /// would, and spares it its waking.
    void publish_here(delivery_mode mode) noexcept;

    // The thread.
    void run();
    /// Does all that is to be done; true where more can be done at once.
    bool turn();
    void run_commands(bool alive);
    void take_published(bool all);
    bool publish_taken(delivery_mode mode);
    ec publish_at_once(const endpoint_id& destination, delivery_mode mode,
                       const shared_bytes& record);
    /// May go what is in no lane, and came when this one stood at `mark`?
    [[nodiscard]] bool may_go(delivery_mode mode, std::size_t mark) const;
    error send_to(const endpoint_id& destination, delivery_mode mode, const shared_bytes& record);
    std::vector<endpoint_id> servers_of(const asking& what) const;
    error send_to(const std::vector<endpoint_id>& servers, delivery_mode mode,
                  const shared_bytes& record);
    void run_pending();
    /// True where there is more for them.
    bool run_direct_workers();
    void end_disconnected();
    /// Before anybody can know of what has changed by other means.
    void note_overlay() {
        if (hub_) {  // Else it is just being made.
            overlay_version_ = hub_->routing_version();
        }
    }
    [[nodiscard]] timespan time_to_sleep(bool busy) const;
    void wind_down();
    /// Ends what others hold and wait for, after an orderly end or in the middle of anything.
    void let_go(const error& why) noexcept;
    void say(const status_variant& what);

    void check_server_keys() const;
    /// The target for `url`, made if need be, with one more who wants it.
    expected<node::target_id> join_target(const std::string& url, const std::string& server_key,
                                          const peering_options& how, bool waits);
    /// What a call that waits for it has come to; nothing yet where it goes on.
    std::optional<error> outcome(node::target_id id, std::uint64_t failed_before,
                                 retry_pause retry, endpoint_id& reached);
    /// A call waits no more. Where nobody else wants the target, that is its end.
    void leave_target(node::target_id id, retry_pause retry);
    void settle_retry(node::target_id id, const target& what);
    void drop_target(node::target_id id);
    /// Do all topics fit what others can be told, with those of one subscription (0: what is only
    /// forwarded) as given?
    [[nodiscard]] error check_room(node::subscriber_id id, const std::vector<std::string>& topics,
                                   bool bridge = false) const;

    // transport::events
    void link_opened(transport::link_id link, bool outgoing, std::uint32_t from,
                     std::string_view remote_address, std::string_view public_key) override;
    void link_closed(transport::link_id link, const error& reason) override;
    void connect_failed(std::uint32_t target, const error& reason) override;
    void frame_received(transport::link_id link, shared_bytes frame) override;
    void peer_refused(std::string_view address, std::string_view public_key,
                      std::string_view why) override;
    void silent_ended(std::size_t count, std::string_view address) override;
    void handshakes_failed(std::size_t count, std::string_view address,
                           std::string_view why) override;

    // node::hub_output
    void send(node::link_id link, shared_bytes frame) override;
    void close(node::link_id link) override;
    void connect(node::target_id target) override;
    void deliver(std::span<const node::subscriber_id> to, const batch_ptr& batch,
                 std::vector<node::subscriber_id>& full) override;
    void notify(status_variant what) override;
    block_ptr allocate(std::size_t capacity) override;
    void pong(node::request_id request, std::chrono::nanoseconds round_trip,
              std::vector<endpoint_id> path) override;
    void filter_confirmed(node::request_id request) override;
    void store_message(const endpoint_id& from, shared_bytes message) override;

    [[nodiscard]] bool watches_key_files() const noexcept {
        return !options_.allow.empty() || permissions_;
    }
    void reload_permissions();
    /// Tells why something failed, unless it is what was `told` of it last.
    void say_once(const expected<bool>& done, std::string& told);

    lane& lane_of(delivery_mode mode) noexcept { return *lanes_[static_cast<std::size_t>(mode)]; }
    [[nodiscard]] const lane& lane_of(delivery_mode mode) const noexcept {
        return *lanes_[static_cast<std::size_t>(mode)];
    }

    const endpoint_options options_;
    endpoint_id self_;
    fork_guard forked_;
    journal journal_;
    bool encrypted_ = false;
    std::string own_key_;  ///< public; empty where nothing is encrypted
    transport::block_pool pool_;
    std::unique_ptr<transport::socket_hub> sockets_;
    std::unique_ptr<lane> lanes_[2];
    std::unique_ptr<publish_queue> asking_;  // only the bound of the requests that wait for room
    std::atomic<node::subscriber_id> last_subscriber_{0};
    std::atomic<bool> stopped_{false};
    std::atomic<std::uint64_t> overlay_version_{0};

    // Crossing.
    mutable std::mutex commands_mutex_;
    std::vector<command> commands_;
    std::atomic<bool> commands_came_{false};  // since the last turn
    bool closed_ = false;
    bool stopping_ = false;
    mutable std::mutex workers_mutex_;
    std::vector<std::shared_ptr<worker_state>> workers_;
    bool workers_closed_ = false;
    std::mutex requests_mutex_;
    std::shared_ptr<request_room> requests_;
    bool requests_closed_ = false;
    served_topics served_;
    std::mutex shutdown_mutex_;
    std::mutex opening_mutex_;  // whoever opens a store's disk

    // Only for whoever has the turn from here on. That is the thread; while it sleeps, it may be a
    // publisher (`publish_here`).
    std::mutex turn_mutex_;
    bool turn_lent_ = false;  // a publisher has it
    std::vector<status_variant> unsaid_;  // what happened meanwhile, for the thread to tell
    instant sleeps_until_ = never;
    std::exception_ptr broken_;
    std::unique_ptr<node::hub> hub_;
    std::unique_ptr<store_room> stores_;
    std::uint32_t last_store_ = 0;
    instant now_{};
    std::vector<command> running_;
    std::vector<pending> pending_;
    std::unordered_map<node::subscriber_id, subscription> subscribers_;
    std::vector<std::shared_ptr<worker_state>> direct_workers_;
    bool direct_came_ = false;  // there is something for one of them
    std::vector<node::subscriber_id> disconnected_;
    std::uint64_t dropped_by_ended_ = 0;  // by subscribers that are gone
    std::vector<std::shared_ptr<status_queue>> status_queues_;
    std::vector<std::string> forwarded_;
    std::map<node::target_id, target> targets_;
    std::map<std::string, node::target_id, std::less<>> target_by_url_;
    node::target_id last_target_ = 0;
    std::vector<std::pair<node::target_id, error>> failed_dials_;
    std::vector<transport::listener_info> listeners_;
    node::request_id last_request_ = 0;
    std::map<node::request_id, std::optional<ping_result>> pings_;
    std::map<node::request_id, bool> confirmations_;
    instant key_files_due_{};
    std::optional<permissions_file> permissions_;
    std::string allow_problem_, permissions_problem_;  // the last ones that were told
    bool again_ = false;  // a pending entry wants another turn at once
    bool lanes_tried_ = false;          // in this turn; what they still have waits for room
    std::set<endpoint_id> no_room_[2];  // at whom pending entries have found none just now, by mode

    std::shared_ptr<endpoint_core> kept_;  // until the thread's end, where a callback let go of us
    std::thread thread_;
};

}  // namespace bzmq
