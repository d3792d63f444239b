#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "bzmq/request.hpp"
#include "bzmq/status_subscriber.hpp"
#include "bzmq/subscriber.hpp"
#include "endpoint/request_state.hpp"
#include "request/asker.hpp"

namespace bzmq {

class endpoint_core;

/// An endpoint's requests: one thread, made with the first of them, that reads the answers and the
/// news of endpoints that are gone, keeps the deadlines and calls back.
class request_room final : public std::enable_shared_from_this<request_room>,
                           private request_wire::asker_output {
  public:
    request_room(const std::shared_ptr<endpoint_core>& core, subscriber answers,
                 status_subscriber news);
    ~request_room() override;
    request_room(const request_room&) = delete;
    request_room& operator=(const request_room&) = delete;

    /// Fails where there is no thread to be had.
    error start();
    /// Ends all requests with `shutting_down`, and the thread; waits for it until `deadline`.
    void stop(std::chrono::steady_clock::time_point deadline);

    pending_request ask(std::string_view topic, const data& value, const request_options& how,
                        std::function<void(const answer&)> on_answer);
    void cancel(std::uint64_t id);
    /// One that has failed already.
    static pending_request failed(error why);

  private:
    /// What the machine told, to be passed on without its lock.
    struct effect {
        std::shared_ptr<request_state> about;
        bool last = false;
        bool tell_servers = false;
        answer got;
        error why;
    };

    void run();
    void turn(std::vector<message>& batch);
    void take_answer(const message& from);
    int time_to_sleep();
    void wake() noexcept;
    /// Only on the thread, so that each request's callbacks come one by one, in order.
    void pass_on();
    void pass_on(effect what);
    void tell_servers(const request_state& about);
    error send(const std::shared_ptr<request_state>& about, request_wire::envelope what);
    /// Why it went to nobody, or to whom it went.
    void sent(std::uint64_t id, error why, std::vector<endpoint_id> to);
    void guarded(const std::function<void()>& callback);

    void answered(std::uint64_t id, const endpoint_id& from, expected<data> value) override;
    void finished(std::uint64_t id, error why, bool tell_servers) override;

    std::weak_ptr<endpoint_core> core_;
    subscriber answers_;
    status_subscriber news_;
    int wake_ = -1;
    std::atomic<bool> stopping_{false};
    std::mutex mutex_;  // of all below but the thread
    bool closed_ = false;
    request_wire::asker machine_{*this};
    std::unordered_map<std::uint64_t, std::shared_ptr<request_state>> open_;
    std::vector<effect> effects_;
    std::promise<void> ended_signal_;
    std::future<void> ended_ = ended_signal_.get_future();
    std::thread thread_;
};

}  // namespace bzmq
