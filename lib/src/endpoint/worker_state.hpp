#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string_view>
#include <thread>
#include <vector>

#include "bzmq/error.hpp"
#include "bzmq/message.hpp"
#include "bzmq/subscriber.hpp"

namespace bzmq {

/// A subscriber, its callbacks and the thread that calls them. Kept alive by that thread, by the
/// core (which joins it) and by handles.
class worker_state : public std::enable_shared_from_this<worker_state> {
  public:
    worker_state(subscriber source, std::function<void()> on_init,
                 std::function<void(const message&)> on_next,
                 std::function<void(const error&)> on_end,
                 std::function<void(const error&)> report);
    ~worker_state();
    worker_state(const worker_state&) = delete;
    worker_state& operator=(const worker_state&) = delete;

    void start();
    /// On the core's thread, instead of `start`: calls back for what is there, up to a bound, and at
    /// the end once more. True where more is there.
    bool run_here();
    void stop() { source_.close(); }
    bool wait_until(std::chrono::steady_clock::time_point deadline);
    [[nodiscard]] bool finished() const;
    [[nodiscard]] std::uint64_t dropped() const { return source_.dropped(); }
    /// Joins the thread if it ends before `deadline`; else leaves it to itself.
    void join_until(std::chrono::steady_clock::time_point deadline);

  private:
    void run();
    /// Calls `callback`; what it throws is told and returned.
    template <class F>
    error guarded(std::string_view name, F&& callback) noexcept;
    void begin();
    void call_back();
    void end(const error& reason);

    static constexpr std::size_t at_once = 256;

    subscriber source_;
    std::function<void()> on_init_;
    std::function<void(const message&)> on_next_;
    std::function<void(const error&)> on_end_;
    std::function<void(const error&)> report_;
    bool begun_ = false;
    std::vector<message> batch_;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    bool finished_ = false;
    std::thread thread_;
};

}  // namespace bzmq
