#include "cluster/cluster_plan.hpp"

#include "bzmq/certificate.hpp"

#include "cluster/state_file.hpp"
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

namespace bzmq::cli {
namespace {

std::string toml_text(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (static_cast<unsigned char>(c) < ' ') {
            fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(c));
        } else {
            out += c;
        }
    }
    return out + '"';
}

std::string key_prefix(const cluster_description& cluster, const std::string& name) {
    return cluster.keys + '/' + name;
}

std::string peer_table(const cluster_description& cluster, const cluster_node& peer) {
    auto out = "{ url = " + toml_text(peer.listen);
    if (cluster.encrypt) {
        out += ", server_key = " + toml_text(key_prefix(cluster, peer.name) + ".key");
    }
    return out + " }";
}

std::string key_lines(const cluster_description& cluster, const std::string& name) {
    return cluster.encrypt ? "cert = " + toml_text(key_prefix(cluster, name) + ".key_secret")
                                 + "\nallow = " + toml_text(cluster.keys) + '\n'
                           : std::string{};
}

std::string peer_lines(const cluster_description& cluster,
                       const std::vector<const cluster_node*>& peers) {
    std::string out = "peers = [\n";
    for (const auto* peer : peers) {
        out += "    " + peer_table(cluster, *peer) + ",\n";
    }
    return out + "]\n";
}

/// A cluster's nodes come back within a second or two when they are restarted; peers that lost one
/// should not be slower.
constexpr std::string_view quick_retry = "retry_max = \"1s\"\n";

std::string header(const cluster_description& cluster) {
    return "# Made from " + cluster.file + " by bzmq-cli cluster start; changes here are lost.\n";
}

/// The options of bzmq-cli node for the stores that it carries.
void add_stores(const cluster_description& cluster, const cluster_node& node,
                std::vector<std::string>& out) {
    const cluster_store* on_disk = nullptr;
    for (const auto& store : cluster.stores) {
        const auto place = store.name + '=' + store.folder_of(node.name);
        if (store.master == node.name) {
            out.insert(out.end(), {"--master", store.folder.empty() ? store.name : place});
        } else if (store.is_on_disk_of(node.name)) {
            out.insert(out.end(), {"--standby", place});
        } else if (std::find(store.clones.begin(), store.clones.end(), node.name)
                   != store.clones.end()) {
            out.insert(out.end(), {"--clone", store.name});
        }
        if (store.is_on_disk_of(node.name)) {
            on_disk = &store;  // All of them have the same options.
        }
    }
    if (on_disk == nullptr) {
        return;
    }
    const auto pass = [&](const char* option, const std::string& value) {
        if (!value.empty()) {
            out.insert(out.end(), {option, value});
        }
    };
    pass("--durability", on_disk->durability);
    if (on_disk->sync_replicas > 0) {
        pass("--sync-replicas", std::to_string(on_disk->sync_replicas));
    }
    if (!on_disk->electors.empty()) {
        pass("--elector", node.name);
        pass("--electors", fmt::format("{}", fmt::join(on_disk->electors, ",")));
        pass("--failover-timeout", on_disk->failover_timeout);
    }
}

/// A new pair; where only the public half is gone, that one again. A secret one cannot come back.
expected<void> generate_pair(const std::string& prefix, const std::string& name) {
    std::error_code ignored;
    if (std::filesystem::exists(prefix + ".key_secret", ignored)) {
        auto keys = load_certificate(prefix + ".key_secret");
        if (!keys) {
            return tl::unexpected{keys.error()};
        }
        keys->secret = {};
        return write_certificate(prefix, *keys, true);
    }
    if (std::filesystem::exists(prefix + ".key", ignored)) {
        return fail(ec::cannot_open_file,
                    fmt::format("{0}.key_secret is gone, and {0}.key is there: bring the secret half "
                                "back, or remove the other for a new pair",
                                prefix));
    }
    auto keys = generate_certificate();
    if (!keys) {
        return tl::unexpected{keys.error()};
    }
    keys->metadata["name"] = name;
    return write_certificate(prefix, *keys);
}

}  // namespace

std::vector<std::string> peers_of(const cluster_description& cluster, const cluster_node& node) {
    if (node.peers) {
        return *node.peers;
    }
    const auto with_role = [&](cluster_role role) {
        std::vector<std::string> out;
        for (const auto& other : cluster.nodes) {
            if (&other == &node) {
                if (other.role == role) {
                    break;  // Of its own kind those in front, so that each pair has one link.
                }
                continue;
            }
            if (other.role == role && !other.listen.empty()) {
                out.push_back(other.name);
            }
        }
        return out;
    };
    std::vector<cluster_role> roles;
    switch (node.role) {
        case cluster_role::logger:
            roles = {cluster_role::logger};
            break;
        case cluster_role::manager:
            roles = {cluster_role::logger, cluster_role::manager};
            break;
        case cluster_role::proxy:
            roles = {cluster_role::logger, cluster_role::manager};
            break;
        case cluster_role::worker:
            roles = {cluster_role::logger, cluster_role::manager, cluster_role::proxy};
            break;
        case cluster_role::agent:
            roles = {with_role(cluster_role::proxy).empty() ? cluster_role::manager
                                                            : cluster_role::proxy};
            break;
    }
    std::vector<std::string> out;
    for (const auto role : roles) {
        const auto more = with_role(role);
        out.insert(out.end(), more.begin(), more.end());
    }
    return out;
}

std::vector<const cluster_node*> start_order(const cluster_description& cluster) {
    std::vector<const cluster_node*> out;
    for (const auto& node : cluster.nodes) {
        out.push_back(&node);
    }
    std::stable_sort(out.begin(), out.end(),
                     [](const auto* a, const auto* b) { return a->role < b->role; });
    return out;
}

std::string config_file_of(const cluster_description& cluster, const std::string& node) {
    return cluster.state + '/' + node + ".toml";
}

std::string log_file_of(const cluster_description& cluster, const std::string& node) {
    return cluster.state + '/' + node + ".log";
}

std::vector<std::string> command_of(const cluster_description& cluster, const cluster_node& node,
                                    const std::string& self) {
    if (!node.command.empty()) {
        return node.command;
    }
    const auto config = config_file_of(cluster, node.name);
    if (node.role == cluster_role::logger) {
        std::vector<std::string> out{self,     "logger", "--json",   "--config",
                                     config,   "--folder", node.logs};
        out.insert(out.end(), node.log_options.begin(), node.log_options.end());
        if (!node.topics.empty()) {
            out.emplace_back("--");
            out.insert(out.end(), node.topics.begin(), node.topics.end());
        }
        return out;
    }
    std::vector<std::string> out{self, "node", "--json", "--config", config};
    add_stores(cluster, node, out);
    return out;
}

std::string configuration_of(const cluster_description& cluster, const cluster_node& node) {
    auto out = header(cluster);
    out += "name = " + toml_text(node.name) + '\n';
    if (!node.listen.empty()) {
        out += "listen = [" + toml_text(node.listen) + "]\n";
    }
    out += key_lines(cluster, node.name);
    bool own_retry = false;
    for (const auto& one : node.settings) {
        out += one.name + " = " + one.value + '\n';
        own_retry = own_retry || one.name == "retry_max";
    }
    out += own_retry ? "" : quick_retry;
    std::vector<const cluster_node*> peers;
    for (const auto& name : peers_of(cluster, node)) {
        peers.push_back(cluster.find(name));
    }
    return out + peer_lines(cluster, peers);
}

std::string operator_configuration(const cluster_description& cluster) {
    std::vector<const cluster_node*> peers;
    std::string domain;
    for (const auto& node : cluster.nodes) {
        if (!node.listen.empty()) {
            peers.push_back(&node);
        }
        for (const auto& one : node.settings) {
            if (one.name == "domain") {
                domain = "domain = " + one.value + '\n';
            }
        }
    }
    return header(cluster) + key_lines(cluster, operator_name) + domain + std::string{quick_retry}
           + peer_lines(cluster, peers);
}

std::vector<std::string> missing_keys(const cluster_description& cluster) {
    std::vector<std::string> out;
    if (!cluster.encrypt) {
        return out;
    }
    const auto look = [&](const std::string& name) {
        const auto prefix = key_prefix(cluster, name);
        if (::access((prefix + ".key").c_str(), R_OK) != 0
            || ::access((prefix + ".key_secret").c_str(), R_OK) != 0) {
            out.push_back(name);
        }
    };
    for (const auto& node : cluster.nodes) {
        look(node.name);
    }
    look(operator_name);
    return out;
}

expected<void> generate_keys(const cluster_description& cluster,
                             const std::vector<std::string>& names) {
    std::error_code code;
    std::filesystem::create_directories(cluster.keys, code);
    if (code) {
        return fail(ec::cannot_write_file, cluster.keys + ": " + code.message());
    }
    for (const auto& name : names) {
        if (auto done = generate_pair(key_prefix(cluster, name), name); !done) {
            return done;
        }
    }
    return {};
}

expected<void> write_configurations(const cluster_description& cluster) {
    std::error_code code;
    std::filesystem::create_directories(cluster.state, code);
    if (code) {
        return fail(ec::cannot_write_file, cluster.state + ": " + code.message());
    }
    for (const auto& node : cluster.nodes) {
        if (auto done = write_whole_file(config_file_of(cluster, node.name),
                                         configuration_of(cluster, node));
            !done) {
            return done;
        }
    }
    return write_whole_file(config_file_of(cluster, operator_name),
                            operator_configuration(cluster));
}

}  // namespace bzmq::cli
