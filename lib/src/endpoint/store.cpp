#include "bzmq/store.hpp"

#include <algorithm>
#include <limits>

#include "data/msgpack_codec.hpp"
#include "data/ordered_codec.hpp"
#include "endpoint/core.hpp"
#include "endpoint/no_limit.hpp"
#include "endpoint/store_state.hpp"

namespace bzmq {
namespace {


/// The ordered form of `key`, until the next call on this thread.
std::span<const std::byte> encoded_key(const data& key) {
    thread_local std::vector<std::byte> buffer;
    buffer.clear();
    if (!encode_ordered(key, buffer)) {
        buffer.clear();  // No such key can be in a store.
    }
    return buffer;
}

expected<data> value_of(const replica::item& of) {
    auto value = decode(of.value());
    if (!value) {
        return fail(ec::invalid_data, "the store holds a value that does not decode: "
                                          + value.error().message());
    }
    return value;
}

/// The live item under `key`; null where there is none.
replica::item_ptr find(store_state& state, const data& key) {
    const auto bytes = encoded_key(key);
    const auto hash = replica::table::hash_of(bytes);
    return state.read([&](const replica::table& values, timestamp now) {
        const auto* at = values.find(bytes, hash);
        return replica::item_ptr::share(at == nullptr || at->expired(now) ? nullptr : at);
    });
}

unexpected no_such_key(const data& key) {
    return fail(ec::no_such_key, "no entry " + to_string(key));
}

// Of so many entries a walk over all holds nobody up.
constexpr std::size_t counted_at_once = 10'000;

/// Those that have not expired, swept or not.
std::size_t live_entries(store_state& state) {
    const auto at_once = state.read(
        [](const replica::table& values, timestamp now) -> std::optional<std::size_t> {
            const bool few = values.expiring() == 0 || values.size() <= counted_at_once;
            return few ? std::optional{values.live(now)} : std::nullopt;
        });
    if (at_once) {
        return *at_once;
    }
    // Of many, part by part: as long as somebody reads, the core's next write waits, and the whole
    // endpoint with it.
    std::size_t out = 0;
    for (std::size_t part = 0; part < replica::table::parts(); ++part) {
        out += state.read([part](const replica::table& values, timestamp now) {
            return values.live(now, part);
        });
        state.let_write();
    }
    return out;
}

bool before(std::span<const std::byte> a, std::span<const std::byte> b) {
    const auto size = std::min(a.size(), b.size());
    const auto order = size == 0 ? 0 : std::memcmp(a.data(), b.data(), size);
    return order != 0 ? order < 0 : a.size() < b.size();
}

bool key_order(const replica::item_ptr& a, const replica::item_ptr& b) {
    return before(a->key(), b->key());
}

/// The live items that `wanted` takes, at one moment: the first `max` of them by their keys, in any
/// order. Never holds more.
template <class F>
std::vector<replica::item_ptr> collect(store_state& state, std::size_t max, F&& wanted) {
    std::vector<replica::item_ptr> out;
    if (max == 0) {
        return out;
    }
    bool heap = false;
    state.read([&](const replica::table& values, timestamp now) {
        values.for_each([&](const replica::item& each) {
            if (each.expired(now) || !wanted(each)) {
                return;
            }
            if (out.size() < max) {
                out.push_back(replica::item_ptr::share(&each));
                return;
            }
            if (!std::exchange(heap, true)) {  // The greatest of them in front.
                std::make_heap(out.begin(), out.end(), key_order);
            }
            if (before(each.key(), out.front()->key())) {
                std::pop_heap(out.begin(), out.end(), key_order);
                out.back() = replica::item_ptr::share(&each);
                std::push_heap(out.begin(), out.end(), key_order);
            }
        });
        return 0;
    });
    return out;
}

expected<std::vector<std::pair<data, store_entry>>> in_order(std::vector<replica::item_ptr> items) {
    std::sort(items.begin(), items.end(), key_order);
    std::vector<std::pair<data, store_entry>> out;
    out.reserve(items.size());
    for (const auto& each : items) {
        auto key = decode_ordered(each->key());
        auto value = value_of(*each);
        if (!key || !value) {
            return tl::unexpected{key ? value.error() : key.error()};
        }
        out.emplace_back(std::move(*key), store_entry{std::move(*value), each->revision(),
                                                      expiry_of(*each)});
    }
    return out;
}

}  // namespace

// -- Reading --------------------------------------------------------------------------------------

const std::string& store::name() const {
    static const std::string none;
    return state_ ? state_->name() : none;
}

bool store::is_master() const { return state_ && state_->is_master(); }

expected<store_info> store::info() const {
    if (!state_) {
        return tl::unexpected{no_store()};
    }
    auto out = state_->core().store_info_of(state_->id());
    if (out && out->entries > 0) {
        // Here, since it may take a walk over all: the core has others to serve.
        out->entries = live_entries(*state_);
    }
    return out;
}

expected<data> store::get(const data& key) const {
    if (auto problem = state_ ? state_->prepare_read() : no_store()) {
        return tl::unexpected{std::move(problem)};
    }
    const auto at = find(*state_, key);
    return at ? value_of(*at) : no_such_key(key);
}

expected<store_entry> store::get_entry(const data& key) const {
    if (auto problem = state_ ? state_->prepare_read() : no_store()) {
        return tl::unexpected{std::move(problem)};
    }
    const auto at = find(*state_, key);
    if (!at) {
        return no_such_key(key);
    }
    return value_of(*at).map([&](data&& value) {
        return store_entry{std::move(value), at->revision(), expiry_of(*at)};
    });
}

expected<data> store::get_index_from_value(const data& key, const data& index) const {
    const auto whole = get(key);
    if (!whole) {
        return whole;
    }
    if (const auto* items = get_if<set>(&*whole)) {
        return data{items->contains(index)};
    }
    if (const auto* pairs = get_if<table>(&*whole)) {
        const auto at = pairs->find(index);
        return at == pairs->end() ? expected<data>{no_such_key(index)} : at->second;
    }
    if (const auto* list = get_if<vector>(&*whole)) {
        std::optional<std::uint64_t> position;
        if (const auto* as_count = get_if<count>(&index)) {
            position = *as_count;
        } else if (const auto* as_integer = get_if<integer>(&index); as_integer && *as_integer >= 0) {
            position = static_cast<std::uint64_t>(*as_integer);
        }
        if (!position) {
            return fail(ec::type_clash, "a vector's position is a number, not " + to_string(index));
        }
        return *position < list->size() ? expected<data>{(*list)[*position]}
                                        : expected<data>{no_such_key(index)};
    }
    return fail(ec::type_clash, "neither a set, nor a table, nor a vector, but a "
                                    + std::string{to_string(whole->get_type())});
}

expected<data> store::exists(const data& key) const {
    if (auto problem = state_ ? state_->prepare_read() : no_store()) {
        return tl::unexpected{std::move(problem)};
    }
    return data{static_cast<bool>(find(*state_, key))};
}

expected<data> store::keys() const {
    if (auto problem = state_ ? state_->prepare_read() : no_store()) {
        return tl::unexpected{std::move(problem)};
    }
    set out;
    for (const auto& each : collect(*state_, no_limit, [](const auto&) { return true; })) {
        auto key = decode_ordered(each->key());
        if (!key) {
            return tl::unexpected{std::move(key.error())};
        }
        out.insert(std::move(*key));
    }
    return data{std::move(out)};
}

expected<std::size_t> store::size() const {
    if (auto problem = state_ ? state_->prepare_read() : no_store()) {
        return tl::unexpected{std::move(problem)};
    }
    return live_entries(*state_);
}

expected<std::map<data, data>> store::snapshot() const {
    return range({}, {}).map([](std::vector<std::pair<data, store_entry>>&& all) {
        std::map<data, data> out;
        for (auto& [key, entry] : all) {
            out.emplace_hint(out.end(), std::move(key), std::move(entry.value));
        }
        return out;
    });
}

expected<std::vector<std::pair<data, store_entry>>> store::range(const std::optional<data>& from,
                                                                 const std::optional<data>& to,
                                                                 std::size_t max) const {
    if (auto problem = state_ ? state_->prepare_read() : no_store()) {
        return tl::unexpected{std::move(problem)};
    }
    std::vector<std::byte> low;
    std::vector<std::byte> high;
    if ((from && !encode_ordered(*from, low)) || (to && !encode_ordered(*to, high))) {
        return fail(ec::invalid_data, "no key can be as large as this bound");
    }
    return in_order(collect(*state_, max, [&](const replica::item& each) {
        return !before(each.key(), low) && (!to || before(each.key(), high));
    }));
}

expected<std::vector<std::pair<data, store_entry>>> store::prefix(std::string_view text,
                                                                  std::size_t max) const {
    if (auto problem = state_ ? state_->prepare_read() : no_store()) {
        return tl::unexpected{std::move(problem)};
    }
    std::vector<std::byte> begin;
    if (!encode_ordered_prefix(text, begin)) {
        return fail(ec::invalid_data, "no key can be as large as this prefix");
    }
    return in_order(collect(*state_, max, [&](const replica::item& each) {
        const auto key = each.key();
        return key.size() >= begin.size()
               && std::memcmp(key.data(), begin.data(), begin.size()) == 0;
    }));
}

// -- Waiting, and more ----------------------------------------------------------------------------

bool store::await_idle(timespan timeout) {
    return state_ && state_->core().await_idle(*state_, timeout);
}

bool store::await_sync(timespan timeout) {
    return state_ && state_->await_state(timeout);
}

void store::follow() {
    if (state_) {
        state_->core().follow_store(state_->id());
    }
}

expected<void> store::promote(timespan timeout) {
    auto problem = state_ ? state_->core().promote_store(*state_, timeout) : no_store();
    return problem ? expected<void>{tl::unexpected{std::move(problem)}} : expected<void>{};
}

void store::detach() {
    if (state_) {
        state_->core().detach_store(state_->id());
    }
}

store_event_subscriber store::events(std::size_t max) {
    auto queue = std::make_shared<store_event_queue>(max);
    if (state_) {
        state_->add_events(queue);
    } else {
        queue->end();
    }
    return store_event_subscriber{std::move(queue), state_};
}

}  // namespace bzmq
