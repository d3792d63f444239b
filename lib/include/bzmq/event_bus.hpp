#pragma once

#include "bzmq/endpoint.hpp"
#include "bzmq/from_data.hpp"
#include "bzmq/zeek.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

/// Zeek's events as functions. docs/zeek.md is the guide.
namespace bzmq::zeek {

namespace detail {

template <class F>
struct signature : signature<decltype(&F::operator())> {};
template <class R, class... As>
struct signature<R (*)(As...)> {
    using arguments = std::tuple<std::remove_cvref_t<As>...>;
};
template <class R, class C, class... As>
struct signature<R (C::*)(As...)> : signature<R (*)(As...)> {};
template <class R, class C, class... As>
struct signature<R (C::*)(As...) const> : signature<R (*)(As...)> {};
// `noexcept` is part of a function's type.
template <class R, class... As>
struct signature<R (*)(As...) noexcept> : signature<R (*)(As...)> {};
template <class R, class C, class... As>
struct signature<R (C::*)(As...) noexcept> : signature<R (*)(As...)> {};
template <class R, class C, class... As>
struct signature<R (C::*)(As...) const noexcept> : signature<R (*)(As...)> {};

/// Converts the arguments, and calls with them only if all fit.
template <class F, class... As, std::size_t... Is>
error call(F& handler, const vector& args, std::tuple<As...>*, std::index_sequence<Is...>) {
    if (args.size() != sizeof...(As)) {
        return {ec::invalid_data, "expected " + std::to_string(sizeof...(As)) + " arguments, got "
                                      + std::to_string(args.size())};
    }
    std::tuple<expected<As>...> converted{from_data<As>(args[Is])...};
    error problem;
    [[maybe_unused]] const auto check = [&](std::size_t at, const auto& each) {
        if (!each && !problem) {
            problem = {each.error().code(),
                       "argument " + std::to_string(at) + ": " + each.error().message()};
        }
    };
    (check(Is, std::get<Is>(converted)), ...);
    if (!problem) {
        handler(std::move(*std::get<Is>(converted))...);
    }
    return problem;
}

}  // namespace detail

/// Calls functions by events, from this program and from the overlay, and sends events there.
///
/// Thread-safe. Handlers of what comes from the overlay run on one thread of the bus, in order;
/// those of `raise` on the caller's. While they do not keep pace and the endpoint's
/// `subscriber_queue_messages` wait, publishers wait (`overflow_policy::block`): nothing is lost, but
/// a handler then waits in vain for what others send. What was queued when the bus ends is still
/// handled; no handler runs after the bus is gone. A handler may end the bus: what is queued is then
/// given up. Use within the life of the endpoint.
class BZMQ_EXPORT event_bus {
  public:
    /// An event that no handler could take: its name, and what is wrong: `invalid_data` (wrong number
    /// or type of arguments, no message of Zeek's), `unspecified` (what a handler threw).
    using error_handler = std::function<void(std::string_view event, const error& why)>;
    using raw_handler = std::function<error(const event&)>;

    /// Takes events from these topics of the overlay.
    event_bus(endpoint& on, std::vector<std::string> topics, error_handler on_error = {});
    ~event_bus();
    event_bus(const event_bus&) = delete;
    event_bus& operator=(const event_bus&) = delete;

    /// Calls `handler` for each event with this name. Its parameters are values that `from_data`
    /// makes: count, std::string, address, std::vector<T>, data (anything)... Several handlers run in
    /// the order in which they were added.
    template <class F>
    void on(std::string name, F handler) {
        using arguments = typename detail::signature<F>::arguments;
        add(std::move(name), [handler = std::move(handler)](const event& what) mutable {
            return detail::call(handler, what.args, static_cast<arguments*>(nullptr),
                                std::make_index_sequence<std::tuple_size_v<arguments>>{});
        });
    }
    /// The whole event, whatever its arguments are.
    void add(std::string name, raw_handler handler);

    /// Raising this event here publishes it under `topic` as well.
    void auto_publish(std::string topic, std::string name,
                      delivery_mode mode = delivery_mode::reliable);
    /// Ends that.
    void auto_unpublish(std::string_view topic, std::string_view name);

    /// Calls the handlers here, then publishes where `auto_publish` says; the first failure of
    /// `endpoint::publish`. `invalid_data`, and nothing happens, where the name is empty.
    template <class... As>
    ec raise(std::string name, const As&... args) {
        return raise(event{std::move(name), vector{data{args}...}, {}});
    }
    ec raise(const event& what);
    /// To the overlay only: handlers here are not called. `invalid_data` where the name is empty.
    template <class... As>
    ec publish(std::string_view topic, std::string name, const As&... args) {
        return publish(topic, event{std::move(name), vector{data{args}...}, {}});
    }
    ec publish(std::string_view topic, const event& what,
               delivery_mode mode = delivery_mode::reliable);

    /// Waits, at most `timeout` long, until every endpoint within reach knows what the bus
    /// subscribes to.
    [[nodiscard]] bool wait_ready(timespan timeout = std::chrono::seconds{10});

    [[nodiscard]] std::uint64_t handled() const noexcept;   ///< events with a handler
    [[nodiscard]] std::uint64_t unhandled() const noexcept; ///< events that nobody wanted
    [[nodiscard]] std::uint64_t failed() const noexcept;    ///< calls that the error handler was told of
    /// Messages that came and had no room. 0: publishers wait instead.
    [[nodiscard]] std::uint64_t dropped() const;

  private:
    struct state;
    std::shared_ptr<state> state_;
};

}  // namespace bzmq::zeek
