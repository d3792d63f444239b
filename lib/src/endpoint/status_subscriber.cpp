#include "bzmq/status_subscriber.hpp"

#include <limits>
#include <utility>

#include "endpoint/clock.hpp"
#include "endpoint/core_thread.hpp"
#include "endpoint/no_limit.hpp"
#include "endpoint/gone.hpp"
#include "endpoint/status_subscriber_state.hpp"

namespace bzmq {
status_subscriber::status_subscriber() = default;
status_subscriber::status_subscriber(std::unique_ptr<state> own) : state_(std::move(own)) {}
status_subscriber::~status_subscriber() = default;
status_subscriber::status_subscriber(status_subscriber&& other) noexcept = default;
status_subscriber& status_subscriber::operator=(status_subscriber&& other) noexcept = default;

status_variant status_subscriber::get() {
    auto out = get(std::size_t{1});
    if (!out.empty()) {
        return std::move(out.front());
    }
    return status_variant{usable() && core_thread::of(state_->core.get()) ? cannot_wait() : gone()};
}

std::optional<status_variant> status_subscriber::get(timespan timeout) {
    auto out = get(std::size_t{1}, timeout);
    return out.empty() ? std::nullopt : std::optional{std::move(out.front())};
}

std::vector<status_variant> status_subscriber::get(std::size_t count) {
    return usable() ? state_->queue->take(count, count, patience(state_->core.get(), no_deadline))
                    : std::vector<status_variant>{};
}

std::vector<status_variant> status_subscriber::get(std::size_t count, timespan timeout) {
    return usable() ? state_->queue->take(count, count,
                                          patience(state_->core.get(), deadline_in(timeout)))
                    : std::vector<status_variant>{};
}

std::vector<status_variant> status_subscriber::poll() {
    return usable() ? state_->queue->take(no_limit, 0, no_deadline) : std::vector<status_variant>{};
}

std::size_t status_subscriber::available() const {
    return usable() ? state_->queue->available() : 0;
}

int status_subscriber::fd() { return usable() ? state_->queue->fd() : -1; }

std::uint64_t status_subscriber::dropped() const { return usable() ? state_->queue->dropped() : 0; }

bool status_subscriber::usable() const { return state_ && !state_->core->in_child(); }

}  // namespace bzmq
