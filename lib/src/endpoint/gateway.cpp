#include "bzmq/gateway.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <exception>
#include <iterator>
#include <mutex>
#include <thread>
#include <utility>

#include "endpoint/core.hpp"
#include "endpoint/core_thread.hpp"
#include "overlay/filter.hpp"

namespace bzmq {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t take_max = 1024;

/// The topics that pass both filters.
std::vector<std::string> intersection(const std::vector<std::string>& wanted,
                                      const std::vector<std::string>& allowed) {
    std::vector<std::string> out;
    for (const auto& a : wanted) {
        for (const auto& b : allowed) {
            if (a.starts_with(b)) {
                out.push_back(a);
            } else if (b.starts_with(a)) {
                out.push_back(b);
            }
        }
    }
    return overlay::minimise(std::move(out));
}

/// Refuses what cannot be joined before any of it listens.
gateway_options& with_two_domains(gateway_options& options) {
    const auto& first = options.one.options().domain;
    const auto& second = options.other.options().domain;
    if (first.empty() || second.empty() || first == second) {
        throw endpoint_error{error{ec::invalid_configuration,
                                   "a gateway joins two domains with different names; got \""
                                       + first + "\" and \"" + second + "\""}};
    }
    return options;
}

}  // namespace

/// Its threads keep it: where a callback lets go of the gateway, they outlive the handle.
class gateway::impl : public std::enable_shared_from_this<impl> {
  public:
    explicit impl(gateway_options options)
        : impl(endpoint{std::move(with_two_domains(options).one)}, options) {}

    void start() {
        try {
            for (const std::size_t from : {0u, 1u}) {
                const auto self = shared_from_this();
                sides_[from].pump = std::thread{[self, from] { self->pump(from); }};
                sides_[from].watch = std::thread{[self, from] { self->watch(from); }};
            }
        } catch (const std::exception& problem) {
            shutdown();
            throw endpoint_error{error{ec::unspecified, problem.what()}};
        }
    }

    /// Nobody asks it for anything any more.
    void let_go() noexcept {
        shutdown();
        for (auto& each : sides_) {
            for (auto* thread : {&each.pump, &each.watch}) {
                if (thread->joinable()) {
                    thread->detach();
                }
            }
        }
    }

    void shutdown() {
        stopping_ = true;
        for (auto& each : sides_) {
            if (each.queue) {
                each.queue->end(error{ec::shutting_down});
            }
        }
        for (auto& each : sides_) {
            each.ep.shutdown();
        }
        if (core_thread::of(&sides_[0].core()) || core_thread::of(&sides_[1].core())) {
            return;  // A callback: its endpoint, and so the threads, end only after it.
        }
        for (auto& each : sides_) {
            if (each.pump.joinable()) {
                each.pump.join();
            }
            if (each.watch.joinable()) {
                each.watch.join();
            }
        }
    }

    endpoint& at(std::size_t which) { return sides_[which].ep; }
    [[nodiscard]] bool active() const { return active_; }

  private:
    impl(endpoint&& one, gateway_options& options)
        : impl(std::move(one), endpoint{std::move(options.other), one.node_id()}, options) {}

    impl(endpoint&& one, endpoint&& other, gateway_options& options)
        : sides_{side{std::move(one), std::move(options.from_one)},
                 side{std::move(other), std::move(options.from_other)}} {
        try {
            queue_options lossless;
            lossless.overflow = overflow_policy::block;
            for (auto& from : sides_) {
                std::tie(from.bridge, from.queue) = from.core().subscribe({}, lossless);
            }
        } catch (const std::exception& problem) {
            throw endpoint_error{error{ec::unspecified, problem.what()}};
        }
    }

    /// The gateways from one domain to the other, as this one has seen them in the one: what they
    /// publish there has come from the other, and must not go back. Those of the past stay in it,
    /// since what they published may still be under way.
    class fellow_gateways {
      public:
        /// `now`: those that are there, by id.
        void saw(const std::vector<endpoint_id>& now) {
            const std::lock_guard lock{mutex_};
            std::erase_if(ids_, [&now](const endpoint_id& id) {
                return std::binary_search(now.begin(), now.end(), id);
            });
            if (std::ssize(ids_) > past_max) {
                ids_.erase(ids_.begin(), ids_.end() - past_max);  // Those that are gone for longest.
            }
            ids_.insert(ids_.end(), now.begin(), now.end());
        }
        [[nodiscard]] std::vector<endpoint_id> all() const {
            const std::lock_guard lock{mutex_};
            return ids_;
        }

      private:
        static constexpr std::ptrdiff_t past_max = 256;

        mutable std::mutex mutex_;
        std::vector<endpoint_id> ids_;
    };

    struct side {
        endpoint ep;
        std::optional<std::vector<std::string>> may_leave;
        node::subscriber_id bridge = 0;
        std::shared_ptr<subscriber_queue> queue = {};
        fellow_gateways fellows = {};
        std::thread pump = {};
        std::thread watch = {};

        [[nodiscard]] endpoint_core& core() const { return *ep.core_; }
    };

    /// Publishes what one side's bridge receives on the other side, but what has come from there. Of
    /// what this gateway publishes itself its bridges get nothing.
    void pump(std::size_t from) {
        auto& source = sides_[from];
        auto& target = sides_[1 - from].core();
        std::vector<message> batch;
        std::uint64_t seen = 0;
        std::vector<endpoint_id> fellows;
        for (;;) {
            batch.clear();
            const auto got = source.queue->take(batch, take_max, 1,
                                                subscriber_queue::clock::time_point::max());
            if (got.drained) {
                source.core().drained(source.bridge);
            }
            if (got.count == 0 && got.ended) {
                return;
            }
            // Who is a gateway has said so before its messages came, and the version grew with that.
            if (const auto version = source.core().overlay_version(); version != seen) {
                seen = version;
                look_for_fellows(from);
                fellows = source.fellows.all();
            }
            for (const auto& msg : batch) {
                if (std::find(fellows.begin(), fellows.end(), msg.origin()) == fellows.end()) {
                    pass(target, msg);
                }
            }
        }
    }

    void look_for_fellows(std::size_t at) {
        const auto& tag = sides_[1 - at].ep.options().domain;
        sides_[at].fellows.saw(
            sides_[at].core().ask([&tag](const node::hub& hub) { return hub.gateways_to(tag); }));
    }

    /// A full queue holds the bridge up, and with it the publishers: nothing is lost in between.
    void pass(endpoint_core& target, const message& msg) {
        auto problem = ec::none;
        do {
            problem = target.publish_raw(msg.topic(), msg.payload(), msg.mode());
        } while (problem == ec::queue_full && !stopping_);
        if (problem != ec::none && problem != ec::shutting_down) {
            target.report({problem, "a message of the other domain was not passed on"});
        }
    }

    /// Follows what one side knows, and tells the other side what this one takes.
    void watch(std::size_t from) {
        auto& here = sides_[from];
        std::uint64_t seen = 0;
        while (!stopping_) {
            // The time-out only bounds how long a missed change could matter.
            static_cast<void>(here.core().await(
                [seen](const node::hub& hub) { return hub.routing_version() != seen; }, 1s));
            seen = here.core().ask([](const node::hub& hub) { return hub.routing_version(); });
            settle();
            if (here.ep.is_shutdown()) {
                return;  // Somebody has shut this side down by itself.
            }
        }
    }

    /// Decides which of the gateways between the two domains works, and renews both bridges.
    void settle() {
        const std::lock_guard lock{settling_};
        std::array<bool, 2> connected{};
        bool first = true;
        for (const std::size_t at : {0u, 1u}) {
            const auto& tag = sides_[1 - at].ep.options().domain;
            const auto self = sides_[at].ep.node_id();
            const auto look = sides_[at].core().ask([&](const node::hub& hub) {
                return std::pair{hub.gateways_to(tag), !hub.alone()};
            });
            sides_[at].fellows.saw(look.first);
            connected[at] = look.second;
            first = first && (look.first.empty() || self <= look.first.front());
        }
        active_ = first;
        for (const std::size_t at : {0u, 1u}) {
            // What the far side wants, cut to what may leave this one. A gateway whose far side
            // leads nowhere is no candidate.
            auto& near = sides_[at];
            auto& far = sides_[1 - at];
            const auto& near_tag = near.ep.options().domain;
            std::vector<std::string> prefixes;
            if (first && connected[1 - at]) {
                prefixes = far.core().ask(
                    [&](const node::hub& hub) { return hub.aggregate_filter(near_tag); });
                if (near.may_leave) {
                    prefixes = intersection(prefixes, *near.may_leave);
                }
            }
            near.core().set_bridge(near.bridge,
                                   connected[1 - at] ? far.ep.options().domain : std::string{},
                                   std::move(prefixes));
        }
    }

    std::array<side, 2> sides_;
    std::atomic<bool> stopping_{false};
    std::atomic<bool> active_{false};
    std::mutex settling_;
};

gateway::gateway(gateway_options options) : impl_(std::make_shared<impl>(std::move(options))) {
    impl_->start();
}
gateway::~gateway() { impl_->let_go(); }
endpoint& gateway::one() noexcept { return impl_->at(0); }
endpoint& gateway::other() noexcept { return impl_->at(1); }
endpoint_id gateway::node_id() const noexcept { return impl_->at(0).node_id(); }
bool gateway::active() const noexcept { return impl_->active(); }
void gateway::shutdown() { impl_->shutdown(); }

}  // namespace bzmq
