#pragma once

#include "cluster/cluster_file.hpp"

#include <string>
#include <vector>

/// What follows from a cluster's description: who peers with whom, each node's configuration and
/// command line.
namespace bzmq::cli {

/// The names of the nodes that `node` connects to: those that the file names, else by role:
///
///     logger    the loggers in front of it        worker    managers, proxies, loggers
///     manager   loggers, managers before it       agent     proxies; without any, managers
///     proxy     loggers, managers
///
/// That makes loops, on purpose: no single node's death separates the others.
std::vector<std::string> peers_of(const cluster_description& cluster, const cluster_node& node);

/// Nodes in the order in which they start.
std::vector<const cluster_node*> start_order(const cluster_description& cluster);

/// The file with the node's endpoint options.
std::string config_file_of(const cluster_description& cluster, const std::string& node);
std::string log_file_of(const cluster_description& cluster, const std::string& node);

/// The program and its arguments. `self` is bzmq-cli.
std::vector<std::string> command_of(const cluster_description& cluster, const cluster_node& node,
                                    const std::string& self);

/// The node's endpoint options as TOML.
std::string configuration_of(const cluster_description& cluster, const cluster_node& node);
/// The same for tools that join the cluster: they connect to all nodes, under a key of their own.
std::string operator_configuration(const cluster_description& cluster);

/// Whose names no node has: the operators', whose key and options tools use, and that of what looks
/// after the nodes, which has a log.
inline constexpr const char* operator_name = "operator";
inline constexpr const char* supervisor_name = "supervisor";

/// Whose keys there must be: all nodes' and the operator's. Those without.
std::vector<std::string> missing_keys(const cluster_description& cluster);
expected<void> generate_keys(const cluster_description& cluster,
                             const std::vector<std::string>& names);

/// Makes the state's folder with all configuration files in it.
expected<void> write_configurations(const cluster_description& cluster);

}  // namespace bzmq::cli
