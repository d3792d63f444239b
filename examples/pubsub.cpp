// Two endpoints of one process: one publishes, the other subscribes.
//
//     example_pubsub [URL]
//
// With a URL the publisher also peers with whoever listens there.
#include <cstdio>

#include "bzmq/bzmq.hpp"

int main(int argc, char** argv) {
    bzmq::endpoint listener;
    bzmq::endpoint publisher;

    auto messages = listener.make_subscriber({"/example/"});
    const auto port = listener.listen("127.0.0.1", 0);
    if (!publisher.peer("127.0.0.1", port)) {
        std::fputs("no peering\n", stderr);
        return 1;
    }
    if (argc > 1) {
        if (const auto reached = publisher.peer_url(argv[1]); !reached) {
            std::fprintf(stderr, "%s\n", to_string(reached.error()).c_str());
            return 1;
        }
    }
    // From here on no message can be missed.
    if (!publisher.wait_for_subscriber("/example/")) {
        return 1;
    }
    using namespace bzmq::literals;
    publisher.publish("/example"_t / "greeting", "hello");
    publisher.publish("/example/answer", 42U);
    publisher.publish("/example/list", bzmq::vector{1U, "two", 3.0});

    for (int i = 0; i < 3; ++i) {
        const auto each = messages.get();
        std::printf("%.*s = %s\n", static_cast<int>(each.topic().size()), each.topic().data(),
                    to_text(each.value()).c_str());
    }
}
