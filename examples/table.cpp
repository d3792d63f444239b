// A table that two endpoints share.
#include <cstdio>
#include <future>

#include "bzmq/bzmq.hpp"

int main() {
    using hosts = bzmq::zeek::table<std::string, bzmq::count>;
    using namespace std::chrono_literals;
    bzmq::endpoint manager;
    bzmq::endpoint worker;
    if (!worker.peer("127.0.0.1", manager.listen("127.0.0.1", 0))) {
        return 1;
    }
    auto master = manager.attach_master("hosts");  // bzmq::backend::lmdb: on disk
    auto clone = worker.attach_clone("hosts");
    if (!master || !clone || !clone->await_sync()) {
        return 1;
    }
    hosts here{*master};
    hosts there{*clone, {{}, 100ms, {}}};  // what is written there goes after 100 ms
    std::promise<void> gone;
    here.on_change([&](hosts::change what, const std::string& key, const auto&, const auto& after) {
        static constexpr const char* names[] = {"created", "changed", "expired", "removed"};
        std::printf("%s %s %llu\n", names[static_cast<int>(what)], key.c_str(),
                    static_cast<unsigned long long>(after.value_or(0)));
        if (what == hosts::change::expired) {
            gone.set_value();
        }
    });
    if (!here.put("ann", 3).wait() || !there.put("bob", 4).wait()) {
        return 1;
    }
    gone.get_future().wait();
}
