// Stores through the public API, each figure beside what it is compared with, in one run: puts at a
// master, durable puts of 64 threads that wait beside raw LMDB, reads beside std::unordered_map, a
// clone's write beside a bare DEALER/ROUTER round trip, a clone that takes a large store. Medians of
// interleaved repetitions.
#include <lmdb.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <random>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "bzmq/bzmq.hpp"

namespace {

using namespace std::chrono_literals;
using clock_type = std::chrono::steady_clock;

struct options {
    std::size_t entries = 1'000'000;
    std::size_t value_bytes = 100;
    int repeat = 5;
    std::size_t writers = 64;
    double seconds = 2;
    std::filesystem::path folder = std::filesystem::temp_directory_path();
    bool json = false;
};

[[noreturn]] void die(const std::string& why) {
    std::fprintf(stderr, "stores: %s\n", why.c_str());
    std::exit(1);
}

double seconds_of(const std::function<void()>& work) {
    const auto begin = clock_type::now();
    work();
    return std::chrono::duration<double>(clock_type::now() - begin).count();
}

double median(std::vector<double> of) {
    std::sort(of.begin(), of.end());
    return of.empty() ? 0 : of[of.size() / 2];
}

/// A line of /proc/self/status, in MiB.
double memory_mib(const std::string& what) {
    std::ifstream status{"/proc/self/status"};
    for (std::string line; std::getline(status, line);) {
        if (line.rfind(what, 0) == 0) {
            return std::atof(line.c_str() + what.size() + 1) / 1024;
        }
    }
    return 0;
}

bzmq::endpoint make_endpoint(const char* name) {
    bzmq::configuration cfg;
    cfg.options().name = name;
    cfg.options().log_level = bzmq::log_level::off;
    return bzmq::endpoint{std::move(cfg)};
}

bzmq::endpoint make_peer_of(bzmq::endpoint& listener, const char* name) {
    auto out = make_endpoint(name);
    if (!out.peer("127.0.0.1", listener.listen("127.0.0.1", 0))) {
        die("no peering");
    }
    return out;
}

std::string key_of(std::size_t number) { return fmt::format("key-{:012}", number); }

struct result {
    std::string what;
    double value = 0;
    std::string unit;
};

// -- Puts -----------------------------------------------------------------------------------------

void puts(const options& how, std::vector<result>& out) {
    std::vector<double> single;
    std::vector<double> batched;
    const std::string value(how.value_bytes, 'v');
    for (int round = 0; round < how.repeat; ++round) {
        auto ep = make_endpoint("master");
        auto one = *ep.attach_master("one");
        const auto count = how.entries;
        single.push_back(static_cast<double>(count) / seconds_of([&] {
            for (std::size_t i = 0; i < count; ++i) {
                one.put(key_of(i), value);
            }
            if (!one.await_idle(5min)) {
                die("the puts did not end");
            }
        }));
        one.detach();
        auto many = *ep.attach_master("many");
        batched.push_back(static_cast<double>(count) / seconds_of([&] {
            for (std::size_t i = 0; i < count;) {
                bzmq::store_batch batch;
                for (std::size_t j = 0; j < 1'000 && i < count; ++j, ++i) {
                    batch.put(key_of(i), value);
                }
                many.apply(batch);
            }
            if (!many.await_idle(5min)) {
                die("the batches did not end");
            }
        }));
        if (many.size() != count) {
            die("puts got lost");
        }
    }
    out.push_back({"puts at a master in memory, one call each", median(single), "/s"});
    out.push_back({"puts at a master in memory, batches of 1,000", median(batched), "/s"});
}

// -- Durable puts ---------------------------------------------------------------------------------

constexpr std::size_t durable_keys = 100'000;

struct durable_rate {
    double puts_per_second = 0;
    double puts_per_commit = 0;
};

/// Threads that each wait until their put is on disk.
durable_rate waiting_puts(const options& how, bzmq::store& to, unsigned seed) {
    const std::string value(how.value_bytes, 'v');
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> puts{0};
    const auto before = to.info()->commits;
    std::vector<std::thread> writers;
    const auto seconds = seconds_of([&] {
        for (std::size_t i = 0; i < how.writers; ++i) {
            writers.emplace_back([&, i] {
                std::mt19937_64 random{seed * 1'000 + i};
                std::uint64_t count = 0;
                for (; !stop.load(std::memory_order_relaxed); ++count) {
                    if (!to.put(key_of(random() % durable_keys), value).wait()) {
                        die("a durable put failed");
                    }
                }
                puts += count;
            });
        }
        std::this_thread::sleep_for(std::chrono::duration<double>(how.seconds));
        stop = true;
        for (auto& each : writers) {
            each.join();
        }
    });
    const auto count = static_cast<double>(puts);
    return {count / seconds, count / static_cast<double>(to.info()->commits - before)};
}

/// One thread that puts so many pairs in each transaction, each of which LMDB syncs.
class raw_lmdb {
  public:
    explicit raw_lmdb(const std::filesystem::path& folder) {
        std::filesystem::create_directory(folder);
        must(::mdb_env_create(&env_));
        must(::mdb_env_set_mapsize(env_, std::size_t{1} << 34));
        must(::mdb_env_open(env_, folder.c_str(), MDB_NOTLS, 0666));
        MDB_txn* txn = nullptr;
        must(::mdb_txn_begin(env_, nullptr, 0, &txn));
        must(::mdb_dbi_open(txn, nullptr, 0, &tree_));
        must(::mdb_txn_commit(txn));
    }
    ~raw_lmdb() { ::mdb_env_close(env_); }
    raw_lmdb(const raw_lmdb&) = delete;
    raw_lmdb& operator=(const raw_lmdb&) = delete;

    double puts_per_second(const options& how, std::size_t batch, unsigned seed) {
        std::mt19937_64 random{seed};
        std::string value(how.value_bytes, 'v');
        std::size_t puts = 0;
        const auto begin = clock_type::now();
        double seconds = 0;
        for (; seconds < how.seconds; puts += batch) {
            MDB_txn* txn = nullptr;
            must(::mdb_txn_begin(env_, nullptr, 0, &txn));
            for (std::size_t i = 0; i < batch; ++i) {
                auto key = key_of(random() % durable_keys);
                MDB_val at{key.size(), key.data()};
                MDB_val what{value.size(), value.data()};
                must(::mdb_put(txn, tree_, &at, &what, 0));
            }
            must(::mdb_txn_commit(txn));
            seconds = std::chrono::duration<double>(clock_type::now() - begin).count();
        }
        return static_cast<double>(puts) / seconds;
    }

  private:
    static void must(int code) {
        if (code != MDB_SUCCESS) {
            die(::mdb_strerror(code));
        }
    }
    MDB_env* env_ = nullptr;
    MDB_dbi tree_ = 0;
};

void durable(const options& how, std::vector<result>& out) {
    std::string scratch = how.folder / "bzmq-stores-XXXXXX";
    if (::mkdtemp(scratch.data()) == nullptr) {
        die("no folder " + scratch);
    }
    const std::filesystem::path folder = scratch;
    std::vector<double> ours;
    std::vector<double> batches;
    std::vector<double> raw;
    std::vector<double> ratios;
    {
        auto ep = make_endpoint("master");
        bzmq::master_options disk;
        disk.path = (folder / "store").string();
        auto store = ep.attach_master("s", bzmq::backend::lmdb, disk);
        if (!store) {
            die(to_string(store.error()));
        }
        raw_lmdb plain{folder / "raw"};
        // One more than is counted: both begin with empty files.
        for (int round = 0; round <= how.repeat; ++round) {
            const auto seed = static_cast<unsigned>(round) + 1;
            const auto mine = waiting_puts(how, *store, seed);
            const auto batch =
                std::max<std::size_t>(1, static_cast<std::size_t>(mine.puts_per_commit + 0.5));
            const auto theirs = plain.puts_per_second(how, batch, seed);
            if (round > 0) {
                ours.push_back(mine.puts_per_second);
                batches.push_back(mine.puts_per_commit);
                raw.push_back(theirs);
                ratios.push_back(mine.puts_per_second / theirs);
            }
        }
    }
    std::filesystem::remove_all(folder);
    out.push_back({fmt::format("durable puts of {} threads that wait", how.writers), median(ours),
                   "/s"});
    out.push_back({"  puts in a transaction, mean", median(batches), ""});
    out.push_back({"  raw LMDB with as many in each", median(raw), "/s"});
    out.push_back({"  beside raw LMDB", median(ratios), "x"});
    out.push_back({"  the lowest round", *std::min_element(ratios.begin(), ratios.end()), "x"});
    out.push_back({"  the highest round", *std::max_element(ratios.begin(), ratios.end()), "x"});
}

// -- Reads ----------------------------------------------------------------------------------------

void gets(const options& how, std::vector<result>& out) {
    auto ep = make_endpoint("master");
    auto other = make_peer_of(ep, "clone");
    auto master = *ep.attach_master("s");
    const std::string value(how.value_bytes, 'v');
    std::unordered_map<bzmq::data, bzmq::data> bare;
    for (std::size_t i = 0; i < how.entries; ++i) {
        master.put(key_of(i), value);
        bare.emplace(key_of(i), value);
    }
    auto clone = *other.attach_clone("s");
    if (!clone.await_sync(5min) || !master.await_idle(5min)) {
        die("the clone has no state");
    }
    std::vector<bzmq::data> keys;
    std::mt19937_64 random{1};
    for (int i = 0; i < 200'000; ++i) {
        keys.emplace_back(key_of(random() % how.entries));
    }
    std::size_t found = 0;
    const auto rate = [&](const auto& look_up) {
        return static_cast<double>(keys.size()) / seconds_of([&] {
            for (const auto& key : keys) {
                found += look_up(key) ? 1 : 0;
            }
        });
    };
    std::vector<double> at_map;
    std::vector<double> at_map_bare;  // without a copy of what is found, which `get` has to make
    std::vector<double> at_master;
    std::vector<double> at_clone;
    for (int round = 0; round < how.repeat; ++round) {
        at_map.push_back(rate([&](const bzmq::data& key) {
            const auto at = bare.find(key);
            const bzmq::data copy = at->second;
            return bzmq::is<std::string>(copy);
        }));
        at_map_bare.push_back(rate([&](const bzmq::data& key) {
            return bzmq::is<std::string>(bare.find(key)->second);
        }));
        at_master.push_back(rate([&](const bzmq::data& key) { return master.get(key).has_value(); }));
        at_clone.push_back(rate([&](const bzmq::data& key) { return clone.get(key).has_value(); }));
    }
    if (found != keys.size() * 4 * static_cast<std::size_t>(how.repeat)) {
        die("reads missed");
    }
    out.push_back({"look-ups in a bare unordered_map, with a copy", median(at_map), "/s"});
    out.push_back({"look-ups in a bare unordered_map, without", median(at_map_bare), "/s"});
    out.push_back({"gets at a master", median(at_master), "/s"});
    out.push_back({"gets at a master, beside the map", median(at_master) / median(at_map), "x"});
    out.push_back({"gets at a master, beside the map without a copy",
                   median(at_master) / median(at_map_bare), "x"});
    out.push_back({"gets at a clone, beside the map", median(at_clone) / median(at_map), "x"});
}

// -- Round trips ----------------------------------------------------------------------------------

/// Microseconds of bare round trips over two sockets and a thread.
std::vector<double> bare_pings(int count) {
    void* context = zmq_ctx_new();
    void* far_context = zmq_ctx_new();
    void* router = zmq_socket(far_context, ZMQ_ROUTER);
    zmq_bind(router, "tcp://127.0.0.1:*");
    char url[128];
    std::size_t size = sizeof url;
    zmq_getsockopt(router, ZMQ_LAST_ENDPOINT, url, &size);
    std::thread echo{[&] {
        char id[256];
        char body[256];
        while (true) {
            const int id_size = zmq_recv(router, id, sizeof id, 0);
            const int body_size = zmq_recv(router, body, sizeof body, 0);
            if (id_size < 0 || body_size == 0) {
                return;
            }
            zmq_send(router, id, static_cast<std::size_t>(id_size), ZMQ_SNDMORE);
            zmq_send(router, body, static_cast<std::size_t>(body_size), 0);
        }
    }};
    void* dealer = zmq_socket(context, ZMQ_DEALER);
    zmq_connect(dealer, url);
    std::vector<double> out;
    char body[64] = {1};
    for (int i = 0; i < count; ++i) {
        out.push_back(1e6 * seconds_of([&] {
            zmq_send(dealer, body, sizeof body, 0);
            zmq_recv(dealer, body, sizeof body, 0);
        }));
    }
    zmq_send(dealer, body, 0, 0);
    echo.join();
    const int linger = 0;
    zmq_setsockopt(dealer, ZMQ_LINGER, &linger, sizeof linger);
    zmq_close(dealer);
    zmq_close(router);
    zmq_ctx_term(context);
    zmq_ctx_term(far_context);
    return out;
}

void round_trips(const options& how, std::vector<result>& out) {
    auto ep = make_endpoint("master");
    auto other = make_peer_of(ep, "clone");
    auto master = *ep.attach_master("s");
    auto clone = *other.attach_clone("s");
    if (!clone.await_sync()) {
        die("the clone has no state");
    }
    std::vector<double> bare;
    std::vector<double> write;
    for (int round = 0; round < how.repeat; ++round) {
        for (const auto each : bare_pings(2'000)) {
            bare.push_back(each);
        }
        for (int i = 0; i < 2'000; ++i) {
            write.push_back(1e6 * seconds_of([&] {
                if (!clone.put("key", static_cast<bzmq::count>(i)).wait(1min)) {
                    die("a put failed");
                }
            }));
        }
    }
    out.push_back({"bare DEALER/ROUTER round trip, p50", median(bare), "us"});
    out.push_back({"put at a clone until visible there, p50", median(write), "us"});
    out.push_back({"the same beside the round trip", median(write) / median(bare), "x"});
}

// -- A large clone --------------------------------------------------------------------------------

/// Runs as the clone, in a process of its own: prints seconds, and MiB before and at the peak.
int be_clone(std::uint16_t port, std::size_t entries) {
    auto ep = make_endpoint("clone");
    if (!ep.peer("127.0.0.1", port)) {
        return 1;
    }
    const auto before = memory_mib("VmRSS:");
    double time = 0;
    {
        const auto begin = clock_type::now();
        auto clone = *ep.attach_clone("s");
        if (!clone.await_sync(10min) || clone.size() != entries) {
            return 1;
        }
        time = std::chrono::duration<double>(clock_type::now() - begin).count();
    }
    std::printf("%f %f %f\n", time, before, memory_mib("VmHWM:"));
    std::fflush(stdout);
    return 0;
}

void sync(const options& how, const char* program, std::vector<result>& out) {
    auto ep = make_endpoint("master");
    const auto port = ep.listen("127.0.0.1", 0);
    auto master = *ep.attach_master("s");
    const std::string value(how.value_bytes, 'v');
    for (std::size_t i = 0; i < how.entries; ++i) {
        master.put(key_of(i), value);
    }
    if (!master.await_idle(5min)) {
        die("the puts did not end");
    }
    const auto data_mib = static_cast<double>(how.entries * (value.size() + 16)) / 1048576;
    const auto before = memory_mib("VmRSS:");
    std::ofstream{"/proc/self/clear_refs"} << "5";  // The peak begins here.
    const auto command = fmt::format("{} --be-clone {} {}", program, port, how.entries);
    auto* pipe = ::popen(command.c_str(), "r");
    double time = 0;
    double clone_before = 0;
    double clone_peak = 0;
    if (pipe == nullptr || std::fscanf(pipe, "%lf %lf %lf", &time, &clone_before, &clone_peak) != 3) {
        die("the clone failed");
    }
    ::pclose(pipe);
    const auto peak = memory_mib("VmHWM:");
    out.push_back({fmt::format("a clone takes {} entries", how.entries), time, "s"});
    out.push_back({"  the data's own size", data_mib, "MiB"});
    out.push_back({"  the master's memory at its peak, above before", peak - before, "MiB"});
    out.push_back({"  beside the data", (peak - before) / data_mib, "x"});
    out.push_back({"  the clone's memory at its peak, above before", clone_peak - clone_before, "MiB"});
    out.push_back({"  beside the data", (clone_peak - clone_before) / data_mib, "x"});
}

}  // namespace

int main(int argc, char** argv) {
    options how;
    if (argc == 4 && std::strcmp(argv[1], "--be-clone") == 0) {
        return be_clone(static_cast<std::uint16_t>(std::atoi(argv[2])),
                        static_cast<std::size_t>(std::atoll(argv[3])));
    }
    std::string only;
    for (int i = 1; i < argc; ++i) {
        const std::string arg = argv[i];
        const auto value = [&](const char* name) -> const char* {
            const auto size = std::strlen(name);
            return arg.compare(0, size, name) == 0 ? arg.c_str() + size : nullptr;
        };
        if (const auto* entries = value("--entries=")) {
            how.entries = static_cast<std::size_t>(std::atoll(entries));
        } else if (const auto* bytes = value("--value-bytes=")) {
            how.value_bytes = static_cast<std::size_t>(std::atoll(bytes));
        } else if (const auto* repeat = value("--repeat=")) {
            how.repeat = std::atoi(repeat);
        } else if (const auto* writers = value("--writers=")) {
            how.writers = static_cast<std::size_t>(std::atoll(writers));
        } else if (const auto* seconds = value("--seconds=")) {
            how.seconds = std::atof(seconds);
        } else if (const auto* folder = value("--folder=")) {
            how.folder = folder;
        } else if (const auto* part = value("--only=")) {
            only = part;
        } else if (arg == "--json") {
            how.json = true;
        } else {
            std::fprintf(stderr,
                         "usage: stores [--entries=N] [--value-bytes=N] [--repeat=N] [--json]\n"
                         "              [--only=puts|durable|gets|round-trips|sync]\n"
                         "              [--writers=N] [--seconds=S] [--folder=PATH] (durable)\n");
            return 2;
        }
    }
    std::vector<result> results;
    if (only.empty() || only == "puts") {
        puts(how, results);
    }
    if (only.empty() || only == "durable") {
        durable(how, results);
    }
    if (only.empty() || only == "gets") {
        gets(how, results);
    }
    if (only.empty() || only == "round-trips") {
        round_trips(how, results);
    }
    if (only.empty() || only == "sync") {
        sync(how, argv[0], results);
    }
    nlohmann::json list = nlohmann::json::array();
    for (const auto& each : results) {
        if (how.json) {
            list.push_back({{"what", each.what}, {"value", each.value}, {"unit", each.unit}});
        } else {
            fmt::print("{:<52} {:>14.2f} {}\n", each.what, each.value, each.unit);
        }
    }
    if (how.json) {
        fmt::print("{}\n", list.dump(2));
    }
    return 0;
}
