// What happens to a store, as its subscribers see it.
#include "bzmq/store.hpp"

#include <utility>

#include "data/msgpack_codec.hpp"
#include "data/ordered_codec.hpp"
#include "endpoint/core.hpp"
#include "endpoint/core_thread.hpp"
#include "endpoint/store_state.hpp"

namespace bzmq {

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

store_event public_view(const std::string& store, const replica::effect& from) {
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
    auto deadline = deadline_in(timeout);
    if (state_) {
        deadline = patience(&state_->core(), deadline);
    }
    const auto one = queue_->take(1, 1, deadline);
    return one.empty() ? std::nullopt
                       : std::optional{public_view(state_->name(), one.front())};
}

std::vector<store_event> store_event_subscriber::poll() {
    std::vector<store_event> out;
    for (const auto& each : queue_->take(std::size_t(-1), 0, store_event_queue::clock::time_point::max())) {
        out.push_back(public_view(state_->name(), each));
    }
    return out;
}

std::size_t store_event_subscriber::available() const { return queue_->available(); }
std::uint64_t store_event_subscriber::dropped() const { return queue_->dropped(); }
int store_event_subscriber::fd() { return queue_->fd(); }

}  // namespace bzmq
