#pragma once

#include "bzmq/error.hpp"
#include "bzmq/export.hpp"
#include "bzmq/fwd.hpp"
#include "bzmq/message.hpp"
#include "bzmq/overflow_policy.hpp"
#include "bzmq/time.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bzmq {

/// A subscriber's queue. What is unset follows the endpoint's options `subscriber_queue_messages`,
/// `subscriber_queue_bytes` and `subscriber_overflow`.
struct queue_options {
    std::optional<std::size_t> messages = {};
    std::optional<std::size_t> bytes = {};
    /// `block` makes the publishers wait and loses nothing: this endpoint's own and those of its
    /// direct peers, and with `delivery_mode::reliable` over any number of hops. Relays in between
    /// drop best-effort messages that they have no room for, and count them. `disconnect` ends the
    /// subscriber with `ec::queue_full`.
    std::optional<overflow_policy> overflow = {};
};

/// Receives the messages of some topics through a bounded queue.
///
/// All functions may be called from several threads at once. A subscriber may outlive its endpoint:
/// it then yields what is left in its queue, and after that nothing. Ends with its destruction.
class BZMQ_EXPORT subscriber {
  public:
    /// Subscribed to nothing, ended from the start.
    subscriber();
    ~subscriber();
    subscriber(subscriber&& other) noexcept;
    subscriber& operator=(subscriber&& other) noexcept;
    subscriber(const subscriber&) = delete;
    subscriber& operator=(const subscriber&) = delete;

    // -- Receiving --------------------------------------------------------------------------------

    /// Waits for the next message. An invalid one (`valid()` is false) means that the subscriber
    /// has ended and nothing is left; `last_error()` tells why.
    [[nodiscard]] message get();
    /// The same, at most `timeout` long; nothing where none came, or where the subscriber ended.
    [[nodiscard]] std::optional<message> get(timespan timeout);
    /// Waits until there are `count` messages. Fewer mean that the subscriber has ended.
    [[nodiscard]] std::vector<message> get(std::size_t count);
    /// Waits until there are `count` messages, at most `timeout` long, and returns those that came.
    [[nodiscard]] std::vector<message> get(std::size_t count, timespan timeout);
    /// Waits for at least one message and appends all that are there, at most `max`, to `out`: the
    /// fastest way to read. Returns how many; 0 where none came in time, or at the end.
    std::size_t take(std::vector<message>& out, std::size_t max, timespan timeout = timespan::max());
    /// All messages that are there now. Never waits.
    [[nodiscard]] std::vector<message> poll();
    /// How many messages `poll` would return. O(what is queued) when called for the first time.
    [[nodiscard]] std::size_t available() const;
    /// A file descriptor for poll(2) and the like: readable while messages wait, and for good once
    /// the subscriber has ended. Level-triggered. Never read from it; it lives as long as this
    /// object. -1 where the process has no file descriptor left.
    [[nodiscard]] int fd();

    // -- Topics -----------------------------------------------------------------------------------

    /// Subscribes to one more prefix. False where it had it already or has ended (then `why`, if
    /// given, is `ec::none`), and with `ec::invalid_topic` where the endpoint has no room for more. A
    /// callback on the endpoint's thread, which cannot wait, gets `ec::request_timeout` while another
    /// thread changes the topics.
    bool add_topic(std::string_view prefix, error* why = nullptr);
    /// Ends the subscription to `prefix`; no message that only it matched comes after the return.
    /// False where there was none, and in such a callback.
    bool remove_topic(std::string_view prefix);
    [[nodiscard]] std::vector<std::string> topics() const;
    /// Waits until all endpoints within reach know what this one subscribes to: what they publish then
    /// cannot be missed; what those beyond a gateway publish can. False after `timeout`.
    [[nodiscard]] bool wait_ready(timespan timeout = std::chrono::seconds{10});

    // -- State ------------------------------------------------------------------------------------

    /// Messages given up because the queue was full.
    [[nodiscard]] std::uint64_t dropped() const;
    /// True once no message will come any more; some may be left in the queue.
    [[nodiscard]] bool ended() const;
    /// Why it ended: `ec::none` (by `close`), `ec::shutting_down`, `ec::queue_full`; or
    /// `ec::invalid_topic`: it never began, since its topics did not fit.
    [[nodiscard]] error last_error() const;
    /// Ends it now; threads that wait in `get` return.
    void close();

  private:
    friend class endpoint;
    friend class worker_state;
    struct state;
    explicit subscriber(std::unique_ptr<state> own);
    std::size_t read(std::vector<message>& out, std::size_t max, std::size_t enough,
                     std::chrono::steady_clock::time_point deadline);
    bool change_topics(const std::function<bool(std::vector<std::string>&)>& change, error* why);
    std::unique_ptr<state> state_;
};

}  // namespace bzmq
