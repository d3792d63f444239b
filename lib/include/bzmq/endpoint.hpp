#pragma once

#include "bzmq/configuration.hpp"
#include "bzmq/data.hpp"
#include "bzmq/endpoint_id.hpp"
#include "bzmq/error.hpp"
#include "bzmq/export.hpp"
#include "bzmq/fwd.hpp"
#include "bzmq/message.hpp"
#include "bzmq/network_info.hpp"
#include "bzmq/overlay_info.hpp"
#include "bzmq/peering_limits.hpp"
#include "bzmq/publisher.hpp"
#include "bzmq/request.hpp"
#include "bzmq/status_subscriber.hpp"
#include "bzmq/store.hpp"
#include "bzmq/subscriber.hpp"
#include "bzmq/time.hpp"
#include "bzmq/topic.hpp"
#include "bzmq/worker.hpp"

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace bzmq {

/// Thrown where an endpoint cannot be made: its configuration is wrong, a key file is unreadable,
/// one of the configured listeners cannot be opened, or the system has no resources for it.
class BZMQ_EXPORT endpoint_error : public std::runtime_error {
  public:
    explicit endpoint_error(error why);
    [[nodiscard]] const error& why() const noexcept { return why_; }

  private:
    error why_;
};

/// How to reach one peer.
struct peering_options {
    /// The listener's public key (Z85) or the path of its `.key` file; empty for the endpoint's
    /// option `server_key`, and where that is empty too, for our own key.
    std::string server_key = {};
    /// Zero: one attempt only. Otherwise attempts go on until they succeed or `unpeer` ends them,
    /// with this pause between them or, where it is unset, one that grows, with jitter, from the
    /// option `retry_min` to `retry_max`.
    std::optional<timespan> retry = {};
    /// Longest wait of the blocking calls. Unset: no limit.
    std::optional<timespan> timeout = {};
    /// Bounds and policy of the queue toward this peer, and the cost of the link; what is unset
    /// follows the endpoint's options. Of several calls for one address the first one's hold.
    peering_limits limits = {};
};

/// A message to publish, for batches.
struct outgoing_message {
    std::string topic;
    data value;
};

/// One node of the overlay: peers with others, publishes and subscribes, relays. Any number may
/// live in a process. Thread-safe. One thread of its own does all the work.
///
/// After fork() an endpoint belongs to the parent: in the child every call fails with
/// `ec::shutting_down` or its like, and nothing of it may be used but its destructor.
class BZMQ_EXPORT endpoint {
  public:
    /// Starts it, opens the configured listeners and begins to connect to the configured peers.
    /// Throws `endpoint_error`.
    explicit endpoint(configuration config = {});
    /// As `shutdown`.
    ~endpoint();
    endpoint(endpoint&& other) noexcept;
    endpoint& operator=(endpoint&& other) noexcept;
    endpoint(const endpoint&) = delete;
    endpoint& operator=(const endpoint&) = delete;

    [[nodiscard]] endpoint_id node_id() const noexcept;
    [[nodiscard]] const std::string& name() const noexcept;
    [[nodiscard]] const endpoint_options& options() const noexcept;

    // -- Peerings ---------------------------------------------------------------------------------

    /// Accepts peers at an address: a host name, an IP address, "" or "*" for all interfaces, or an
    /// "ipc://" URL. Port 0 takes any free one. Returns the real port, or 0 with the reason in
    /// `why`: `address_in_use`, `invalid_address`, `insecure_listener` (other machines could
    /// connect, there are no keys, and the option `allow_insecure_listen` is off). May be called
    /// several times. An ipc listener has no port; use `listen_url`.
    std::uint16_t listen(const std::string& address = {}, std::uint16_t port = default_port,
                         error* why = nullptr);
    /// The same with a URL ("tcp://host:port", "ipc://path"); the port is 0 for ipc.
    expected<std::uint16_t> listen_url(std::string_view url);
    /// The URLs at which it listens, with their real ports.
    [[nodiscard]] std::vector<std::string> listeners() const;
    /// Ends a listener, one of `listeners()`, and with it the links that came in by it. False where
    /// there is none with this URL.
    bool stop_listening(std::string_view url);

    /// Connects to a peer and keeps the peering up from then on. Waits until the peering stands, or
    /// until the peer refuses it for good (`refuses_for_good`: waiting would not help); where `retry`
    /// (see `peering_options`) is zero, until the next attempt has failed. False also after `unpeer`,
    /// shutdown, or where the address is malformed; `why` gets the reason.
    ///
    /// Calls for one address share its attempts, and a call that waits has the next one made at once.
    /// When it fails, that ends the attempts, unless somebody else wants them: another call that
    /// waits, `peer_nosync`, or an earlier call that succeeded.
    bool peer(const std::string& address, std::uint16_t port,
              std::optional<timespan> retry = {}, error* why = nullptr);
    /// The same, at most `timeout` long.
    bool peer(const std::string& address, std::uint16_t port, std::optional<timespan> retry,
              timespan timeout, error* why = nullptr);
    bool peer(const network_info& info, error* why = nullptr);
    /// The same with a URL; yields whom it reached. `invalid_configuration` where another peering
    /// with this URL expects another `server_key`; that one goes on.
    expected<endpoint_id> peer_url(std::string_view url, const peering_options& how = {});
    /// Begins to connect and returns; progress shows at status subscribers and in `peers`. It goes on
    /// even where the peer refuses for good, as somebody may mend that on the other side.
    void peer_nosync(const std::string& address, std::uint16_t port,
                     std::optional<timespan> retry = {});
    expected<void> peer_url_nosync(std::string_view url, const peering_options& how = {});
    /// Ends a peering that this endpoint began, after what is queued for it, or the attempts. False
    /// where there is none with this address.
    bool unpeer(const std::string& address, std::uint16_t port);
    bool unpeer_url(std::string_view url);
    void unpeer_nosync(const std::string& address, std::uint16_t port);

    /// Direct peers and those that are being tried.
    [[nodiscard]] std::vector<peer_info> peers() const;
    /// The topic prefixes that some other endpoint within reach subscribes to.
    [[nodiscard]] std::vector<std::string> peer_subscriptions() const;
    /// Waits until `peer_subscriptions` would say something else than `known`. False at the timeout.
    [[nodiscard]] bool await_subscriptions(const std::vector<std::string>& known, timespan timeout);
    /// The prefixes that one endpoint within reach subscribes to.
    [[nodiscard]] std::vector<std::string> subscriptions_of(const endpoint_id& id) const;

    // -- The overlay ------------------------------------------------------------------------------

    /// Every endpoint within reach, this one included.
    [[nodiscard]] std::vector<topology_node> topology() const;
    [[nodiscard]] bool reachable(const endpoint_id& id) const;
    /// Waits until `id` is within reach, over any number of hops.
    [[nodiscard]] bool await_peer(const endpoint_id& id,
                                  timespan timeout = std::chrono::seconds{10});
    /// Waits until this endpoint subscribes to `topic` or a prefix of it and every endpoint within
    /// reach knows; not those beyond a gateway.
    [[nodiscard]] bool await_filter_entry(std::string_view topic,
                                          timespan timeout = std::chrono::seconds{10});
    /// Waits until at least `count` other endpoints would receive a message with this topic.
    [[nodiscard]] bool wait_for_subscriber(std::string_view topic, std::size_t count = 1,
                                           timespan timeout = std::chrono::seconds{10});
    /// Grows whenever what `topology` tells may have changed. Asks no other thread: it tells a copy
    /// that is still good from one to be made anew.
    [[nodiscard]] std::uint64_t overlay_version() const noexcept;
    /// Waits until `overlay_version` is not `known`. False at the timeout and at the endpoint's end.
    [[nodiscard]] bool await_overlay_change(std::uint64_t known,
                                            timespan timeout = std::chrono::seconds{10});
    /// A hash over all that is known of the overlay: equal at endpoints whose views agree.
    [[nodiscard]] std::uint64_t view_hash() const;
    /// `no_path_to_peer`, `request_timeout`.
    expected<ping_result> ping(const endpoint_id& id, timespan timeout = std::chrono::seconds{5});

    // -- Publishing -------------------------------------------------------------------------------
    // One thread's messages arrive in the order in which it published them in one mode. Errors:
    //   ec::none             it is on its way (or nobody wants it)
    //   ec::invalid_topic    the topic is empty or longer than 65,535 bytes
    //   ec::invalid_data     the value is nested deeper than 64 or has more than 2^20 parts
    //   ec::message_too_big  larger than the option max_message_bytes
    //   ec::queue_full       not published: no room within the option publish_timeout
    //   ec::shutting_down    not published
    // Where the policy `block` or a reliable receiver holds it up, a call waits; `publish_limit` bounds
    // that for one thread.

    ec publish(std::string_view topic, const data& value,
               delivery_mode mode = delivery_mode::best_effort);
    /// Text goes out without a `data` being made for it.
    template <class text>
    requires std::convertible_to<const text&, std::string_view> ec publish(
        std::string_view topic, const text& value,
        delivery_mode mode = delivery_mode::best_effort) {
        return publish_text(topic, value, mode);
    }
    /// Many at once. Stops at the first failure; `accepted` gets how many it took.
    ec publish_batch(std::span<const outgoing_message> batch,
                     delivery_mode mode = delivery_mode::best_effort,
                     std::size_t* accepted = nullptr);
    /// To one endpoint only, anywhere in the overlay, whatever it subscribes to; it reaches those of its
    /// subscribers that match the topic. Passes messages to all that are held up. Waits for the
    /// endpoint's thread, so that it is much slower than the others. Also `ec::no_path_to_peer`.
    ec publish(const endpoint_id& destination, std::string_view topic, const data& value,
               delivery_mode mode = delivery_mode::best_effort);
    /// A payload that is encoded already, such as `message::payload()`; it is not checked.
    ec publish_raw(std::string_view topic, std::span<const std::byte> payload,
                   delivery_mode mode = delivery_mode::best_effort);
    [[nodiscard]] publisher make_publisher(std::string topic,
                                           delivery_mode mode = delivery_mode::best_effort);

    // -- Subscribing ------------------------------------------------------------------------------
    // All subscribers of an endpoint together have room for 65,536 prefixes and 8 MiB of them; one
    // that another prefix covers takes none. A subscriber that does not fit has ended from the start,
    // with `ec::invalid_topic` as its `last_error()`.

    [[nodiscard]] subscriber make_subscriber(std::vector<std::string> topics,
                                             const queue_options& queue = {});
    [[nodiscard]] subscriber make_subscriber(const std::vector<topic>& topics,
                                             const queue_options& queue = {});
    [[nodiscard]] subscriber make_subscriber(std::initializer_list<const char*> topics,
                                             const queue_options& queue = {});
    [[nodiscard]] subscriber make_subscriber(std::initializer_list<std::string> topics,
                                             const queue_options& queue = {});
    /// With `receive_statuses` false it yields errors only.
    [[nodiscard]] status_subscriber make_status_subscriber(bool receive_statuses = false);
    /// Calls back on a thread of its own: `on_init` once, `on_next` for each message in order,
    /// `on_end` once, with the reason. What `on_next` throws ends the subscription
    /// (`ec::unspecified` with the text). Callbacks may be empty.
    worker subscribe(std::vector<std::string> topics, std::function<void()> on_init,
                     std::function<void(const message&)> on_next,
                     std::function<void(const error&)> on_end = {},
                     const queue_options& queue = {});
    /// The same with callbacks on this endpoint's own thread, which spares each message the waking
    /// of another one: for the shortest round trips. The endpoint does nothing else meanwhile, so
    /// they must be quick. They may call anything; what would have to wait does not, and says so
    /// (`ec::request_timeout`, `ec::queue_full`).
    worker subscribe_direct(std::vector<std::string> topics, std::function<void()> on_init,
                            std::function<void(const message&)> on_next,
                            std::function<void(const error&)> on_end = {},
                            const queue_options& queue = {});
    /// Subscribes to topics without consuming them: their messages come here for this endpoint's
    /// peers that do not tell what they want. Adds to earlier calls. `ec::invalid_topic` where there
    /// is no room for more (see above).
    expected<void> forward(std::vector<std::string> topics);

    // -- Requests ---------------------------------------------------------------------------------
    // To the endpoints that serve a topic, anywhere in this domain. Errors: as `replies::why`, and
    // those that servers tell. Nobody who serves it now gets it later: see `wait_for_server`.

    /// Asks and waits for the first good answer.
    expected<data> request(std::string_view topic, const data& value,
                           timespan timeout = std::chrono::seconds{10});
    /// Asks and waits for all the answers.
    replies request(std::string_view topic, const data& value, const request_options& how);
    /// Asks and returns. `on_answer` gets each answer when it comes, on a thread of the endpoint that
    /// has to go on: it must not wait. They are not kept then, so that there may be any number.
    pending_request request_async(std::string_view topic, const data& value,
                                  const request_options& how = {},
                                  std::function<void(const answer&)> on_answer = {});
    /// Waits until at least `count` other endpoints serve `topic`, or subscribe to everything.
    [[nodiscard]] bool wait_for_server(std::string_view topic, std::size_t count = 1,
                                       timespan timeout = std::chrono::seconds{10});

    /// Answers the requests for `topic` and for what lies below it ("/calc" also "/calc/add"). The
    /// handler runs on a thread of the service's own, one request after the other; what it returns
    /// or throws is the answer. Refused, with `invalid_topic` in `service::last_error`, where a
    /// service of this endpoint answers some of the same requests: its topic is the same, above or
    /// below. Once that one has stopped, its topic is free.
    [[nodiscard]] service serve(std::string_view topic,
                                std::function<expected<data>(const bzmq::request&)> handler);
    /// The same, to answer later, several times or from other threads.
    [[nodiscard]] service serve(std::string_view topic,
                                std::function<void(const bzmq::request&, responder)> handler);

    // -- Stores -----------------------------------------------------------------------------------

    /// Makes this endpoint the master of a store. Again: the same store. Errors: `master_exists`
    /// where another endpoint of the domain is it, `cannot_open_file` (which folder, and why),
    /// `invalid_configuration` (also where it has the store already, but in another folder, or in
    /// memory), `shutting_down`.
    [[nodiscard]] expected<store> attach_master(const std::string& name,
                                                backend kind = backend::memory,
                                                const master_options& options = {});
    /// The same with options by name.
    [[nodiscard]] expected<store> attach_master(const std::string& name, backend kind,
                                                const backend_options& options);
    /// Makes a copy of a store that follows its master, wherever that is, and whether or not it is
    /// there yet. Again: the same clone; a standby where there is none in that folder, but a clone or
    /// master elsewhere, is `invalid_configuration`.
    [[nodiscard]] expected<store> attach_clone(const std::string& name,
                                               const clone_options& options);
    [[nodiscard]] expected<store> attach_clone(
        const std::string& name, timespan resync_interval = std::chrono::seconds{10},
        timespan stale_interval = std::chrono::minutes{5},
        timespan mutation_buffer_interval = std::chrono::minutes{2});

    /// Makes the standby of a store at another endpoint its master, and waits until all know; nil:
    /// the only standby that there is. Who it is. Errors: `request_timeout` (the standby's own
    /// endpoint reports why), `invalid_configuration` (there are several).
    [[nodiscard]] expected<endpoint_id> promote_store(
        const std::string& name, const endpoint_id& at = {},
        timespan timeout = std::chrono::seconds{15});

    // -- State ------------------------------------------------------------------------------------

    [[nodiscard]] endpoint_metrics metrics() const;

    /// Hands on what was published, says goodbye to the peers and stops: at most two seconds.
    /// Subscribers keep what they have; whoever waits in a call returns. Again: does nothing. In a
    /// callback on the endpoint's thread it returns at once, and the end follows the callback; the
    /// endpoint may be destroyed there, too.
    void shutdown();
    [[nodiscard]] bool is_shutdown() const noexcept;

  private:
    friend class gateway;
    endpoint(configuration config, const endpoint_id& self);
    ec publish_text(std::string_view topic, std::string_view value, delivery_mode mode);

    std::shared_ptr<endpoint_core> core_;
};

}  // namespace bzmq
