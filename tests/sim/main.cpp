#include "sim/scale.hpp"
#include "sim/scenario.hpp"
#include "sim/stores_swarm.hpp"
#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstring>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace {

using bzmq::sim::run_options;
using bzmq::sim::run_report;

/// The seed that this thread runs: told when an assertion ends the process.
thread_local char running[96];

std::string call_for(const run_options& options, bool stores) {
    return fmt::format("bzmq_sim{} --seed {}{} --verbose", stores ? " --stores" : "", options.seed,
                       options.nodes ? fmt::format(" --nodes {}", *options.nodes) : "");
}

void name_running(const run_options& options, bool stores) {
    const auto text = fmt::format("\nCRASHED in: {}\n", call_for(options, stores));
    std::memcpy(running, text.c_str(), std::min(text.size() + 1, sizeof running));
}

extern "C" void tell_seed(int number) {
    [[maybe_unused]] const auto written = write(STDERR_FILENO, running, std::strlen(running));
    std::signal(number, SIG_DFL);
    std::raise(number);
}

struct options {
    std::uint64_t first = 1;
    std::uint64_t count = 100;
    std::optional<std::uint32_t> nodes;
    bool stores = false;
    bool verbose = false;
    unsigned jobs = 2;
    unsigned failures_max = 10;
};

void print_failure(const run_options& run, const run_report& report, bool stores) {
    fmt::print("FAILED seed {}: {}\n", run.seed, report.summary);
    for (const auto& failure : report.failures) {
        fmt::print("  {}\n", failure);
    }
    fmt::print("  repeat with: {}\n", call_for(run, stores));
    std::fflush(stdout);
}

/// Runs all seeds; returns how many failed.
std::uint64_t run_seeds(const options& wanted) {
    std::atomic<std::uint64_t> next{0};
    std::atomic<std::uint64_t> failed{0};
    std::mutex printing;
    std::uint64_t done = 0;
    std::uint64_t events = 0;
    std::uint64_t deliveries = 0;
    const bool terminal = isatty(STDERR_FILENO) != 0;
    const auto work = [&] {
        for (auto i = next++; i < wanted.count && failed < wanted.failures_max; i = next++) {
            const run_options run{wanted.first + i, wanted.nodes, wanted.verbose};
            name_running(run, wanted.stores);
            const auto report = wanted.stores ? bzmq::sim::stores::run_stores(run) : run_swarm(run);
            const std::lock_guard lock{printing};
            ++done;
            events += report.events;
            deliveries += report.deliveries;
            if (!report.failures.empty()) {
                ++failed;
                print_failure(run, report, wanted.stores);
            } else if (wanted.count == 1) {
                fmt::print(
                    "passed seed {}: {}; {} events, {} {}, {} {}, trace {:016x}\n", run.seed,
                    report.summary, report.events, report.published,
                    wanted.stores ? "written" : "published", report.deliveries,
                    wanted.stores ? "done" : "delivered", report.trace_hash);
            }
            if (terminal && !wanted.verbose) {
                fmt::print(stderr, "\r{} of {} seeds, {} failed ", done, wanted.count,
                           failed.load());
            } else if (!terminal && done % 1'000 == 0) {
                fmt::print(stderr, "{} of {} seeds, {} failed\n", done, wanted.count,
                           failed.load());
            }
        }
    };
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < std::max(1U, wanted.jobs); ++i) {
        threads.emplace_back(work);
    }
    for (auto& thread : threads) {
        thread.join();
    }
    if (terminal && !wanted.verbose) {
        fmt::print(stderr, "\n");
    }
    fmt::print("{} seeds run, {} failed; {} events, {} {}\n", done, failed.load(), events, deliveries,
               wanted.stores ? "writes done" : "deliveries");
    return failed;
}

void run_scale(const std::vector<std::uint32_t>& sizes, std::uint64_t seed, bool json) {
    if (!json) {
        fmt::print("{}\n", bzmq::sim::scale_header());
    }
    std::string separator = "[";
    for (const auto nodes : sizes) {
        const auto row = bzmq::sim::measure_scale(nodes, seed);
        if (json) {
            fmt::print("{}{}", separator, to_json(row));
            separator = ",\n ";
        } else {
            fmt::print("{}\n", to_text(row));
        }
        std::fflush(stdout);
    }
    if (json) {
        fmt::print("]\n");
    }
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{
        "Runs bzmq's hubs in a virtual network full of faults. Exit code 1: a seed failed."};
    options wanted;
    std::uint64_t seed = 0;
    std::string range;
    std::vector<std::uint32_t> sizes;
    std::uint32_t nodes = 0;
    bool json = false;
    auto* one = app.add_option("--seed", seed, "Run this seed only");
    app.add_option("--seeds", range, "Run the seeds A..B, both included")->excludes(one);
    app.add_option("--first", wanted.first, "The first seed")->capture_default_str();
    app.add_option("--count", wanted.count, "How many seeds")->capture_default_str();
    auto* size = app.add_option("--nodes", nodes, "Endpoints, where the seed shall not draw them")
                     ->check(CLI::Range(2U, 1000U));
    app.add_flag("--stores", wanted.stores, "Run stores in a network without hubs instead");
    app.add_option("--jobs", wanted.jobs, "Threads")->capture_default_str();
    app.add_option("--failures", wanted.failures_max, "Stop after so many")->capture_default_str();
    app.add_flag("--verbose", wanted.verbose, "Trace each run on standard error");
    app.add_option("--scale", sizes, "Measure random graphs of these sizes instead")
        ->delimiter(',')
        ->check(CLI::Range(2U, 65'535U));
    app.add_flag("--json", json, "The scale table as JSON");
    CLI11_PARSE(app, argc, argv);

    std::signal(SIGABRT, tell_seed);
    std::signal(SIGSEGV, tell_seed);
    if (!sizes.empty()) {
        run_scale(sizes, one->count() > 0 ? seed : 1, json);
        return 0;
    }
    if (size->count() > 0) {
        wanted.nodes = nodes;
    }
    if (one->count() > 0) {
        wanted.first = seed;
        wanted.count = 1;
    } else if (!range.empty()) {
        const auto dots = range.find("..");
        try {
            wanted.first = std::stoull(range.substr(0, dots));
            const auto last = std::stoull(range.substr(dots + 2));
            if (dots == std::string::npos || last < wanted.first) {
                throw std::invalid_argument{"range"};
            }
            wanted.count = last - wanted.first + 1;
        } catch (const std::exception&) {
            fmt::print(stderr, "--seeds wants A..B, for instance 1..1000, and not \"{}\"\n", range);
            return 2;
        }
    }
    if (wanted.verbose) {
        wanted.jobs = 1;
    }
    return run_seeds(wanted) == 0 ? 0 : 1;
}
