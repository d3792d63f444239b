#include "bzmq/endpoint.hpp"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "endpoint/core.hpp"
#include "endpoint/status_subscriber_state.hpp"
#include "endpoint/subscriber_state.hpp"
#include "endpoint/worker_state.hpp"
#include "overlay/filter.hpp"

namespace bzmq {
namespace {

bool set_durability(master_options& how, std::string_view word) {
    how.durability = word == "sync"    ? durability::sync
                     : word == "async" ? durability::async
                                       : durability::group;
    return word == "sync" || word == "group" || word == "async";
}

bool set_electors(master_options& how, const vector& names) {
    for (const auto& each : names) {
        const auto* name = get_if<std::string>(&each);
        if (name == nullptr) {
            return false;
        }
        how.failover.electors.push_back(*name);
    }
    return true;
}

/// False where there is no such option, or the value is not one of it.
bool set_option(master_options& how, std::string_view key, const data& value) {
    if (const auto* text = get_if<std::string>(&value)) {
        if (key == "durability") {
            return set_durability(how, *text);
        }
        (key == "path" ? how.path : how.failover.elector) = *text;
        return key == "path" || key == "elector";
    }
    if (const auto* symbol = get_if<enum_value>(&value)) {
        return key == "durability" && set_durability(how, symbol->name());
    }
    if (const auto* number = get_if<count>(&value)) {
        if (key == "sync_replicas" && *number <= std::numeric_limits<unsigned>::max()) {
            how.sync_replicas = static_cast<unsigned>(*number);
            return true;
        }
        (key == "log_bytes" ? how.log_bytes : how.map_bytes_max) = *number;
        return key == "log_bytes" || key == "map_bytes_max";
    }
    if (const auto* names = get_if<vector>(&value)) {
        return key == "electors" && set_electors(how, *names);
    }
    const auto* time = get_if<timespan>(&value);
    how.failover.timeout = time != nullptr ? *time : how.failover.timeout;
    return key == "failover_timeout" && time != nullptr;
}

std::vector<std::string> wanted_by_others(const node::hub& hub) {
    std::vector<std::string> all;
    for (auto& each : hub.topology()) {
        // Neither ourselves nor those to whom no path leads, as round endpoints that relay nothing.
        if (!each.next_hop.is_nil()) {
            std::move(each.filter.begin(), each.filter.end(), std::back_inserter(all));
        }
    }
    std::sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end()), all.end());
    return all;
}

/// Tells `core`, while it lives, what went wrong.
std::function<void(const error&)> reporter(const std::shared_ptr<endpoint_core>& core) {
    return [to = std::weak_ptr{core}](const error& what) {
        if (const auto alive = to.lock()) {
            alive->report(what);
        }
    };
}

std::shared_ptr<endpoint_core> start(const configuration& from, const endpoint_id& self = {}) {
    if (from.error()) {
        throw endpoint_error{from.error()};
    }
    // In a forked child the core's parts are in no state to be destroyed.
    std::shared_ptr<endpoint_core> core{new endpoint_core{from.options(), self},
                                        [](endpoint_core* old) {
                                            if (!old->in_child()) {
                                                delete old;
                                            }
                                        }};
    for (const auto& url : core->options().listen) {
        if (auto done = core->listen(url); !done) {
            throw endpoint_error{std::move(done.error())};
        }
    }
    for (const auto& each : core->options().peers) {
        const peering_options how{each.server_key, each.retry, {}, each.limits};
        if (auto done = core->peer(each.url, how, false); !done) {
            throw endpoint_error{std::move(done.error())};
        }
    }
    return core;
}

/// Leaves the reason in `why`, where it is asked for.
void tell(error* why, error reason) {
    if (why != nullptr) {
        *why = std::move(reason);
    }
}

}  // namespace

endpoint_error::endpoint_error(error why) : std::runtime_error(to_string(why)), why_(std::move(why)) {}

endpoint::endpoint(configuration config) : core_(start(config)) {}

endpoint::endpoint(configuration config, const endpoint_id& self) : core_(start(config, self)) {}

endpoint::~endpoint() {
    if (core_) {
        core_->shutdown();
    }
}

endpoint::endpoint(endpoint&& other) noexcept = default;

endpoint& endpoint::operator=(endpoint&& other) noexcept {
    if (this != &other) {
        if (core_) {
            core_->shutdown();
        }
        core_ = std::move(other.core_);
    }
    return *this;
}

endpoint_id endpoint::node_id() const noexcept { return core_->self(); }
const std::string& endpoint::name() const noexcept { return core_->options().name; }
const endpoint_options& endpoint::options() const noexcept { return core_->options(); }

// -- Peerings -------------------------------------------------------------------------------------

std::uint16_t endpoint::listen(const std::string& address, std::uint16_t port, error* why) {
    auto done = make_url(address, port).and_then([this](const std::string& url) {
        return listen_url(url);
    });
    tell(why, done ? error{} : done.error());
    return done.value_or(std::uint16_t{0});
}

expected<std::uint16_t> endpoint::listen_url(std::string_view url) {
    return core_->listen(url).map([](const transport::listener_info& info) { return info.port; });
}

std::vector<std::string> endpoint::listeners() const { return core_->listeners(); }

bool endpoint::stop_listening(std::string_view url) { return core_->stop_listening(url); }

bool endpoint::peer(const std::string& address, std::uint16_t port, std::optional<timespan> retry,
                    error* why) {
    auto done = make_url(address, port).and_then([&](const std::string& url) {
        return peer_url(url, {{}, retry, {}});
    });
    tell(why, done ? error{} : done.error());
    return done.has_value();
}

bool endpoint::peer(const std::string& address, std::uint16_t port, std::optional<timespan> retry,
                    timespan timeout, error* why) {
    auto done = make_url(address, port).and_then([&](const std::string& url) {
        return peer_url(url, {{}, retry, timeout});
    });
    tell(why, done ? error{} : done.error());
    return done.has_value();
}

bool endpoint::peer(const network_info& info, error* why) {
    return peer(info.address, info.port, info.retry, why);
}

expected<endpoint_id> endpoint::peer_url(std::string_view url, const peering_options& how) {
    return core_->peer(url, how, true);
}

void endpoint::peer_nosync(const std::string& address, std::uint16_t port,
                           std::optional<timespan> retry) {
    // A malformed address is the only failure here, and `peer_url_nosync` tells it.
    if (const auto url = make_url(address, port)) {
        [[maybe_unused]] const auto done = peer_url_nosync(*url, {{}, retry, {}});
    }
}

expected<void> endpoint::peer_url_nosync(std::string_view url, const peering_options& how) {
    return core_->peer(url, how, false).map([](const endpoint_id&) {});
}

bool endpoint::unpeer(const std::string& address, std::uint16_t port) {
    const auto url = make_url(address, port);
    return url && unpeer_url(*url);
}

bool endpoint::unpeer_url(std::string_view url) { return core_->unpeer(url, true); }

void endpoint::unpeer_nosync(const std::string& address, std::uint16_t port) {
    if (const auto url = make_url(address, port)) {
        core_->unpeer(*url, false);
    }
}

std::vector<peer_info> endpoint::peers() const { return core_->peers(); }

std::vector<std::string> endpoint::peer_subscriptions() const {
    return core_->ask([](const node::hub& hub) { return wanted_by_others(hub); });
}

bool endpoint::await_subscriptions(const std::vector<std::string>& known, timespan timeout) {
    // Asked in each turn of the core; only a change of filters or paths is worth a closer look.
    return core_->await(
        [known, seen = std::optional<std::uint64_t>{}](const node::hub& hub) mutable {
            const auto version = hub.routing_version();
            return std::exchange(seen, version) != version && wanted_by_others(hub) != known;
        },
        timeout);
}

std::vector<std::string> endpoint::subscriptions_of(const endpoint_id& id) const {
    return core_->ask([id](const node::hub& hub) { return hub.filter_of(id); });
}

// -- The overlay ----------------------------------------------------------------------------------

std::vector<topology_node> endpoint::topology() const {
    return core_->ask([](const node::hub& hub) { return hub.topology(); });
}

bool endpoint::reachable(const endpoint_id& id) const {
    return core_->ask([id](const node::hub& hub) { return hub.reachable(id); });
}

bool endpoint::await_peer(const endpoint_id& id, timespan timeout) {
    return core_->await([id](const node::hub& hub) { return hub.reachable(id); }, timeout);
}

bool endpoint::await_filter_entry(std::string_view topic, timespan timeout) {
    const auto deadline = std::chrono::steady_clock::now() + std::min<timespan>(timeout, std::chrono::hours{8760});
    const auto self = node_id();
    const bool known = core_->await(
        [self, wanted = std::string{topic}](const node::hub& hub) {
            return overlay::matches(hub.filter_of(self), wanted);
        },
        timeout);
    return known && core_->confirm_filter(deadline - std::chrono::steady_clock::now());
}

bool endpoint::wait_for_subscriber(std::string_view topic, std::size_t count, timespan timeout) {
    return core_->await(
        [count, wanted = std::string{topic}](const node::hub& hub) {
            return hub.receiver_count(wanted) >= count;
        },
        timeout);
}

std::uint64_t endpoint::overlay_version() const noexcept { return core_->overlay_version(); }

bool endpoint::await_overlay_change(std::uint64_t known, timespan timeout) {
    return core_->await([known](const node::hub& hub) { return hub.routing_version() != known; },
                        timeout);
}

std::uint64_t endpoint::view_hash() const {
    return core_->ask([](const node::hub& hub) { return hub.view_hash(); });
}

expected<ping_result> endpoint::ping(const endpoint_id& id, timespan timeout) {
    return core_->ping(id, timeout);
}

// -- Publishing -----------------------------------------------------------------------------------

ec endpoint::publish(std::string_view topic, const data& value, delivery_mode mode) {
    return core_->publish(topic, value, mode);
}

ec endpoint::publish_text(std::string_view topic, std::string_view value, delivery_mode mode) {
    return core_->publish_text(topic, value, mode);
}

ec endpoint::publish_batch(std::span<const outgoing_message> batch, delivery_mode mode,
                           std::size_t* accepted) {
    std::size_t count = 0;
    auto problem = ec::none;
    for (const auto& each : batch) {
        problem = core_->publish(each.topic, each.value, mode);
        if (problem != ec::none) {
            break;
        }
        ++count;
    }
    if (accepted != nullptr) {
        *accepted = count;
    }
    return problem;
}

ec endpoint::publish(const endpoint_id& destination, std::string_view topic, const data& value,
                     delivery_mode mode) {
    return core_->publish(destination, topic, value, mode);
}

ec endpoint::publish_raw(std::string_view topic, std::span<const std::byte> payload,
                         delivery_mode mode) {
    return core_->publish_raw(topic, payload, mode);
}

publisher endpoint::make_publisher(std::string topic, delivery_mode mode) {
    return publisher{core_, std::move(topic), mode};
}

// -- Subscribing ----------------------------------------------------------------------------------

subscriber endpoint::make_subscriber(std::vector<std::string> topics, const queue_options& queue) {
    return subscriber{std::make_unique<subscriber::state>(core_, std::move(topics), queue)};
}

subscriber endpoint::make_subscriber(const std::vector<topic>& topics, const queue_options& queue) {
    std::vector<std::string> names;
    for (const auto& each : topics) {
        names.push_back(each.string());
    }
    return make_subscriber(std::move(names), queue);
}

subscriber endpoint::make_subscriber(std::initializer_list<const char*> topics,
                                     const queue_options& queue) {
    return make_subscriber(std::vector<std::string>(topics.begin(), topics.end()), queue);
}

subscriber endpoint::make_subscriber(std::initializer_list<std::string> topics,
                                     const queue_options& queue) {
    return make_subscriber(std::vector<std::string>(topics), queue);
}

status_subscriber endpoint::make_status_subscriber(bool receive_statuses) {
    return status_subscriber{std::make_unique<status_subscriber::state>(core_, receive_statuses)};
}

worker endpoint::subscribe(std::vector<std::string> topics, std::function<void()> on_init,
                           std::function<void(const message&)> on_next,
                           std::function<void(const error&)> on_end, const queue_options& queue) {
    auto state = std::make_shared<worker_state>(
        make_subscriber(std::move(topics), queue), std::move(on_init), std::move(on_next),
        std::move(on_end), reporter(core_));
    core_->add_worker(state);
    return worker{std::move(state)};
}

worker endpoint::subscribe_direct(std::vector<std::string> topics, std::function<void()> on_init,
                                  std::function<void(const message&)> on_next,
                                  std::function<void(const error&)> on_end,
                                  const queue_options& queue) {
    auto own = std::make_unique<subscriber::state>(core_, std::move(topics), queue);
    const auto id = own->id;
    auto state = std::make_shared<worker_state>(subscriber{std::move(own)}, std::move(on_init),
                                                std::move(on_next), std::move(on_end),
                                                reporter(core_));
    core_->add_direct_worker(id, state);
    return worker{std::move(state)};
}

expected<void> endpoint::forward(std::vector<std::string> topics) {
    auto problem = core_->forward(std::move(topics));
    return problem ? expected<void>{tl::unexpected{std::move(problem)}} : expected<void>{};
}

// -- Stores ---------------------------------------------------------------------------------------

expected<store> endpoint::attach_master(const std::string& name, backend kind,
                                        const master_options& options) {
    return core_->attach_master(core_, name, kind, options).map([](auto&& state) {
        return store{std::move(state)};
    });
}

expected<store> endpoint::attach_master(const std::string& name, backend kind,
                                        const backend_options& options) {
    master_options how;
    for (const auto& [key, value] : options) {
        if (!set_option(how, key, value)) {
            return fail(ec::invalid_configuration,
                        "a store's back end has no option " + key + " = " + to_string(value)
                            + "; there are path (string), durability (sync, group or async), "
                              "log_bytes, map_bytes_max and sync_replicas (count), electors (a "
                              "vector of strings), elector (string) and failover_timeout (timespan)");
        }
    }
    return attach_master(name, kind, how);
}

expected<store> endpoint::attach_clone(const std::string& name, const clone_options& options) {
    return core_->attach_clone(core_, name, options).map([](auto&& state) {
        return store{std::move(state)};
    });
}

expected<store> endpoint::attach_clone(const std::string& name, timespan resync_interval,
                                       timespan stale_interval,
                                       timespan mutation_buffer_interval) {
    clone_options how;
    how.resync_interval = resync_interval;
    how.stale_interval = stale_interval;
    how.mutation_buffer_interval = mutation_buffer_interval;
    return attach_clone(name, how);
}

expected<endpoint_id> endpoint::promote_store(const std::string& name, const endpoint_id& at,
                                             timespan timeout) {
    if (auto problem = core_->usable()) {
        return tl::unexpected{std::move(problem)};
    }
    return core_->promote_store(name, at, timeout);
}

// -- State ----------------------------------------------------------------------------------------

endpoint_metrics endpoint::metrics() const { return core_->metrics(); }
void endpoint::shutdown() { core_->shutdown(); }
bool endpoint::is_shutdown() const noexcept { return core_->is_shutdown(); }

}  // namespace bzmq
