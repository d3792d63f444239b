#include "sim/network.hpp"

#include "base/assert.hpp"
#include "sim/random.hpp"
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <utility>

namespace bzmq::sim {

using namespace std::chrono_literals;

// A hub whose deadline has passed again right after its tick, so many times running, is stuck.
constexpr unsigned spins_max = 1000;
constexpr auto dial_timeout = 2s;
constexpr auto clog_max = 2s;

/// The simulator's side of one hub.
struct network::hub_shell final : node::hub_output {
    network& net;
    node_index home;

    hub_shell(network& owner, node_index at) : net(owner), home(at) {}

    void send(node::link_id link, shared_bytes frame) override { net.send(link, std::move(frame)); }
    void close(node::link_id link) override { net.close(link); }
    void connect(node::target_id target) override { net.dial(home, target); }
    void deliver(std::span<const node::subscriber_id> to, const batch_ptr& batch,
                 std::vector<node::subscriber_id>& full) override {
        auto& here = net.nodes_[home];
        net.mix(batch->records.span());
        net.mix(to.size());
        if (net.observer_ != nullptr) {
            net.observer_->delivered(here.life, to, *batch);
        }
        for (const auto id : to) {
            const auto subscriber = here.subscribers.find(id);
            if (subscriber == here.subscribers.end() || subscriber->second.queue_batches == 0) {
                continue;
            }
            auto& queued = here.queued[id];
            if (queued++ == 0) {
                net.drain_later(home, id);
            }
            if (queued >= subscriber->second.queue_batches) {
                full.push_back(id);
            }
        }
    }
    void notify(status_variant what) override {
        const auto text = to_string(what);
        net.mix(std::as_bytes(std::span{text.data(), text.size()}));
        if (net.verbose_) {
            net.say(fmt::format("{} notifies {}", home, text));
        }
        if (net.observer_ != nullptr) {
            net.observer_->notified(net.nodes_[home].life, what);
        }
    }
    block_ptr allocate(std::size_t capacity) override {
        return block_ptr{new_heap_block(capacity)};
    }
    void pong(node::request_id request, nanoseconds round_trip,
              std::vector<endpoint_id> path) override {
        net.mix(static_cast<std::uint64_t>(round_trip.count()));
        net.pongs_.push_back({request, std::move(path)});
    }
    void filter_confirmed(node::request_id request) override {
        net.mix(request);
        net.confirmations_.push_back(request);
    }
};

network::network(std::uint64_t seed) : random_(seed), id_random_(fork(random_)) {}
network::~network() = default;

void network::say(const std::string& line) const {
    if (verbose_) {
        fmt::print(stderr, "{:>14.6f} {}\n", std::chrono::duration<double>(now_).count(), line);
    }
}

void network::mix(std::uint64_t value) {
    trace_ = (trace_ ^ value) * 0x100000001b3ULL;
    trace_ ^= trace_ >> 29;
}

void network::mix(std::span<const std::byte> bytes) {
    mix(bytes.size());
    while (bytes.size() >= 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, bytes.data(), 8);
        mix(word);
        bytes = bytes.subspan(8);
    }
    std::uint64_t rest = 0;
    if (!bytes.empty()) {
        std::memcpy(&rest, bytes.data(), bytes.size());
    }
    mix(rest);
}

void network::complain(node_index at, const std::string& what) {
    say(fmt::format("{} COMPLAINT {}", at, what));
    if (complaint_.empty()) {
        complaint_ = fmt::format("at {:.6f} s node {}: {}",
                                 std::chrono::duration<double>(now_).count(), at, what);
    }
}

// -- Events ---------------------------------------------------------------------------------------

void network::schedule(instant when, event what) {
    std::uint32_t slot = 0;
    if (free_events_.empty()) {
        slot = static_cast<std::uint32_t>(events_.size());
        events_.push_back(std::move(what));
    } else {
        slot = free_events_.back();
        free_events_.pop_back();
        events_[slot] = std::move(what);
    }
    heap_.push_back({std::max(when, now_), ++last_sequence_, slot});
    std::push_heap(heap_.begin(), heap_.end(), later{});
}

void network::at(instant when, std::function<void()> action) {
    event what;
    what.action = std::move(action);
    schedule(when, std::move(what));
}

void network::run_until(instant until) {
    while (!heap_.empty() && heap_.front().at <= until) {
        std::pop_heap(heap_.begin(), heap_.end(), later{});
        const auto next = heap_.back();
        heap_.pop_back();
        now_ = next.at;
        auto what = std::move(events_[next.slot]);
        events_[next.slot] = event{};
        free_events_.push_back(next.slot);
        run(what);
        ++events_run_;
    }
    now_ = until;
}

bool network::run_until(const std::function<bool()>& done, nanoseconds limit, nanoseconds step) {
    const auto end = now_ + limit;
    while (!done()) {
        if (now_ >= end || !complaint_.empty()) {
            return false;
        }
        run_until(std::min(end, now_ + step));
    }
    return true;
}

void network::run(event& what) {
    mix(static_cast<std::uint64_t>(now_.count()));
    mix(static_cast<std::uint64_t>(what.what) << 32 | what.home);
    switch (what.what) {
        case event::kind::action:
            what.action();
            return;
        case event::kind::timer: {
            auto& here = nodes_[what.home];
            if (here.life != what.life || here.hub == nullptr || here.timer != now_) {
                return;
            }
            here.timer = never;
            if (std::max(here.busy_until, here.frozen_until) > now_) {
                wake_at(what.home, std::max(here.busy_until, here.frozen_until));
            } else if (here.hub->next_deadline() <= now_) {
                turn(what.home);
            } else {
                arm(what.home);
            }
            return;
        }
        case event::kind::wake: {
            auto& here = nodes_[what.home];
            if (here.life != what.life || here.hub == nullptr) {
                return;
            }
            here.wake_pending = false;
            if (std::max(here.busy_until, here.frozen_until) > now_) {
                wake_at(what.home, std::max(here.busy_until, here.frozen_until));
            } else {
                turn(what.home);
            }
            return;
        }
        case event::kind::input: {
            auto& here = nodes_[what.home];
            if (what.counted) {
                auto& from = connections_[what.connection].flows[what.direction];
                if (what.index > from.cut_after) {
                    return;
                }
                from.arrived = std::max(from.arrived, what.index);
            }
            if (here.life == what.life && here.hub != nullptr) {
                input_arrives(what.home, std::move(what.payload));
            }
            return;
        }
    }
}

void network::input_arrives(node_index at, input what) {
    auto& here = nodes_[at];
    here.inbox.push_back(std::move(what));
    const auto free_at = std::max(here.busy_until, here.frozen_until);
    if (free_at > now_) {
        wake_at(at, free_at);
    } else {
        turn(at);
    }
}

void network::wake_at(node_index at, instant when) {
    auto& here = nodes_[at];
    if (here.wake_pending) {
        return;
    }
    here.wake_pending = true;
    event what;
    what.what = event::kind::wake;
    what.home = at;
    what.life = here.life;
    schedule(when, std::move(what));
}

void network::turn(node_index at) {
    auto& here = nodes_[at];
    while (!here.inbox.empty()) {
        auto what = std::move(here.inbox.front());
        here.inbox.pop_front();
        apply(at, what);
    }
    if (here.hub->next_deadline() <= now_) {
        here.hub->tick(now_);
    }
    here.busy_until = now_ + here.turn_cost;
    end_turn(at);
}

void network::apply(node_index at, input& what) {
    auto& hub = *nodes_[at].hub;
    if (what.what == input::kind::failed) {
        hub.connect_failed(now_, what.target, error{ec::peer_unavailable, "no answer"});
        return;
    }
    const auto index = connection_of(what.link);
    const auto which = side_of(what.link);
    auto& here = connections_[index].sides[which];
    switch (what.what) {
        case input::kind::opened: {
            here.coming = false;
            here.open = true;
            const auto target = which == 0 ? connections_[index].target : node::no_target;
            const auto other = connections_[index].sides[1 - which].home;
            hub.link_opened(now_, what.link, target, fmt::format("sim://{}", other), {});
            return;
        }
        case input::kind::closed:
            if (here.open) {
                here.open = false;
                hub.link_closed(now_, what.link, error{ec::unspecified, "connection broke"});
            }
            return;
        case input::kind::frame:
            if (here.open) {
                hub.frame_received(now_, what.link, what.frame);
            }
            return;
        case input::kind::failed:
            return;
    }
}

void network::end_turn(node_index at) {
    auto& here = nodes_[at];
    if (here.hub == nullptr) {
        return;
    }
    here.hub->flush(now_);
    arm(at);
    if (observer_ != nullptr) {
        observer_->turn_ended(here.life);
    }
}

void network::arm(node_index at) {
    auto& here = nodes_[at];
    auto due = here.hub->next_deadline();
    if (due == never) {
        return;
    }
    if (due <= now_) {
        if (++here.spins > spins_max) {
            complain(at, "the hub's deadline has always passed already");
            due = now_ + 1s;
        }
        due = std::max(due, now_ + 1us);
    } else {
        here.spins = 0;
    }
    if (here.timer <= due) {
        return;
    }
    here.timer = due;
    event what;
    what.what = event::kind::timer;
    what.home = at;
    what.life = here.life;
    schedule(due, std::move(what));
}

// -- Nodes ----------------------------------------------------------------------------------------

node_index network::add_node(node::hub_options options) {
    const auto at = static_cast<node_index>(nodes_.size());
    nodes_.emplace_back();
    nodes_[at].options = std::move(options);
    nodes_[at].options.name = fmt::format("n{}", at);
    begin_life(at);
    return at;
}

life_index network::find_life(const endpoint_id& id) const {
    const auto found = life_of_id_.find(id);
    return found == life_of_id_.end() ? no_life : found->second;
}

void network::begin_life(node_index at) {
    auto& here = nodes_[at];
    const auto life = static_cast<life_index>(lives_.size());
    endpoint_id::bytes_type raw{};
    for (auto& byte : raw) {
        byte = static_cast<std::uint8_t>(id_random_.next());
    }
    const endpoint_id id{raw};
    lives_.push_back({id, at});
    life_of_id_[id] = life;
    here.life = life;
    here.options.self = id;
    here.options.seed = id_random_.next();
    here.shell = std::make_unique<hub_shell>(*this, at);
    here.hub = std::make_unique<node::hub>(here.options, *here.shell);
    here.busy_until = here.frozen_until = now_;
    here.timer = never;
    here.wake_pending = here.leaving = false;
    here.spins = 0;
    if (observer_ != nullptr) {
        observer_->started(life);
    }
    for (const auto& [subscriber, options] : here.subscribers) {
        here.hub->add_subscriber(now_, subscriber, options.prefixes);
    }
    if (!here.forwarded.empty()) {
        here.hub->set_forwarded(now_, here.forwarded);
    }
    for (const auto to : here.dials) {
        start_target(at, to);
    }
    end_turn(at);
}

void network::end_life(node_index at) {
    auto& here = nodes_[at];
    here.hub.reset();
    here.shell.reset();
    here.targets.clear();
    here.inbox.clear();
    here.queued.clear();
    here.timer = never;
    here.wake_pending = here.leaving = false;
    if (observer_ != nullptr) {
        observer_->ended(here.life);
    }
}

void network::crash(node_index at, bool peers_told) {
    if (!alive(at)) {
        return;
    }
    say(fmt::format("{} crashes, peers {}told", at, peers_told ? "" : "not "));
    const auto life = nodes_[at].life;
    end_life(at);
    for (std::uint32_t i = 0; i < connections_.size(); ++i) {
        auto& one = connections_[i];
        for (unsigned which = 0; which < 2; ++which) {
            if (one.sides[which].life == life
                && (one.sides[which].open || one.sides[which].coming)) {
                one.sides[which].open = one.sides[which].coming = false;
                const auto other = which == 0 ? telling::listener : telling::dialer;
                break_one(i, peers_told ? other : telling::nobody);
            }
        }
    }
}

void network::leave(node_index at, nanoseconds patience) {
    if (!alive(at) || nodes_[at].leaving) {
        return;
    }
    say(fmt::format("{} leaves", at));
    nodes_[at].leaving = true;
    nodes_[at].targets.clear();
    with(at, [this](node::hub& hub) { hub.shutdown(now_); });
    const auto life = nodes_[at].life;
    const auto deadline = now_ + patience;
    // Looks again and again until the hub is drained.
    auto look = std::make_shared<std::function<void()>>();
    *look = [this, at, life, deadline, weak = std::weak_ptr{look}] {
        auto& here = nodes_[at];
        if (here.life != life || here.hub == nullptr) {
            return;
        }
        if (!here.hub->drained() && now_ < deadline) {
            if (const auto again = weak.lock()) {
                after(5ms, [again] { (*again)(); });
            }
            return;
        }
        say(fmt::format("{} is gone{}", at, here.hub->drained() ? "" : ", not drained"));
        end_life(at);
        for (std::uint32_t i = 0; i < connections_.size(); ++i) {
            for (unsigned which = 0; which < 2; ++which) {
                auto& end = connections_[i].sides[which];
                if (end.life == life && (end.open || end.coming)) {
                    end.open = end.coming = false;
                    transmit(i, which, true, {});
                }
            }
        }
    };
    (*look)();
}

void network::restart(node_index at) {
    if (!alive(at)) {
        say(fmt::format("{} starts again", at));
        begin_life(at);
    }
}

void network::freeze(node_index at, nanoseconds span) {
    say(fmt::format("{} freezes for {} ms", at, span / 1ms));
    nodes_[at].frozen_until = std::max(nodes_[at].frozen_until, now_ + span);
    if (alive(at)) {
        wake_at(at, nodes_[at].frozen_until);
    }
}

// -- Peerings -------------------------------------------------------------------------------------

void network::start_target(node_index at, node_index to) {
    const auto id = ++last_target_;
    nodes_[at].targets.push_back({id, to, true});
    nodes_[at].hub->add_target(now_, id, fmt::format("sim://{}", to), true);
}

void network::add_target(node_index from, node_index to) {
    if (dials(from, to)) {
        return;
    }
    say(fmt::format("{} shall dial {}", from, to));
    nodes_[from].dials.push_back(to);
    if (alive(from)) {
        start_target(from, to);
        end_turn(from);
    }
}

bool network::remove_target(node_index from, node_index to) {
    auto& here = nodes_[from];
    const auto at = std::find(here.dials.begin(), here.dials.end(), to);
    if (at == here.dials.end()) {
        return false;
    }
    say(fmt::format("{} shall not dial {} any more", from, to));
    here.dials.erase(at);
    for (auto& target : here.targets) {
        if (target.to == to && target.wanted) {
            target.wanted = false;
            if (!here.hub->remove_target(now_, target.id)) {
                complain(from, "remove_target does not know a target");
            }
        }
    }
    end_turn(from);
    return true;
}

bool network::dials(node_index from, node_index to) const {
    const auto& all = nodes_[from].dials;
    return std::find(all.begin(), all.end(), to) != all.end();
}

std::vector<node_index> network::neighbours(node_index at) const {
    std::vector<node_index> out = nodes_[at].dials;
    for (node_index from = 0; from < nodes_.size(); ++from) {
        if (dials(from, at)) {
            out.push_back(from);
        }
    }
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
}

// -- Subscribers ----------------------------------------------------------------------------------

node::subscriber_id network::add_subscriber(node_index at, subscriber_options options) {
    const auto id = ++last_subscriber_;
    auto& here = nodes_[at];
    const auto& added = here.subscribers[id] = std::move(options);
    say(fmt::format("{} subscribes {} to [{}]", at, id, fmt::join(added.prefixes, " ")));
    if (alive(at)) {
        with(at, [&](node::hub& hub) { hub.add_subscriber(now_, id, added.prefixes); });
    }
    return id;
}

void network::set_filter(node_index at, node::subscriber_id id, std::vector<std::string> prefixes) {
    auto& options = nodes_[at].subscribers.at(id);
    options.prefixes = std::move(prefixes);
    say(fmt::format("{} changes {} to [{}]", at, id, fmt::join(options.prefixes, " ")));
    if (alive(at)) {
        with(at, [&](node::hub& hub) { hub.set_filter(now_, id, options.prefixes); });
    }
}

void network::remove_subscriber(node_index at, node::subscriber_id id) {
    nodes_[at].subscribers.erase(id);
    nodes_[at].queued.erase(id);
    say(fmt::format("{} removes subscriber {}", at, id));
    if (alive(at)) {
        with(at, [&](node::hub& hub) { hub.remove_subscriber(now_, id); });
    }
}

void network::set_forwarded(node_index at, std::vector<std::string> prefixes) {
    auto& here = nodes_[at];
    here.forwarded = std::move(prefixes);
    if (alive(at)) {
        with(at, [&](node::hub& hub) { hub.set_forwarded(now_, here.forwarded); });
    }
}

std::vector<std::string> network::true_filter(node_index at) const {
    auto all = nodes_[at].forwarded;
    for (const auto& [id, options] : nodes_[at].subscribers) {
        all.insert(all.end(), options.prefixes.begin(), options.prefixes.end());
    }
    return minimal(std::move(all));
}

void network::drain_later(node_index at, node::subscriber_id id) {
    const auto life = nodes_[at].life;
    after(nodes_[at].subscribers.at(id).pace, [this, at, id, life] {
        auto& here = nodes_[at];
        const auto queued = here.queued.find(id);
        if (here.life != life || here.hub == nullptr || queued == here.queued.end()) {
            return;
        }
        const auto bound = here.subscribers.at(id).queue_batches;
        const bool was_full = queued->second >= bound;
        if (--queued->second > 0) {
            drain_later(at, id);
        }
        if (was_full && queued->second < bound) {
            with(at, [&](node::hub& hub) { hub.subscriber_drained(now_, id); });
        }
    });
}

// -- Connections ----------------------------------------------------------------------------------

bool network::cut_off(node_index from, node_index to) const {
    return !groups_.empty() && groups_[from] != groups_[to];
}

bool network::usable(const connection& one) const {
    return !one.dead && (one.sides[0].open || one.sides[0].coming)
           && (one.sides[1].open || one.sides[1].coming);
}

void network::dial(node_index from, node::target_id target) {
    auto& here = nodes_[from];
    const auto known = std::find_if(here.targets.begin(), here.targets.end(),
                                    [&](const dial_target& one) { return one.id == target; });
    if (known == here.targets.end()) {
        complain(from, fmt::format("connect names target {}, which was never given", target));
        return;
    }
    if (!known->wanted) {
        complain(from, fmt::format("connect names target {}, which was removed", target));
    }
    const auto to = known->to;
    const auto life = here.life;
    auto wait = 3 * delay(random_, conditions_.delay_min, conditions_.delay_mean);
    const bool answers = alive(to) && nodes_[to].frozen_until <= now_ && !cut_off(from, to);
    if (!answers && chance(random_, 5000)) {
        wait += between(random_, 0ns, nanoseconds{dial_timeout});  // Silence instead of a refusal.
    }
    after(wait, [this, from, to, life, target] {
        if (nodes_[from].life != life || nodes_[from].hub == nullptr) {
            return;
        }
        if (!alive(to) || nodes_[to].leaving || nodes_[to].frozen_until > now_
            || cut_off(from, to)) {
            input_arrives(from, {input::kind::failed, 0, target, {}});
            return;
        }
        const auto index = static_cast<std::uint32_t>(connections_.size());
        connections_.emplace_back();
        auto& made = connections_.back();
        made.target = target;
        made.sides[0] = {from, nodes_[from].life, false, true};
        made.sides[1] = {to, nodes_[to].life, false, true};
        open(index, 0, now_ + delay(random_, conditions_.delay_min, conditions_.delay_mean));
        open(index, 1, now_ + delay(random_, conditions_.delay_min, conditions_.delay_mean));
    });
}

void network::open(std::uint32_t index, unsigned which, instant when) {
    auto& one = connections_[index];
    // What comes from the other end arrives after the news of the connection.
    one.flows[1 - which].last_arrival = when;
    event what;
    what.what = event::kind::input;
    what.home = one.sides[which].home;
    what.life = one.sides[which].life;
    what.payload = {input::kind::opened, link_of(index, which), node::no_target, {}};
    schedule(when, std::move(what));
}

void network::send(node::link_id link, shared_bytes frame) {
    const auto index = connection_of(link);
    if (link == 0 || index >= connections_.size()
        || !connections_[index].sides[side_of(link)].open) {
        return;  // The shell drops what comes for a connection that has just gone.
    }
    transmit(index, side_of(link), false, std::move(frame));
}

void network::transmit(std::uint32_t index, unsigned direction, bool end, shared_bytes frame) {
    auto& one = connections_[index];
    auto& out = one.flows[direction];
    if (one.dead) {
        return;
    }
    if (out.held) {
        out.backlog.emplace_back(end, std::move(frame));
        return;
    }
    if (!end && conditions_.lost > 0 && chance(random_, conditions_.lost)) {
        return;
    }
    auto arrival = now_;
    if (conditions_.bytes_per_second > 0) {
        out.free_at = std::max(out.free_at, now_)
                      + nanoseconds{frame.size() * 1'000'000'000 / conditions_.bytes_per_second};
        // What is under way stays bounded, as the buffers of a kernel do.
        out.free_at = std::min(out.free_at, now_ + clog_max);
        arrival = out.free_at;
    }
    arrival += delay(random_, conditions_.delay_min, conditions_.delay_mean);
    const bool overtaken =
        !end && conditions_.reordered > 0 && chance(random_, conditions_.reordered);
    arrival = std::max(arrival, out.last_arrival);
    if (overtaken) {
        arrival += between(random_, 0ns, 20 * conditions_.delay_mean);
    } else {
        out.last_arrival = arrival;
    }
    event what;
    what.what = event::kind::input;
    what.home = one.sides[1 - direction].home;
    what.life = one.sides[1 - direction].life;
    what.connection = index;
    what.direction = static_cast<std::uint8_t>(direction);
    what.counted = true;
    what.index = ++out.sent;
    what.payload = {end ? input::kind::closed : input::kind::frame, link_of(index, 1 - direction),
                    node::no_target, std::move(frame)};
    if (!end && conditions_.duplicated > 0 && chance(random_, conditions_.duplicated)) {
        schedule(arrival + between(random_, 0ns, 20 * conditions_.delay_mean), what);
    }
    mix(what.payload.frame.span());
    schedule(arrival, std::move(what));
}

void network::close(node::link_id link) {
    const auto index = connection_of(link);
    if (link == 0 || index >= connections_.size()) {
        return;
    }
    auto& end = connections_[index].sides[side_of(link)];
    if (end.open) {
        end.open = false;
        transmit(index, side_of(link), true, {});
    }
}

void network::tell_closed(std::uint32_t index, unsigned which) {
    auto& one = connections_[index];
    event what;
    what.what = event::kind::input;
    what.home = one.sides[which].home;
    what.life = one.sides[which].life;
    what.payload = {input::kind::closed, link_of(index, which), node::no_target, {}};
    schedule(std::max(now_, one.flows[1 - which].last_arrival) + between(random_, 0ns, 20ms),
             std::move(what));
}

void network::break_one(std::uint32_t index, telling who) {
    auto& one = connections_[index];
    if (!one.dead) {
        one.dead = true;
        for (auto& out : one.flows) {
            out.cut_after = between(random_, out.arrived, out.sent);
            out.backlog.clear();
            out.held = false;
        }
    }
    if (who == telling::both || who == telling::dialer) {
        tell_closed(index, 0);
    }
    if (who == telling::both || who == telling::listener) {
        tell_closed(index, 1);
    }
}

bool network::break_connection(node_index a, node_index b, telling who) {
    for (std::uint32_t i = 0; i < connections_.size(); ++i) {
        const auto& one = connections_[i];
        const bool joins = (one.sides[0].home == a && one.sides[1].home == b)
                           || (one.sides[0].home == b && one.sides[1].home == a);
        if (joins && usable(one)) {
            say(fmt::format("connection {}-{} breaks, told: {}", a, b, static_cast<int>(who)));
            break_one(i, who);
            return true;
        }
    }
    return false;
}

bool network::break_random_connection(telling who) {
    std::vector<std::uint32_t> choice;
    for (std::uint32_t i = 0; i < connections_.size(); ++i) {
        if (usable(connections_[i])) {
            choice.push_back(i);
        }
    }
    if (choice.empty()) {
        return false;
    }
    const auto index = choice[random_.below(choice.size())];
    say(fmt::format("connection {}-{} breaks, told: {}", connections_[index].sides[0].home,
                    connections_[index].sides[1].home, static_cast<int>(who)));
    break_one(index, who);
    return true;
}

std::size_t network::open_connections() const {
    return static_cast<std::size_t>(
        std::count_if(connections_.begin(), connections_.end(),
                      [this](const connection& one) { return usable(one); }));
}

void network::partition(std::vector<unsigned> groups, cut how) {
    heal_partition();
    say(fmt::format("partition [{}], kind {}", fmt::join(groups, ""), static_cast<int>(how)));
    groups_ = std::move(groups);
    for (std::uint32_t i = 0; i < connections_.size(); ++i) {
        auto& one = connections_[i];
        if (!usable(one) || !cut_off(one.sides[0].home, one.sides[1].home)) {
            continue;
        }
        switch (how) {
            case cut::hold:
                one.flows[0].held = one.flows[1].held = true;
                break;
            case cut::hold_one:
                one.flows[groups_[one.sides[0].home] < groups_[one.sides[1].home] ? 0 : 1].held =
                    true;
                break;
            case cut::reset:
                break_one(i, telling::both);
                break;
            case cut::vanish:
                break_one(i, telling::nobody);
                break;
        }
    }
}

void network::heal_partition() {
    if (groups_.empty()) {
        return;
    }
    say("partition heals");
    groups_.clear();
    for (std::uint32_t i = 0; i < connections_.size(); ++i) {
        release(i, 0);
        release(i, 1);
    }
}

void network::release(std::uint32_t index, unsigned direction) {
    auto& out = connections_[index].flows[direction];
    if (!out.held) {
        return;
    }
    out.held = false;
    auto waiting = std::exchange(out.backlog, {});
    for (auto& [end, frame] : waiting) {
        transmit(index, direction, end, std::move(frame));
    }
}

// -- Topics ---------------------------------------------------------------------------------------

std::vector<std::string> minimal(std::vector<std::string> prefixes) {
    std::sort(prefixes.begin(), prefixes.end());
    std::vector<std::string> out;
    for (auto& prefix : prefixes) {
        if (out.empty() || !prefix.starts_with(out.back())) {
            out.push_back(std::move(prefix));
        }
    }
    return out;
}

bool matches(const std::vector<std::string>& prefixes, std::string_view topic) {
    return std::any_of(prefixes.begin(), prefixes.end(),
                       [&](const std::string& prefix) { return topic.starts_with(prefix); });
}

}  // namespace bzmq::sim
