#include <atomic>

#include "bzmq/store.hpp"
#include "endpoint/clock.hpp"
#include "endpoint/core_thread.hpp"
#include "endpoint/mailbox.hpp"
#include "endpoint/store_state.hpp"

namespace bzmq {

/// The answers that wait for one proxy's reader.
class proxy_state : public mailbox<store::proxy::response> {
  public:
    explicit proxy_state(store of) : of_(std::move(of)) {}

    store& of() noexcept { return of_; }
    std::uint64_t next_id() noexcept { return ++last_; }
    void answer(std::uint64_t id, expected<data> what) { push({std::move(what), id}); }

  private:
    store of_;
    std::atomic<std::uint64_t> last_{0};
};

store::proxy::proxy(store& of) : state_(std::make_shared<proxy_state>(of)) {}
store::proxy::~proxy() = default;
store::proxy::proxy(proxy&&) noexcept = default;
store::proxy& store::proxy::operator=(proxy&&) noexcept = default;

/// Reads are local: their answers are there at once, as soon as there is anything to read.
template <class F>
store::proxy::request_id store::proxy::ask(F read) {
    const auto id = state_->next_id();
    if (auto& of = state_->of(); of.state_) {
        of.state_->when_readable([to = state_, id, read] { to->answer(id, read(to->of())); });
    } else {
        state_->answer(id, tl::unexpected{no_store()});
    }
    return id;
}

store::proxy::request_id store::proxy::get(const data& key) {
    return ask([key](const store& of) { return of.get(key); });
}

store::proxy::request_id store::proxy::exists(const data& key) {
    return ask([key](const store& of) { return of.exists(key); });
}

store::proxy::request_id store::proxy::get_index_from_value(const data& key, const data& index) {
    return ask([key, index](const store& of) { return of.get_index_from_value(key, index); });
}

store::proxy::request_id store::proxy::keys() {
    return ask([](const store& of) { return of.keys(); });
}

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

namespace {

/// Has the proxy told of a write: what stands under the key then.
std::uint64_t answer_with(const std::shared_ptr<proxy_state>& to, const store_write& write) {
    const auto id = to->next_id();
    write.then([to, id](const expected<write_outcome>& outcome) {
        to->answer(id, outcome.map([](const write_outcome& what) {
            return what.value.value_or(data{});
        }));
    });
    return id;
}

}  // namespace

store::proxy::request_id store::proxy::increment(const data& key, const data& amount,
                                                 std::optional<timespan> expiry) {
    return answer_with(state_, state_->of().increment(key, amount, expiry));
}

store::proxy::request_id store::proxy::put(const data& key, const data& value,
                                           std::optional<timespan> expiry) {
    return answer_with(state_, state_->of().put(key, value, expiry));
}

std::optional<store::proxy::response> store::proxy::receive(timespan timeout) {
    auto one = receive(1, timeout);
    return one.empty() ? std::nullopt : std::optional{std::move(one.front())};
}

std::vector<store::proxy::response> store::proxy::receive(std::size_t count, timespan timeout) {
    auto deadline = deadline_in(timeout);
    if (const auto& of = state_->of().state_) {
        deadline = patience(&of->core(), deadline);
    }
    return state_->take(count, count, deadline);
}

int store::proxy::fd() { return state_->fd(); }

}  // namespace bzmq
