// What other threads ask of the core about stores.
#include <algorithm>
#include <filesystem>
#include <system_error>

#include "endpoint/clock.hpp"
#include "endpoint/core.hpp"
#include "endpoint/gone.hpp"
#include "endpoint/lmdb_disk.hpp"
#include "endpoint/random.hpp"

namespace bzmq {
namespace {

replica::master_options options_of_master(const std::string& name, bool durable,
                                          const master_options& from) {
    replica::master_options to;
    to.name = name;
    to.durable = durable;
    to.log_bytes = from.log_bytes;
    to.sync_replicas = from.sync_replicas;
    return to;
}

/// `standby`: what it is as master, on disk; null where it is none.
replica::clone_options options_of_clone(const std::string& name, const clone_options& from,
                                        const master_options* standby) {
    replica::clone_options to;
    to.name = name;
    to.self = random_id();
    to.resync_interval = from.resync_interval;
    to.stale_interval = from.stale_interval;
    to.mutation_buffer_interval = from.mutation_buffer_interval;
    to.mutation_buffer_bytes = from.mutation_buffer_bytes;
    to.follow_new_store = from.follow_new_store;
    if (standby != nullptr) {
        to.standby = true;
        to.promoted = options_of_master(name, true, *standby);
        to.electors = standby->failover.electors;
        to.elector = standby->failover.elector;
        to.failover_timeout = standby->failover.timeout;
        to.seed = random_value<std::uint64_t>();
    }
    return to;
}

/// A time of zero would mean all the time, or never.
error check_times(const std::string& name, const clone_options& options) {
    for (const auto& [what, time] :
         {std::pair{"resync_interval", options.resync_interval},
          std::pair{"stale_interval", options.stale_interval},
          std::pair{"mutation_buffer_interval", options.mutation_buffer_interval}}) {
        if (time <= timespan{0}) {
            return {ec::invalid_configuration,
                    "store " + name + ": a clone's " + what + " must be above zero"};
        }
    }
    if (options.mutation_buffer_bytes == 0) {
        return {ec::invalid_configuration,
                "store " + name + ": a clone's mutation_buffer_bytes must be above zero"};
    }
    return {};
}

/// Whoever attaches a store again gets the one that is there, but not where its values would be kept
/// elsewhere than was asked for.
error check_same_place(const store_state& has, backend kind, const std::string& folder) {
    std::error_code not_there;
    if (has.kind() == kind
        && (kind == backend::memory
            || std::filesystem::equivalent(has.folder(), folder, not_there))) {
        return {};
    }
    return {ec::invalid_configuration,
            "this endpoint has a store " + has.name() + " already, "
                + (has.kind() == backend::memory ? "in memory" : "in " + has.folder())};
}

}  // namespace

expected<opened_disk> endpoint_core::open_disk(store_state& store, const master_options& options,
                                               std::optional<endpoint_id> begun_by) {
    auto opened = open_lmdb_disk(options, store.values(), begun_by);
    if (!opened) {
        return opened;
    }
    try {
        opened->disk->start([this, id = store.id()](const store_disk::outcome& what) {
            post([this, id, what](bool alive) {
                if (alive) {
                    stores_->persisted(id, what);
                }
            });
        });
    } catch (const std::system_error& problem) {
        return fail(ec::backend_failure,
                    std::string{"no thread for the store's disk: "} + problem.what());
    }
    return opened;
}

/// One thread at a time opens stores, so that who comes second finds what the first one has opened.
expected<std::unique_lock<std::mutex>> endpoint_core::turn_to_open() {
    return lock_across(opening_mutex_, this);
}

expected<std::shared_ptr<store_state>> endpoint_core::attach_master(
    const std::shared_ptr<endpoint_core>& self, const std::string& name, backend kind,
    const master_options& options) {
    using result = expected<std::shared_ptr<store_state>>;
    if (auto problem = usable()) {
        return tl::unexpected{std::move(problem)};
    }
    const auto opening = turn_to_open();
    if (!opening) {
        return tl::unexpected{opening.error()};
    }
    struct known {
        std::shared_ptr<store_state> store;
        std::uint32_t id = 0;
        error problem;
    };
    const auto at = call<known>([this, name](bool alive) {
        return alive ? known{stores_->find(name, true), ++last_store_, stores_->ask_for_master(now_, name)}
                     : known{{}, 0, gone()};
    });
    if (at.store) {
        auto problem = check_same_place(*at.store, kind, options.path);
        return problem ? result{tl::unexpected{std::move(problem)}} : at.store;
    }
    if (at.problem) {
        return tl::unexpected{at.problem};  // Before the disk knows of it.
    }
    const bool durable = kind == backend::lmdb;
    if (!durable && (!options.failover.electors.empty() || options.sync_replicas > 0)) {
        return fail(ec::invalid_configuration,
                    "electors and sync_replicas need a master on disk, and that of store " + name
                        + " is in memory");
    }
    const auto how = options_of_master(name, durable, options);
    const auto fenced = options_of_clone(name, {}, durable ? &options : nullptr);
    if (auto problem = replica::check_failover(fenced)) {
        return tl::unexpected{std::move(problem)};
    }
    auto store = std::make_shared<store_state>(self, at.id, name, true, kind, clone_options{}.get_delay,
                                               durable ? options.path : std::string{});
    // Shared, since what crosses to the core's thread must be copyable.
    auto from = std::make_shared<opened_disk>();
    if (durable) {
        auto opened = open_disk(*store, options, random_id());
        if (!opened) {
            return tl::unexpected{std::move(opened.error())};
        }
        *from = std::move(*opened);
    } else {
        auto& who = from->from.who;
        who.store = random_id();
        who.epochs = {{replica::epoch_after_start(0, who.store), 1}};
    }
    return call<result>([this, store, how, fenced, from](bool alive) -> result {
        if (!alive) {
            return tl::unexpected{gone()};
        }
        if (auto problem = stores_->attach_master(now_, store, how, std::move(*from), fenced)) {
            return tl::unexpected{std::move(problem)};
        }
        return store;
    });
}

expected<std::shared_ptr<store_state>> endpoint_core::attach_clone(
    const std::shared_ptr<endpoint_core>& self, const std::string& name,
    const clone_options& options) {
    using result = expected<std::shared_ptr<store_state>>;
    if (auto problem = usable()) {
        return tl::unexpected{std::move(problem)};
    }
    const auto opening = turn_to_open();
    if (!opening) {
        return tl::unexpected{opening.error()};
    }
    struct known {
        std::shared_ptr<store_state> store;
        std::uint32_t id = 0;
    };
    const auto* standby = options.standby ? &*options.standby : nullptr;
    const auto at = call<known>([this, name, standby](bool alive) {
        if (!alive) {
            return known{};
        }
        auto found = stores_->find(name, false);
        if (!found && standby != nullptr) {
            found = stores_->find(name, true);  // It has been promoted since.
        }
        return known{std::move(found), ++last_store_};
    });
    if (at.store) {
        auto problem = standby != nullptr ? check_same_place(*at.store, backend::lmdb, standby->path)
                                          : error{};
        return problem ? result{tl::unexpected{std::move(problem)}} : at.store;
    }
    if (auto problem = check_times(name, options)) {
        return tl::unexpected{std::move(problem)};
    }
    const auto how = options_of_clone(name, options, standby);
    if (auto problem = replica::check_failover(how)) {
        return tl::unexpected{std::move(problem)};
    }
    auto store = std::make_shared<store_state>(self, at.id, name, false,
                                               standby != nullptr ? backend::lmdb : backend::memory,
                                               options.get_delay,
                                               standby != nullptr ? standby->path : std::string{});
    auto from = std::make_shared<opened_disk>();
    if (standby != nullptr) {
        auto opened = open_disk(*store, *standby, std::nullopt);
        if (!opened) {
            return tl::unexpected{std::move(opened.error())};
        }
        *from = std::move(*opened);
    }
    return call<result>([this, store, how, from](bool alive) -> result {
        if (!alive) {
            return tl::unexpected{gone()};
        }
        if (auto problem = stores_->attach_clone(now_, store, how, std::move(*from))) {
            return tl::unexpected{std::move(problem)};
        }
        return store;
    });
}

error endpoint_core::promote_store(const store_state& store, timespan timeout) {
    const auto id = store.id();
    auto problem = call<error>(
        [this, id, timeout](bool alive) {
            return alive ? stores_->promote(now_, id, timeout) : gone();
        });
    if (problem) {
        return problem;
    }
    problem = wait([this, id] { return stores_->promotion(id); }, timeout);
    if (problem != ec::request_timeout) {
        return problem;
    }
    return call<error>(
        [this, id](bool alive) { return alive ? stores_->promotion_so_far(id) : gone(); });
}

expected<endpoint_id> endpoint_core::promote_store(const std::string& name, const endpoint_id& at,
                                                   timespan timeout) {
    static constexpr auto pause = std::chrono::milliseconds{500};
    struct request {
        endpoint_id to;
        instant again{};
    };
    auto ask = std::make_shared<request>(request{at});
    auto problem = wait(
        [this, ask, name]() -> std::optional<error> {
            const auto masters = stores_->masters(name);
            if (ask->to && std::find(masters.begin(), masters.end(), ask->to) != masters.end()) {
                return error{};
            }
            if (!ask->to) {
                const auto standbys = stores_->standbys(name);
                if (standbys.size() > 1) {
                    std::string who;
                    for (const auto& each : standbys) {
                        who += (who.empty() ? "" : ", ") + to_string(each);
                    }
                    return error{ec::invalid_configuration,
                                 "store " + name + " has several standbys, name one: " + who};
                }
                if (standbys.empty()) {
                    return std::nullopt;
                }
                ask->to = standbys.front();
            }
            if (now_ >= ask->again) {
                ask->again = now_ + pause;
                stores_->ask_to_promote(now_, name, ask->to);
            }
            return std::nullopt;
        },
        timeout);
    if (problem == ec::request_timeout) {
        return fail(ec::request_timeout,
                    ask->to ? "the standby of store " + name + " at endpoint " + to_string(ask->to)
                                  + " has not become its master yet; its log may say why"
                            : "there is no standby of store " + name);
    }
    return problem ? expected<endpoint_id>{tl::unexpected{std::move(problem)}} : ask->to;
}

void endpoint_core::detach_store(std::uint32_t id) {
    auto disk = call<std::shared_ptr<store_disk>>([this, id](bool alive) {
        return std::shared_ptr<store_disk>{
            alive ? stores_->detach(id, {ec::no_such_master, "the store was detached"}) : nullptr};
    });
    if (disk) {
        disk->close();  // Here, so that the core need not wait for it.
    }
}

void endpoint_core::follow_store(std::uint32_t id) {
    call<bool>([this, id](bool alive) {
        if (alive) {
            stores_->follow(now_, id);
        }
        return alive;
    });
}

expected<store_info> endpoint_core::store_info_of(std::uint32_t id) const {
    auto* mine = const_cast<endpoint_core*>(this);
    return mine->call<expected<store_info>>([mine, id](bool alive) -> expected<store_info> {
        if (!alive) {
            return tl::unexpected{gone()};
        }
        return mine->stores_->info(id);
    });
}

bool endpoint_core::await_idle(const store_state& store, timespan timeout) {
    const auto number = store.submitted();
    return !wait(
        [this, &store, number]() -> std::optional<error> {
            if (!stores_->holds(store.id())) {
                return error{ec::no_such_master, "the store is gone"};
            }
            return store.handed >= number && stores_->idle(store.id()) ? std::optional{error{}}
                                                                       : std::nullopt;
        },
        timeout);
}

}  // namespace bzmq
