#include "bzmq/store.hpp"

#include <algorithm>

#include "data/msgpack_codec.hpp"
#include "data/ordered_codec.hpp"
#include "endpoint/core.hpp"
#include "endpoint/store_state.hpp"
#include "replica/command.hpp"

namespace bzmq {
namespace {

using replica::operation;

error nowhere() { return {ec::no_such_master, "this handle belongs to no store"}; }

/// Encodes into buffers that the thread keeps.
struct encoder {
    std::vector<std::byte> key, value, index, command;

    bool make(operation what, const data* key_of, const data* value_of, const data* index_of,
              std::optional<timespan> expiry, std::uint64_t revision) {
        key.clear();
        value.clear();
        index.clear();
        command.clear();
        if ((key_of != nullptr
             && (!encode_ordered(*key_of, key) || key.size() > replica::key_bytes_max))
            || (value_of != nullptr && !encode(*value_of, value))
            || (index_of != nullptr && !encode(*index_of, index))) {
            return false;
        }
        replica::put_command(command, {what, key, value, index, revision, expiry, {}});
        return true;
    }
};
encoder& thread_encoder() {
    thread_local encoder mine;
    return mine;
}

/// The ordered form of `key`, until the next call on this thread.
std::span<const std::byte> encoded_key(const data& key) {
    auto& buffer = thread_encoder().key;
    buffer.clear();
    if (!encode_ordered(key, buffer)) {
        buffer.clear();  // No such key can be in a store.
    }
    return buffer;
}

std::optional<timestamp> expiry_of(const replica::item& of) {
    return of.expiry() == replica::no_expiry ? std::nullopt : std::optional{of.expiry()};
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

/// All live items, at one moment.
template <class F>
std::vector<replica::item_ptr> collect(store_state& state, F&& wanted) {
    return state.read([&](const replica::table& values, timestamp now) {
        std::vector<replica::item_ptr> out;
        values.for_each([&](const replica::item& each) {
            if (!each.expired(now) && wanted(each)) {
                out.push_back(replica::item_ptr::share(&each));
            }
        });
        return out;
    });
}

bool before(std::span<const std::byte> a, std::span<const std::byte> b) {
    const auto size = std::min(a.size(), b.size());
    const auto order = size == 0 ? 0 : std::memcmp(a.data(), b.data(), size);
    return order != 0 ? order < 0 : a.size() < b.size();
}

expected<std::vector<std::pair<data, store_entry>>> in_order(std::vector<replica::item_ptr> items,
                                                             std::size_t max) {
    std::sort(items.begin(), items.end(),
              [](const auto& a, const auto& b) { return before(a->key(), b->key()); });
    if (items.size() > max) {
        items.resize(max);
    }
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
        return tl::unexpected{nowhere()};
    }
    return state_->core().store_info_of(state_->id());
}

expected<data> store::get(const data& key) const {
    if (auto problem = state_ ? state_->prepare_read() : nowhere()) {
        return tl::unexpected{std::move(problem)};
    }
    const auto at = find(*state_, key);
    return at ? value_of(*at) : no_such_key(key);
}

expected<store_entry> store::get_entry(const data& key) const {
    if (auto problem = state_ ? state_->prepare_read() : nowhere()) {
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
    if (auto problem = state_ ? state_->prepare_read() : nowhere()) {
        return tl::unexpected{std::move(problem)};
    }
    return data{static_cast<bool>(find(*state_, key))};
}

expected<data> store::keys() const {
    if (auto problem = state_ ? state_->prepare_read() : nowhere()) {
        return tl::unexpected{std::move(problem)};
    }
    set out;
    for (const auto& each : collect(*state_, [](const auto&) { return true; })) {
        auto key = decode_ordered(each->key());
        if (!key) {
            return tl::unexpected{std::move(key.error())};
        }
        out.insert(std::move(*key));
    }
    return data{std::move(out)};
}

expected<std::size_t> store::size() const {
    if (auto problem = state_ ? state_->prepare_read() : nowhere()) {
        return tl::unexpected{std::move(problem)};
    }
    return state_->read([](const replica::table& values, timestamp) { return values.size(); });
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
    if (auto problem = state_ ? state_->prepare_read() : nowhere()) {
        return tl::unexpected{std::move(problem)};
    }
    std::vector<std::byte> low;
    std::vector<std::byte> high;
    if ((from && !encode_ordered(*from, low)) || (to && !encode_ordered(*to, high))) {
        return fail(ec::invalid_data, "no key can be as large as this bound");
    }
    return in_order(collect(*state_,
                            [&](const replica::item& each) {
                                return !before(each.key(), low)
                                       && (!to || before(each.key(), high));
                            }),
                    max);
}

expected<std::vector<std::pair<data, store_entry>>> store::prefix(std::string_view text,
                                                                  std::size_t max) const {
    if (auto problem = state_ ? state_->prepare_read() : nowhere()) {
        return tl::unexpected{std::move(problem)};
    }
    std::vector<std::byte> begin;
    if (!encode_ordered_prefix(text, begin)) {
        return fail(ec::invalid_data, "no key can be as large as this prefix");
    }
    return in_order(collect(*state_,
                            [&](const replica::item& each) {
                                const auto key = each.key();
                                return key.size() >= begin.size()
                                       && std::memcmp(key.data(), begin.data(), begin.size()) == 0;
                            }),
                    max);
}

// -- Writing --------------------------------------------------------------------------------------

store_write::store_write(error why) : failed_(std::move(why)) {}
store_write::store_write(const store_write& other) noexcept
    : state_(other.state_), failed_(other.failed_) {
    if (state_ != nullptr) {
        state_->add_ref();
    }
}
store_write::store_write(store_write&& other) noexcept
    : state_(std::exchange(other.state_, nullptr)), failed_(std::move(other.failed_)) {}
store_write& store_write::operator=(store_write other) noexcept {
    std::swap(state_, other.state_);
    std::swap(failed_, other.failed_);
    return *this;
}
store_write::~store_write() {
    if (state_ != nullptr) {
        state_->drop_ref();
    }
}

bool store_write::done() const { return state_ == nullptr || state_->done(); }

expected<write_outcome> store_write::wait(timespan timeout) const {
    if (state_ == nullptr) {
        return tl::unexpected{failed_};
    }
    if (!state_->wait_until(deadline_in(timeout))) {
        return fail(ec::request_timeout, "the write has no outcome yet");
    }
    return outcome();
}

void store_write::then(std::function<void(const expected<write_outcome>&)> done) const {
    if (state_ == nullptr) {
        done(outcome());
        return;
    }
    state_->then([done = std::move(done)](write_state& state) {
        state.add_ref();
        done(store_write{&state}.outcome());
    });
}

expected<write_outcome> store_write::outcome() const {
    if (state_ == nullptr) {
        return tl::unexpected{failed_};
    }
    if (state_->problem()) {
        return tl::unexpected{state_->problem()};
    }
    write_outcome out{state_->revision(), {}};
    if (!state_->value().empty()) {
        if (auto value = decode(state_->value())) {
            out.value = std::move(*value);
        }
    }
    return out;
}

store_write store::submit(const std::vector<std::byte>& command) {
    if (!state_) {
        return store_write{nowhere()};
    }
    auto* write = new write_state;
    write->add_ref();
    state_->submit(command, write);
    return store_write{write};
}

namespace {

/// The bytes of a command in the thread's buffer; nothing where it is too large.
const std::vector<std::byte>* made(operation what, const data* key, const data* value = nullptr,
                                   std::optional<timespan> expiry = {},
                                   const data* index = nullptr, std::uint64_t revision = 0) {
    auto& buffer = thread_encoder();
    return buffer.make(what, key, value, index, expiry, revision) ? &buffer.command : nullptr;
}

store_write too_big() {
    return store_write{error{ec::message_too_big, "the key or the value exceeds the limits"}};
}

}  // namespace

store_write store::put(const data& key, const data& value, std::optional<timespan> expiry) {
    const auto* bytes = made(operation::put, &key, &value, expiry);
    return bytes != nullptr ? submit(*bytes) : too_big();
}

store_write store::put_unique_nosync(const data& key, const data& value,
                                     std::optional<timespan> expiry) {
    const auto* bytes = made(operation::put_unique, &key, &value, expiry);
    return bytes != nullptr ? submit(*bytes) : too_big();
}

expected<data> store::put_unique(const data& key, const data& value,
                                 std::optional<timespan> expiry) {
    const auto outcome = put_unique_nosync(key, value, expiry).wait();
    if (outcome) {
        return data{true};
    }
    return outcome.error() == ec::key_exists ? expected<data>{data{false}}
                                             : tl::unexpected{outcome.error()};
}

store_write store::compare_and_put(const data& key, std::uint64_t revision, const data& value,
                                   std::optional<timespan> expiry) {
    const auto* bytes = made(operation::compare_and_put, &key, &value, expiry, nullptr, revision);
    return bytes != nullptr ? submit(*bytes) : too_big();
}

store_write store::increment(const data& key, const data& amount, std::optional<timespan> expiry) {
    const auto* bytes = made(operation::add, &key, &amount, expiry);
    return bytes != nullptr ? submit(*bytes) : too_big();
}

store_write store::decrement(const data& key, const data& amount, std::optional<timespan> expiry) {
    const auto* bytes = made(operation::subtract, &key, &amount, expiry);
    return bytes != nullptr ? submit(*bytes) : too_big();
}

store_write store::append(const data& key, std::string_view text, std::optional<timespan> expiry) {
    const data value{text};
    const auto* bytes = made(operation::append, &key, &value, expiry);
    return bytes != nullptr ? submit(*bytes) : too_big();
}

store_write store::insert_into(const data& key, const data& element,
                               std::optional<timespan> expiry) {
    const auto* bytes = made(operation::insert, &key, &element, expiry);
    return bytes != nullptr ? submit(*bytes) : too_big();
}

store_write store::insert_into(const data& key, const data& index, const data& value,
                               std::optional<timespan> expiry) {
    const auto* bytes = made(operation::insert_pair, &key, &value, expiry, &index);
    return bytes != nullptr ? submit(*bytes) : too_big();
}

store_write store::remove_from(const data& key, const data& index,
                               std::optional<timespan> expiry) {
    const auto* bytes = made(operation::remove, &key, &index, expiry);
    return bytes != nullptr ? submit(*bytes) : too_big();
}

store_write store::push(const data& key, const data& value, std::optional<timespan> expiry) {
    const auto* bytes = made(operation::push, &key, &value, expiry);
    return bytes != nullptr ? submit(*bytes) : too_big();
}

store_write store::pop(const data& key, std::optional<timespan> expiry) {
    const auto* bytes = made(operation::pop, &key, nullptr, expiry);
    return bytes != nullptr ? submit(*bytes) : too_big();
}

store_write store::erase(const data& key) {
    const auto* bytes = made(operation::erase, &key);
    return bytes != nullptr ? submit(*bytes) : too_big();
}

store_write store::clear() { return submit(*made(operation::clear, nullptr)); }

store_write store::apply(const store_batch& batch) {
    if (batch.problem_ != ec::none || batch.parts_.size() + 1 > replica::entry_bytes_max) {
        return too_big();
    }
    auto& buffer = thread_encoder();
    buffer.command.clear();
    replica::command whole;
    whole.what = operation::batch;
    whole.parts = batch.parts_;
    replica::put_command(buffer.command, whole);
    return submit(buffer.command);
}

// -- Batches --------------------------------------------------------------------------------------

void store_batch::add(const std::vector<std::byte>& command) {
    byte_writer out{parts_};
    out.varint(command.size());
    out.bytes(command);
    ++size_;
}

// One command of a batch; what does not fit spoils the batch.
#define BZMQ_BATCH(...)                                   \
    if (const auto* bytes = made(__VA_ARGS__)) {          \
        add(*bytes);                                      \
    } else {                                              \
        problem_ = ec::message_too_big;                   \
    }                                                     \
    return *this

store_batch& store_batch::put(const data& key, const data& value, std::optional<timespan> expiry) {
    BZMQ_BATCH(operation::put, &key, &value, expiry);
}
store_batch& store_batch::put_unique(const data& key, const data& value,
                                     std::optional<timespan> expiry) {
    BZMQ_BATCH(operation::put_unique, &key, &value, expiry);
}
store_batch& store_batch::compare_and_put(const data& key, std::uint64_t revision,
                                          const data& value, std::optional<timespan> expiry) {
    BZMQ_BATCH(operation::compare_and_put, &key, &value, expiry, nullptr, revision);
}
store_batch& store_batch::increment(const data& key, const data& amount,
                                    std::optional<timespan> expiry) {
    BZMQ_BATCH(operation::add, &key, &amount, expiry);
}
store_batch& store_batch::decrement(const data& key, const data& amount,
                                    std::optional<timespan> expiry) {
    BZMQ_BATCH(operation::subtract, &key, &amount, expiry);
}
store_batch& store_batch::append(const data& key, std::string_view text,
                                 std::optional<timespan> expiry) {
    const data value{text};
    BZMQ_BATCH(operation::append, &key, &value, expiry);
}
store_batch& store_batch::insert_into(const data& key, const data& element,
                                      std::optional<timespan> expiry) {
    BZMQ_BATCH(operation::insert, &key, &element, expiry);
}
store_batch& store_batch::insert_into(const data& key, const data& index, const data& value,
                                      std::optional<timespan> expiry) {
    BZMQ_BATCH(operation::insert_pair, &key, &value, expiry, &index);
}
store_batch& store_batch::remove_from(const data& key, const data& index,
                                      std::optional<timespan> expiry) {
    BZMQ_BATCH(operation::remove, &key, &index, expiry);
}
store_batch& store_batch::push(const data& key, const data& value,
                               std::optional<timespan> expiry) {
    BZMQ_BATCH(operation::push, &key, &value, expiry);
}
store_batch& store_batch::pop(const data& key, std::optional<timespan> expiry) {
    BZMQ_BATCH(operation::pop, &key, nullptr, expiry);
}
store_batch& store_batch::erase(const data& key) { BZMQ_BATCH(operation::erase, &key); }
store_batch& store_batch::clear() { BZMQ_BATCH(operation::clear, nullptr); }

#undef BZMQ_BATCH

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

// -- Events ---------------------------------------------------------------------------------------

std::string_view to_string(store_event::kind what) noexcept {
    switch (what) {
        case store_event::kind::insert:
            return "insert";
        case store_event::kind::update:
            return "update";
        case store_event::kind::erase:
            return "erase";
        case store_event::kind::expire:
            return "expire";
        case store_event::kind::clear:
            return "clear";
    }
    return "unknown";
}

namespace {

store_event public_view(const std::string& store, const store_event_queue::entry& from) {
    store_event out;
    out.store = store;
    const auto decoded = [](const replica::item_ptr& of) -> std::optional<data> {
        auto value = of ? decode(of->value()) : expected<data>{tl::unexpected{error{}}};
        return value ? std::optional{std::move(*value)} : std::nullopt;
    };
    const auto& about = from.after ? from.after : from.before;
    if (about) {
        if (auto key = decode_ordered(about->key())) {
            out.key = std::move(*key);
        }
    }
    out.old_value = decoded(from.before);
    out.new_value = decoded(from.after);
    switch (from.kind) {
        case replica::change_kind::erase:
            out.what = store_event::kind::erase;
            break;
        case replica::change_kind::expire:
            out.what = store_event::kind::expire;
            break;
        case replica::change_kind::clear:
            out.what = store_event::kind::clear;
            break;
        default:
            out.what = from.before ? store_event::kind::update : store_event::kind::insert;
            out.expiry = expiry_of(*from.after);
            out.revision = from.after->revision();
    }
    return out;
}

}  // namespace

store_event_subscriber::store_event_subscriber(std::shared_ptr<store_event_queue> queue,
                                               std::shared_ptr<store_state> state)
    : queue_(std::move(queue)), state_(std::move(state)) {}
store_event_subscriber::store_event_subscriber(store_event_subscriber&&) noexcept = default;
store_event_subscriber& store_event_subscriber::operator=(store_event_subscriber&& other) noexcept {
    std::swap(queue_, other.queue_);
    std::swap(state_, other.state_);
    return *this;
}
store_event_subscriber::~store_event_subscriber() {
    if (queue_) {
        queue_->close();
    }
}

std::optional<store_event> store_event_subscriber::get(timespan timeout) {
    const auto one = queue_->take(1, deadline_in(timeout));
    return one.empty() ? std::nullopt
                       : std::optional{public_view(state_->name(), one.front())};
}

std::vector<store_event> store_event_subscriber::poll() {
    std::vector<store_event> out;
    for (const auto& each : queue_->take(std::size_t(-1), store_event_queue::clock::time_point{})) {
        out.push_back(public_view(state_->name(), each));
    }
    return out;
}

std::size_t store_event_subscriber::available() const { return queue_->available(); }
std::uint64_t store_event_subscriber::dropped() const { return queue_->dropped(); }
int store_event_subscriber::fd() { return queue_->fd(); }

}  // namespace bzmq
