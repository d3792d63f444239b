#include <chrono>
#include <iostream>

#include <bzmq/bzmq.hpp>

int main() {
    bzmq::endpoint ep;
    auto subscriber = ep.make_subscriber({"/hello/"});
    ep.publish("/hello/world", bzmq::data{"it works"});
    const auto message = subscriber.get(std::chrono::seconds{10});
    if (!message) {
        std::cerr << "nothing arrived\n";
        return 1;
    }
    std::cout << bzmq::to_string(message->value()) << '\n';
    return 0;
}
