// A publisher faster than its subscriber, over one link, for a while and in every overflow policy:
// memory must stay flat, `block` must lose nothing, and only `disconnect` may end a peering or a
// subscription. Exit code 1 where that does not hold.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "bzmq/bzmq.hpp"

namespace {

using namespace std::chrono_literals;
using clock_type = std::chrono::steady_clock;

struct options {
    std::vector<bzmq::overflow_policy> policies{
        bzmq::overflow_policy::block, bzmq::overflow_policy::drop_newest,
        bzmq::overflow_policy::drop_oldest, bzmq::overflow_policy::disconnect};
    double seconds = 60;
    std::size_t size = 1024;
    bool reliable = false;
};

struct counts {
    std::uint64_t published = 0, refused = 0;
    std::atomic<std::uint64_t> received{0}, out_of_order{0}, ended{0};
};

[[noreturn]] void die(const std::string& why) {
    std::fprintf(stderr, "overload: %s\n", why.c_str());
    std::exit(1);
}

double rss_mib() {
    std::ifstream status{"/proc/self/statm"};
    std::size_t all = 0;
    std::size_t resident = 0;
    status >> all >> resident;
    return static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE)) / 1048576.0;
}

bzmq::endpoint make_endpoint(bzmq::overflow_policy policy, const char* name) {
    bzmq::configuration cfg;
    cfg.options().name = name;
    cfg.options().peer_overflow = policy;
    cfg.options().subscriber_overflow = policy;
    return bzmq::endpoint{std::move(cfg)};
}

/// Takes about 64,000 messages a second at most.
void read_slowly(bzmq::endpoint& at, const std::atomic<bool>& stop, std::atomic<bool>& ready,
                 counts& sum) {
    std::uint64_t last = 0;
    std::vector<bzmq::message> batch;
    while (!stop) {
        auto reader = at.make_subscriber({"overload"});
        ready = true;
        while (!stop) {
            batch.clear();
            if (reader.take(batch, 64, 100ms) == 0 && reader.ended()) {
                ++sum.ended;
                break;
            }
            for (const auto& each : batch) {
                std::uint64_t number = 0;
                // A string's payload ends with its bytes: the number comes first in them.
                const auto bytes = bzmq::get<std::string>(each.value());
                std::memcpy(&number, bytes.data(), sizeof number);
                sum.out_of_order += number <= last ? 1 : 0;
                last = number;
            }
            sum.received += batch.size();
            std::this_thread::sleep_for(1ms);
        }
    }
}

bool run(bzmq::overflow_policy policy, const options& how) {
    auto source = make_endpoint(policy, "source");
    auto sink = make_endpoint(policy, "sink");
    auto statuses = source.make_status_subscriber(true);
    const auto port = sink.listen("127.0.0.1", 0);
    if (!source.peer("127.0.0.1", port, 1s, 30s)) {
        die("no peering");
    }
    counts sum;
    std::atomic<bool> stop{false};
    std::atomic<bool> ready{false};
    std::thread reader{[&] { read_slowly(sink, stop, ready, sum); }};
    if (!source.wait_for_subscriber("overload", 1, 30s)) {
        die("no subscriber");
    }
    const auto mode = how.reliable ? bzmq::delivery_mode::reliable : bzmq::delivery_mode::best_effort;
    const auto name = std::string{to_string(policy)};
    fmt::print("{:>12} {:>6} {:>12} {:>12} {:>12} {:>9}\n", name, "s", "published", "refused",
               "received", "RSS MiB");
    const auto began = clock_type::now();
    const auto end = began + std::chrono::duration_cast<clock_type::duration>(
                                 std::chrono::duration<double>(how.seconds));
    auto look = began + 5s;
    double early = 0;
    double late = 0;
    std::string payload(std::max<std::size_t>(how.size, 8), 'o');
    for (std::uint64_t number = 1; clock_type::now() < end; ++number) {
        std::memcpy(payload.data(), &number, sizeof number);
        const auto problem = source.publish("overload", payload, mode);
        if (problem == bzmq::ec::none) {
            ++sum.published;
        } else if (problem == bzmq::ec::queue_full) {
            ++sum.refused;
        } else {
            die("publish: " + std::string{to_string(problem)});
        }
        if (const auto now = clock_type::now(); now >= look) {
            look += 5s;
            const auto rss = rss_mib();
            // By then every queue has filled.
            (now - began < std::chrono::duration<double>(how.seconds / 2) ? early : late) =
                std::max(now - began < std::chrono::duration<double>(how.seconds / 2) ? early : late,
                         rss);
            fmt::print("{:>12} {:>6.0f} {:>12} {:>12} {:>12} {:>9.1f}\n", "",
                       std::chrono::duration<double>(now - began).count(), sum.published,
                       sum.refused, sum.received.load(), rss);
            std::fflush(stdout);
        }
    }
    // What is on its way still comes.
    for (auto last = sum.received.load(); sum.received < sum.published;) {
        std::this_thread::sleep_for(1s);
        if (last == sum.received) {
            break;
        }
        last = sum.received;
    }
    stop = true;
    reader.join();
    std::uint64_t lost_peers = 0;
    while (const auto news = statuses.get(0s)) {
        if (const auto* what = bzmq::get_if<bzmq::status>(&*news)) {
            lost_peers += what->code() == bzmq::sc::peer_lost ? 1 : 0;
        }
    }
    const auto from = source.metrics();
    const auto to = sink.metrics();
    fmt::print("{:>12} end: received {} of {}; dropped toward peers {}, by subscribers {}; refused {};"
               " out of order {}; peerings lost {}, subscriptions ended {}\n",
               "", sum.received.load(), sum.published, from.dropped_overflow,
               to.dropped_by_subscribers, sum.refused, sum.out_of_order.load(), lost_peers,
               sum.ended.load());
    bool good = sum.out_of_order == 0;
    if (policy == bzmq::overflow_policy::block) {
        good = good && sum.received == sum.published;
    }
    if (policy != bzmq::overflow_policy::disconnect) {
        good = good && lost_peers == 0 && sum.ended == 0;
    }
    if (how.seconds >= 20) {
        good = good && late < early * 1.1 + 4;
    }
    fmt::print("{:>12} {}\n", "", good ? "holds" : "DOES NOT HOLD");
    return good;
}

}  // namespace

int main(int argc, char** argv) {
    options how;
    for (int i = 1; i < argc; ++i) {
        const std::string argument{argv[i]};
        const auto value = argument.substr(std::min(argument.find('=') + 1, argument.size()));
        if (argument.rfind("--policy=", 0) == 0) {
            const auto policy = bzmq::parse_overflow_policy(value);
            if (!policy) {
                die("unknown policy " + value);
            }
            how.policies = {*policy};
        } else if (argument.rfind("--seconds=", 0) == 0) {
            how.seconds = std::stod(value);
        } else if (argument.rfind("--size=", 0) == 0) {
            how.size = std::stoul(value);
        } else if (argument == "--reliable") {
            how.reliable = true;
        } else {
            die("unknown argument " + argument
                + "\noptions: --policy=block|drop_newest|drop_oldest|disconnect (all) --seconds=60"
                  " --size=1024 --reliable");
        }
    }
    bool good = true;
    for (const auto policy : how.policies) {
        good = run(policy, how) && good;
    }
    return good ? 0 : 1;
}
