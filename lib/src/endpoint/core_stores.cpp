// What other threads ask of the core about stores.
#include "endpoint/clock.hpp"
#include "endpoint/core.hpp"
#include "endpoint/gone.hpp"
#include "endpoint/lmdb_disk.hpp"
#include "endpoint/random.hpp"

namespace bzmq {
expected<std::shared_ptr<store_state>> endpoint_core::attach_master(
    const std::shared_ptr<endpoint_core>& self, const std::string& name, backend kind,
    const master_options& options) {
    using result = expected<std::shared_ptr<store_state>>;
    if (auto problem = usable()) {
        return tl::unexpected{std::move(problem)};
    }
    // One at a time, so that who comes second finds what the first one has opened.
    std::unique_lock opening{opening_mutex_, std::try_to_lock};
    if (!opening && core_thread::of(this)) {
        return tl::unexpected{cannot_wait()};
    }
    if (!opening) {
        opening.lock();
    }
    struct known {
        std::shared_ptr<store_state> store;
        std::uint32_t id = 0;
    };
    const auto at = call<known>([this, name](bool alive) {
        return alive ? known{stores_->find(name, true), ++last_store_} : known{};
    });
    if (at.store) {
        return at.store;
    }
    auto store = std::make_shared<store_state>(self, at.id, name, true, kind, timespan{0});
    replica::master_options how;
    how.name = name;
    how.log_bytes = options.log_bytes;
    auto from = std::make_shared<replica::master::start>();
    auto disk = std::make_shared<std::unique_ptr<store_disk>>();
    auto tail = std::make_shared<lmdb_tail>();
    if (kind == backend::lmdb) {
        // Here, so that the core need not wait for the disk.
        auto opened = open_lmdb_disk(options, store->values(), *from, *tail, random_id());
        if (!opened) {
            return tl::unexpected{std::move(opened.error())};
        }
        *disk = std::move(*opened);
        try {
            (*disk)->start([this, id = at.id](replica::sequence last, const error& why) {
                post([this, id, last, why](bool alive) {
                    if (alive) {
                        stores_->persisted(id, last, why);
                    }
                });
            });
        } catch (const std::system_error& problem) {
            return fail(ec::backend_failure,
                        std::string{"no thread for the store's disk: "} + problem.what());
        }
        how.durable = true;
    } else {
        from->who.store = random_id();
        from->who.epochs = {{replica::epoch_after_start(0, from->who.store), 1}};
    }
    return call<result>([this, store, how, from, disk, tail](bool alive) -> result {
        if (!alive) {
            return tl::unexpected{gone()};
        }
        if (auto problem = stores_->attach_master(now_, store, how, std::move(*from), std::move(*disk))) {
            return tl::unexpected{std::move(problem)};
        }
        stores_->load_log(store->id(), *tail);
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
    replica::clone_options how;
    how.name = name;
    how.self = random_id();
    how.resync_interval = options.resync_interval;
    how.stale_interval = options.stale_interval;
    how.mutation_buffer_interval = options.mutation_buffer_interval;
    how.mutation_buffer_bytes = options.mutation_buffer_bytes;
    how.follow_new_store = options.follow_new_store;
    return call<result>([this, self, how, name, delay = options.get_delay](bool alive) -> result {
        if (!alive) {
            return tl::unexpected{gone()};
        }
        if (auto known = stores_->find(name, false)) {
            return known;
        }
        auto store = std::make_shared<store_state>(self, ++last_store_, name, false,
                                                   backend::memory, delay);
        if (auto problem = stores_->attach_clone(now_, store, how)) {
            return tl::unexpected{std::move(problem)};
        }
        return store;
    });
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
