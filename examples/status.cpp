// Listens, and prints what happens in the overlay until it is interrupted.
//
//     example_status [--bzmq.<option>=VALUE]...
//
// Connect something to it: example_pubsub tcp://127.0.0.1:9999
// Where it listens is an option as well: --bzmq.listen=tcp://127.0.0.1:0 takes a free port.
#include <cstdio>

#include "bzmq/bzmq.hpp"

using namespace bzmq;

int main(int argc, char** argv) {
    configuration cfg;
    if (const auto read = cfg.init(argc, argv); !read) {
        std::fprintf(stderr, "%s\n", to_string(read.error()).c_str());
        return 2;
    }
    endpoint ep{std::move(cfg)};
    auto ssub = ep.make_status_subscriber(true);
    if (ep.listeners().empty() && ep.listen("127.0.0.1", 9999) == 0) {
        std::fputs("cannot listen at 127.0.0.1:9999\n", stderr);
        return 1;
    }
    std::printf("%s listens at", to_string(ep.node_id()).c_str());
    for (const auto& url : ep.listeners()) {
        std::printf(" %s", url.c_str());
    }
    std::puts("");
    std::fflush(stdout);
    for (;;) {
        auto stat = ssub.get();
        if (is<status>(stat)) {
            std::printf("status %s\n", to_string(get<status>(stat)).c_str());
        } else {
            std::printf("error %s\n", to_string(get<error>(stat)).c_str());
            if (get<error>(stat) == ec::shutting_down) {
                return 0;
            }
        }
        std::fflush(stdout);
    }
}
