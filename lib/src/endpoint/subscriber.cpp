#include "bzmq/subscriber.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "endpoint/clock.hpp"
#include "endpoint/core_thread.hpp"
#include "endpoint/no_limit.hpp"
#include "endpoint/subscriber_state.hpp"

namespace bzmq {
subscriber::subscriber() = default;
subscriber::subscriber(std::unique_ptr<state> own) : state_(std::move(own)) {}
subscriber::~subscriber() = default;
subscriber::subscriber(subscriber&& other) noexcept = default;
subscriber& subscriber::operator=(subscriber&& other) noexcept = default;

std::size_t subscriber::read(std::vector<message>& out, std::size_t max, std::size_t enough,
                             std::chrono::steady_clock::time_point deadline) {
    std::size_t count = 0;
    if (state_ && core_thread::of(state_->core.get())) {
        // The thread that brings what is waited for: a callback takes what is there.
        deadline = {};
        enough = 0;
    }
    while (state_ && !state_->core->in_child()) {
        const auto got =
            state_->queue->take(out, max - count, enough - std::min(enough, count), deadline);
        count += got.count;
        if (!got.drained) {
            break;
        }
        state_->core->drained(state_->id);
        if (count == max) {
            break;
        }
    }
    return count;
}

message subscriber::get() {
    std::vector<message> out;
    read(out, 1, 1, no_deadline);
    return out.empty() ? message{} : std::move(out.front());
}

std::optional<message> subscriber::get(timespan timeout) {
    std::vector<message> out;
    read(out, 1, 1, deadline_in(timeout));
    return out.empty() ? std::nullopt : std::optional{std::move(out.front())};
}

std::vector<message> subscriber::get(std::size_t count) {
    std::vector<message> out;
    out.reserve(std::min<std::size_t>(count, 4096));
    read(out, count, count, no_deadline);
    return out;
}

std::vector<message> subscriber::get(std::size_t count, timespan timeout) {
    std::vector<message> out;
    read(out, count, count, deadline_in(timeout));
    return out;
}

std::size_t subscriber::take(std::vector<message>& out, std::size_t max, timespan timeout) {
    return read(out, max, 1, deadline_in(timeout));
}

std::vector<message> subscriber::poll() {
    std::vector<message> out;
    read(out, no_limit, 0, no_deadline);
    return out;
}

std::size_t subscriber::available() const {
    return state_ && !state_->core->in_child() ? state_->queue->available() : 0;
}

int subscriber::fd() { return state_ && !state_->core->in_child() ? state_->queue->fd() : -1; }

bool subscriber::change_topics(const std::function<bool(std::vector<std::string>&)>& change,
                               error* why) {
    if (why != nullptr) {
        *why = {};
    }
    if (!state_ || state_->core->in_child() || state_->queue->ended()) {
        return false;
    }
    const auto lock = lock_across(state_->change_mutex, state_->core.get());
    if (!lock) {
        if (why != nullptr) {
            *why = lock.error();
        }
        return false;
    }
    const auto before = this->topics();
    auto topics = before;
    if (!change(topics)) {
        return false;
    }
    const auto filter_queue = [this](const std::vector<std::string>& by) {
        if (state_->queue->set_filter(by)) {
            state_->core->drained(state_->id);
        }
    };
    filter_queue(topics);
    if (auto refused = state_->core->set_topics(state_->id, topics)) {
        filter_queue(before);
        if (why != nullptr) {
            *why = std::move(refused);
        }
        return false;
    }
    const std::lock_guard list{state_->topics_mutex};
    state_->topics = std::move(topics);
    return true;
}

bool subscriber::add_topic(std::string_view prefix, error* why) {
    return change_topics(
        [prefix](std::vector<std::string>& topics) {
            if (std::find(topics.begin(), topics.end(), prefix) != topics.end()) {
                return false;
            }
            topics.emplace_back(prefix);
            return true;
        },
        why);
}

bool subscriber::remove_topic(std::string_view prefix) {
    return change_topics(
        [prefix](std::vector<std::string>& topics) { return std::erase(topics, prefix) > 0; },
        nullptr);
}

std::vector<std::string> subscriber::topics() const {
    if (!state_ || state_->core->in_child()) {
        return {};
    }
    const std::lock_guard lock{state_->topics_mutex};
    return state_->topics;
}

bool subscriber::wait_ready(timespan timeout) {
    return state_ && state_->core->confirm_filter(timeout);
}

std::uint64_t subscriber::dropped() const {
    return state_ && !state_->core->in_child() ? state_->queue->look().dropped : 0;
}

bool subscriber::ended() const {
    return !state_ || state_->core->in_child() || state_->queue->ended();
}

error subscriber::last_error() const {
    if (!state_) {
        return {};
    }
    return state_->core->in_child() ? state_->core->usable() : state_->queue->reason();
}

void subscriber::close() {
    if (state_ && !state_->core->in_child()) {
        state_->close();
    }
}

}  // namespace bzmq
