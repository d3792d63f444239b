#pragma once

#include "bzmq/error.hpp"

#include "cluster/process.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// What a supervisor writes down about its cluster, for the commands that look at it.
namespace bzmq::cli {

struct node_state {
    std::string name;
    std::string role;
    std::string state;  ///< starting, running, waiting (to be restarted), failed (given up), stopped
    process_id process;
    std::int64_t since = 0;  ///< when it was started, seconds since 1970
    unsigned restarts = 0;
    std::string last_exit;   ///< empty, "exit code 1", "signal 9 (Killed)"
};

struct cluster_state {
    process_id supervisor;
    bool ready = false;  ///< all nodes have run at the same time
    std::vector<node_state> nodes;
};

/// A file appears whole or not at all.
expected<void> write_whole_file(const std::string& path, std::string_view text);

expected<void> save(const cluster_state& state, const std::string& folder);
/// Nothing where there is none; a broken one is a failure.
expected<std::optional<cluster_state>> load_state(const std::string& folder);

/// Held by the one supervisor of a state folder, as long as it lives.
class cluster_lock {
  public:
    /// Fails with `ec::cannot_open_file` where another has it.
    static expected<cluster_lock> take(const std::string& folder);
    cluster_lock(cluster_lock&& other) noexcept;
    cluster_lock& operator=(cluster_lock&&) = delete;
    ~cluster_lock();

  private:
    explicit cluster_lock(int fd) : fd_(fd) {}
    int fd_ = -1;
};

}  // namespace bzmq::cli
