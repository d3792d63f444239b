#include "bzmq/event_bus.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <map>
#include <mutex>
#include <thread>

namespace bzmq::zeek {

struct event_bus::state {
    using handlers = std::vector<std::shared_ptr<raw_handler>>;
    struct route {
        std::string topic;
        delivery_mode mode;
    };

    state(endpoint& on, error_handler report) : node(on), on_error(std::move(report)) {}

    void fail(std::string_view name, const error& why) {
        ++failed;
        if (on_error) {
            try {
                on_error(name, why);
            } catch (...) {  // NOLINT(bugprone-empty-catch): it is counted, and nobody is left to tell.
            }
        }
    }

    void call(const event& what) {
        handlers wanted;
        {
            const std::lock_guard lock{mutex};
            if (const auto at = by_name.find(what.name); at != by_name.end()) {
                wanted = at->second;
            }
        }
        ++(wanted.empty() ? unhandled : handled);
        for (const auto& each : wanted) {
            if (gone) {
                return;  // The handler before this one has ended the bus.
            }
            error problem;
            try {
                problem = (*each)(what);
            } catch (const std::exception& thrown) {
                problem = {ec::unspecified, thrown.what()};
            } catch (...) {
                problem = {ec::unspecified, "the handler threw something that is no exception"};
            }
            if (problem) {
                fail(what.name, problem);
            }
        }
    }

    void call(const any_message& what) {
        if (gone) {
            return;
        }
        if (const auto* one = std::get_if<event>(&what.content)) {
            call(*one);
        } else if (const auto* many = std::get_if<batch>(&what.content)) {
            for (const auto& each : many->messages) {
                call(each);
            }
        }
    }

    void received(const message& from) {
        const auto got = parse(from.value());
        if (got) {
            call(*got);
        } else {
            fail({}, got.error());
        }
    }

    endpoint& node;
    const error_handler on_error;
    std::vector<std::string> topics;
    worker reads;
    std::atomic<std::thread::id> thread{};  // that `reads` calls on
    std::atomic<bool> gone{false};
    std::mutex mutex;
    std::map<std::string, handlers, std::less<>> by_name;
    std::map<std::string, std::vector<route>, std::less<>> routes;
    std::atomic<std::uint64_t> handled{0};
    std::atomic<std::uint64_t> unhandled{0};
    std::atomic<std::uint64_t> failed{0};
};

event_bus::event_bus(endpoint& on, std::vector<std::string> topics, error_handler on_error)
    : state_(std::make_shared<state>(on, std::move(on_error))) {
    state_->topics = topics;
    // An event that its publisher was told is on its way must not end at a slow handler.
    queue_options queue;
    queue.overflow = overflow_policy::block;
    // Its own messages come back to an endpoint; `raise` has called the handlers for those already.
    const auto at = std::weak_ptr{state_};
    state_->reads = on.subscribe(
        std::move(topics),
        [at] {
            if (const auto bus = at.lock()) {
                bus->thread = std::this_thread::get_id();
            }
        },
        [at, self = on.node_id()](const message& each) {
            const auto bus = at.lock();
            if (bus && each.origin() != self) {
                bus->received(each);
            }
        },
        {}, queue);
}

event_bus::~event_bus() {
    state_->reads.stop();
    if (state_->thread == std::this_thread::get_id()) {
        state_->gone = true;  // It is a handler that ends us; the thread finds nobody after it.
        return;
    }
    state_->reads.wait();
    state_->gone = true;  // For a handler of `raise` that ends us.
}

void event_bus::add(std::string name, raw_handler handler) {
    const std::lock_guard lock{state_->mutex};
    state_->by_name[std::move(name)].push_back(std::make_shared<raw_handler>(std::move(handler)));
}

void event_bus::auto_publish(std::string topic, std::string name, delivery_mode mode) {
    const std::lock_guard lock{state_->mutex};
    auto& routes = state_->routes[std::move(name)];
    std::erase_if(routes, [&](const auto& each) { return each.topic == topic; });
    routes.push_back({std::move(topic), mode});
}

void event_bus::auto_unpublish(std::string_view topic, std::string_view name) {
    const std::lock_guard lock{state_->mutex};
    if (const auto at = state_->routes.find(name); at != state_->routes.end()) {
        std::erase_if(at->second, [&](const auto& each) { return each.topic == topic; });
    }
}

ec event_bus::raise(const event& what) {
    if (what.name.empty()) {
        return ec::invalid_data;  // Nobody could take it: a message needs a name.
    }
    const auto own = state_;  // A handler may end us.
    own->call(what);
    std::vector<state::route> routes;
    {
        const std::lock_guard lock{own->mutex};
        if (const auto at = own->routes.find(what.name); at != own->routes.end()) {
            routes = at->second;
        }
    }
    auto first = ec::none;
    for (const auto& each : routes) {
        const auto code = own->node.publish(each.topic, to_data(what), each.mode);
        first = first == ec::none ? code : first;
    }
    return first;
}

ec event_bus::publish(std::string_view topic, const event& what, delivery_mode mode) {
    return what.name.empty() ? ec::invalid_data
                             : state_->node.publish(topic, to_data(what), mode);
}

bool event_bus::wait_ready(timespan timeout) {
    const auto begun = std::chrono::steady_clock::now();
    return std::all_of(state_->topics.begin(), state_->topics.end(), [&](const auto& each) {
        const timespan gone = std::chrono::steady_clock::now() - begun;
        return state_->node.await_filter_entry(each, timeout > gone ? timeout - gone : timespan{0});
    });
}

std::uint64_t event_bus::handled() const noexcept { return state_->handled; }
std::uint64_t event_bus::unhandled() const noexcept { return state_->unhandled; }
std::uint64_t event_bus::failed() const noexcept { return state_->failed; }
std::uint64_t event_bus::dropped() const { return state_->reads.dropped(); }

}  // namespace bzmq::zeek
