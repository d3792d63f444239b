#include "cluster/state_file.hpp"

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <utility>

namespace bzmq::cli {
namespace {

using nlohmann::json;

unexpected failed(const std::string& path) {
    return fail(ec::cannot_write_file, path + ": " + std::strerror(errno));
}

std::string path_in(const std::string& folder) { return folder + "/state.json"; }

json to_json_object(const process_id& who) { return {{"pid", who.pid}, {"start", who.start}}; }

process_id process_in(const json& from) {
    return {from.at("pid").get<pid_t>(), from.at("start").get<std::uint64_t>()};
}

}  // namespace

expected<void> write_whole_file(const std::string& path, std::string_view text) {
    const auto part = path + ".part";
    const int fd = ::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) {
        return failed(part);
    }
    bool good = true;
    while (good && !text.empty()) {
        const auto count = ::write(fd, text.data(), text.size());
        good = count > 0 || (count < 0 && errno == EINTR);
        text.remove_prefix(count > 0 ? static_cast<std::size_t>(count) : 0);
    }
    auto out = good ? expected<void>{} : failed(part);
    ::close(fd);
    if (out && std::rename(part.c_str(), path.c_str()) != 0) {
        out = failed(path);
    }
    return out;
}

expected<void> save(const cluster_state& state, const std::string& folder) {
    json nodes = json::array();
    for (const auto& node : state.nodes) {
        nodes.push_back({{"name", node.name},
                         {"role", node.role},
                         {"state", node.state},
                         {"process", to_json_object(node.process)},
                         {"since", node.since},
                         {"restarts", node.restarts},
                         {"last_exit", node.last_exit}});
    }
    const json all{{"version", 1},
                   {"supervisor", to_json_object(state.supervisor)},
                   {"ready", state.ready},
                   {"nodes", std::move(nodes)}};
    return write_whole_file(path_in(folder), all.dump(2) + '\n');
}

expected<std::optional<cluster_state>> load_state(const std::string& folder) {
    std::ifstream in{path_in(folder)};
    if (!in) {
        return std::optional<cluster_state>{};
    }
    try {
        const auto all = json::parse(in);
        cluster_state out;
        out.supervisor = process_in(all.at("supervisor"));
        out.ready = all.at("ready").get<bool>();
        for (const auto& node : all.at("nodes")) {
            node_state one;
            one.name = node.at("name").get<std::string>();
            one.role = node.at("role").get<std::string>();
            one.state = node.at("state").get<std::string>();
            one.process = process_in(node.at("process"));
            one.since = node.at("since").get<std::int64_t>();
            one.restarts = node.at("restarts").get<unsigned>();
            one.last_exit = node.at("last_exit").get<std::string>();
            out.nodes.push_back(std::move(one));
        }
        return std::optional{std::move(out)};
    } catch (const json::exception& wrong) {
        return fail(ec::invalid_data, path_in(folder) + ": " + wrong.what());
    }
}

expected<cluster_lock> cluster_lock::take(const std::string& folder) {
    const auto path = folder + "/lock";
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) {
        return fail(ec::cannot_open_file, path + ": " + std::strerror(errno));
    }
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
        ::close(fd);
        return fail(ec::cannot_open_file, folder + ": the cluster is being supervised already");
    }
    return cluster_lock{fd};
}

cluster_lock::cluster_lock(cluster_lock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

cluster_lock::~cluster_lock() {
    if (fd_ >= 0) {
        ::close(fd_);
    }
}

}  // namespace bzmq::cli
