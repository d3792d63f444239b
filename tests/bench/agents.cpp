// Thousands of agents behind a gateway: what one costs in memory, how long a crowd of them takes to
// connect and, after the gateway was killed, to come back, and how long a message to all takes.
//
// One process is the cluster and measures, one the gateway, and a few hold the agents, each of which
// is an endpoint of its own with its own connection and key exchange.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "bzmq/bzmq.hpp"
#include "bzmq/gateway.hpp"

namespace {

using namespace std::chrono_literals;
using clock_type = std::chrono::steady_clock;

struct options {
    unsigned agents = 2000;
    unsigned processes = 4;
    bool encrypted = true;
    bool hide = true;
    unsigned messages = 20;
};

[[noreturn]] void die(const std::string& why) {
    std::fprintf(stderr, "agents: %s\n", why.c_str());
    std::exit(1);
}

double seconds_since(clock_type::time_point then) {
    return std::chrono::duration<double>(clock_type::now() - then).count();
}

double rss_mib(pid_t pid) {
    std::ifstream status{fmt::format("/proc/{}/statm", pid)};
    std::size_t all = 0;
    std::size_t resident = 0;
    status >> all >> resident;
    return static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE)) / 1048576.0;
}

double processor_seconds(pid_t pid) {
    std::ifstream status{fmt::format("/proc/{}/stat", pid)};
    std::string field;
    double ticks = 0;
    for (int i = 1; i <= 15 && status >> field; ++i) {
        if (i >= 14) {
            ticks += std::stod(field);
        }
    }
    return ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

bzmq::endpoint_options make_options(const std::string& domain, const std::string& name,
                                    const std::string& keys) {
    bzmq::endpoint_options out;
    out.domain = domain;
    // Thousands share this machine's processors: who is not served for seconds is not gone.
    out.peer_timeout = out.handshake_timeout = out.connect_timeout = 20s;
    out.log_level = bzmq::log_level::error;  // Thousands that say that the gateway is gone.
    out.name = name;
    if (!keys.empty()) {
        out.cert = keys + ".key_secret";
        out.server_key = keys + ".key";
        out.allow = keys + ".key";
    }
    return out;
}

// -- The gateway's process ------------------------------------------------------------------------

/// Prints where agents connect, and passes messages until standard input ends. For each number on
/// it, says "all" when it reaches so many agents.
void be_gateway(const std::string& cluster_url, const std::string& listen, const std::string& keys,
                bool hide) {
    auto agents = make_options("agents", "gateway", keys);
    agents.hide_peers = hide;
    bzmq::gateway gate{{bzmq::configuration{make_options("cluster", "gateway", keys)},
                        bzmq::configuration{agents}}};
    if (const auto joined = gate.one().peer_url(cluster_url); !joined) {
        die("the gateway cannot join the cluster: " + bzmq::to_string(joined.error()));
    }
    if (!gate.other().listen_url(listen)) {
        die("the gateway cannot listen at " + listen);
    }
    std::cout << gate.other().listeners().front() << std::endl;
    for (std::string line; std::getline(std::cin, line);) {
        if (!gate.other().wait_for_subscriber("/agents/all/x", std::stoul(line), 600s)) {
            die("the gateway does not reach all agents");
        }
        std::cout << "all" << std::endl;
    }
}

// -- A process of agents --------------------------------------------------------------------------

struct agent {
    std::unique_ptr<bzmq::endpoint> ep;
    bzmq::subscriber all;
    bzmq::status_subscriber statuses;
    bool peered = false;
    unsigned received = 0;
};

/// Tells on standard output when all of its agents are peered ("up"), none is ("down"), and when
/// all have had another message ("got N"). Ends with its standard input.
class crowd {
  public:
    crowd(unsigned first, unsigned count, const std::string& keys) {
        for (unsigned i = 0; i < count; ++i) {
            auto how = make_options("agents", fmt::format("agent-{}", first + i), keys);
            how.forwarding = false;
            agents_.push_back({});
            auto& one = agents_.back();
            one.ep = std::make_unique<bzmq::endpoint>(bzmq::configuration{how});
            one.all = one.ep->make_subscriber(
                {"/agents/all/", fmt::format("/agents/{}/", first + i)});
            one.statuses = one.ep->make_status_subscriber(true);
        }
    }

    void connect(const std::string& url) {
        for (auto& each : agents_) {
            if (!each.ep->peer_url_nosync(url)) {
                die("malformed address " + url);
            }
        }
    }

    void run() {
        std::vector<pollfd> fds{{STDIN_FILENO, POLLIN, 0}};
        for (auto& each : agents_) {
            fds.push_back({each.statuses.fd(), POLLIN, 0});
            fds.push_back({each.all.fd(), POLLIN, 0});
        }
        while (fds[0].revents == 0) {
            ::poll(fds.data(), fds.size(), -1);
            for (std::size_t i = 0; i < agents_.size(); ++i) {
                if (fds[1 + 2 * i].revents != 0) {
                    look(agents_[i]);
                }
                if (fds[2 + 2 * i].revents != 0) {
                    take(agents_[i]);
                }
            }
        }
    }

  private:
    void look(agent& one) {
        for (const auto& each : one.statuses.poll()) {
            const auto* what = bzmq::get_if<bzmq::status>(&each);
            if (what == nullptr) {
                continue;
            }
            const bool up = what->code() == bzmq::sc::peer_added;
            const bool down = what->code() == bzmq::sc::peer_lost
                              || what->code() == bzmq::sc::peer_removed;
            if ((up && !one.peered) || (down && one.peered)) {
                one.peered = up;
                peered_ += up ? 1 : -1;
                if (peered_ == static_cast<int>(agents_.size())) {
                    std::cout << "up" << std::endl;
                } else if (peered_ == 0) {
                    std::cout << "down" << std::endl;
                }
            }
        }
    }
    void take(agent& one) {
        for (std::size_t n = one.all.poll().size(); n > 0; --n) {
            if (++had_[++one.received] == agents_.size()) {
                std::cout << "got " << one.received << std::endl;
            }
        }
    }

    std::vector<agent> agents_;
    int peered_ = 0;
    std::map<unsigned, std::size_t> had_;  ///< agents that have had so many messages
};

void be_agents(unsigned first, unsigned count, const std::string& keys) {
    const double before = rss_mib(::getpid());
    crowd all{first, count, keys};
    std::cout << fmt::format("made {:.3f}", before) << std::endl;
    std::string url;
    std::getline(std::cin, url);
    all.connect(url);
    all.run();
    std::_Exit(0);  // Nobody needs to hear thousands of goodbyes.
}

// -- The measurement ------------------------------------------------------------------------------

/// A copy of this program in another role. Ends with this object.
class child {
  public:
    explicit child(std::vector<std::string> arguments) {
        std::array<int, 2> in{};
        std::array<int, 2> out{};
        if (::pipe2(in.data(), O_CLOEXEC) != 0 || ::pipe2(out.data(), O_CLOEXEC) != 0) {
            die("no pipes left");
        }
        pid_ = ::fork();
        if (pid_ == 0) {
            ::dup2(in[0], STDIN_FILENO);
            ::dup2(out[1], STDOUT_FILENO);
            arguments.insert(arguments.begin(), "agents");
            std::vector<char*> pointers;
            for (auto& each : arguments) {
                pointers.push_back(each.data());
            }
            pointers.push_back(nullptr);
            ::execv("/proc/self/exe", pointers.data());
            std::_Exit(127);
        }
        ::close(in[0]);
        ::close(out[1]);
        in_ = in[1];
        out_ = ::fdopen(out[0], "r");
    }
    ~child() { end(SIGKILL); }
    child(const child&) = delete;
    child& operator=(const child&) = delete;

    void say(const std::string& line) const {
        if (::write(in_, (line + "\n").data(), line.size() + 1) < 0) {
            die("a process has ended");
        }
    }
    std::string line() {
        std::array<char, 4096> text{};
        if (std::fgets(text.data(), text.size(), out_) == nullptr) {
            die("a process has ended");
        }
        std::string out = text.data();
        out.pop_back();
        return out;
    }
    void await(const std::string& wanted) {
        while (line() != wanted) {
        }
    }
    void end(int number) {
        if (pid_ > 0) {
            ::kill(pid_, number);
            ::waitpid(pid_, nullptr, 0);
            ::close(in_);
            std::fclose(out_);
            pid_ = 0;
        }
    }
    [[nodiscard]] pid_t pid() const noexcept { return pid_; }

  private:
    pid_t pid_ = 0;
    int in_ = -1;
    std::FILE* out_ = nullptr;
};

using children = std::vector<std::unique_ptr<child>>;

void await_all(const children& all, const std::string& wanted) {
    for (const auto& each : all) {
        each->await(wanted);
    }
}

double sum_rss(const children& all) {
    double sum = 0;
    for (const auto& each : all) {
        sum += rss_mib(each->pid());
    }
    return sum;
}

double sum_processor(const children& all, const child& gate) {
    double sum = processor_seconds(gate.pid());
    for (const auto& each : all) {
        sum += processor_seconds(each->pid());
    }
    return sum;
}

/// Publishes to all agents, one message after the other; the median time until all have it.
double message_to_all(bzmq::endpoint& cluster, const children& all, unsigned first, unsigned count) {
    std::vector<double> times;
    for (unsigned i = 0; i < count; ++i) {
        const auto start = clock_type::now();
        if (cluster.publish("/agents/all/x", i, bzmq::delivery_mode::reliable) != bzmq::ec::none) {
            die("not published");
        }
        await_all(all, fmt::format("got {}", first + i));
        times.push_back(seconds_since(start));
    }
    std::sort(times.begin(), times.end());
    return times[times.size() / 2];
}

void measure(const options& how) {
    std::string pattern = (std::filesystem::temp_directory_path() / "agents.XXXXXX").string();
    const std::filesystem::path folder = ::mkdtemp(pattern.data());
    std::string keys;
    if (how.encrypted) {
        keys = (folder / "key").string();
        const auto made = bzmq::generate_certificate();
        if (!made || !bzmq::write_certificate(keys, *made)) {
            die("no key");
        }
    }
    bzmq::endpoint cluster{bzmq::configuration{make_options("cluster", "cluster", keys)}};
    if (!cluster.listen_url("tcp://127.0.0.1:0")) {
        die("no port");
    }
    const auto gateway_at = [&](const std::string& listen) {
        return std::make_unique<child>(std::vector<std::string>{
            "--gateway", cluster.listeners().front(), listen, keys, how.hide ? "hide" : "show"});
    };
    auto gate = gateway_at("tcp://127.0.0.1:0");
    const auto url = gate->line();
    const double gate_alone = rss_mib(gate->pid());

    children crowds;
    double before = 0;
    for (unsigned i = 0; i < how.processes; ++i) {
        const unsigned first = how.agents * i / how.processes;
        const unsigned end = how.agents * (i + 1) / how.processes;
        crowds.push_back(std::make_unique<child>(std::vector<std::string>{
            "--crowd", std::to_string(first), std::to_string(end - first), keys}));
    }
    for (const auto& each : crowds) {
        before += std::stod(each->line().substr(5));  // "made MIB"
    }
    const auto per_agent = [&](double mib) { return mib * 1024 / how.agents; };
    fmt::print("{} agents in {} processes, {}, {}\n", how.agents, how.processes,
               how.encrypted ? "encrypted" : "without keys",
               how.hide ? "hidden from each other" : "each knows all");
    fmt::print("memory of an agent before it connects   {:8.0f} KiB\n",
               per_agent(sum_rss(crowds) - before));

    const auto storm = [&](auto&& begin) {
        const double work = sum_processor(crowds, *gate);
        const auto start = clock_type::now();
        begin();
        await_all(crowds, "up");
        gate->say(std::to_string(how.agents));
        gate->await("all");
        const double took = seconds_since(start);
        if (!cluster.wait_for_subscriber("/agents/all/x", 1, 60s)) {
            die("the cluster does not hear of the agents");
        }
        return fmt::format("{:8.2f} s   {:.2f} s of processor, {:.0f} a second", took,
                           sum_processor(crowds, *gate) - work, how.agents / took);
    };
    fmt::print("all connect at once                     {}\n", storm([&] {
                   for (const auto& each : crowds) {
                       each->say(url);
                   }
               }));
    fmt::print("memory of an agent                      {:8.0f} KiB\n",
               per_agent(sum_rss(crowds) - before));
    fmt::print("memory of the gateway for each agent    {:8.0f} KiB\n",
               per_agent(rss_mib(gate->pid()) - gate_alone));
    fmt::print("a message to all, p50 of {}             {:8.2f} ms\n", how.messages,
               1000 * message_to_all(cluster, crowds, 1, how.messages));

    const auto killed = clock_type::now();
    gate->end(SIGKILL);
    await_all(crowds, "down");
    fmt::print("all see that the gateway is gone after  {:8.2f} s\n", seconds_since(killed));
    fmt::print("all come back to the next one           {}\n", storm([&] {
                   gate = gateway_at(url);
                   gate->line();
               }));
    fmt::print("a message to all, p50 of {}             {:8.2f} ms\n", how.messages,
               1000 * message_to_all(cluster, crowds, how.messages + 1, how.messages));
    crowds.clear();
    std::filesystem::remove_all(folder);
}

options read(int count, char** arguments) {
    options out;
    for (int i = 1; i < count; ++i) {
        const std::string text = arguments[i];
        const auto number = [&](const std::string& name, unsigned& to) {
            if (!text.starts_with(name)) {
                return false;
            }
            to = static_cast<unsigned>(std::max(1L, std::atol(text.c_str() + name.size())));
            return true;
        };
        if (text == "--no-keys") {
            out.encrypted = false;
        } else if (text == "--show-all") {
            out.hide = false;
        } else if (!number("--agents=", out.agents) && !number("--processes=", out.processes)
                   && !number("--messages=", out.messages)) {
            die("usage: agents [--agents=2000] [--processes=4] [--messages=20] [--no-keys] "
                "[--show-all]");
        }
    }
    return out;
}

void all_descriptors() {
    ::rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

int main(int count, char** arguments) {
    all_descriptors();
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    try {
        const std::string role = count > 1 ? arguments[1] : "";
        if (role == "--gateway" && count == 6) {
            be_gateway(arguments[2], arguments[3], arguments[4], std::string{arguments[5]} == "hide");
        } else if (role == "--crowd" && count == 5) {
            be_agents(static_cast<unsigned>(std::atol(arguments[2])),
                      static_cast<unsigned>(std::atol(arguments[3])), arguments[4]);
        } else {
            measure(read(count, arguments));
        }
    } catch (const std::exception& problem) {
        die(problem.what());
    }
    return 0;
}
