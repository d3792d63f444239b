#pragma once

#include "bzmq/error.hpp"

#include "cluster/cluster_file.hpp"
#include "cluster/state_file.hpp"
#include "interrupt.hpp"

#include <chrono>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace bzmq::cli {

/// Starts a cluster's nodes as processes and starts those again that end, later and later, until
/// too many ended in too short a time. A node is its process with all that this started: what one
/// that ended left behind goes with it. One thread, which waits for processes and signals alike.
class supervisor {
  public:
    /// So long what was killed may take to be gone.
    static constexpr timespan kill_patience = std::chrono::seconds{1};

    using reporter = std::function<void(std::string_view)>;

    supervisor(const cluster_description& cluster, interrupt& stop, reporter report);
    ~supervisor();
    supervisor(const supervisor&) = delete;
    supervisor& operator=(const supervisor&) = delete;

    /// Until a signal comes; then ends all nodes. Fails where the state cannot be written.
    expected<void> run();

  private:
    using clock = std::chrono::steady_clock;
    struct child;

    void start(child& one);
    void look_for_ready(child& one, const std::string& file, std::uint64_t from);
    void ended(child& one, int status);
    void schedule(child& one);
    void reap();
    void wait();
    void stop_all();
    bool await_end(cluster_role role, timespan limit);
    expected<void> save_state();
    void keep_state();
    void bound_logs();

    const cluster_description& cluster_;
    interrupt& stop_;
    reporter report_;
    std::vector<child> children_;
    cluster_state state_;
    bool changed_ = true;
    clock::time_point logs_due_;
    std::string log_trouble_;  // What was told of it last.
};

}  // namespace bzmq::cli
