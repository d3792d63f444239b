#include <condition_variable>
#include <deque>
#include <mutex>

#include "bzmq/store.hpp"
#include "endpoint/clock.hpp"
#include "endpoint/ready_fd.hpp"
#include "endpoint/store_state.hpp"

namespace bzmq {

/// The answers that wait for one proxy's reader.
class proxy_state {
  public:
    using clock = std::chrono::steady_clock;

    explicit proxy_state(store of) : of_(std::move(of)) {}

    store& of() noexcept { return of_; }
    std::uint64_t next_id() {
        const std::lock_guard lock{mutex_};
        return ++last_;
    }
    void answer(std::uint64_t id, expected<data> what) {
        const std::lock_guard lock{mutex_};
        answers_.push_back({std::move(what), id});
        fd_.set(true);
        arrived_.notify_all();
    }
    std::vector<store::proxy::response> take(std::size_t count, clock::time_point deadline) {
        std::vector<store::proxy::response> out;
        std::unique_lock lock{mutex_};
        const auto ready = [&] { return answers_.size() >= count; };
        if (deadline == clock::time_point::max()) {
            arrived_.wait(lock, ready);
        } else {
            arrived_.wait_until(lock, deadline, ready);
        }
        while (out.size() < count && !answers_.empty()) {
            out.push_back(std::move(answers_.front()));
            answers_.pop_front();
        }
        fd_.set(!answers_.empty());
        return out;
    }
    int fd() {
        const std::lock_guard lock{mutex_};
        return fd_.open(!answers_.empty());
    }

  private:
    store of_;
    std::mutex mutex_;
    std::condition_variable arrived_;
    std::deque<store::proxy::response> answers_;
    std::uint64_t last_ = 0;
    ready_fd fd_;
};

store::proxy::proxy(store& of) : state_(std::make_shared<proxy_state>(of)) {}
store::proxy::~proxy() = default;
store::proxy::proxy(proxy&&) noexcept = default;
store::proxy& store::proxy::operator=(proxy&&) noexcept = default;

// Reads are local, so that their answers are there at once.

store::proxy::request_id store::proxy::get(const data& key) {
    const auto id = state_->next_id();
    state_->answer(id, state_->of().get(key));
    return id;
}

store::proxy::request_id store::proxy::exists(const data& key) {
    const auto id = state_->next_id();
    state_->answer(id, state_->of().exists(key));
    return id;
}

store::proxy::request_id store::proxy::get_index_from_value(const data& key, const data& index) {
    const auto id = state_->next_id();
    state_->answer(id, state_->of().get_index_from_value(key, index));
    return id;
}

store::proxy::request_id store::proxy::keys() {
    const auto id = state_->next_id();
    state_->answer(id, state_->of().keys());
    return id;
}

namespace {

/// What a proxy is told of a write.
expected<data> answer_of(const expected<write_outcome>& outcome) {
    return outcome.map([](const write_outcome& what) { return what.value.value_or(data{}); });
}

}  // namespace

store::proxy::request_id store::proxy::put_unique(const data& key, const data& value,
                                                  std::optional<timespan> expiry) {
    const auto id = state_->next_id();
    auto to = state_;
    state_->of().put_unique_nosync(key, value, expiry).then([to, id](const auto& outcome) {
        if (!outcome && outcome.error() != ec::key_exists) {
            to->answer(id, tl::unexpected{outcome.error()});
        } else {
            to->answer(id, data{outcome.has_value()});
        }
    });
    return id;
}

store::proxy::request_id store::proxy::increment(const data& key, const data& amount,
                                                 std::optional<timespan> expiry) {
    const auto id = state_->next_id();
    auto to = state_;
    state_->of().increment(key, amount, expiry).then([to, id](const auto& outcome) {
        to->answer(id, answer_of(outcome));
    });
    return id;
}

store::proxy::request_id store::proxy::put(const data& key, const data& value,
                                           std::optional<timespan> expiry) {
    const auto id = state_->next_id();
    auto to = state_;
    state_->of().put(key, value, expiry).then([to, id](const auto& outcome) {
        to->answer(id, answer_of(outcome));
    });
    return id;
}

std::optional<store::proxy::response> store::proxy::receive(timespan timeout) {
    auto one = state_->take(1, deadline_in(timeout));
    return one.empty() ? std::nullopt : std::optional{std::move(one.front())};
}

std::vector<store::proxy::response> store::proxy::receive(std::size_t count, timespan timeout) {
    return state_->take(count, deadline_in(timeout));
}

int store::proxy::fd() { return state_->fd(); }

}  // namespace bzmq
