// bzmq beside raw libzmq, in one run: the same payload, loopback TCP, interleaved repetitions,
// medians. Raw is PUB/SUB with XPUB_NODROP=1 and one ZeroMQ message per message; bzmq is the public
// API with one `publish` call per message, policy `block` at both ends, and a reader that looks at
// every message's topic and size. Each endpoint has a ZeroMQ context of its own.
#include <sys/resource.h>
#include <unistd.h>
#include <zmq.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "bzmq/bzmq.hpp"

namespace {

using namespace std::chrono_literals;
using clock_type = std::chrono::steady_clock;

struct options {
    std::vector<std::size_t> sizes{64, 1024, 16384};
    std::vector<int> curve{0, 1};
    std::vector<int> hops{1, 3};
    std::vector<int> subscribers{1, 2, 4, 8};
    int repeat = 5;
    double scale = 1;
    bool all = false;
    bool latency = true;
    bool threads = false;
    bool json = false;
    std::size_t publish_queue = std::size_t{1} << 20;
    std::size_t peer_queue = std::size_t{4} << 20;
    std::size_t subscriber_queue = std::size_t{4} << 20;
    std::size_t frame = std::size_t{64} << 10;
};

struct test_case {
    std::size_t size = 64;
    bool curve = false;
    int hops = 1;
    int subscribers = 1;
};

[[noreturn]] void die(const std::string& why) {
    std::fprintf(stderr, "throughput: %s\n", why.c_str());
    std::exit(1);
}
void check(bool fine, const char* what) {
    if (!fine) {
        die(fmt::format("{}: {}", what, zmq_strerror(zmq_errno())));
    }
}

std::size_t count_for(const test_case& what, const options& how) {
    const double bytes = what.size <= 256 ? 2.0e6 : what.size <= 4096 ? 4.0e5 : 4.0e4;
    return static_cast<std::size_t>(bytes * how.scale / (what.curve ? 2 : 1)
                                    / (what.subscribers > 2 ? 2 : 1));
}

double seconds_since(clock_type::time_point began) {
    return std::chrono::duration<double>(clock_type::now() - began).count();
}

// -- Raw libzmq -----------------------------------------------------------------------------------

struct raw_socket {
    void* context = zmq_ctx_new();
    void* socket = nullptr;
    explicit raw_socket(int type) : socket(zmq_socket(context, type)) {}
    raw_socket(const raw_socket&) = delete;
    raw_socket& operator=(const raw_socket&) = delete;
    ~raw_socket() {
        set(ZMQ_LINGER, 0);
        zmq_close(socket);
        zmq_ctx_term(context);
    }
    void set(int option, int value) const {
        check(zmq_setsockopt(socket, option, &value, sizeof value) == 0, "option");
    }
    void set(int option, const std::string& value) const {
        check(zmq_setsockopt(socket, option, value.data(), value.size()) == 0, "option");
    }
    [[nodiscard]] std::string bind() const {
        check(zmq_bind(socket, "tcp://127.0.0.1:*") == 0, "bind");
        char address[256];
        std::size_t size = sizeof address;
        check(zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, address, &size) == 0, "endpoint");
        return address;
    }
};

struct key_pair {
    char open[41];
    char secret[41];
    key_pair() { check(zmq_curve_keypair(open, secret) == 0, "keys"); }
};
void secure_server(const raw_socket& server, const key_pair& keys) {
    server.set(ZMQ_CURVE_SERVER, 1);
    server.set(ZMQ_CURVE_SECRETKEY, std::string{keys.secret});
}
void secure_client(const raw_socket& client, const key_pair& server) {
    const key_pair own;
    client.set(ZMQ_CURVE_SERVERKEY, std::string{server.open});
    client.set(ZMQ_CURVE_PUBLICKEY, std::string{own.open});
    client.set(ZMQ_CURVE_SECRETKEY, std::string{own.secret});
}

/// What one run took: a machine that others use too spoils the rate more than the processor time.
struct result {
    double per_second = 0;  ///< messages that every subscriber got
    double cpu_ns = 0;      ///< processor time of all threads, for each published message
    double faults = 0;      ///< page faults of all threads, likewise
};

/// Of all threads that there are: nanoseconds of processor time so far.
std::map<pid_t, std::pair<std::string, double>> thread_times() {
    std::map<pid_t, std::pair<std::string, double>> out;
    for (const auto& each : std::filesystem::directory_iterator{"/proc/self/task"}) {
        const auto id = static_cast<pid_t>(std::stol(each.path().filename().string()));
        auto& [name, time] = out[id];
        std::getline(std::ifstream{each.path() / "comm"}, name);
        std::ifstream{each.path() / "schedstat"} >> time;
    }
    return out;
}

/// What each thread spent on a message since `before`, the publisher first.
void print_threads(const std::map<pid_t, std::pair<std::string, double>>& before, std::size_t count) {
    for (const auto& [id, now] : thread_times()) {
        const auto was = before.find(id);
        const auto ns = (now.second - (was == before.end() ? 0 : was->second.second))
                        / static_cast<double>(count);
        if (ns >= 0.5) {
            std::printf("    %-16s %8.0f ns of CPU for each message\n",
                        id == ::getpid() ? "publisher" : now.first.c_str(), ns);
        }
    }
}

class stop_watch {
  public:
    [[nodiscard]] result read(std::size_t count) const {
        const auto messages = static_cast<double>(count);
        return {messages / seconds_since(began_), (cpu_seconds() - cpu_) * 1e9 / messages,
                (page_faults() - faults_) / messages};
    }

  private:
    static double cpu_seconds() {
        rusage used{};
        ::getrusage(RUSAGE_SELF, &used);
        const auto seconds = [](const timeval& t) {
            return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
        };
        return seconds(used.ru_utime) + seconds(used.ru_stime);
    }
    static double page_faults() {
        rusage used{};
        ::getrusage(RUSAGE_SELF, &used);
        return static_cast<double>(used.ru_minflt);
    }
    clock_type::time_point began_ = clock_type::now();
    double cpu_ = cpu_seconds();
    double faults_ = page_faults();
};

result raw_throughput(const test_case& what, std::size_t count) {
    const key_pair keys;
    raw_socket publisher{ZMQ_XPUB};
    publisher.set(ZMQ_XPUB_NODROP, 1);
    publisher.set(ZMQ_XPUB_VERBOSE, 1);  // Tells of every subscriber, not of the first only.
    if (what.curve) {
        secure_server(publisher, keys);
    }
    const auto address = publisher.bind();
    std::vector<std::thread> readers;
    for (int i = 0; i < what.subscribers; ++i) {
        readers.emplace_back([&] {
            raw_socket reader{ZMQ_SUB};
            if (what.curve) {
                secure_client(reader, keys);
            }
            reader.set(ZMQ_SUBSCRIBE, std::string{"b"});
            check(zmq_connect(reader.socket, address.c_str()) == 0, "connect");
            zmq_msg_t message;
            zmq_msg_init(&message);
            for (std::size_t got = 0; got < count; ++got) {
                check(zmq_msg_recv(&message, reader.socket, 0) >= 0, "receive");
                if (zmq_msg_size(&message) != what.size
                    || *static_cast<char*>(zmq_msg_data(&message)) != 'b') {
                    die("raw: a wrong message");
                }
            }
            zmq_msg_close(&message);
        });
    }
    for (int i = 0; i < what.subscribers; ++i) {
        char ignored[16];
        check(zmq_recv(publisher.socket, ignored, sizeof ignored, 0) > 0, "subscription");
    }
    const std::string payload(what.size, 'b');
    const stop_watch watch;
    for (std::size_t i = 0; i < count; ++i) {
        check(zmq_send(publisher.socket, payload.data(), payload.size(), 0) >= 0, "send");
    }
    for (auto& each : readers) {
        each.join();
    }
    return watch.read(count);
}

struct latency {
    double p50_us = 0;
    double p99_us = 0;
};
latency latency_of(std::vector<double> samples) {
    std::sort(samples.begin(), samples.end());
    return {samples[samples.size() / 2], samples[samples.size() * 99 / 100]};
}
constexpr int pings = 2000;
constexpr int warm_up = 200;

latency raw_latency(bool curve) {
    const key_pair keys;
    raw_socket router{ZMQ_ROUTER};
    if (curve) {
        secure_server(router, keys);
    }
    const auto address = router.bind();
    std::thread echo{[&] {
        char id[256];
        char body[256];
        for (int i = 0; i < pings + warm_up; ++i) {
            const int id_size = zmq_recv(router.socket, id, sizeof id, 0);
            const int size = zmq_recv(router.socket, body, sizeof body, 0);
            check(id_size > 0 && size >= 0, "receive");
            zmq_send(router.socket, id, static_cast<std::size_t>(id_size), ZMQ_SNDMORE);
            zmq_send(router.socket, body, static_cast<std::size_t>(size), 0);
        }
    }};
    std::vector<double> samples;
    {
        raw_socket dealer{ZMQ_DEALER};
        if (curve) {
            secure_client(dealer, keys);
        }
        check(zmq_connect(dealer.socket, address.c_str()) == 0, "connect");
        char body[64] = {};
        for (int i = 0; i < pings + warm_up; ++i) {
            const auto began = clock_type::now();
            zmq_send(dealer.socket, body, sizeof body, 0);
            check(zmq_recv(dealer.socket, body, sizeof body, 0) > 0, "receive");
            if (i >= warm_up) {
                samples.push_back(seconds_since(began) * 1e6);
            }
        }
        echo.join();
    }
    return latency_of(std::move(samples));
}

// -- bzmq -----------------------------------------------------------------------------------------

/// A chain of endpoints: the first publishes, the last subscribes, those between relay.
std::vector<bzmq::endpoint> make_chain(const test_case& what, const options& how,
                                       const std::string& cert) {
    std::vector<bzmq::endpoint> chain;
    for (int i = 0; i <= what.hops; ++i) {
        bzmq::configuration cfg;
        auto& o = cfg.options();
        o.name = fmt::format("n{}", i);
        o.peer_overflow = bzmq::overflow_policy::block;
        o.publish_queue_bytes = how.publish_queue;
        // A relay of best-effort messages drops what its queue has no room for, under every policy.
        o.peer_queue_bytes = i == 0 ? how.peer_queue : std::size_t{1} << 30;
        o.subscriber_queue_bytes = how.subscriber_queue;
        o.frame_bytes = how.frame;
        o.cert = what.curve ? cert : std::string{};
        chain.emplace_back(std::move(cfg));
    }
    for (std::size_t i = 1; i < chain.size(); ++i) {
        const auto port = chain[i].listen("127.0.0.1", 0);
        bzmq::error why;
        if (!chain[i - 1].peer("127.0.0.1", port, 1s, 30s, &why)) {
            die("no peering: " + to_string(why));
        }
    }
    return chain;
}

result bzmq_throughput(const test_case& what, const options& how, const std::string& cert,
                       std::size_t count) {
    auto chain = make_chain(what, how, cert);
    std::atomic<int> ready{0};
    std::atomic<int> done{0};
    std::atomic<bool> may_end{false};
    std::vector<std::thread> readers;
    for (int i = 0; i < what.subscribers; ++i) {
        readers.emplace_back([&] {
            auto reader = chain.back().make_subscriber(
                {"bench/"}, {{}, {}, bzmq::overflow_policy::block});
            ++ready;
            std::vector<bzmq::message> batch;
            batch.reserve(1024);
            for (std::size_t got = 0; got < count;) {
                batch.clear();
                got += reader.take(batch, 1024, 20s);
                if (batch.empty()) {
                    std::string where;
                    for (const auto& each : chain) {
                        const auto m = each.metrics();
                        where += fmt::format("\n  {}: dropped {} over, {} no path, {} late, {} gaps;"
                                             " {} bytes wait",
                                             each.name(), m.dropped_overflow, m.dropped_no_path,
                                             m.dropped_late, m.gaps, m.buffered_bytes);
                    }
                    die(fmt::format("bzmq: nothing more after {} of {}{}", got, count, where));
                }
                for (const auto& each : batch) {
                    if (each.topic() != "bench/topic" || each.payload().size() < what.size) {
                        die("bzmq: a wrong message");
                    }
                }
            }
            ++done;
            done.notify_all();
            may_end.wait(false);  // Until its time has been read.
        });
    }
    while (ready < what.subscribers) {
        std::this_thread::yield();
    }
    if (!chain.front().wait_for_subscriber("bench/topic", 1, 30s)) {
        die("no subscriber");
    }
    const std::string payload(what.size, 'b');
    const auto before = thread_times();
    const stop_watch watch;
    for (std::size_t i = 0; i < count; ++i) {
        if (const auto problem = chain.front().publish("bench/topic", payload);
            problem != bzmq::ec::none) {
            die("publish: " + std::string{to_string(problem)});
        }
    }
    for (int so_far = done; so_far < what.subscribers; so_far = done) {
        done.wait(so_far);
    }
    const auto out = watch.read(count);
    if (how.threads) {
        print_threads(before, count);
    }
    may_end = true;
    may_end.notify_all();
    for (auto& each : readers) {
        each.join();
    }
    return out;
}

/// `direct`: the far end answers on its endpoint's own thread, else on one of the callback's own.
latency bzmq_latency(const options& how, bool curve, const std::string& cert, bool direct) {
    auto chain = make_chain({64, curve, 1, 1}, how, cert);
    auto& a = chain[0];
    auto& b = chain[1];
    auto answers = a.make_subscriber({"pong"});
    const auto answer = [&b](const bzmq::message& each) {
        b.publish_raw("pong", each.payload());
    };
    auto echo = direct ? b.subscribe_direct({"ping"}, {}, answer)
                       : b.subscribe({"ping"}, {}, answer);
    if (!a.wait_for_subscriber("ping", 1, 30s) || !b.wait_for_subscriber("pong", 1, 30s)) {
        die("no subscriber");
    }
    const std::string payload(64, 'b');
    std::vector<double> samples;
    for (int i = 0; i < pings + warm_up; ++i) {
        const auto began = clock_type::now();
        a.publish("ping", payload);
        if (!answers.get(30s)) {
            die("no answer");
        }
        if (i >= warm_up) {
            samples.push_back(seconds_since(began) * 1e6);
        }
    }
    return latency_of(std::move(samples));
}

// -- The run --------------------------------------------------------------------------------------

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

latency median_of(const std::vector<latency>& runs) {
    std::vector<double> p50, p99;
    for (const auto& each : runs) {
        p50.push_back(each.p50_us);
        p99.push_back(each.p99_us);
    }
    return {median(std::move(p50)), median(std::move(p99))};
}

template <class T>
T parse_number(const std::string& argument, std::string_view text, T least) {
    T out{};
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), out);
    if (problem != std::errc{} || end != text.data() + text.size() || out < least) {
        die(fmt::format("{}: \"{}\" is no number from {} on", argument, text, least));
    }
    return out;
}

template <class T>
std::vector<T> parse_list(const std::string& argument, std::string_view text, T least) {
    std::vector<T> out;
    for (std::size_t at = 0; at <= text.size();) {
        const auto comma = std::min(text.find(',', at), text.size());
        out.push_back(parse_number(argument, text.substr(at, comma - at), least));
        at = comma + 1;
    }
    return out;
}

options parse(int argc, char** argv) {
    options how;
    for (int i = 1; i < argc; ++i) {
        const std::string argument{argv[i]};
        const auto split = std::min(argument.find('='), argument.size());
        const auto key = argument.substr(0, split);
        const auto value = split < argument.size() ? argument.substr(split + 1) : std::string{};
        if (key == "--sizes") {
            how.sizes = parse_list<std::size_t>(argument, value, 1);
        } else if (key == "--curve") {
            how.curve = parse_list<int>(argument, value, 0);
        } else if (key == "--hops") {
            how.hops = parse_list<int>(argument, value, 1);
        } else if (key == "--subscribers") {
            how.subscribers = parse_list<int>(argument, value, 1);
        } else if (key == "--repeat") {
            how.repeat = parse_number<int>(argument, value, 1);
        } else if (key == "--scale") {
            how.scale = parse_number<double>(argument, value, 0);
        } else if (key == "--publish-queue") {
            how.publish_queue = parse_number<std::size_t>(argument, value, 1);
        } else if (key == "--peer-queue") {
            how.peer_queue = parse_number<std::size_t>(argument, value, 1);
        } else if (key == "--subscriber-queue") {
            how.subscriber_queue = parse_number<std::size_t>(argument, value, 1);
        } else if (key == "--frame") {
            how.frame = parse_number<std::size_t>(argument, value, 1);
        } else if (key == "--threads") {
            how.threads = true;
        } else if (key == "--no-latency") {
            how.latency = false;
        } else if (key == "--all") {
            how.all = true;
        } else if (key == "--json") {
            how.json = true;
        } else {
            die("unknown argument " + argument
                + "\noptions: --sizes=64,1024,16384 --curve=0,1 --hops=1,3 --subscribers=1,2,4,8"
                  " --repeat=5 --scale=1\n         --publish-queue=BYTES --peer-queue=BYTES"
                  " --subscriber-queue=BYTES --frame=BYTES\n         --all (every combination)"
                  " --no-latency\n         --threads (what each of bzmq's threads takes) --json");
        }
    }
    return how;
}

/// Unless all are asked for: several hops and several subscribers are not combined.
std::vector<test_case> cases_of(const options& how) {
    std::vector<test_case> out;
    for (const auto size : how.sizes) {
        for (const auto curve : how.curve) {
            for (const auto hops : how.hops) {
                for (const auto subscribers : how.subscribers) {
                    const bool extreme = hops != how.hops.front()
                                         && subscribers != how.subscribers.front();
                    if (how.all || !extreme) {
                        out.push_back({size, curve != 0, hops, subscribers});
                    }
                }
            }
        }
    }
    return out;
}

}  // namespace

int main(int argc, char** argv) {
    const auto how = parse(argc, argv);
    const auto prefix = fmt::format("/tmp/bzmq_throughput_{}", ::getpid());
    const auto cert = prefix + ".key_secret";
    if (const auto made = bzmq::generate_certificate();
        !made || !bzmq::write_certificate(prefix, *made, true)) {
        die("no certificate");
    }
    nlohmann::json report{{"throughput", nlohmann::json::array()},
                          {"latency", nlohmann::json::array()}};
    if (!how.json) {
        std::printf("%6s %5s %4s %4s %12s %12s %7s %12s %12s %8s %8s\n", "bytes", "curve", "hops",
                    "subs", "raw/s", "bzmq/s", "ratio", "raw cpu ns", "bzmq cpu ns", "raw pf",
                    "bzmq pf");
    }
    for (const auto& what : cases_of(how)) {
        const auto count = count_for(what, how);
        std::vector<double> raw;
        std::vector<double> ours;
        std::vector<double> ratios;
        std::vector<double> raw_cpu;
        std::vector<double> our_cpu;
        std::vector<double> raw_faults;
        std::vector<double> our_faults;
        for (int i = 0; i < how.repeat; ++i) {
            const auto theirs = raw_throughput(what, std::max<std::size_t>(count / 3, 1000));
            const auto mine = bzmq_throughput(what, how, cert, count);
            raw.push_back(theirs.per_second);
            raw_cpu.push_back(theirs.cpu_ns);
            raw_faults.push_back(theirs.faults);
            our_faults.push_back(mine.faults);
            ours.push_back(mine.per_second);
            our_cpu.push_back(mine.cpu_ns);
            ratios.push_back(mine.per_second / theirs.per_second);
        }
        if (!how.json) {
            std::printf("%6zu %5s %4d %4d %12.0f %12.0f %6.2fx %12.0f %12.0f %8.2f %8.2f\n", what.size,
                        what.curve ? "yes" : "no", what.hops, what.subscribers, median(raw),
                        median(ours), median(ratios), median(raw_cpu), median(our_cpu),
                        median(raw_faults), median(our_faults));
            std::fflush(stdout);
        }
        report["throughput"].push_back({{"bytes", what.size},
                                        {"curve", what.curve},
                                        {"hops", what.hops},
                                        {"subscribers", what.subscribers},
                                        {"raw_per_s", median(raw)},
                                        {"bzmq_per_s", median(ours)},
                                        {"ratio", median(ratios)},
                                        {"raw_cpu_ns", median(raw_cpu)},
                                        {"bzmq_cpu_ns", median(our_cpu)},
                                        {"raw_page_faults", median(raw_faults)},
                                        {"bzmq_page_faults", median(our_faults)}});
    }
    if (how.latency) {
        if (!how.json) {
            std::printf("\n%5s %7s %14s %14s %14s %14s %7s\n", "curve", "echo", "raw p50 us",
                        "raw p99 us", "bzmq p50 us", "bzmq p99 us", "p50");
        }
        for (const auto curve : how.curve) {
            std::vector<latency> raw, threads, direct;
            for (int i = 0; i < how.repeat; ++i) {
                raw.push_back(raw_latency(curve != 0));
                threads.push_back(bzmq_latency(how, curve != 0, cert, false));
                direct.push_back(bzmq_latency(how, curve != 0, cert, true));
            }
            const auto base = median_of(raw);
            for (const auto& [echo, samples] : {std::pair{"thread", &threads}, {"direct", &direct}}) {
                const auto ours = median_of(*samples);
                const auto ratio = ours.p50_us / base.p50_us;
                if (!how.json) {
                    std::printf("%5s %7s %14.1f %14.1f %14.1f %14.1f %6.2fx\n",
                                curve != 0 ? "yes" : "no", echo, base.p50_us, base.p99_us,
                                ours.p50_us, ours.p99_us, ratio);
                }
                report["latency"].push_back({{"curve", curve != 0},
                                             {"echo", echo},
                                             {"raw_p50_us", base.p50_us},
                                             {"raw_p99_us", base.p99_us},
                                             {"bzmq_p50_us", ours.p50_us},
                                             {"bzmq_p99_us", ours.p99_us},
                                             {"ratio_p50", ratio}});
            }
        }
    }
    ::unlink(cert.c_str());
    ::unlink((prefix + ".key").c_str());
    if (how.json) {
        std::printf("%s\n", report.dump(2).c_str());
    }
}
