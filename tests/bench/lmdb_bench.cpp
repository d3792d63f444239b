// Durable puts of concurrent writers, each of which waits until its put is on disk, beside raw
// LMDB with as many puts in a transaction, the same keys and values, and the same sync mode, in
// one run. Interleaved repetitions, medians.
//
// Two figures. "waiting": as many threads as writers, through the committer, beside one thread of
// raw LMDB. On a busy machine the scheduler gives the many threads more of the processor than the
// one, and the ratio exceeds 1, which says nothing of the store. "commit": both sides commit
// batches of as many puts in turns on one thread, so that the load is the same for both: judge by
// that one unless the machine is idle.
//
// lmdb_bench [--writers 64] [--seconds 1] [--repetitions 5] [--values 100000] [--bytes 100]
//            [--mode group] [--folder /tmp] [--json]

#include "base/prng.hpp"
#include "data/msgpack_codec.hpp"
#include "data/ordered_codec.hpp"
#include "storage/committer.hpp"
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <mutex>
#include <thread>

namespace {

using namespace bzmq;
using namespace bzmq::storage;
using clock_type = std::chrono::steady_clock;
namespace fs = std::filesystem;

struct options {
    std::size_t writers = 64;
    double seconds = 1;
    int repetitions = 5;
    std::uint64_t values = 100'000;
    std::size_t bytes = 100;
    durability mode = durability::group;
    fs::path folder = fs::temp_directory_path();
    bool json = false;
};

struct result {
    double puts_per_second = 0;
    double puts_per_commit = 0;
};

using bytes = std::vector<std::byte>;

bytes key_of(std::uint64_t number) {
    bytes out;
    if (!encode_ordered_string(fmt::format("/sensors/{:08}", number), out)) {
        std::abort();
    }
    return out;
}

bytes value_of(std::size_t size) {
    bytes out;
    if (!encode(std::string(size, 'v'), out)) {
        std::abort();
    }
    return out;
}

double seconds_since(clock_type::time_point start) {
    return std::chrono::duration<double>(clock_type::now() - start).count();
}

bytes entry_of(const bytes& key, const bytes& value) {
    bytes out;
    out.reserve(key.size() + value.size() + 16);
    replica::change put;
    put.key = key;
    put.value = value;
    replica::put_head(out, {});
    replica::put_change(out, put);
    return out;
}

/// The writers' way in: what a master's thread does with its clones' commands.
class front {
  public:
    front(lmdb_store& store, const options& how)
        : how_(how),
          value_(value_of(how.bytes)),
          chain_(store.chain()),
          next_(store.last() + 1),
          committer_(store, {}, [this](replica::sequence last, const error& problem) {
              if (problem) {
                  std::fprintf(stderr, "%s\n", to_string(problem).c_str());
                  std::abort();
              }
              commits_.fetch_add(1, std::memory_order_relaxed);
              done_.store(static_cast<std::uint32_t>(last), std::memory_order_release);
              done_.notify_all();
          }) {}

    void put_and_wait(std::uint64_t number) {
        auto entry = entry_of(key_of(number), value_);
        const auto mine = submit(std::move(entry));
        for (;;) {
            const auto done = done_.load(std::memory_order_acquire);
            if (static_cast<std::int32_t>(done - mine) >= 0) {
                return;
            }
            done_.wait(done, std::memory_order_acquire);
        }
    }
    [[nodiscard]] std::uint64_t commits() const { return commits_.load(); }
    void close() { committer_.close(); }

  private:
    std::uint32_t submit(bytes entry) {
        const auto shared = shared_bytes::copy_of(std::span<const std::byte>{entry});
        const std::lock_guard lock{mutex_};
        replica::persist_batch batch;
        batch.first = next_++;
        chain_ = replica::chain(chain_, entry);
        batch.chain_after = chain_;
        batch.entries.push_back(shared);
        const auto mine = static_cast<std::uint32_t>(batch.first);
        while (!committer_.submit(std::move(batch))) {
            std::this_thread::yield();
        }
        return mine;
    }

    const options& how_;
    const bytes value_;
    std::mutex mutex_;
    std::uint64_t chain_;
    replica::sequence next_;
    std::atomic<std::uint32_t> done_{0};
    std::atomic<std::uint64_t> commits_{0};
    committer committer_;
};

result run_ours(const options& how, lmdb_store& store, std::uint64_t seed) {
    front in{store, how};
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> puts{0};
    const auto start = clock_type::now();
    std::vector<std::thread> writers;
    for (std::size_t i = 0; i < how.writers; ++i) {
        writers.emplace_back([&, i] {
            prng random{seed * 1'000 + i};
            std::uint64_t count = 0;
            for (; !stop.load(std::memory_order_relaxed); ++count) {
                in.put_and_wait(random.below(how.values));
            }
            puts += count;
        });
    }
    std::this_thread::sleep_for(std::chrono::duration<double>(how.seconds));
    stop = true;
    for (auto& writer : writers) {
        writer.join();
    }
    const auto seconds = seconds_since(start);
    in.close();
    return {
        static_cast<double>(puts) / seconds,
        static_cast<double>(puts) / static_cast<double>(std::max<std::uint64_t>(in.commits(), 1))};
}

/// Seconds per commit of `count` batches of `how.writers` puts, without the committer.
class direct {
  public:
    direct(lmdb_store& store, const options& how)
        : store_(store), how_(how), value_(value_of(how.bytes)) {}

    double run(std::uint64_t seed, int count) {
        prng random{seed};
        const auto start = clock_type::now();
        for (int i = 0; i < count; ++i) {
            replica::persist_batch batch;
            batch.first = store_.last() + 1;
            batch.chain_after = store_.chain();
            for (std::size_t j = 0; j < how_.writers; ++j) {
                const auto entry = entry_of(key_of(random.below(how_.values)), value_);
                batch.chain_after = replica::chain(batch.chain_after, entry);
                batch.entries.push_back(shared_bytes::copy_of(std::span<const std::byte>{entry}));
            }
            if (const auto problem = store_.commit(batch)) {
                std::fprintf(stderr, "%s\n", to_string(problem).c_str());
                std::abort();
            }
        }
        return seconds_since(start) / count;
    }

  private:
    lmdb_store& store_;
    const options& how_;
    const bytes value_;
};

class raw_lmdb {
  public:
    raw_lmdb(const fs::path& folder, durability mode) {
        fs::create_directory(folder);
        env_options how;
        how.async = mode == durability::async;
        how.map_bytes_max = std::uint64_t{1} << 34;
        env_ = std::move(*open_env(folder, how));
        ::mdb_env_set_mapsize(env_.get(), how.map_bytes_max);
        MDB_txn* txn = nullptr;
        must(::mdb_txn_begin(env_.get(), nullptr, 0, &txn));
        must(::mdb_dbi_open(txn, "values", MDB_CREATE, &tree_));
        must(::mdb_txn_commit(txn));
    }
    result run(const options& how, std::size_t batch, std::uint64_t seed) {
        prng random{seed};
        const auto value = value_of(how.bytes);
        std::uint64_t puts = 0;
        const auto start = clock_type::now();
        for (; seconds_since(start) < how.seconds; puts += batch) {
            commit(how, batch, value, random);
        }
        return {static_cast<double>(puts) / seconds_since(start), static_cast<double>(batch)};
    }
    /// Seconds per commit.
    double run_count(const options& how, std::uint64_t seed, int count) {
        prng random{seed};
        const auto value = value_of(how.bytes);
        const auto start = clock_type::now();
        for (int i = 0; i < count; ++i) {
            commit(how, how.writers, value, random);
        }
        return seconds_since(start) / count;
    }

  private:
    void commit(const options& how, std::size_t batch, const bytes& value, prng& random) {
        MDB_txn* txn = nullptr;
        must(::mdb_txn_begin(env_.get(), nullptr, 0, &txn));
        for (std::size_t i = 0; i < batch; ++i) {
            const auto key = key_of(random.below(how.values));
            auto at = to_val(key);
            auto what = to_val(value);
            must(::mdb_put(txn, tree_, &at, &what, 0));
        }
        must(::mdb_txn_commit(txn));
    }
    static void must(int code) {
        if (code != MDB_SUCCESS) {
            std::fprintf(stderr, "%s\n", code_text(code).c_str());
            std::abort();
        }
    }
    env_ptr env_;
    MDB_dbi tree_ = 0;
};

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

[[noreturn]] void usage() {
    std::fprintf(stderr,
                 "usage: lmdb_bench [--writers N] [--seconds S] [--repetitions N] [--values N] "
                 "[--bytes N] [--mode sync|group|async] [--folder PATH] [--json]\n");
    std::exit(2);
}

options parse(int argc, char** argv) {
    options how;
    for (int i = 1; i < argc; ++i) {
        const std::string name{argv[i]};
        if (name == "--json") {
            how.json = true;
            continue;
        }
        if (++i == argc) {
            usage();
        }
        const std::string value{argv[i]};
        if (name == "--writers") {
            how.writers = std::stoul(value);
        } else if (name == "--seconds") {
            how.seconds = std::stod(value);
        } else if (name == "--repetitions") {
            how.repetitions = std::stoi(value);
        } else if (name == "--values") {
            how.values = std::stoull(value);
        } else if (name == "--bytes") {
            how.bytes = std::stoul(value);
        } else if (name == "--folder") {
            how.folder = value;
        } else if (name == "--mode") {
            how.mode = value == "sync"    ? durability::sync
                       : value == "async" ? durability::async
                                          : durability::group;
        } else {
            usage();
        }
    }
    return how;
}

}  // namespace

int main(int argc, char** argv) {
    const auto how = parse(argc, argv);
    std::string pattern = how.folder / "lmdb-bench.XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) {
        std::perror(pattern.c_str());
        return 1;
    }
    const fs::path scratch = pattern;
    std::vector<double> ours;
    std::vector<double> raw;
    std::vector<double> ratios;
    std::vector<double> batches;
    std::vector<double> commits;
    std::vector<double> raw_commits;
    std::vector<double> commit_ratios;
    {
        store_options options;
        options.folder = scratch / "store";
        options.mode = how.mode;
        auto store = lmdb_store::open(std::move(options));
        if (!store) {
            std::fprintf(stderr, "%s\n", to_string(store.error()).c_str());
            return 1;
        }
        raw_lmdb plain{scratch / "raw", how.mode};
        // One more than is counted: both begin with empty files.
        for (int i = 0; i <= how.repetitions; ++i) {
            const auto seed = static_cast<std::uint64_t>(i) + 1;
            const auto mine = run_ours(how, **store, seed);
            const auto batch =
                std::max<std::size_t>(1, static_cast<std::size_t>(mine.puts_per_commit + 0.5));
            const auto theirs = plain.run(how, batch, seed);
            if (i > 0) {
                ours.push_back(mine.puts_per_second);
                raw.push_back(theirs.puts_per_second);
                ratios.push_back(mine.puts_per_second / theirs.puts_per_second);
                batches.push_back(mine.puts_per_commit);
            }
        }
        constexpr int commits_in_turn = 20;
        direct straight{**store, how};
        for (int i = 0; i <= 8 * how.repetitions; ++i) {
            const auto seed = static_cast<std::uint64_t>(i) + 1'000;
            const auto mine = straight.run(seed, commits_in_turn);
            const auto theirs = plain.run_count(how, seed, commits_in_turn);
            if (i > 0) {
                commits.push_back(mine * 1e6);
                raw_commits.push_back(theirs * 1e6);
                commit_ratios.push_back(theirs / mine);
            }
        }
    }
    fs::remove_all(scratch);
    const auto* const mode = how.mode == durability::sync    ? "sync"
                             : how.mode == durability::group ? "group"
                                                             : "async";
    if (how.json) {
        const nlohmann::json report{{"writers", how.writers},
                                    {"mode", mode},
                                    {"value_bytes", how.bytes},
                                    {"puts_per_commit", median(batches)},
                                    {"bzmq_puts_per_s", median(ours)},
                                    {"raw_puts_per_s", median(raw)},
                                    {"waiting_ratio", median(ratios)},
                                    {"bzmq_commit_us", median(commits)},
                                    {"raw_commit_us", median(raw_commits)},
                                    {"commit_ratio", median(commit_ratios)}};
        fmt::print("{}\n", report.dump());
    } else {
        fmt::print("{} writers, {}, {} bytes\n", how.writers, mode, how.bytes);
        fmt::print("waiting: {:.0f} puts/s, {:.1f} per commit; raw LMDB {:.0f}; ratio {:.2f}\n",
                   median(ours), median(batches), median(raw), median(ratios));
        fmt::print("commit: {:.0f} us; raw LMDB {:.0f} us; ratio {:.2f}\n", median(commits),
                   median(raw_commits), median(commit_ratios));
    }
    return 0;
}
