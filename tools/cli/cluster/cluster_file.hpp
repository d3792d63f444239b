#pragma once

#include "bzmq/error.hpp"
#include "bzmq/time.hpp"

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// A cluster described in one file; docs/cluster.md shows every key.
namespace bzmq::cli {

// Scoped enumerators shadow nothing, but GCC 12 says that they do.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"

/// In the order in which nodes are started; they are stopped the other way round, so that loggers
/// hear what the others say last.
enum class cluster_role : std::uint8_t { logger, manager, proxy, worker, agent };

#pragma GCC diagnostic pop

inline constexpr std::array all_roles{cluster_role::logger, cluster_role::manager, cluster_role::proxy,
                               cluster_role::worker, cluster_role::agent};
std::string_view to_string(cluster_role role) noexcept;

/// An option of an endpoint, as a TOML file of its own has it.
struct setting {
    std::string name;
    std::string value;
    unsigned line = 0;
};
using setting_list = std::vector<setting>;

/// Where something stands in the file.
struct place {
    unsigned line = 0;
    std::map<std::string, unsigned, std::less<>> keys;  ///< each key's line

    [[nodiscard]] unsigned of(std::string_view key) const {
        const auto found = keys.find(key);
        return found == keys.end() ? line : found->second;
    }
};

struct cluster_node {
    std::string name;
    cluster_role role = cluster_role::worker;
    std::string listen;                             ///< URL; empty: nobody connects to it
    std::optional<std::vector<std::string>> peers;  ///< names; unset: as the role says
    std::vector<std::string> command;               ///< empty: a node of bzmq-cli's
    std::vector<std::string> topics;                ///< loggers: what they write
    std::string logs;                               ///< loggers: the folder
    std::vector<std::string> log_options;           ///< loggers: further arguments
    setting_list settings;
    place at;
};

struct cluster_store {
    std::string name;
    std::string master;
    std::string folder;  ///< empty: in memory
    std::vector<std::string> clones;
    std::vector<std::string> standbys;  ///< copies on disk that may take the master's place
    unsigned sync_replicas = 0;
    std::vector<std::string> electors;  ///< empty: an operator promotes a standby
    std::string failover_timeout;       ///< empty: as bzmq-cli node has it
    std::string durability;             ///< the same
    place at;

    /// Where `node` has its copy on disk; each has one of its own.
    [[nodiscard]] std::string folder_of(std::string_view node) const {
        return node == master ? folder : folder + '.' + std::string{node};
    }
    /// `node` has the store on disk.
    [[nodiscard]] bool is_on_disk_of(std::string_view node) const;
};

struct supervision {
    timespan restart_min = std::chrono::milliseconds{500};
    timespan restart_max = std::chrono::seconds{30};
    unsigned restarts = 10;  ///< within `window`; then a node is given up
    timespan window = std::chrono::minutes{5};
    timespan stop_timeout = std::chrono::seconds{10};     ///< each role's
    std::uint64_t log_bytes = std::uint64_t{16} << 20;    ///< of each NODE.log, and of the one before
};

struct cluster_description {
    std::string file;
    std::string name;
    std::string state;  ///< folder; empty where a mistake hides it
    std::string keys;   ///< folder
    bool encrypt = true;
    supervision supervise;
    std::vector<cluster_node> nodes;  ///< in the order of the file
    std::vector<cluster_store> stores;

    [[nodiscard]] const cluster_node* find(std::string_view name) const noexcept;
};

/// A mistake in the file: where, what, and how to mend it.
struct cluster_flaw {
    unsigned line = 0;  ///< 0: the whole file
    std::string text;
};

/// Reads a file and finds every mistake in it. Without flaws the description is good to start.
/// Fails where the file cannot be read.
expected<cluster_description> read_cluster(const std::string& file,
                                           std::vector<cluster_flaw>& flaws);

}  // namespace bzmq::cli
