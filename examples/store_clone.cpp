// A clone of a store: a copy that follows its master (example_store_master), so that reading asks
// nobody. What is written here goes to the master, and can be read here when it comes back.
//
//     example_store_clone [URL]
#include "bzmq/bzmq.hpp"

#include <cstdio>
#include <string>

namespace {

int give_up(const bzmq::error& why) {
    std::fprintf(stderr, "%s\n", to_string(why).c_str());
    return 1;
}

}  // namespace

int main(int argc, char** argv) {
    using namespace std::chrono_literals;
    const std::string url = argc > 1 ? argv[1] : "tcp://127.0.0.1:9999";

    bzmq::endpoint node;
    bzmq::peering_options patient;
    patient.timeout = 10s;
    if (const auto reached = node.peer_url(url, patient); !reached) {
        return give_up(reached.error());
    }

    // The master may be there already, or come later, at this peer or many links away.
    auto made = node.attach_clone("inventory");
    if (!made) {
        return give_up(made.error());
    }
    auto& store = *made;
    if (!store.await_sync(10s)) {
        std::fputs("nobody has the store\n", stderr);
        return 1;
    }

    // Reads are local. What is not there is an error, and so is a copy that has gone stale.
    const auto apples = store.get("apples");
    if (!apples) {
        return give_up(apples.error());
    }
    std::printf("apples = %s\n", to_text(*apples).c_str());

    // Change a value where it is, rather than read it and put it back: nobody gets in between.
    const auto added = store.increment("apples", bzmq::count{2}).wait(10s);
    if (!added) {
        return give_up(added.error());
    }
    std::printf("apples = %s\n", to_text(*store.get("apples")).c_str());

    // Or guard it with the revision that was read: if anybody was faster, nothing is written.
    const auto pears = store.get_entry("pears");
    if (!pears) {
        return give_up(pears.error());
    }
    const auto mine = store.compare_and_put("pears", pears->revision, bzmq::count{6}).wait(10s);
    std::printf("pears = 6: %s\n", mine ? "written" : to_string(mine.error()).c_str());

    // Several writes that nobody sees half of; the second one goes after a minute.
    const auto both = store
                          .apply(bzmq::store_batch{}
                                     .insert_into("seen", node.name())
                                     .put("last visit", bzmq::data{"now"}, 1min))
                          .wait(10s);
    if (!both) {
        return give_up(both.error());
    }

    // At the end: once everything written here has its outcome.
    store.put("bye", bzmq::nil);
    store.await_idle(10s);
    const auto all = store.snapshot();
    if (!all) {
        return give_up(all.error());
    }
    for (const auto& [key, value] : *all) {
        std::printf("%s = %s\n", to_string(key).c_str(), to_text(value).c_str());
    }
}
