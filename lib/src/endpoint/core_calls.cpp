// What other threads ask of the core.
#include <algorithm>
#include <set>

#include "bzmq/certificate.hpp"
#include "bzmq/network_info.hpp"
#include "data/msgpack_codec.hpp"
#include "endpoint/clock.hpp"
#include "endpoint/configuration_table.hpp"
#include "endpoint/core.hpp"
#include "endpoint/filter_room.hpp"
#include "endpoint/gone.hpp"
#include "endpoint/worker_state.hpp"
#include "overlay/filter.hpp"

namespace bzmq {
namespace {

using namespace std::chrono_literals;

// Longest wait of `unpeer` for the goodbye; the hub gives up earlier.
constexpr auto goodbye_max = 3s;
// So many requests may wait for room at their servers: each is asked about in every turn.
constexpr std::size_t asking_max = 1024;

/// A server's key, given as such or as the path of its file.
/// The key that a `server_key` names.
expected<std::string> key_of(const std::string& text) {
    if (text.empty() || is_key_text(text)) {
        return text;
    }
    auto from = load_certificate(text);
    if (!from) {
        return fail(from.error().code(),
                    "server_key: expected 40 characters of Z85 or the path of a .key file: "
                        + from.error().message());
    }
    return std::move(from->public_key);
}

peer_info public_view(node::peer_view&& from) {
    peer_info to;
    to.peer = {from.id, std::move(from.name), std::move(from.address)};
    to.state = static_cast<peer_status>(from.state);
    to.outgoing = from.outgoing;
    to.public_key = std::move(from.public_key);
    to.round_trip = from.round_trip;
    to.cost = from.cost;
    to.queue_messages = from.queue_messages;
    to.queue_bytes = from.queue_bytes;
    to.queue_bytes_high = from.queue_bytes_high;
    to.sent_messages = from.sent_messages;
    to.sent_bytes = from.sent_bytes;
    to.received_messages = from.received_messages;
    to.received_bytes = from.received_bytes;
    to.dropped_messages = from.dropped_messages;
    to.retransmitted_frames = from.retransmitted_frames;
    return to;
}
static_assert(static_cast<int>(peer_status::connecting)
              == static_cast<int>(node::peer_state::connecting));
static_assert(static_cast<int>(peer_status::waiting)
              == static_cast<int>(node::peer_state::waiting));

}  // namespace

error endpoint_core::usable() const {
    if (in_child()) {
        return {ec::shutting_down,
                "this endpoint belongs to the process before the fork; make a new one"};
    }
    return stopped_ ? gone() : error{};
}

instant endpoint_core::after(timespan timeout) const {
    const auto now = monotonic_now();
    return timeout >= never - now ? never : now + timeout;
}

/// Waits until the core's thread gets an answer from `ready`; `request_timeout`, `shutting_down`.
error endpoint_core::wait(std::function<std::optional<error>()> ready, timespan timeout) {
    if (in_child()) {
        return usable();
    }
    if (core_thread::of(this)) {
        return ready().value_or(cannot_wait());
    }
    auto answer = std::make_shared<std::promise<error>>();
    auto future = answer->get_future();
    auto step = [answer, ready = std::move(ready)](pending::why why) {
        if (why == pending::why::asked) {
            const auto result = ready();
            if (result) {
                answer->set_value(*result);
            }
            return result.has_value();
        }
        answer->set_value(why == pending::why::late ? error{ec::request_timeout} : gone());
        return true;
    };
    const auto deadline = after(timeout);
    const bool posted =
        post([this, answer = std::move(answer), deadline, step = std::move(step)](bool alive) {
            if (alive) {
                pending_.push_back({deadline, step});
            } else {
                answer->set_value(gone());
            }
        });
    try {
        return posted ? future.get() : gone();
    } catch (const std::future_error&) {
        return gone();  // The core's thread could not even put it down.
    }
}

bool endpoint_core::await(std::function<bool(const node::hub&)> ready, timespan timeout) {
    const auto result = wait(
        [this, ready = std::move(ready)]() -> std::optional<error> {
            return ready(*hub_) ? std::optional{error{}} : std::nullopt;
        },
        timeout);
    return !result;
}

// -- Peerings -------------------------------------------------------------------------------------

expected<transport::listener_info> endpoint_core::listen(std::string_view url) {
    auto place = normalise_url(url);
    if (!place) {
        return tl::unexpected{std::move(place.error())};
    }
    if (!encrypted_ && !options_.allow_insecure_listen && !is_loopback_url(*place)) {
        return fail(ec::insecure_listener,
                    "other machines could connect to " + *place
                        + " without keys; set `cert`, or `allow_insecure_listen` if that is meant");
    }
    return call<expected<transport::listener_info>>(
        [this, place = *place](bool alive) -> expected<transport::listener_info> {
            if (!alive) {
                return tl::unexpected{gone()};
            }
            auto done = sockets_->listen(place);
            if (done) {
                listeners_.push_back(*done);
                journal_.info("listening at " + done->url);
            }
            return done;
        });
}

std::vector<std::string> endpoint_core::listeners() const {
    return ask([this](const node::hub&) {
        std::vector<std::string> urls;
        for (const auto& each : listeners_) {
            urls.push_back(each.url);
        }
        return urls;
    });
}

bool endpoint_core::stop_listening(std::string_view url) {
    auto place = normalise_url(url);
    if (!place) {
        return false;
    }
    return call<bool>([this, place = *place](bool alive) {
        const auto found = std::find_if(listeners_.begin(), listeners_.end(),
                                        [&](const auto& each) { return each.url == place; });
        if (!alive || found == listeners_.end()) {
            return false;
        }
        sockets_->stop_listening(found->id);
        listeners_.erase(found);
        journal_.info("no longer listening at " + place);
        return true;
    });
}

expected<endpoint_id> endpoint_core::peer(std::string_view url, const peering_options& how,
                                          bool wait_for_it) {
    if (auto problem = usable()) {
        return tl::unexpected{std::move(problem)};
    }
    auto place = normalise_url(url);
    if (!place) {
        return tl::unexpected{std::move(place.error())};
    }
    if (const auto good = config::check_limits(how.limits); !good) {
        return fail(ec::invalid_configuration, good.error());
    }
    auto key = key_of(how.server_key.empty() ? options_.server_key : how.server_key);
    if (!key) {
        return tl::unexpected{std::move(key.error())};
    }
    if (!key->empty() && !encrypted_) {
        return fail(ec::invalid_configuration, config::key_without_cert);
    }
    if (key->empty()) {
        *key = own_key_;
    }
    struct begun {
        node::target_id id = node::no_target;
        std::uint64_t failed_before = 0;
    };
    const auto joined = call<expected<begun>>(
        [this, place = *place, key = *key, how, wait_for_it](bool alive) -> expected<begun> {
            if (!alive) {
                return tl::unexpected{gone()};
            }
            return join_target(place, key, how, wait_for_it).map([this](node::target_id id) {
                return begun{id, hub_->target_status(id).failed_attempts};
            });
        });
    if (!joined) {
        return tl::unexpected{joined.error()};
    }
    if (!wait_for_it) {
        return endpoint_id{};
    }
    auto reached = std::make_shared<endpoint_id>();
    auto result = wait(
        [this, joined = *joined, retry = how.retry, reached] {
            return outcome(joined.id, joined.failed_before, retry, *reached);
        },
        how.timeout.value_or(timespan::max()));
    const auto last = call<error>([this, id = joined->id, retry = how.retry](bool alive) {
        if (!alive) {
            return error{};
        }
        auto why = hub_->target_status(id).last_error;
        leave_target(id, retry);
        return why;
    });
    if (result == ec::request_timeout) {
        result = last ? last : error{ec::peer_timeout, "no peering with " + *place + " in time"};
    }
    if (result) {
        return tl::unexpected{std::move(result)};
    }
    return *reached;
}

/// A mistake in one that is dialled late, or not at all, is to show at the start.
void endpoint_core::check_server_keys() const {
    const auto check = [](const std::string& text) {
        if (auto key = key_of(text); !key) {
            throw endpoint_error{std::move(key.error())};
        }
    };
    check(options_.server_key);
    for (const auto& each : options_.peers) {
        check(each.server_key);
    }
}

expected<node::target_id> endpoint_core::join_target(const std::string& url,
                                                     const std::string& server_key,
                                                     const peering_options& how, bool waits) {
    auto at = target_by_url_.find(url);
    if (at != target_by_url_.end() && targets_.at(at->second).server_key != server_key) {
        const auto& other = targets_.at(at->second);
        if (!other.waiting.empty()
            || hub_->target_status(at->second).progress != node::hub::target_progress::failed) {
            return fail(ec::invalid_configuration,
                        "another server_key is expected of " + url
                            + " by a peering that this endpoint has begun; end that one first");
        }
        drop_target(at->second);
        at = target_by_url_.end();
    }
    const bool fresh = at == target_by_url_.end();
    const auto id = fresh ? ++last_target_ : at->second;
    auto& joined = targets_[id];
    if (fresh) {
        joined.url = url;
        joined.server_key = server_key;
        target_by_url_[url] = id;
        hub_->add_target(now_, id, url, false, {}, how.limits);
        if (how.limits.overflow == overflow_policy::block) {
            lane_of(delivery_mode::best_effort).queue.always_wait();
        }
    }
    if (waits) {
        joined.waiting.push_back(how.retry);
    } else if (!joined.standing || joined.retry == timespan{0}) {
        joined.standing = true;
        joined.retry = how.retry;
    }
    settle_retry(id, joined);
    if (waits || hub_->target_status(id).progress == node::hub::target_progress::failed) {
        hub_->dial_now(now_, id);
    }
    return id;
}

std::optional<error> endpoint_core::outcome(node::target_id id, std::uint64_t failed_before,
                                            retry_pause retry, endpoint_id& reached) {
    const auto report = hub_->target_status(id);
    switch (report.progress) {
        case node::hub::target_progress::peered:
            if (auto& what = targets_.at(id); !what.standing) {
                what.standing = true;
                what.retry = retry;
            }
            reached = report.peer;
            return error{};
        case node::hub::target_progress::trying:
            // Others may go on trying; this call has its answer.
            if (report.failed_attempts == failed_before
                || (retry != timespan{0} && !refuses_for_good(report.last_error.code()))) {
                return std::nullopt;
            }
            return report.last_error;
        case node::hub::target_progress::failed:
            return report.last_error ? report.last_error : error{ec::peer_unavailable};
        case node::hub::target_progress::unknown:
            break;
    }
    // At the end of the endpoint all peerings go, before those who wait are told.
    return stopping_ ? gone() : error{ec::cancelled, "the peering was ended meanwhile"};
}

void endpoint_core::leave_target(node::target_id id, retry_pause retry) {
    const auto at = targets_.find(id);
    if (at == targets_.end()) {
        return;
    }
    auto& waiting = at->second.waiting;
    waiting.erase(std::find(waiting.begin(), waiting.end(), retry));
    if (waiting.empty() && !at->second.standing) {
        drop_target(id);
    } else {
        settle_retry(id, at->second);
    }
}

/// The target is tried again as long as somebody wants that.
void endpoint_core::settle_retry(node::target_id id, const target& what) {
    const auto once = retry_pause{timespan{0}};
    auto how = what.standing ? what.retry : once;
    for (const auto& each : what.waiting) {
        how = how == once ? each : how;
    }
    hub_->set_retry(now_, id, how != once, how.value_or(timespan{0}));
}

void endpoint_core::drop_target(node::target_id id) {
    const auto at = targets_.find(id);
    if (at == targets_.end()) {
        return;
    }
    if (const auto named = target_by_url_.find(at->second.url);
        named != target_by_url_.end() && named->second == id) {
        target_by_url_.erase(named);
    }
    targets_.erase(at);
    sockets_->cancel(id);
    hub_->remove_target(now_, id);
}

bool endpoint_core::unpeer(std::string_view url, bool wait_for_it) {
    const auto place = normalise_url(url);
    if (!place) {
        return false;
    }
    const auto dropped = call<node::target_id>([this, place = *place](bool alive) {
        const auto at = alive ? target_by_url_.find(place) : target_by_url_.end();
        if (!alive || at == target_by_url_.end()) {
            return node::no_target;
        }
        const auto id = at->second;
        drop_target(id);
        return id;
    });
    if (dropped == node::no_target) {
        return false;
    }
    if (wait_for_it) {
        await(
            [dropped](const node::hub& hub) {
                const auto all = hub.peers();
                return std::none_of(all.begin(), all.end(), [dropped](const auto& each) {
                    return each.target == dropped;
                });
            },
            goodbye_max);
    }
    return true;
}

// -- Messages -------------------------------------------------------------------------------------

ec endpoint_core::publish(std::string_view topic, const data& value, delivery_mode mode) {
    const auto size = encoded_size(value);
    if (size == 0) {
        return ec::invalid_data;
    }
    return publish(topic, size, mode, [&value](std::byte* to) { encode_to(to, value); });
}

ec endpoint_core::publish(const endpoint_id& destination, std::string_view topic,
                          const data& value, delivery_mode mode) {
    auto record = record_of(topic, value);
    if (!record) {
        return record.error().code();
    }
    if (core_thread::of(this)) {
        return publish_at_once(destination, mode, *record);
    }
    using clock = publish_queue::hold_up::clock;
    const publish_queue::hold_up held;
    const auto latest = options_.publish_timeout.count() == 0
                         ? clock::time_point::max()
                         : held.began() + options_.publish_timeout;
    const auto until = std::min(latest, held.until());
    const auto now = clock::now();
    const bool at_once = until <= now;
    const auto result = wait(
        [this, destination, mode, record = *record, at_once,
         mark = lane_of(mode).queue.mark()]() -> std::optional<error> {
            if (!may_go(mode, mark)) {
                return std::nullopt;
            }
            auto done = send_to(destination, mode, record);
            if (done == ec::queue_full) {
                return at_once ? std::optional{std::move(done)} : std::nullopt;
            }
            again_ = true;  // Its frames leave with the next flush.
            return done;
        },
        // Even where there is no time to wait for room the core needs its turns.
        at_once || until == clock::time_point::max() ? timespan::max() : timespan{until - now});
    if (result != ec::request_timeout && result != ec::queue_full) {
        return result.code();
    }
    if (held.until() < latest) {
        held.ran_out();
    }
    return ec::queue_full;
}

void endpoint_core::publish_nosync(const endpoint_id& destination, std::string_view topic,
                                   const data& value) {
    if (in_child()) {
        return;
    }
    if (auto record = record_of(topic, value)) {
        post([this, destination, record = std::move(*record)](bool alive) {
            if (alive) {
                hub_->publish_to(now_, wall_now(), destination, delivery_mode::best_effort, record);
            }
        });
    }
}

expected<shared_bytes> endpoint_core::record_of(std::string_view topic, const data& value) {
    if (topic.empty() || topic.size() > topic_bytes_max) {
        return fail(ec::invalid_topic);
    }
    const auto size = encoded_size(value);
    if (size == 0) {
        return fail(ec::invalid_data);
    }
    if (size > options_.max_message_bytes) {
        return fail(ec::message_too_big);
    }
    block_ptr block{pool_.take(wire::record_size(topic, size, false))};
    const auto* begin = block->data;
    const auto* end = encode_to(wire::put_record_head(block->data, topic, size, false), value);
    return shared_bytes{std::move(block), begin, static_cast<std::size_t>(end - begin)};
}

/// In a callback on this very thread, for which no turn comes while it waits.
ec endpoint_core::publish_at_once(const endpoint_id& destination, delivery_mode mode,
                                  const shared_bytes& record) {
    if (!hub_) {
        return ec::shutting_down;
    }
    // What the callback published before goes first.
    take_published(true);
    while (publish_taken(mode)) {
    }
    return hub_->publish_to(now_, wall_now(), destination, mode, record).code();
}

/// Either all that was published before it is out, or the lane has just had its turn and what is left
/// of it waits: for others, as far as there is room at its own receivers now.
bool endpoint_core::may_go(delivery_mode mode, std::size_t mark) const {
    const auto& before = lane_of(mode);
    return before.queue.passed(mark) || (before.held_up && lanes_tried_);
}

error endpoint_core::send_to(const endpoint_id& destination, delivery_mode mode,
                             const shared_bytes& record) {
    auto& no_room = no_room_[static_cast<std::size_t>(mode)];
    if (no_room.contains(destination)) {
        return ec::queue_full;  // Many may wait for the same.
    }
    auto done = hub_->publish_to(now_, wall_now(), destination, mode, record);
    if (done == ec::queue_full) {
        no_room.insert(destination);
    }
    return done;
}

error endpoint_core::send_to(const std::vector<endpoint_id>& servers, delivery_mode mode,
                             const shared_bytes& record) {
    if (servers.size() == 1) {
        return send_to(servers.front(), mode, record);
    }
    lane_of(mode).try_anew = true;
    const auto end = hub_->publish(now_, wall_now(), mode, record, 0);
    return end == record.size() ? error{} : error{ec::queue_full};
}

ec endpoint_core::publish_request(const data& value, asking how) {
    if (in_child()) {
        return ec::shutting_down;
    }
    auto record = record_of(how.topic, value);
    if (!record) {
        return record.error().code();
    }
    const auto share = std::max(record->size(), options_.publish_queue_bytes / asking_max);
    if (const auto problem = asking_->reserve(share); problem != ec::none) {
        return problem;
    }
    const auto mark = lane_of(how.mode).queue.mark();
    const auto deadline = after(how.timeout);
    auto step = [this, how = std::move(how), record = std::move(*record), share,
                 mark](pending::why why) {
        if (why == pending::why::asked && how.wanted()) {
            if (!may_go(how.mode, mark)) {
                return false;
            }
            auto to = servers_of(how);
            auto done = to.empty() ? error{} : send_to(to, how.mode, record);
            if (done == ec::queue_full) {
                return false;
            }
            again_ = true;  // Its frames leave with the next flush.
            how.sent(std::move(done), std::move(to));
        }
        asking_->release(share);
        return true;
    };
    const bool posted = post([this, deadline, step = std::move(step)](bool alive) mutable {
        if (alive) {
            pending_.push_back({deadline, std::move(step)});
        } else {
            step(pending::why::closing);
        }
    });
    if (!posted) {
        asking_->release(share);
    }
    return posted ? ec::none : ec::shutting_down;
}

std::vector<endpoint_id> endpoint_core::servers_of(const asking& what) const {
    if (!what.to.is_nil()) {
        return hub_->reachable(what.to) ? std::vector{what.to} : std::vector<endpoint_id>{};
    }
    auto out = hub_->receivers(what.topic);
    if (overlay::matches(hub_->filter_of(self_), what.topic)) {
        out.push_back(self_);
    }
    return out;
}

error endpoint_core::check_room(node::subscriber_id id, const std::vector<std::string>& topics,
                                bool bridge) const {
    filter_room room;
    const auto add = [&room](const std::vector<std::string>& more, bool bridged) {
        bridged ? room.add_bridge(more) : room.add(more);
    };
    add(topics, bridge);
    if (id != 0) {
        room.add(forwarded_);
    }
    for (const auto& [other, each] : subscribers_) {
        if (other != id) {
            add(each.topics, each.bridge);
        }
    }
    return room.check();
}

std::pair<node::subscriber_id, std::shared_ptr<subscriber_queue>> endpoint_core::subscribe(
    std::vector<std::string> topics, const queue_options& how) {
    const subscriber_queue::limits limits{
        how.messages.value_or(options_.subscriber_queue_messages),
        how.bytes.value_or(options_.subscriber_queue_bytes),
        how.overflow.value_or(options_.subscriber_overflow)};
    auto queue = std::make_shared<subscriber_queue>(limits, topics);
    const auto id = ++last_subscriber_;
    // Waits: what reaches this endpoint after the return must find the subscriber.
    auto refused = call<error>([this, id, queue, topics](bool alive) {
        auto problem = alive ? check_room(id, topics) : gone();
        if (!problem) {
            subscribers_[id] = {queue, topics};
            hub_->add_subscriber(now_, id, topics);
            note_overlay();
        }
        return problem;
    });
    if (refused) {
        queue->end(in_child() ? usable() : std::move(refused));
    }
    return {id, std::move(queue)};
}

error endpoint_core::set_topics(node::subscriber_id id, std::vector<std::string> topics) {
    return call<error>([this, id, topics = std::move(topics)](bool alive) {
        if (!alive) {
            return gone();
        }
        const auto at = subscribers_.find(id);
        if (at == subscribers_.end() || at->second.queue->ended()) {
            return error{};
        }
        auto problem = check_room(id, topics);
        if (!problem) {
            at->second.topics = topics;
            hub_->set_filter(now_, id, topics);
            note_overlay();
        }
        return problem;
    });
}

void endpoint_core::set_bridge(node::subscriber_id id, std::string tag,
                               std::vector<std::string> topics) {
    if (in_child()) {
        return;
    }
    post([this, id, tag = std::move(tag), topics = std::move(topics)](bool alive) {
        const auto at = alive ? subscribers_.find(id) : subscribers_.end();
        if (alive && at != subscribers_.end() && !at->second.queue->ended()) {
            if (auto problem = check_room(id, topics, true)) {
                say(problem);  // The bridge goes on with what it had.
                return;
            }
            at->second.topics = topics;
            at->second.bridge = !tag.empty();
            // Where that empties a full queue, nobody else will tell of it.
            const bool drained = at->second.queue->set_filter(topics);
            hub_->set_bridge(now_, id, tag, topics);
            if (drained) {
                hub_->subscriber_drained(now_, id);
            }
        }
    });
}

void endpoint_core::unsubscribe(node::subscriber_id id) {
    if (in_child()) {
        return;
    }
    post([this, id](bool alive) {
        if (!alive) {
            return;
        }
        if (const auto at = subscribers_.find(id); at != subscribers_.end()) {
            direct_came_ = direct_came_ || at->second.direct;  // It has ended.
            dropped_by_ended_ += at->second.queue->look().dropped;
            subscribers_.erase(at);
            hub_->remove_subscriber(now_, id);
        }
    });
}

void endpoint_core::drained(node::subscriber_id id) {
    if (in_child()) {
        return;
    }
    post([this, id](bool alive) {
        if (alive) {
            hub_->subscriber_drained(now_, id);
        }
    });
}

void endpoint_core::report(error what) {
    post([this, what = std::move(what)](bool alive) {
        if (alive) {
            say(what);
        }
    });
}

std::shared_ptr<status_queue> endpoint_core::subscribe_status(bool statuses) {
    auto queue = std::make_shared<status_queue>(statuses);
    // Waits: what happens after the return must be in it.
    const bool alive = call<bool>([this, queue](bool running) {
        if (running) {
            status_queues_.push_back(queue);
        }
        return running;
    });
    if (!alive) {
        queue->end();
    }
    return queue;
}

void endpoint_core::unsubscribe_status(const std::shared_ptr<status_queue>& queue) {
    if (in_child()) {
        return;
    }
    post([this, queue](bool) { std::erase(status_queues_, queue); });
}

error endpoint_core::forward(std::vector<std::string> topics) {
    if (auto problem = usable()) {
        return problem;
    }
    return call<error>([this, topics = std::move(topics)](bool alive) {
        if (!alive) {
            return gone();
        }
        auto all = forwarded_;
        all.insert(all.end(), topics.begin(), topics.end());
        all = overlay::minimise(std::move(all));
        auto problem = check_room(0, all);
        if (!problem) {
            forwarded_ = std::move(all);
            hub_->set_forwarded(now_, forwarded_);
        }
        return problem;
    });
}

void endpoint_core::add_worker(std::shared_ptr<worker_state> worker) {
    const std::lock_guard lock{workers_mutex_};
    std::erase_if(workers_, [](const auto& each) {
        const bool finished = each->finished();
        if (finished) {
            each->join_until(deadline_in(0s));
        }
        return finished;
    });
    worker->start();
    if (workers_closed_) {
        worker->join_until(deadline_in(goodbye_max));  // Its subscription has ended already.
    } else {
        workers_.push_back(std::move(worker));
    }
}

void endpoint_core::add_direct_worker(node::subscriber_id id,
                                      std::shared_ptr<worker_state> worker) {
    const bool alive = !in_child() && post([this, id, worker](bool) {
        if (const auto at = subscribers_.find(id); at != subscribers_.end()) {
            at->second.direct = true;
        }
        direct_workers_.push_back(worker);
        direct_came_ = true;
    });
    if (!alive && !in_child()) {
        worker->stop();  // Nobody else calls back any more.
        while (worker->run_here()) {
        }
    }
}

expected<std::shared_ptr<request_room>> endpoint_core::requests(
    const std::function<expected<std::shared_ptr<request_room>>()>& make) {
    const auto lock = lock_across(requests_mutex_, this);
    if (!lock) {
        return tl::unexpected{lock.error()};
    }
    if (requests_closed_) {
        return tl::unexpected{gone()};
    }
    if (!requests_) {
        auto made = make();
        if (!made) {
            return made;
        }
        requests_ = std::move(*made);
    }
    return requests_;
}

// -- The overlay ----------------------------------------------------------------------------------

bool endpoint_core::confirm_filter(timespan timeout) {
    auto request = std::make_shared<node::request_id>(0);
    const auto result = wait(
        [this, request]() -> std::optional<error> {
            if (*request == 0) {
                *request = ++last_request_;
                confirmations_[*request] = false;
                hub_->confirm_filter(now_, *request);
                again_ = true;
            }
            return confirmations_[*request] ? std::optional{error{}} : std::nullopt;
        },
        timeout);
    if (!in_child()) {
        post([this, request](bool alive) {
            confirmations_.erase(*request);
            if (alive) {
                hub_->forget_query(*request);
            }
        });
    }
    return !result;
}

expected<ping_result> endpoint_core::ping(const endpoint_id& id, timespan timeout) {
    struct state {
        node::request_id request = 0;
        ping_result answer;
    };
    auto shared = std::make_shared<state>();
    auto result = wait(
        [this, id, shared]() -> std::optional<error> {
            if (shared->request == 0) {
                if (!hub_->reachable(id)) {
                    return error{ec::no_path_to_peer, "no path to " + to_string(id)};
                }
                shared->request = ++last_request_;
                pings_[shared->request] = std::nullopt;
                hub_->ping(now_, shared->request, id);
                again_ = true;
            }
            const auto& answer = pings_[shared->request];
            if (!answer) {
                return std::nullopt;
            }
            shared->answer = *answer;
            return error{};
        },
        timeout);
    if (!in_child()) {
        post([this, shared](bool) { pings_.erase(shared->request); });
    }
    if (result) {
        return result == ec::request_timeout
                   ? expected<ping_result>{fail(ec::request_timeout,
                                                "no answer from " + to_string(id))}
                   : expected<ping_result>{tl::unexpected{std::move(result)}};
    }
    return std::move(shared->answer);
}

std::vector<peer_info> endpoint_core::peers() const {
    return ask([](const node::hub& hub) {
        std::vector<peer_info> out;
        for (auto& each : hub.peers()) {
            out.push_back(public_view(std::move(each)));
        }
        return out;
    });
}

endpoint_metrics endpoint_core::metrics() const {
    return ask([this](const node::hub& hub) {
        endpoint_metrics out;
        const auto& counters = hub.counters();
        out.published = counters.published;
        out.no_receiver = counters.no_receiver;
        out.delivered = counters.delivered;
        out.relayed = counters.relayed;
        out.repaired = counters.repaired;
        out.dropped_overflow = counters.dropped_overflow;
        out.dropped_no_path = counters.dropped_no_path;
        out.dropped_late = counters.dropped_late;
        out.dropped_too_big = counters.dropped_too_big;
        out.dropped_forbidden = counters.dropped_forbidden;
        out.gaps = counters.gaps;
        out.retransmitted = counters.retransmitted;
        out.malformed = counters.malformed + stores_->malformed();
        out.ignored_credit = counters.ignored_credit;
        out.control_bytes = counters.control_bytes;
        out.route_computations = counters.route_computations;
        out.buffered_bytes = hub.buffered_bytes();
        for (const auto& each : lanes_) {
            out.publish_refused += each->queue.refused();
            out.publish_queue_bytes += each->queue.bytes();
        }
        out.publish_refused += asking_->refused();
        const auto& wire = sockets_->counters();
        out.sent_frames = wire.sent_frames;
        out.sent_bytes = wire.sent_bytes;
        out.received_frames = wire.received_frames;
        out.received_bytes = wire.received_bytes;
        out.accepted_connections = wire.accepted_connections;
        out.failed_handshakes = wire.failed_handshakes;
        out.refused_peers = wire.refused_peers;
        for (auto& each : hub.peers()) {
            out.peers.push_back(public_view(std::move(each)));
        }
        out.dropped_by_subscribers = dropped_by_ended_;
        for (const auto& [id, each] : subscribers_) {
            const auto gauges = each.queue->look();
            out.dropped_by_subscribers += gauges.dropped;
            out.subscribers.push_back({each.topics, gauges.messages, gauges.bytes,
                                       gauges.bytes_high, gauges.dropped});
        }
        return out;
    });
}

}  // namespace bzmq
