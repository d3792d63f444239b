#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

namespace bzmq::cli {

/// Packs finished logs with gzip, one after another, on a thread of its own. FILE becomes FILE.gz,
/// which appears when it is whole; only then FILE goes. What cannot be packed stays as it is.
class log_packer {
  public:
    /// `report` is told of failures, on the packer's thread.
    explicit log_packer(std::function<void(std::string_view)> report);
    /// Waits until all that was added is packed.
    ~log_packer();
    log_packer(const log_packer&) = delete;
    log_packer& operator=(const log_packer&) = delete;

    void add(std::string file);

  private:
    void run();

    std::function<void(std::string_view)> report_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::string> waiting_;
    bool stopping_ = false;
    std::thread thread_;
};

}  // namespace bzmq::cli
