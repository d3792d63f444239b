#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "base/time.hpp"
#include "endpoint/clock.hpp"
#include "bzmq/request.hpp"
#include "bzmq/message.hpp"
#include "request/envelope.hpp"

namespace bzmq {

class endpoint_core;
class service_state;

/// One request at its server.
class responder_state {
  public:
    responder_state(std::shared_ptr<service_state> of, const endpoint_id& from, std::uint64_t number,
                    instant until) noexcept
        : service(std::move(of)), asker(from), id(number), deadline(until) {}
    responder_state(const responder_state&) = delete;
    responder_state& operator=(const responder_state&) = delete;
    ~responder_state();

    ec send(request_wire::envelope what);
    [[nodiscard]] bool wanted() const;
    void cancel() noexcept { cancelled_ = true; }

    const std::shared_ptr<service_state> service;
    const endpoint_id asker;
    const std::uint64_t id;
    const instant deadline;

  private:
    std::atomic<bool> ended_{false};
    std::atomic<bool> cancelled_{false};
};

/// A service: its handler, and the requests that are open. Kept alive by its worker's callbacks, by
/// responders and by the handle; it does not hold its worker itself, which would be a circle.
class service_state : public std::enable_shared_from_this<service_state> {
  public:
    using handler = std::function<void(const request&, responder)>;

    service_state(std::shared_ptr<endpoint_core> core, handler what)
        : core_(std::move(core)), handler_(std::move(what)) {}
    ~service_state();
    service_state(const service_state&) = delete;
    service_state& operator=(const service_state&) = delete;

    /// Takes the topic of its messages for itself, until `leave`. Fails where a service of the
    /// endpoint answers some of the same requests.
    error take(std::string topic);
    /// Others may serve its topic. Again: does nothing.
    void leave();
    void begun() noexcept { thread_ = std::this_thread::get_id(); }
    void received(const message& from);
    void ended(const error& why);
    void forget(const endpoint_id& asker, std::uint64_t id);
    void stop() noexcept {
        if (!stopped_) {
            refuse_until_ = monotonic_now() + refusals_max;
            stopped_ = true;
        }
    }
    [[nodiscard]] bool on_its_thread() const noexcept {
        return thread_ == std::this_thread::get_id();
    }

    [[nodiscard]] const std::shared_ptr<endpoint_core>& core() const noexcept { return core_; }
    [[nodiscard]] error why() const {
        const std::lock_guard lock{mutex_};
        return why_;
    }
    [[nodiscard]] std::uint64_t requests() const noexcept { return requests_; }
    [[nodiscard]] std::uint64_t malformed() const noexcept { return malformed_; }
    [[nodiscard]] std::size_t open() const {
        const std::lock_guard lock{mutex_};
        return open_.size();
    }

  private:
    void cancel(const endpoint_id& asker, std::uint64_t id);

    // So long a service that stops waits for room to refuse what waits for it, in all.
    static constexpr auto refusals_max = std::chrono::seconds{1};

    const std::shared_ptr<endpoint_core> core_;
    const handler handler_;
    std::atomic<bool> stopped_{false};
    std::atomic<instant> refuse_until_{};  // once stopped
    std::atomic<std::thread::id> thread_{};
    std::atomic<std::uint64_t> requests_{0};
    std::atomic<std::uint64_t> malformed_{0};
    mutable std::mutex mutex_;
    error why_;
    std::string topic_;  // that it has taken
    std::map<std::pair<endpoint_id, std::uint64_t>, std::weak_ptr<responder_state>> open_;
};

}  // namespace bzmq
