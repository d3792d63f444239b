// Links that take long for what is large: it arrives all the same, and nobody is taken for gone.
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <list>

#include "endpoint/support.hpp"

namespace bzmq::testing {
namespace {

using clock = std::chrono::steady_clock;

/// Passes connections on to a port, so many bytes a second each way.
class slow_line {
  public:
    slow_line(std::uint16_t to, std::size_t bytes_per_second)
        : to_(to), rate_(bytes_per_second), listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
        auto here = loopback(0);
        socklen_t length = sizeof here;
        auto* raw = reinterpret_cast<sockaddr*>(&here);
        EXPECT_EQ(::bind(listener_, raw, length), 0);
        EXPECT_EQ(::listen(listener_, 8), 0);
        EXPECT_EQ(::getsockname(listener_, raw, &length), 0);
        port_ = ntohs(here.sin_port);
        thread_ = std::thread{[this] { run(); }};
    }
    slow_line(const slow_line&) = delete;
    slow_line& operator=(const slow_line&) = delete;
    ~slow_line() {
        stopping_ = true;
        thread_.join();
        for (auto& each : lines_) {
            ::close(each.ends[0]);
            ::close(each.ends[1]);
        }
        ::close(listener_);
    }
    [[nodiscard]] std::uint16_t port() const { return port_; }

  private:
    struct line {
        int ends[2];
        std::string waiting[2];  ///< from this end to the other
        double spare[2] = {0, 0};
        bool over = false;
    };

    static sockaddr_in loopback(std::uint16_t port) {
        sockaddr_in out{};
        out.sin_family = AF_INET;
        out.sin_port = htons(port);
        out.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return out;
    }

    void run() {
        auto last = clock::now();
        while (!stopping_) {
            pollfd ready{listener_, POLLIN, 0};
            if (::poll(&ready, 1, 5) == 1) {
                accept_one();
            }
            const auto now = clock::now();
            const std::chrono::duration<double> passed = now - last;
            last = now;
            for (auto& each : lines_) {
                for (int from = 0; from < 2 && !each.over; ++from) {
                    move(each, from, passed.count());
                }
            }
            lines_.remove_if([](const line& each) {
                if (each.over) {
                    ::close(each.ends[0]);
                    ::close(each.ends[1]);
                }
                return each.over;
            });
        }
    }
    void accept_one() {
        line fresh{{::accept(listener_, nullptr, nullptr), ::socket(AF_INET, SOCK_STREAM, 0)}, {}};
        const auto there = loopback(to_);
        fresh.over = ::connect(fresh.ends[1], reinterpret_cast<const sockaddr*>(&there),
                               sizeof there) != 0;
        for (const int end : fresh.ends) {
            ::fcntl(end, F_SETFL, O_NONBLOCK);
        }
        lines_.push_back(std::move(fresh));
    }
    void move(line& on, int from, double passed) {
        auto& waiting = on.waiting[from];
        auto& spare = on.spare[from];
        spare = std::min(spare + passed * static_cast<double>(rate_), 64.0 * 1024);
        char buffer[64 * 1024];
        if (const auto most = static_cast<std::size_t>(spare); waiting.empty() && most > 0) {
            const auto got = ::recv(on.ends[from], buffer, most, 0);
            on.over = got == 0 || (got < 0 && errno != EAGAIN);
            if (got > 0) {
                waiting.assign(buffer, static_cast<std::size_t>(got));
                spare -= static_cast<double>(got);
            }
        }
        if (!waiting.empty()) {
            const auto put = ::send(on.ends[1 - from], waiting.data(), waiting.size(), MSG_NOSIGNAL);
            on.over = on.over || (put < 0 && errno != EAGAIN);
            waiting.erase(0, put > 0 ? static_cast<std::size_t>(put) : 0);
        }
    }

    const std::uint16_t to_;
    const std::size_t rate_;
    const int listener_;
    std::uint16_t port_ = 0;
    std::list<line> lines_;
    std::atomic<bool> stopping_{false};
    std::thread thread_;
};

endpoint impatient(const std::string& name) {
    auto options = named(name);
    options.peer_timeout = 1s;
    options.heartbeat_interval = 250ms;
    return endpoint{configuration{options}};
}

TEST(slow_link, large_messages_and_values_arrive_and_nobody_is_lost) {
    constexpr std::size_t half_a_mebibyte = 512 * 1024;
    auto near = impatient("near");
    auto far = impatient("far");
    auto seen_near = near.make_status_subscriber(true);
    auto seen_far = far.make_status_subscriber(true);
    slow_line between{near.listen("127.0.0.1", 0), half_a_mebibyte};
    error why;
    ASSERT_TRUE(far.peer("127.0.0.1", between.port(), 1s, patience, &why)) << to_string(why);
    auto messages = far.make_subscriber({"/large"});
    ASSERT_TRUE(messages.wait_ready(patience));
    auto master = *near.attach_master("s");
    auto clone = far.attach_clone("s");
    ASSERT_TRUE(clone) << to_string(clone.error());

    const data large{std::string(3 * half_a_mebibyte, 'm')};  // Three seconds.
    const data value{std::string(2 * half_a_mebibyte, 'v')};  // Two there, and two back.
    ASSERT_EQ(near.publish("/large", large), ec::none);
    const auto put = clone->put("k", value).wait();
    EXPECT_TRUE(put) << to_string(put.error());
    const auto got = messages.get(patience);
    ASSERT_TRUE(got);
    EXPECT_TRUE(got->value() == large);
    EXPECT_TRUE(clone->get("k") == value);
    EXPECT_TRUE(master.get("k") == value);

    for (auto* from : {&seen_near, &seen_far}) {
        while (auto each = from->get(0ms)) {
            const auto* what = get_if<status>(&*each);
            EXPECT_FALSE(what != nullptr && what->code() == sc::peer_lost) << to_string(*each);
        }
    }
    for (const auto& peer : near.metrics().peers) {
        EXPECT_LT(peer.sent_bytes, 7 * half_a_mebibyte) << "nothing is sent twice";
    }
}

TEST(slow_link, a_clone_says_how_much_of_a_large_store_has_come) {
    constexpr std::size_t rate = 512 * 1024;
    auto near = impatient("near");
    auto far = impatient("far");
    auto master = *near.attach_master("s");
    for (int n = 0; n < 100; ++n) {
        master.put(n, std::string(3 * rate / 100, 'v'));  // Three seconds.
    }
    slow_line between{near.listen("127.0.0.1", 0), rate};
    error why;
    ASSERT_TRUE(far.peer("127.0.0.1", between.port(), 1s, patience, &why)) << to_string(why);
    auto clone = *far.attach_clone("s");
    const auto arrived = [&] {
        const auto now = clone.info();
        return now->synced ? 100 : now->arrived_entries;
    };
    ASSERT_TRUE(eventually([&] { return arrived() > 0; }));
    const auto first = arrived();
    EXPECT_LT(first, 100U);
    ASSERT_TRUE(eventually([&] { return arrived() > first; })) << "it grows";
    EXPECT_EQ(clone.info()->synced ? 100U : clone.info()->arriving_entries, 100U);
    ASSERT_TRUE(clone.await_sync(patience));
    EXPECT_EQ(clone.info()->entries, 100U);
    EXPECT_EQ(clone.info()->arrived_entries, 0U);
}

}  // namespace
}  // namespace bzmq::testing
