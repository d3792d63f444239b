// The core's thread: how an endpoint starts, turns and ends. What it is asked for is in
// core_calls.cpp, what happens to it in core_events.cpp.
#include "endpoint/core.hpp"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <iterator>

#include "bzmq/certificate.hpp"
#include "bzmq/network_info.hpp"
#include "endpoint/clock.hpp"
#include "endpoint/core_thread.hpp"
#include "endpoint/gone.hpp"
#include "endpoint/request_room.hpp"
#include "endpoint/random.hpp"
#include "endpoint/worker_state.hpp"
#include "replica/limits.hpp"
#include "wire/frames.hpp"

namespace bzmq {
namespace {

using namespace std::chrono_literals;

constexpr auto shutdown_max = 2s;
// Of which so much may go into passing on what was published.
constexpr auto shutdown_publish_max = 1s;
constexpr auto key_files_interval = 1s;
// What one turn publishes at most, so that acknowledgements are not kept waiting.
constexpr std::size_t turn_bytes = std::size_t{1} << 20;
static_assert(wire::control_section_bytes_max > replica::message_bytes_max);
static_assert(wire::store_name_bytes_max == replica::store_name_bytes_max);

/// Copes with there being no memory for a text.
error broken(const char* what) noexcept {
    try {
        return {ec::unspecified, std::string{"internal error, the endpoint has stopped: "} + what};
    } catch (...) {
        return ec::unspecified;
    }
}

endpoint_options checked(endpoint_options options) {
    if (auto valid = configuration{options}.validate(); !valid) {
        throw endpoint_error{std::move(valid.error())};
    }
    return options;
}

/// A file that cannot be read is told by the option that names it.
endpoint_error in_option(std::string_view key, const error& what) {
    return endpoint_error{what == ec::cannot_open_file
                              ? error{what.code(), std::string{key} + ": " + what.message()}
                              : what};
}

transport::security security_of(const endpoint_options& options) {
    transport::security who;
    if (!options.cert.empty()) {
        auto own = load_certificate(options.cert);
        if (!own) {
            throw in_option("cert", own.error());
        }
        if (!own->secret) {
            throw endpoint_error{error{ec::invalid_certificate,
                                       options.cert + " holds no secret key; expected a file "
                                                      "NAME.key_secret"}};
        }
        who.own = std::move(*own);
    }
    if (!options.allow.empty()) {
        auto allowed = transport::allow_list::load(options.allow);
        if (!allowed) {
            throw in_option("allow", allowed.error());
        }
        who.allowed = std::move(*allowed);
    }
    who.allow_any_client = options.allow_any_client;
    return who;
}

transport::hub_settings transport_settings(const endpoint_options& options) {
    transport::hub_settings out;
    out.handshake_timeout =
        std::chrono::ceil<std::chrono::milliseconds>(options.handshake_timeout);
    out.max_frame_bytes = wire::frame_bytes_max;
    return out;
}

node::hub_options hub_options_of(const endpoint_options& from, const endpoint_id& self) {
    node::hub_options to;
    to.self = self;
    to.name = from.name;
    to.domain = from.domain;
    to.seed = random_value<std::uint64_t>();
    to.heartbeat_interval = from.heartbeat_interval;
    to.peer_timeout = from.peer_timeout;
    to.handshake_timeout = from.handshake_timeout;
    to.retry_min = from.retry_min;
    to.retry_max = from.retry_max;
    to.link_cost = from.link_cost;
    to.message_bytes_max = from.max_message_bytes;
    to.frame_bytes = from.frame_bytes;
    to.link_window_bytes = from.link_window_bytes;
    to.peer_queue_bytes = from.peer_queue_bytes;
    to.peer_queue_messages = from.peer_queue_messages;
    to.peer_overflow = from.peer_overflow;
    to.reliable_window_bytes = from.reliable_window_bytes;
    to.reliable_hold = from.reliable_hold;
    to.reorder_hold = from.reorder_hold;
    to.forget_after = from.forget_after;
    to.local_delivery = from.local_delivery;
    to.forwarding = from.forwarding;
    to.hide_peers = from.hide_peers;
    return to;
}

publish_queue::settings queue_settings(const endpoint_options& options, delivery_mode mode) {
    publish_queue::settings how;
    how.chunk_bytes = options.frame_bytes;
    how.bytes_max = options.publish_queue_bytes;
    how.message_bytes_max = options.max_message_bytes;
    how.timeout = options.publish_timeout;
    how.always_wait = mode == delivery_mode::reliable
                      || options.peer_overflow == overflow_policy::block;
    return how;
}

}  // namespace

endpoint_core::endpoint_core(endpoint_options options, const endpoint_id& self)
    : options_(checked(std::move(options))),
      self_(self ? self : random_id()),
      journal_(options_, to_string(self_)),
      encrypted_(!options_.cert.empty()),
      pool_(std::max(transport::block_pool::default_block_bytes,
                     options_.frame_bytes + std::size_t{16} * 1024)) {
    try {
        auto who = security_of(options_);
        check_server_keys();
        own_key_ = who.own ? who.own->public_key : std::string{};
        sockets_ = std::make_unique<transport::socket_hub>(*this, std::move(who),
                                                           transport_settings(options_));
    } catch (const endpoint_error&) {
        throw;
    } catch (const std::exception& problem) {
        throw endpoint_error{error{ec::unspecified, problem.what()}};
    }
    for (const auto mode : {delivery_mode::best_effort, delivery_mode::reliable}) {
        lanes_[static_cast<std::size_t>(mode)] =
            std::make_unique<lane>(queue_settings(options_, mode), pool_, *sockets_);
    }
    asking_ = std::make_unique<publish_queue>(queue_settings(options_, delivery_mode::reliable),
                                              pool_, *sockets_);
    auto hub_options = hub_options_of(options_, self_);
    hub_options.public_key = own_key_;
    hub_ = std::make_unique<node::hub>(std::move(hub_options), *this);
    if (!options_.permissions.empty()) {
        auto loaded = permissions_file::load(options_.permissions);
        if (!loaded) {
            throw in_option("permissions", loaded.error());
        }
        permissions_ = std::move(*loaded);
        hub_->set_permissions(instant{}, permissions_->rules());
    }
    stores_ = std::make_unique<store_room>(
        self_, *hub_,
        store_room::outside{[this] { sockets_->wake(); }, [this](error what) { say(what); },
                            [this](sc code, std::string what) {
                                say(status{code, {self_, options_.name, {}}, std::move(what)});
                            }});
    now_ = monotonic_now();
    // Signals are the program's business: they must not land on this thread.
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
        thread_ = std::thread{[this] {
            run();
            if (kept_) {  // Nobody else may come to end these, which hold us.
                end_requests();
                end_workers();
            }
            const auto last = std::move(kept_);
        }};
    } catch (const std::system_error& problem) {
        ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
        throw endpoint_error{error{ec::unspecified, problem.what()}};
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

endpoint_core::~endpoint_core() { shutdown(); }

void endpoint_core::shutdown() {
    if (in_child()) {
        return;
    }
    if (core_thread::of(this)) {
        stopping_ = true;
        kept_ = weak_from_this().lock();
        return;
    }
    const std::lock_guard lock{shutdown_mutex_};
    if (!thread_.joinable()) {
        return;
    }
    end_requests();  // First: what ends below is no news to those who ask.
    if (thread_.get_id() == std::this_thread::get_id()) {
        thread_.detach();  // It had the last reference, and lets go of it as its last act.
    } else {
        post([this](bool) { stopping_ = true; });
        thread_.join();
    }
    stopped_ = true;
    end_workers();
}

void endpoint_core::end_requests() {
    std::shared_ptr<request_room> requests;
    {
        const std::lock_guard lock{requests_mutex_};
        requests.swap(requests_);
        requests_closed_ = true;
    }
    if (requests) {
        requests->stop(deadline_in(shutdown_max));
    }
}

void endpoint_core::end_workers() {
    std::vector<std::shared_ptr<worker_state>> workers;
    {
        const std::lock_guard lock{workers_mutex_};
        workers.swap(workers_);
        workers_closed_ = true;
    }
    const auto deadline = deadline_in(shutdown_max);
    for (const auto& each : workers) {
        each->join_until(deadline);
    }
}

// -- Commands -------------------------------------------------------------------------------------

bool endpoint_core::post(command what) {
    const std::lock_guard lock{commands_mutex_};
    if (closed_) {
        return false;
    }
    commands_.push_back(std::move(what));
    commands_came_ = true;
    if (commands_.size() == 1) {
        sockets_->wake();  // Under the lock, as in `publish_queue::push`.
    }
    return true;
}

void endpoint_core::run_commands(bool alive) {
    {
        const std::lock_guard lock{commands_mutex_};
        running_.swap(commands_);
    }
    for (auto& each : running_) {
        std::exchange(each, nullptr)(alive);  // Where it throws, those that are left can be told.
    }
    running_.clear();
}

// -- The loop -------------------------------------------------------------------------------------

void endpoint_core::run() {
    ::pthread_setname_np(::pthread_self(), "bzmq-core");
    const core_thread here{this};
    std::unique_lock turn_lock{turn_mutex_};
    auto why = gone();
    try {
        bool busy = false;
        while (!stopping_) {
            const auto time = time_to_sleep(busy);
            sleeps_until_ = now_ + time;
            sockets_->poll(time, &turn_lock);
            busy = turn();
        }
        wind_down();
    } catch (const std::exception& problem) {
        why = broken(problem.what());
    } catch (...) {
        why = broken("something that is no exception was thrown");
    }
    let_go(why);
}

bool endpoint_core::turn() {
    now_ = monotonic_now();
    if (broken_) {
        std::rethrow_exception(std::exchange(broken_, nullptr));
    }
    for (const auto& what : std::exchange(unsaid_, {})) {
        say(what);
    }
    for (auto& [target, reason] : std::exchange(failed_dials_, {})) {
        hub_->connect_failed(now_, target, reason);
    }
    note_overlay();
    const bool more_for_direct = run_direct_workers();
    // In this order: who subscribes and then publishes must find both in this order here.
    take_published(commands_came_.exchange(false));
    run_commands(true);
    note_overlay();
    lanes_tried_ = false;
    run_pending();  // What waits for room from before all that the lanes have takes it first.
    bool busy = publish_taken(delivery_mode::best_effort);
    busy = publish_taken(delivery_mode::reliable) || busy;
    lanes_tried_ = true;
    end_disconnected();
    busy = stores_->turn(now_) || busy;
    if (now_ >= hub_->next_deadline()) {
        hub_->tick(now_);
    } else {
        hub_->flush(now_);
    }
    again_ = false;
    note_overlay();
    run_pending();
    if (now_ >= key_files_due_ && watches_key_files()) {
        key_files_due_ = now_ + key_files_interval;
        say_once(sockets_->reload_allowed(), allow_problem_);
        reload_permissions();
    }
    return busy || again_ || more_for_direct || direct_came_ || !failed_dials_.empty();
}

bool endpoint_core::run_direct_workers() {
    if (!std::exchange(direct_came_, false)) {
        return false;
    }
    bool more = false;
    for (const auto& each : direct_workers_) {
        more = each->run_here() || more;
    }
    std::erase_if(direct_workers_, [](const auto& each) { return each->finished(); });
    direct_came_ = direct_came_ || more;
    return more;
}

void endpoint_core::publish_here(delivery_mode mode) noexcept {
    const core_thread here{this};
    try {
        // What the thread has to do, and not in this order, is left to it.
        const auto now = monotonic_now();
        bool idle = !stopping_ && !broken_ && !commands_came_ && pending_.empty()
                    && disconnected_.empty() && failed_dials_.empty() && !direct_came_
                    && now < hub_->next_deadline();
        for (const auto& each : lanes_) {
            idle = idle && each->taken.empty();
        }
        if (idle) {
            now_ = now;
            turn_lent_ = true;
            auto& from = lane_of(mode);
            from.queue.take(from.taken, now_, true);
            const bool left = publish_taken(mode) || !from.taken.empty();
            hub_->flush(now_);
            turn_lent_ = false;
            const auto due = std::min(hub_->next_deadline(), from.queue.take_due());
            idle = !left && unsaid_.empty() && disconnected_.empty() && failed_dials_.empty()
                   && !direct_came_ && due >= sleeps_until_ && sockets_->settle();
        }
        if (!idle) {
            sockets_->wake();
        }
    } catch (...) {
        turn_lent_ = false;
        broken_ = std::current_exception();  // The thread is to end of it.
        sockets_->wake();
    }
}

timespan endpoint_core::time_to_sleep(bool busy) const {
    if (busy) {
        return timespan{0};
    }
    auto due = std::min(hub_->next_deadline(), stores_->next_deadline());
    for (const auto& each : lanes_) {
        due = std::min(due, each->queue.take_due());
    }
    for (const auto& each : pending_) {
        due = std::min(due, each.deadline);
    }
    if (watches_key_files()) {
        due = std::min(due, key_files_due_);
    }
    // No need to be asked after the end of the world.
    return std::clamp<timespan>(due - std::max(now_, instant{0}), timespan{0}, 1h);
}

/// `all`: also what the queues would rather leave for later.
void endpoint_core::take_published(bool all) {
    for (auto& each : lanes_) {
        each->queue.take(each->taken, now_, all);
    }
}

/// Publishes what was taken, up to a bound; true where more could go at once.
bool endpoint_core::publish_taken(delivery_mode mode) {
    auto& from = lane_of(mode);
    if (from.next == from.taken.size()) {
        return false;
    }
    const auto wall = wall_now();
    std::size_t done = 0;
    bool held_up = false;
    while (from.next < from.taken.size() && done < turn_bytes) {
        if (!std::exchange(from.try_anew, false) && !hub_->publish_ready(mode)) {
            held_up = true;
            break;
        }
        auto& chunk = from.taken[from.next];
        const auto end = hub_->publish(now_, wall, mode, chunk.records, chunk.offset,
                                       chunk.facts);
        done += end - chunk.offset;
        chunk.offset = end;
        if (end < chunk.records.size()) {
            held_up = true;
            break;
        }
        chunk = {};
        ++from.next;
    }
    if (from.next == from.taken.size()) {
        from.taken.clear();
        from.next = 0;
    } else if (from.next > 1024) {
        from.taken.erase(from.taken.begin(),
                         from.taken.begin() + static_cast<std::ptrdiff_t>(from.next));
        from.next = 0;
    }
    if (held_up != from.held_up) {
        from.held_up = held_up;
        from.queue.held_up(held_up);
    }
    if (done > 0) {
        from.queue.release(done);
    }
    return from.next < from.taken.size() && !held_up;
}

void endpoint_core::run_pending() {
    for (auto& each : no_room_) {
        each.clear();
    }
    std::size_t kept = 0;
    for (std::size_t i = 0; i < pending_.size(); ++i) {
        auto& each = pending_[i];
        bool done = each.step(pending::why::asked);
        if (!done && now_ >= each.deadline) {
            each.step(pending::why::late);
            done = true;
        }
        if (!done) {
            if (kept != i) {
                pending_[kept] = std::move(each);
            }
            ++kept;
        }
    }
    pending_.resize(kept);
}

void endpoint_core::end_disconnected() {
    for (const auto id : std::exchange(disconnected_, {})) {
        hub_->remove_subscriber(now_, id);
    }
}

// -- The end --------------------------------------------------------------------------------------

void endpoint_core::wind_down() {
    const auto began = monotonic_now();
    for (auto& each : lanes_) {
        each->queue.close();
    }
    asking_->close();
    const auto left = [this] {
        std::size_t bytes = 0;
        for (const auto& each : lanes_) {
            bytes += each->queue.bytes();
        }
        return bytes;
    };
    bool busy = turn();
    while ((left() > 0 || !stores_->drained()) && now_ < began + shutdown_publish_max) {
        sockets_->poll(busy ? timespan{0} : std::min<timespan>(time_to_sleep(false), 10ms));
        busy = turn();
    }
    if (const auto bytes = left(); bytes > 0) {
        journal_.warning("shutting down with " + std::to_string(bytes)
                         + " published bytes that nobody took in time");
    }
    stores_->shutdown(gone());
    hub_->shutdown(now_);
    hub_->flush(now_);
    while (!hub_->drained() && now_ < began + shutdown_max) {
        sockets_->poll(std::min<timespan>(time_to_sleep(false), 10ms));
        turn();
    }
}

void endpoint_core::let_go(const error& why) noexcept {
    // Without memory or in any other trouble, the rest still has to go.
    const auto attempt = [](const auto& step) noexcept {
        try {
            step();
        } catch (...) {  // NOLINT(bugprone-empty-catch): there is nobody left to tell.
        }
    };
    if (why != ec::shutting_down) {
        attempt([&] { journal_.note(why); });
        for (const auto& each : status_queues_) {
            attempt([&] { each->push(why); });
        }
    }
    for (auto& each : lanes_) {
        attempt([&] { each->queue.close(); });
    }
    attempt([&] { asking_->close(); });
    stores_->abandon(why);
    ++overlay_version_;  // Nobody is within reach from here on.
    std::vector<command> last;
    {
        const std::lock_guard lock{commands_mutex_};
        closed_ = true;
        last.swap(commands_);
    }
    for (auto* commands : {&running_, &last}) {
        for (auto& each : *commands) {
            attempt([&] {
                if (each) {
                    each(false);
                }
            });
        }
        commands->clear();
    }
    for (auto& each : std::exchange(pending_, {})) {
        attempt([&] {
            if (each.step) {
                each.step(pending::why::closing);
            }
        });
    }
    for (auto& each : subscribers_) {
        auto& queue = *each.second.queue;
        attempt([&] { queue.end(why); });
        attempt([&] { queue.end(why.code()); });  // Takes no memory.
    }
    subscribers_.clear();
    for (const auto& each : std::exchange(direct_workers_, {})) {
        attempt([&] {
            while (each->run_here()) {
            }
        });
    }
    for (auto& each : status_queues_) {
        attempt([&] { each->end(); });
    }
    status_queues_.clear();
    sockets_.reset();
    hub_.reset();
    stopped_ = true;
}

}  // namespace bzmq
