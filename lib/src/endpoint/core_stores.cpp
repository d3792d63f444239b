// What other threads ask of the core about stores.
#include <sys/random.h>

#include "endpoint/clock.hpp"
#include "endpoint/core.hpp"
#include "endpoint/lmdb_disk.hpp"

namespace bzmq {
namespace {

error gone() { return {ec::shutting_down, "the endpoint has shut down"}; }

endpoint_id random_id() {
    endpoint_id::bytes_type bytes{};
    if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
        throw endpoint_error{error{ec::unspecified, "the system gives no random bytes"}};
    }
    return endpoint_id{bytes};
}

}  // namespace

expected<std::shared_ptr<store_state>> endpoint_core::attach_master(
    const std::shared_ptr<endpoint_core>& self, const std::string& name, backend kind,
    const master_options& options) {
    using result = expected<std::shared_ptr<store_state>>;
    if (auto problem = usable()) {
        return tl::unexpected{std::move(problem)};
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
    call<bool>([this, id](bool alive) {
        if (alive) {
            stores_->detach(id, {ec::no_such_master, "the store was detached"});
        }
        return alive;
    });
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
            return store.handed >= number && stores_->idle(store.id()) ? std::optional{error{}}
                                                                       : std::nullopt;
        },
        timeout);
}

}  // namespace bzmq
