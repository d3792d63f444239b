// Ping and pong by events, and an event that goes out by itself.
#include <cstdio>
#include <future>

#include "bzmq/bzmq.hpp"

int main() {
    bzmq::endpoint ann;
    bzmq::endpoint bob;
    const auto report = [](std::string_view event, const bzmq::error& why) {
        std::printf("%.*s: %s\n", static_cast<int>(event.size()), event.data(), to_string(why).c_str());
    };
    bzmq::zeek::event_bus here{ann, {"/events/"}, report};
    bzmq::zeek::event_bus there{bob, {"/events/"}, report};

    std::promise<void> done;
    there.on("ping", [&](const std::string& text, bzmq::count number) {
        there.publish("/events/pong", "pong", text, number + 1);
    });
    here.on("pong", [&](const std::string& text, bzmq::count number) {
        std::printf("pong %s %llu\n", text.c_str(), static_cast<unsigned long long>(number));
        here.raise("finished", number);  // calls the handler here, and goes to bob
    });
    here.on("finished", [](bzmq::count) { std::puts("finished, here"); });
    there.on("finished", [&](bzmq::count) {
        std::puts("finished, there");
        done.set_value();
    });
    here.auto_publish("/events/finished", "finished");

    if (!ann.peer("127.0.0.1", bob.listen("127.0.0.1", 0))
        || !ann.wait_for_subscriber("/events/") || !bob.wait_for_subscriber("/events/")) {
        return 1;
    }
    here.publish("/events/ping", "ping", "hello", 1U);
    done.get_future().wait();
}
