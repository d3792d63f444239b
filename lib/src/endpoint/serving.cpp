// Requests and services: what an endpoint does with them.
#include <algorithm>
#include <atomic>
#include <exception>
#include <map>
#include <utility>

#include "bzmq/endpoint.hpp"
#include "bzmq/publish_limit.hpp"
#include "endpoint/clock.hpp"
#include "endpoint/core.hpp"
#include "endpoint/gone.hpp"
#include "endpoint/request_room.hpp"
#include "endpoint/service_state.hpp"
#include "request/envelope.hpp"

namespace bzmq {

using request_wire::envelope;
using request_wire::kind;

// -- Asking ---------------------------------------------------------------------------------------

pending_request endpoint::request_async(std::string_view topic, const data& value,
                                        const request_options& how,
                                        std::function<void(const answer&)> on_answer) {
    if (auto problem = core_->usable()) {
        return request_room::failed(std::move(problem));
    }
    using made_room = expected<std::shared_ptr<request_room>>;
    const auto room = core_->requests([this]() -> made_room {
        // Nothing may be lost between an answer and whoever waits for it; the room's thread goes on.
        queue_options queue;
        queue.overflow = overflow_policy::block;
        auto made = std::make_shared<request_room>(
            core_, make_subscriber({std::string{request_wire::answers_topic}}, queue),
            make_status_subscriber(true));
        auto problem = made->start();
        return problem ? made_room{tl::unexpected{std::move(problem)}} : made_room{std::move(made)};
    });
    return room ? (*room)->ask(topic, value, how, std::move(on_answer))
                : request_room::failed(room.error());
}

replies endpoint::request(std::string_view topic, const data& value, const request_options& how) {
    const auto asked = request_async(topic, value, how);
    auto got = asked.wait();
    if (!asked.done()) {
        asked.cancel();  // A callback, which cannot wait.
    }
    return got;
}

expected<data> endpoint::request(std::string_view topic, const data& value, timespan timeout) {
    request_options how;
    how.timeout = timeout;
    return request(topic, value, how).first();
}

bool endpoint::wait_for_server(std::string_view topic, std::size_t count, timespan timeout) {
    return wait_for_subscriber(request_topic(topic), count, timeout);
}

// -- Serving --------------------------------------------------------------------------------------

service endpoint::serve(std::string_view topic,
                        std::function<expected<data>(const bzmq::request&)> handler) {
    return serve(topic, [handler = std::move(handler)](const bzmq::request& what, responder to) {
        auto out = handler(what);
        if (out) {
            to.finish(*out);
        } else {
            to.fail(out.error());
        }
    });
}

service endpoint::serve(std::string_view topic,
                        std::function<void(const bzmq::request&, responder)> handler) {
    auto state = std::make_shared<service_state>(core_, std::move(handler));
    if (const auto problem = state->take(request_topic(topic))) {
        state->ended(problem);
        return service{std::move(state), {}};
    }
    // A request that arrived must not end at a slow handler: its asker would wait for the timeout.
    queue_options queue;
    queue.overflow = overflow_policy::block;
    auto runs = subscribe({request_topic(topic)}, [state] { state->begun(); },
                          [state](const message& each) { state->received(each); },
                          [state](const error& why) { state->ended(why); }, queue);
    return service{std::move(state), std::move(runs)};
}

class responder_access {
  public:
    static responder make(std::shared_ptr<responder_state> state) {
        return responder{std::move(state)};
    }
};

responder_state::~responder_state() {
    if (!ended_) {
        [[maybe_unused]] const auto sent =
            send({kind::failed, id, {}, {}, {ec::cancelled, "the server dropped the request"}});
    }
    service->forget(asker, id);
}

bool responder_state::wanted() const {
    return !ended_ && !cancelled_ && monotonic_now() < deadline;
}

ec responder_state::send(envelope what) {
    const bool last = what.what != kind::more;
    // Only one may end it.
    const bool before = last ? ended_.exchange(true) : ended_.load();
    if (before || cancelled_ || monotonic_now() >= deadline) {
        return ec::cancelled;
    }
    return service->core()->publish(asker, request_wire::answers_topic, to_data(std::move(what)),
                                    delivery_mode::reliable);
}

ec responder::answer(const data& value) const {
    return state_->send({kind::more, state_->id, {}, value, {}});
}
ec responder::finish(const data& value) const {
    return state_->send({kind::last, state_->id, {}, value, {}});
}
ec responder::finish() const { return state_->send({kind::end, state_->id, {}, {}, {}}); }
ec responder::fail(const error& why) const {
    return state_->send({kind::failed, state_->id, {}, {}, why});
}
bool responder::wanted() const { return state_->wanted(); }

void service_state::received(const message& from) {
    auto got = request_wire::parse(from.value());
    if (!got || got->what > kind::cancel) {
        ++malformed_;
        return;
    }
    if (got->what == kind::cancel) {
        cancel(from.origin(), got->id);
        return;
    }
    ++requests_;
    if (stopped_) {
        // It waited in the queue; nobody else will tell its asker. But `stop` waits for us, and an
        // asker may read nothing for as long as it likes.
        const publish_limit limit{std::max(refuse_until_.load() - monotonic_now(), timespan{0})};
        [[maybe_unused]] const auto sent = core_->publish(
            from.origin(), request_wire::answers_topic,
            to_data(envelope{kind::failed, got->id, {}, {},
                             {ec::cancelled, "the service has stopped"}}),
            delivery_mode::reliable);
        return;
    }
    const auto now = monotonic_now();
    const auto deadline = got->timeout >= never - now ? never : now + got->timeout;
    auto state = std::make_shared<responder_state>(shared_from_this(), from.origin(), got->id,
                                                   deadline);
    {
        const std::lock_guard lock{mutex_};
        open_[{from.origin(), got->id}] = state;
    }
    const auto to = responder_access::make(std::move(state));
    try {
        handler_({request_wire::served_topic(from.topic()), std::move(got->value), from.origin(),
                  got->timeout},
                 to);
    } catch (const std::exception& problem) {
        to.fail({ec::unspecified, problem.what()});
    } catch (...) {
        to.fail({ec::unspecified, "the handler threw something that is no exception"});
    }
}

void service_state::cancel(const endpoint_id& asker, std::uint64_t id) {
    std::shared_ptr<responder_state> open;  // Goes, if it is the last, without the lock.
    const std::lock_guard lock{mutex_};
    if (const auto at = open_.find({asker, id}); at != open_.end()) {
        open = at->second.lock();
    }
    if (open) {
        open->cancel();
    }
}

void service_state::forget(const endpoint_id& asker, std::uint64_t id) {
    const std::lock_guard lock{mutex_};
    open_.erase({asker, id});
}

service_state::~service_state() { leave(); }

error service_state::take(std::string topic) {
    if (const auto other = core_->served().take(topic)) {
        return {ec::invalid_topic, request_wire::served_topic(topic) + ": this endpoint serves "
                                       + request_wire::served_topic(*other) + " already"};
    }
    const std::lock_guard lock{mutex_};
    topic_ = std::move(topic);
    return {};
}

void service_state::leave() {
    std::string topic;
    {
        const std::lock_guard lock{mutex_};
        topic.swap(topic_);
    }
    if (!topic.empty()) {
        core_->served().give_back(topic);
    }
}

void service_state::ended(const error& why) {
    leave();
    const std::lock_guard lock{mutex_};
    why_ = why ? why : error{ec::cancelled, "stopped"};
}

service::service(service&&) noexcept = default;
service& service::operator=(service&& other) noexcept {
    if (this != &other) {
        stop();
        state_ = std::move(other.state_);
        worker_ = std::move(other.worker_);
    }
    return *this;
}
service::~service() { stop(); }
void service::stop() {
    if (!state_) {
        return;
    }
    state_->stop();
    worker_.stop();
    state_->leave();
    if (!state_->on_its_thread()) {
        worker_.wait();
    }
}
void service::wait() { worker_.wait(); }
error service::last_error() const {
    return state_ ? state_->why() : error{ec::cancelled, "serves nothing"};
}
std::uint64_t service::requests() const { return state_ ? state_->requests() : 0; }
std::size_t service::open() const { return state_ ? state_->open() : 0; }
std::uint64_t service::dropped() const { return worker_.dropped(); }
std::uint64_t service::malformed() const { return state_ ? state_->malformed() : 0; }

}  // namespace bzmq
