// A node of a cluster that `bzmq-cli cluster` starts: workers and a manager who gives them work.
// cluster.toml beside this file is such a cluster, and says how to start it.
//
// The supervisor tells it by its environment who it is and how to join (docs/cluster.md). Started by
// hand it is a worker that nobody gives work to.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <thread>

#include "bzmq/bzmq.hpp"
#include "bzmq/pool.hpp"

namespace {

using namespace bzmq::zeek;

/// Does what comes for it, and says so to the manager.
void work(bzmq::endpoint& node, bzmq::subscriber& jobs) {
    for (auto job = jobs.get(); job.valid(); job = jobs.get()) {
        node.publish(role_topic("manager") + "done", bzmq::vector{job.value(), node.name()},
                     bzmq::delivery_mode::reliable);
    }
}

/// Gives each key to the worker that it belongs to, and counts what comes back.
void manage(bzmq::endpoint& node, bzmq::subscriber& answers) {
    constexpr unsigned count = 20;
    pool workers{node, "worker"};
    if (!workers.wait_for(2, std::chrono::seconds{60})) {
        std::puts("no two workers");
        return;
    }
    for (unsigned i = 0; i < count; ++i) {
        const auto key = "host-" + std::to_string(i);
        const auto owner = workers.for_key(key);
        if (!owner) {
            std::puts("a worker has left");
            return;
        }
        node.publish(owner->topic + "job", key, bzmq::delivery_mode::reliable);
    }
    std::map<std::string, unsigned> done;
    for (const auto& each : answers.get(count)) {
        ++done[get<std::string>(get<bzmq::vector>(each.value()).at(1))];
    }
    for (const auto& [name, jobs] : done) {
        std::printf("%s did %u jobs\n", name.c_str(), jobs);
    }
    std::puts("all done");
    std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
    // Before any thread: it is for `sigwait` alone.
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigprocmask(SIG_BLOCK, &ends, nullptr);

    bzmq::configuration cfg;
    if (const auto read = cfg.init(argc, argv); !read) {
        std::fprintf(stderr, "%s\n", to_string(read.error()).c_str());
        return 2;
    }
    bzmq::endpoint node{std::move(cfg)};
    const char* role = std::getenv("CLUSTER_ROLE");
    const bool is_manager = role != nullptr && std::string{role} == "manager";
    // Both at once: who sees us in the role's pool can reach us by our name.
    auto inbox = node.make_subscriber(
        {role_topic(is_manager ? "manager" : "worker"), node_topic(node.name())});
    std::thread busy{[&] { is_manager ? manage(node, inbox) : work(node, inbox); }};
    int signal = 0;
    sigwait(&ends, &signal);
    node.shutdown();
    busy.join();
}
