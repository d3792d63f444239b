// Many light endpoints behind a gateway: what runs on the machines at the edge.
//
//     example_agents URL COUNT [FIRST [DOMAIN]]
//
// Makes COUNT endpoints called agent-FIRST and so on in a domain ("agents"), each of which connects
// to the gateway at URL and listens for orders under /agents/all/ and /agents/NAME/. Prints a JSON
// line when all are connected and their subscriptions known, when all have heard an order, and again when they have lost the
// gateway and found it anew, until it is ended.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "bzmq/bzmq.hpp"

namespace {

using clock_type = std::chrono::steady_clock;

struct agent {
    explicit agent(bzmq::endpoint_options options)
        : node{bzmq::configuration{std::move(options)}},
          statuses{node.make_status_subscriber(true)},
          orders{node.make_subscriber({"/agents/all/", "/agents/" + node.name() + "/"})} {}

    bzmq::endpoint node;
    bzmq::status_subscriber statuses;
    bzmq::subscriber orders;
    bool connected = false;
    unsigned times = 0;  // How often it got there.
};

bzmq::endpoint_options light_options(const std::string& name, const std::string& domain) {
    bzmq::endpoint_options out;
    out.name = name;
    out.domain = domain;
    out.forwarding = false;  // Others' messages are not its business.
    // Orders are few and small.
    out.peer_queue_bytes = std::size_t{1} << 20;
    out.subscriber_queue_bytes = std::size_t{1} << 20;
    out.publish_queue_bytes = std::size_t{256} << 10;
    // Thousands that start at a time should not all be lost because one gateway is busy with them.
    out.connect_timeout = std::chrono::seconds{30};
    out.handshake_timeout = std::chrono::seconds{30};
    out.heartbeat_interval = std::chrono::seconds{5};
    out.peer_timeout = std::chrono::seconds{20};
    out.log_level = bzmq::log_level::off;
    return out;
}

/// In KiB.
long resident_memory() {
    std::ifstream in{"/proc/self/status"};
    for (std::string line; std::getline(in, line);) {
        if (line.rfind("VmRSS:", 0) == 0) {
            return std::strtol(line.c_str() + std::strlen("VmRSS:"), nullptr, 10);
        }
    }
    return 0;
}

/// Takes in what has happened to an agent; how many orders it has heard.
std::size_t look(agent& one) {
    while (const auto news = one.statuses.get(bzmq::timespan{0})) {
        if (const auto* what = bzmq::get_if<bzmq::status>(&*news)) {
            if (what->code() == bzmq::sc::peer_added) {
                one.connected = true;
                ++one.times;
            } else if (what->code() == bzmq::sc::peer_lost
                       || what->code() == bzmq::sc::peer_removed) {
                one.connected = false;
            }
        }
    }
    return one.orders.poll().size();
}

void tell(const char* event, clock_type::time_point since, std::size_t agents) {
    const std::chrono::duration<double> seconds = clock_type::now() - since;
    std::printf("{\"event\":\"%s\",\"agents\":%zu,\"seconds\":%.3f,\"rss_kib\":%ld}\n", event, agents,
                seconds.count(), resident_memory());
    std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
    const auto count = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 0;
    const auto first = argc > 3 ? std::strtoul(argv[3], nullptr, 10) : 0;
    const std::string domain = argc > 4 ? argv[4] : "agents";
    if (count == 0) {
        std::fprintf(stderr, "usage: %s URL COUNT [FIRST [DOMAIN]]\n", argv[0]);
        return 2;
    }
    std::vector<std::unique_ptr<agent>> agents;
    tell("begun", clock_type::now(), 0);
    auto since = clock_type::now();
    for (std::size_t i = 0; i < count; ++i) {
        auto& one = *agents.emplace_back(
            std::make_unique<agent>(light_options("agent-" + std::to_string(first + i), domain)));
        if (const auto begun = one.node.peer_url_nosync(argv[1]); !begun) {
            std::fprintf(stderr, "%s\n", to_string(begun.error()).c_str());
            return 1;
        }
    }
    unsigned told = 0;
    bool lost = false;
    std::size_t heard = 0;
    while (::getppid() != 1) {  // Ends with whoever started it.
        std::size_t connected = 0;
        unsigned times = ~0U;
        for (const auto& one : agents) {
            heard += look(*one);
            connected += one->connected ? 1 : 0;
            times = std::min(times, one->times);
        }
        if (connected < count && told > 0 && !lost) {
            lost = true;
            since = clock_type::now();
        }
        if (connected == count && times > told) {
            told = times;
            lost = false;
            tell("connected", since, connected);
            for (const auto& one : agents) {
                if (!one->orders.wait_ready(std::chrono::minutes{2})) {
                    std::fprintf(stderr, "%s: not known to all\n", one->node.name().c_str());
                }
            }
            tell("ready", since, connected);
        }
        if (heard >= count) {
            heard -= count;
            tell("heard", since, count);
        }
        std::this_thread::sleep_for(std::chrono::milliseconds{10});
    }
}
