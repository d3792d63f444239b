// One of the two processes of the crash test, which crash.py starts, kills and judges:
//
//     store_process master FOLDER PORT WRITERS DURABILITY    a master that writes at full speed
//     store_process clone                                    a clone that writes through it
//
// Both write to standard output what they know for certain, as records of 16 bytes: what is in the
// pipe when the process dies has left it. They end when standard input does.
#include "bzmq/bzmq.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace bzmq;
using namespace std::chrono_literals;

// As in crash.py.
constexpr unsigned window = 16;         // writes of one thread that have no outcome yet
constexpr std::uint64_t slots = 64;     // a writer's last values
constexpr unsigned batch_writers = 4;   // 0..3: two keys that must be equal, and a slot
constexpr unsigned put_writers = 2;     // 4, 5: a slot
constexpr unsigned master_writers = 8;  // 6, 7: a counter
constexpr unsigned clone_counter = 8;
constexpr unsigned clone_batches = 9;
constexpr auto patience = 60s;

enum class kind : std::uint16_t {
    ready = 1,  ///< value: the port, of a clone
    fact,       ///< slot: which value of the writer's
    acknowledged,
    done,
};
// The slots of facts that are no slots of a writer.
constexpr std::uint32_t left = 1000;
constexpr std::uint32_t right = 1001;
constexpr std::uint32_t counter = 1002;

struct record {
    kind what;
    std::uint16_t writer = 0;
    std::uint32_t slot = 0;
    std::uint64_t value = 0;
};
static_assert(sizeof(record) == 16);

void tell(record what) {
    if (::write(STDOUT_FILENO, &what, sizeof what) != sizeof what) {
        std::_Exit(4);  // Nobody judges any more.
    }
}

[[noreturn]] void give_up(const std::string& why) {
    std::fprintf(stderr, "%s\n", why.c_str());
    std::fflush(stderr);
    std::_Exit(3);
}

void wait_for_end_of_input() {
    char byte = 0;
    while (::read(STDIN_FILENO, &byte, 1) > 0) {
    }
}

std::string key(const char* what, std::uint64_t writer) {
    return what + std::to_string(writer);
}
std::string slot_key(unsigned writer, std::uint64_t number) {
    return key("slot", writer) + "." + std::to_string(number % slots);
}

/// The value of a slot tells its number, and a length that follows from it: some are large.
data slot_value(std::uint64_t number) {
    const auto bytes = number % 97 == 0 ? 20'000 : number * 7919 % 300;
    return vector{number, std::string(bytes, 'v')};
}

/// 0 where there is none.
std::uint64_t number_in(const expected<data>& value) {
    if (!value) {
        if (value.error() != ec::no_such_key) {
            give_up("a read failed: " + to_string(value.error()));
        }
        return 0;
    }
    if (const auto* plain = get_if<count>(&*value)) {
        return *plain;
    }
    const auto number = get<count>(get<vector>(*value).front());
    if (*value != slot_value(number)) {
        give_up("the value of " + std::to_string(number) + " is mangled");
    }
    return number;
}

bool is_counter(unsigned writer) {
    return writer == clone_counter
           || (writer >= batch_writers + put_writers && writer < master_writers);
}
bool is_batch(unsigned writer) {
    return writer < batch_writers || writer == clone_batches;
}

/// Tells all that the store holds of a writer; the newest number of it.
std::uint64_t tell_facts(const store& of, unsigned writer) {
    const auto id = static_cast<std::uint16_t>(writer);
    std::uint64_t newest = 0;
    const auto fact = [&](std::uint32_t slot, const std::string& name) {
        const auto number = number_in(of.get(name));
        tell({kind::fact, id, slot, number});
        newest = std::max(newest, number);
    };
    if (is_counter(writer)) {
        fact(counter, key("counter", writer));
        return newest;
    }
    for (std::uint32_t slot = 0; slot < slots; ++slot) {
        fact(slot, slot_key(writer, slot));
    }
    if (is_batch(writer)) {
        fact(left, key("left", writer));
        fact(right, key("right", writer));
    }
    return newest;
}

// -- Writing --------------------------------------------------------------------------------------

store_write write(store& to, unsigned writer, std::uint64_t number) {
    if (is_counter(writer)) {
        return to.increment(key("counter", writer));
    }
    if (!is_batch(writer)) {
        return to.put(slot_key(writer, number), slot_value(number));
    }
    return to.apply(store_batch{}
                        .put(key("left", writer), number)
                        .put(slot_key(writer, number), slot_value(number))
                        .put(key("right", writer), number));
}

/// What can be read of a writer's own writes.
std::uint64_t readable(const store& from, unsigned writer, std::uint64_t number) {
    return number_in(from.get(is_counter(writer) ? key("counter", writer)
                              : is_batch(writer) ? key("left", writer)
                                                 : slot_key(writer, number)));
}

/// Writes number after number, and tells each that is acknowledged, in order.
void write_until(const std::atomic<bool>& stop, store to, unsigned writer, std::uint64_t number) {
    struct pending {
        store_write write;
        std::uint64_t number;
    };
    std::deque<pending> on_their_way;
    while (!stop || !on_their_way.empty()) {
        if (!stop && on_their_way.size() < window) {
            ++number;
            on_their_way.push_back({write(to, writer, number), number});
            continue;
        }
        const auto& oldest = on_their_way.front();
        const auto outcome = oldest.write.wait();
        if (!outcome) {
            give_up(key("writer ", writer) + key(" number ", oldest.number) + ": "
                    + to_string(outcome.error()));
        }
        // An increment that were done twice would show in the next outcome.
        if (is_counter(writer) && outcome->value && *outcome->value != data{oldest.number}) {
            give_up(key("writer ", writer) + key(" number ", oldest.number) + " made "
                    + to_string(*outcome->value));
        }
        // At a master a read waits for all that this thread has on its way: only now and then.
        const bool look = !to.is_master() || oldest.number % 200 == 0;
        if (const auto seen = look ? readable(to, writer, oldest.number) : oldest.number;
            seen < oldest.number) {
            give_up(key("writer ", writer) + key(" reads ", seen) + " after the acknowledgement of "
                    + std::to_string(oldest.number));
        }
        tell({kind::acknowledged, static_cast<std::uint16_t>(writer), 0, oldest.number});
        on_their_way.pop_front();
    }
}

/// Looks at the copy now and then: batches are whole, and no value ever goes back, whatever
/// happens to the master.
void watch_until(const std::atomic<bool>& stop, store& copy) {
    std::map<data, std::uint64_t> newest;
    auto events = copy.events(1);
    while (!stop) {
        if (!events.get(100ms)) {
            continue;
        }
        const auto all = copy.snapshot();
        if (!all) {
            give_up("the clone cannot be read: " + to_string(all.error()));
        }
        const auto number_of = [&](const std::string& name) -> std::uint64_t {
            const auto at = all->find(name);
            return at == all->end() ? 0 : number_in(at->second);
        };
        for (unsigned writer = 0; writer <= clone_batches; ++writer) {
            if (is_batch(writer)
                && number_of(key("left", writer)) != number_of(key("right", writer))) {
                give_up(key("the clone shows half a batch of writer ", writer));
            }
        }
        for (const auto& [name, value] : *all) {
            const auto number = number_in(value);
            if (std::exchange(newest[name], number) > number) {
                give_up("the clone forgets: " + to_string(name) + key(" is back at ", number));
            }
        }
    }
}

// -- The processes --------------------------------------------------------------------------------

endpoint make(const std::string& name) {
    endpoint_options options;
    options.name = name;
    options.log_level = log_level::off;
    return endpoint{configuration{options}};
}

int run_master(const std::string& folder, std::uint16_t port, unsigned writers,
               const std::string& mode) {
    auto node = make("master");
    auto made = node.attach_master("s", backend::lmdb,
                                   backend_options{{"path", folder}, {"durability", mode}});
    if (!made) {
        give_up(to_string(made.error()));
    }
    std::array<std::uint64_t, clone_batches + 1> newest{};
    for (unsigned writer = 0; writer <= clone_batches; ++writer) {
        newest[writer] = tell_facts(*made, writer);
    }
    tell({kind::ready});
    node.peer_nosync("127.0.0.1", port, 100ms);
    std::atomic<bool> stop{false};
    std::vector<std::thread> threads;
    for (unsigned writer = 0; writer < writers; ++writer) {
        threads.emplace_back(write_until, std::cref(stop), *made, writer, newest[writer]);
    }
    wait_for_end_of_input();
    stop = true;
    for (auto& each : threads) {
        each.join();
    }
    for (unsigned writer = 0; writer <= clone_batches; ++writer) {
        tell_facts(*made, writer);
    }
    tell({kind::done});
    return 0;
}

int run_clone() {
    auto node = make("clone");
    const auto port = node.listen("127.0.0.1", 0);
    clone_options options;
    options.resync_interval = 200ms;
    options.mutation_buffer_interval = 10min;
    auto made = node.attach_clone("s", options);
    if (!made) {
        give_up(to_string(made.error()));
    }
    tell({kind::ready, 0, 0, port});
    if (!made->await_sync(patience)) {
        give_up("the clone found no master");
    }
    std::atomic<bool> stop{false};
    std::thread counts{write_until, std::cref(stop), *made, clone_counter, 0};
    std::thread batches{write_until, std::cref(stop), *made, clone_batches, 0};
    std::thread watches{[&] { watch_until(stop, *made); }};
    wait_for_end_of_input();
    stop = true;
    counts.join();
    batches.join();
    watches.join();
    tell({kind::done});
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    const std::vector<std::string> arguments{argv + 1, argv + argc};
    if (arguments.size() == 5 && arguments[0] == "master") {
        return run_master(arguments[1], static_cast<std::uint16_t>(std::stoul(arguments[2])),
                          static_cast<unsigned>(std::stoul(arguments[3])), arguments[4]);
    }
    if (arguments.size() == 1 && arguments[0] == "clone") {
        return run_clone();
    }
    std::fputs("usage: store_process master FOLDER PORT WRITERS DURABILITY | clone\n", stderr);
    return 2;
}
