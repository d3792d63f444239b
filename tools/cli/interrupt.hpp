#pragma once

#include "bzmq/time.hpp"

#include "exit_code.hpp"

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace bzmq::cli {

/// Turns SIGINT and SIGTERM into an orderly stop: they are blocked for the whole process and read
/// by a thread. The first one calls whoever registered; the second one ends the process at once.
/// Make it before any other thread.
class interrupt {
  public:
    interrupt();
    ~interrupt();
    interrupt(const interrupt&) = delete;
    interrupt& operator=(const interrupt&) = delete;

    [[nodiscard]] bool raised() const;
    /// The exit code of a command that the signal ended.
    [[nodiscard]] exit_code code() const;
    /// Readable once a signal came; for poll(2) only.
    [[nodiscard]] int fd() const noexcept { return raised_fd_; }
    /// Sleeps until a signal came (true) or `limit` has passed.
    bool wait_for(timespan limit);

    /// Calls `what` on the first signal, at once where it has come already, as long as this lives.
    /// One inside another takes its place meanwhile.
    class handler {
      public:
        handler(interrupt& source, std::function<void()> what);
        ~handler();
        handler(const handler&) = delete;
        handler& operator=(const handler&) = delete;

      private:
        interrupt& source_;
        std::function<void()> outer_;
    };

  private:
    void watch();

    int signal_fd_ = -1;
    int stop_fd_ = -1;
    int raised_fd_ = -1;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::function<void()> handler_;
    int signal_ = 0;
    std::thread runner_;  // Runs the handler.
    std::thread thread_;
};

}  // namespace bzmq::cli
