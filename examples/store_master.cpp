// The master of a store: the one endpoint that decides what is in it. Clones (example_store_clone)
// copy it and write through it.
//
//     example_store_master [URL] [FOLDER]
//
// Listens at URL (tcp://127.0.0.1:9999; port 0 takes a free one), prints where, and runs until it
// is interrupted or, where nobody interrupts it, until a clone has put "bye". With a FOLDER what is
// in the store survives the program.
#include "bzmq/bzmq.hpp"

#include <cstdio>
#include <string>

int main(int argc, char** argv) {
    const std::string url = argc > 1 ? argv[1] : "tcp://127.0.0.1:9999";
    const std::string folder = argc > 2 ? argv[2] : "";

    bzmq::endpoint node;

    // In memory, or on disk. From here on clones find it, wherever in the overlay they are.
    bzmq::master_options options;
    options.path = folder;
    auto made = node.attach_master(
        "inventory", folder.empty() ? bzmq::backend::memory : bzmq::backend::lmdb, options);
    if (!made) {
        std::fprintf(stderr, "%s\n", to_string(made.error()).c_str());
        return 1;
    }
    auto& store = *made;

    // Writes do not wait: each returns a handle. Who waits for it knows that the write took effect,
    // and, with a folder, that it is on disk.
    store.put("apples", bzmq::count{3});
    store.put("pears", bzmq::count{5});
    const auto last = store.increment("starts").wait();
    if (!last) {
        std::fprintf(stderr, "%s\n", to_string(last.error()).c_str());
        return 1;
    }

    // What happens in the store, clones' writes included, from now on.
    auto events = store.events();
    if (const auto listening = node.listen_url(url); !listening) {
        std::fprintf(stderr, "%s\n", to_string(listening.error()).c_str());
        return 1;
    }
    std::printf("listening at %s\n", node.listeners().front().c_str());
    std::fflush(stdout);

    while (const auto event = events.get()) {
        const auto value = event->new_value ? to_text(*event->new_value) : "";
        std::printf("%s %s %s\n", std::string{to_string(event->what)}.c_str(),
                    to_string(event->key).c_str(), value.c_str());
        std::fflush(stdout);
        if (event->key == bzmq::data{"bye"}) {
            break;
        }
    }
    // All clones have what was written before we leave.
    store.await_idle();
}
