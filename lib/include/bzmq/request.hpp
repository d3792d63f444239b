#pragma once

#include "bzmq/data.hpp"
#include "bzmq/endpoint_id.hpp"
#include "bzmq/error.hpp"
#include "bzmq/export.hpp"
#include "bzmq/fwd.hpp"
#include "bzmq/message.hpp"
#include "bzmq/time.hpp"
#include "bzmq/worker.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Requests and their answers over the overlay. docs/requests.md has the promises and the bytes.
namespace bzmq {

/// How to ask.
struct request_options {
    timespan timeout = std::chrono::seconds{10};  ///< for all of it; `timespan::max()`: no limit
    /// So many good answers end the request; 0: it ends when all servers have ended theirs.
    std::size_t answers = 1;
    endpoint_id to = {};  ///< ask this endpoint only; nil: all that serve the topic
    delivery_mode mode = delivery_mode::reliable;  ///< of the request
};

/// One answer, or the error that a server told instead.
struct answer {
    endpoint_id from;
    expected<data> value;
};

/// All that a request brought.
struct replies {
    /// In the order of arrival; a server that errs is one of them. Empty where `on_answer` was given
    /// and so got them.
    std::vector<answer> answers;
    /// Why it ended. None: there are as many good answers as were wanted, or all servers have ended
    /// theirs. `request_timeout`, `cancelled`, `shutting_down`; `no_path_to_peer`: nobody serves the
    /// topic, or `to` is out of reach; what `endpoint::publish` says.
    error why = {};

    /// The first good answer; without one the first server's error, else `why`, else `no_such_key`.
    [[nodiscard]] BZMQ_EXPORT expected<data> first() const;
};

/// A request on its way. Copies share it; needs not be waited for. Thread-safe.
class BZMQ_EXPORT pending_request {
  public:
    /// Of nothing: done, `cancelled`.
    pending_request() = default;

    [[nodiscard]] bool done() const;
    /// Waits for its end. Past the request's own timeout it waits for nothing. Within a callback of
    /// an endpoint, which cannot wait, `why` is `request_timeout` where it is not done.
    [[nodiscard]] replies wait() const;
    /// The same, at most `timeout` long; false where it is not done by then.
    [[nodiscard]] bool wait_for(timespan timeout) const;
    /// Calls back once with what it brought: at once where it is done, else on a thread of the
    /// endpoint that has to go on: the callback must not wait. What it throws is reported as an
    /// error of the endpoint.
    void then(std::function<void(const replies&)> callback) const;
    /// Ends it with `cancelled`; servers that still work on it are told.
    void cancel() const;

  private:
    friend class request_room;
    explicit pending_request(std::shared_ptr<request_state> state) noexcept
        : state_(std::move(state)) {}
    std::shared_ptr<request_state> state_;
};

/// Answers one request, now or later, from any thread. Copies share it; when the last one goes and
/// nothing has ended the answer, the asker is told `cancelled`.
class BZMQ_EXPORT responder {
  public:
    /// One answer of several; `ec::no_path_to_peer` where the asker is gone, `ec::cancelled` where
    /// this answer has ended or the asker has cancelled or no longer waits.
    ec answer(const data& value) const;
    /// The last answer, or the only one.
    ec finish(const data& value) const;
    /// No (more) answers.
    ec finish() const;
    /// Ends the answer with an error.
    ec fail(const error& why) const;
    /// False once it has ended, or the asker has cancelled or waited long enough.
    [[nodiscard]] bool wanted() const;

  private:
    friend class responder_access;
    explicit responder(std::shared_ptr<responder_state> state) noexcept
        : state_(std::move(state)) {}
    std::shared_ptr<responder_state> state_;
};

/// What a server is asked.
struct request {
    std::string topic;  ///< with one slash in front and none at its end
    data value;
    endpoint_id from;
    timespan timeout;  ///< so long the asker waits, from the moment it asked
};

/// Serves a topic as long as it lives. Movable. May outlive its endpoint.
class BZMQ_EXPORT service {
  public:
    /// Serves nothing.
    service() = default;
    service(service&&) noexcept;
    service& operator=(service&&) noexcept;
    service(const service&) = delete;
    service& operator=(const service&) = delete;
    /// As `stop`.
    ~service();

    /// No handler is called after the return, except from within a handler or a callback on an
    /// endpoint's thread, which waits for nothing. Requests that have come and wait for their turn are
    /// told `cancelled`; where an asker reads nothing, that is tried for a second at most. Answers may
    /// still end.
    void stop();
    /// Waits until it has ended: by `stop`, or with its endpoint. Not in such a callback.
    void wait();
    /// Why it never began or has ended; none while it serves.
    [[nodiscard]] error last_error() const;
    /// Requests that came, and those of them that are not ended.
    [[nodiscard]] std::uint64_t requests() const;
    [[nodiscard]] std::size_t open() const;
    /// Messages that came and had no room. 0: askers wait instead.
    [[nodiscard]] std::uint64_t dropped() const;
    /// Messages that were no requests.
    [[nodiscard]] std::uint64_t malformed() const;

  private:
    friend class endpoint;
    service(std::shared_ptr<service_state> state, worker runs) noexcept
        : state_(std::move(state)), worker_(std::move(runs)) {}
    std::shared_ptr<service_state> state_;
    worker worker_;
};

/// The topic of the messages that carry requests for `topic`: for `wait_for_subscriber`, `forward`.
BZMQ_EXPORT std::string request_topic(std::string_view topic);

}  // namespace bzmq
