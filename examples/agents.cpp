// A gateway with agents: a cluster, and a domain beside it whose members see the gateway alone.
//
// Each agent hears what the cluster says to all or to it, and answers; nobody in the cluster sees an
// agent in its topology, and no agent sees another one.
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "bzmq/bzmq.hpp"
#include "bzmq/gateway.hpp"

namespace {

bzmq::configuration in_domain(const std::string& domain, const std::string& name) {
    bzmq::configuration out;
    out.options().domain = domain;
    out.options().name = name;
    return out;
}

}  // namespace

int main() {
    constexpr unsigned count = 5;
    bzmq::endpoint manager{in_domain("cluster", "manager")};
    const auto cluster_port = manager.listen("127.0.0.1", 0);
    auto answers = manager.make_subscriber({"/agents/answer/"});

    auto outside = in_domain("agents", "gateway");
    outside.options().hide_peers = true;
    bzmq::gateway gate{{in_domain("cluster", "gateway"), std::move(outside)}};
    const auto agents_port = gate.other().listen("127.0.0.1", 0);
    if (!gate.one().peer("127.0.0.1", cluster_port)) {
        return 1;
    }

    struct agent {
        std::unique_ptr<bzmq::endpoint> ep;
        bzmq::worker work;  // Calls back on a thread of its own.
    };
    std::vector<agent> agents;
    for (unsigned i = 0; i < count; ++i) {
        const auto name = "agent-" + std::to_string(i);
        auto cfg = in_domain("agents", name);
        cfg.options().forwarding = false;
        auto ep = std::make_unique<bzmq::endpoint>(std::move(cfg));
        auto& self = *ep;
        auto work = ep->subscribe({"/agents/all/", "/agents/" + name + "/"}, nullptr,
                                  [&self, name](const bzmq::message& asked) {
                                      self.publish("/agents/answer/" + name, asked.value(),
                                                   bzmq::delivery_mode::reliable);
                                  });
        if (!ep->peer("127.0.0.1", agents_port) || !ep->wait_for_subscriber("/agents/answer/x")) {
            return 1;
        }
        agents.push_back({std::move(ep), std::move(work)});
    }
    if (!gate.other().wait_for_subscriber("/agents/all/x", count)
        || !manager.wait_for_subscriber("/agents/agent-3/x")) {
        return 1;
    }

    manager.publish("/agents/all/question", "who is there?", bzmq::delivery_mode::reliable);
    manager.publish("/agents/agent-3/question", "and you?", bzmq::delivery_mode::reliable);
    const auto got = answers.get(count + 1, std::chrono::seconds{20});
    for (const auto& each : got) {
        std::printf("%.*s: %s\n", static_cast<int>(each.topic().size()), each.topic().data(),
                    to_text(each.value()).c_str());
    }
    std::printf("the manager sees %zu endpoints, an agent %zu\n", manager.topology().size(),
                agents.front().ep->topology().size());
    return got.size() == count + 1 ? 0 : 1;
}
