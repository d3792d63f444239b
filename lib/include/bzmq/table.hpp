#pragma once

#include "bzmq/from_data.hpp"
#include "bzmq/store.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>

/// Zeek's tables on top of stores. docs/zeek.md is the guide.
namespace bzmq::zeek {

/// When entries go by themselves; at most one of them is set. Counted at the store's master.
struct table_options {
    std::optional<timespan> create_expire = {};  ///< so long after the entry was made
    std::optional<timespan> write_expire = {};   ///< so long after it was last written
    /// So long after it was last read or written. A read is told to the master when a quarter of the
    /// time has gone since the last word: entries go up to a quarter early, never late.
    std::optional<timespan> read_expire = {};
};

/// Calls back for each event of a store, on a thread of its own, for whose end the destructor waits:
/// it may be destroyed neither from within its callback nor from one on the endpoint's thread
/// (`store_write::then`).
class BZMQ_EXPORT store_watch {
  public:
    /// At most `waiting_max` events wait for the callback; of more the oldest are given up.
    store_watch(store& of, std::function<void(const store_event&)> callback,
                std::size_t waiting_max = 1'000'000);
    ~store_watch();
    store_watch(const store_watch&) = delete;
    store_watch& operator=(const store_watch&) = delete;
    /// Events that were given up, since the callback was too slow.
    [[nodiscard]] std::uint64_t dropped() const;
    /// Events for which the callback threw. What it threw is lost: the next event is told all the same.
    [[nodiscard]] std::uint64_t failed() const;

  private:
    struct state;
    std::unique_ptr<state> state_;
};

namespace detail {

/// The words about reads that are on their way to a table's master: none goes twice. Bounded:
/// entries beyond are told of by a later read. Thread-safe.
class touches {
  public:
    static constexpr std::size_t under_way_max = 4096;

    /// False where one of this entry is on its way, or there is no room.
    bool begin(const data& key, std::uint64_t revision) {
        const std::lock_guard lock{mutex_};
        return under_way_.size() < under_way_max && under_way_.emplace(key, revision).second;
    }
    void end(const data& key, std::uint64_t revision) {
        const std::lock_guard lock{mutex_};
        under_way_.erase({key, revision});
    }

  private:
    std::mutex mutex_;
    std::set<std::pair<data, std::uint64_t>> under_way_;
};

}  // namespace detail

/// A map whose content is that of a store, all over the cluster. Reads are local and yield what this
/// copy has; writes go to the master and return what `store_write::wait` waits with. Entries of the
/// store that are no K or V are skipped, or told as errors. Thread-safe but for `on_change`.
template <class K, class V>
class table {
  public:
    enum class change { created, changed, expired, removed };
    /// Of `created` only the new value, of `expired` and `removed` only the old one is set.
    using change_handler = std::function<void(change what, const K& key,
                                              const std::optional<V>& before,
                                              const std::optional<V>& after)>;

    /// Throws `std::invalid_argument` where several expiries are set, or one is not above 0.
    explicit table(store on, const table_options& how = {}) : store_(std::move(on)), how_(how) {
        if (how.create_expire.has_value() + how.write_expire.has_value() + how.read_expire.has_value()
            > 1) {
            throw std::invalid_argument{"a table has at most one expiry"};
        }
        for (const auto& each : {how.create_expire, how.write_expire, how.read_expire}) {
            if (each && *each <= timespan{0}) {
                throw std::invalid_argument{"a table's expiry is above 0"};
            }
        }
    }

    // -- Reading: errors as those of `store` ----------------------------------------------------

    /// Nothing where there is no such entry. `invalid_data`: it is no V.
    [[nodiscard]] expected<std::optional<V>> find(const K& key) {
        auto entry = store_.get_entry(data{key});
        if (!entry) {
            if (entry.error() == ec::no_such_key) {
                return std::optional<V>{};
            }
            return tl::unexpected{entry.error()};
        }
        touch(data{key}, *entry);
        return from_data<V>(entry->value).map([](V&& value) { return std::optional{std::move(value)}; });
    }
    /// The value, or `otherwise` where there is none or it cannot be read.
    [[nodiscard]] V get_or(const K& key, V otherwise) {
        auto found = find(key);
        return found && *found ? std::move(**found) : std::move(otherwise);
    }
    /// No read in the sense of `read_expire`; nor are those below.
    [[nodiscard]] bool contains(const K& key) const {
        const auto there = store_.exists(data{key});
        return there && *there == data{true};
    }
    [[nodiscard]] std::size_t size() const { return store_.size().value_or(0); }
    [[nodiscard]] bool empty() const { return size() == 0; }
    /// All of it at one moment.
    [[nodiscard]] expected<std::map<K, V>> snapshot() const {
        return store_.snapshot().map([](const std::map<data, data>& all) {
            std::map<K, V> out;
            for (const auto& [key, value] : all) {
                auto k = from_data<K>(key);
                auto v = from_data<V>(value);
                if (k && v) {
                    out.emplace(std::move(*k), std::move(*v));
                }
            }
            return out;
        });
    }

    // -- Writing ----------------------------------------------------------------------------------

    store_write put(const K& key, const V& value) {
        if (!how_.create_expire) {
            return store_.put(data{key}, data{value}, how_.write_expire ? how_.write_expire : how_.read_expire);
        }
        // What is there keeps its time. What has run out is gone, whether or not we have heard of it.
        const auto entry = store_.get_entry(data{key});
        const auto rest = entry && entry->expiry ? left(*entry) : timespan{0};
        return store_.put(data{key}, data{value}, rest > timespan{0} ? rest : *how_.create_expire);
    }
    store_write erase(const K& key) { return store_.erase(data{key}); }
    store_write clear() { return store_.clear(); }

    /// Calls back for every change from now on, whoever made it, on a thread of the table's own.
    /// Replaces what was set before. Where more than `waiting_max` changes wait for a slow handler the
    /// oldest are not told, and counted in `dropped`.
    void on_change(change_handler handler, std::size_t waiting_max = 1'000'000) {
        watch_.reset();
        watch_ = std::make_unique<store_watch>(
            store_, [handler = std::move(handler)](const store_event& what) { tell(handler, what); },
            waiting_max);
    }

    /// Changes that were not told since `on_change`, because its handler was too slow.
    [[nodiscard]] std::uint64_t dropped() const { return watch_ ? watch_->dropped() : 0; }
    /// Changes since `on_change` for which its handler threw.
    [[nodiscard]] std::uint64_t failed() const { return watch_ ? watch_->failed() : 0; }

    [[nodiscard]] store& underlying() noexcept { return store_; }

  private:
    static timespan left(const store_entry& entry) {
        return std::chrono::duration_cast<timespan>(*entry.expiry - std::chrono::system_clock::now());
    }

    void touch(const data& key, const store_entry& entry) {
        if (!how_.read_expire || !entry.expiry || left(entry) >= *how_.read_expire / 4 * 3
            || !touches_->begin(key, entry.revision)) {
            return;
        }
        if (const auto now = store_.get_entry(key); !now || now->revision != entry.revision) {
            return touches_->end(key, entry.revision);  // One has arrived between read and begin.
        }
        // Only where nobody has written meanwhile: a read changes no value.
        store_.compare_and_put(key, entry.revision, entry.value, how_.read_expire)
            .then([at = touches_, key, revision = entry.revision](const auto&) {
                at->end(key, revision);
            });
    }

    static void tell(const change_handler& handler, const store_event& what) {
        const auto value = [](const std::optional<data>& from) -> std::optional<V> {
            auto read = from ? from_data<V>(*from) : expected<V>{fail(ec::invalid_data)};
            return read ? std::optional<V>{std::move(*read)} : std::nullopt;
        };
        const auto key = from_data<K>(what.key);
        if (what.what == store_event::kind::clear || !key) {
            return;  // No entry of this table.
        }
        const auto before = value(what.old_value);
        const auto after = value(what.new_value);
        switch (what.what) {
            case store_event::kind::insert:
                return handler(change::created, *key, before, after);
            case store_event::kind::update:
                if (what.old_value != what.new_value) {  // else: a read that was told
                    handler(change::changed, *key, before, after);
                }
                return;
            case store_event::kind::expire:
                return handler(change::expired, *key, before, after);
            case store_event::kind::erase:
                return handler(change::removed, *key, before, after);
            case store_event::kind::clear:
                return;
        }
    }

    store store_;
    table_options how_;
    // Shared with the writes that are on their way.
    std::shared_ptr<detail::touches> touches_ = std::make_shared<detail::touches>();
    std::unique_ptr<store_watch> watch_;
};

}  // namespace bzmq::zeek
