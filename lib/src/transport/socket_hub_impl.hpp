#pragma once

#include "transport/monitor.hpp"
#include "transport/resolver.hpp"
#include "transport/socket_hub.hpp"
#include "transport/waker.hpp"
#include "transport/zap_handler.hpp"
#include "transport/zmq_handles.hpp"
#include <sys/types.h>

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace bzmq::transport {

using steady = std::chrono::steady_clock;

struct listener;
struct connector;

/// A socket in the poll set. ZMQ_FD says only that libzmq has internal commands, and says it once:
/// a socket may sleep only if its last operation was a receive that found nothing. Whoever sends on
/// one puts it in the ready list.
struct source {
    enum class role_type : std::uint8_t { router, listener_monitor, dealer, dealer_monitor, zap };
    role_type role{};
    void* owner = nullptr;  ///< the listener or connector, by role
    int fd = -1;
    bool queued = false;  ///< stands in the ready list
    bool dead = false;    ///< its socket is closed
};

struct link {
    link_id id = 0;
    listener* in = nullptr;          ///< of an incoming link
    std::unique_ptr<connector> out;  ///< of an outgoing one
    std::string routing_id;
    std::string public_key;
    int fd = -1;         ///< libzmq's; may be closed under our hands, see `shut_down`
    ino_t inode = 0;     ///< of that descriptor's socket
    bool muted = false;  ///< the owner of the hub knows it no more
    bool dying = false;  ///< closed as soon as what it brought is read
    error reason;
};

/// Hash and equality for look-ups by view.
struct text_hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
        return std::hash<std::string_view>{}(text);
    }
};

/// A connection to a listener, by what the monitor tells of it.
struct connection {
    ino_t inode = 0;
    std::uint64_t serial = 0;  ///< descriptors are used again
    bool spoke = false;        ///< its first frame has come
    std::string address;       ///< where it came from; may be empty
};

/// Where an ipc listener's socket lies, and which file that is.
struct socket_file {
    std::string path;
    dev_t device = 0;
    ino_t inode = 0;
    friend bool operator==(const socket_file&, const socket_file&) = default;
};

struct listener {
    /// A connection that must speak by `due`, or has spoken or gone meanwhile.
    struct expected_word {
        steady::time_point due;
        int fd = -1;
        std::uint64_t serial = 0;
    };
    /// Handshakes that have failed and are not told of yet.
    struct failures {
        std::size_t count = 0;
        std::string address, why;  ///< of the last of them
        bool ends_next = false;    ///< its connection is the next that ends
        steady::time_point told{};
    };

    listener_info info;
    std::optional<socket_file> file;
    zmq_socket router;
    std::unique_ptr<monitor> watch;
    source router_source, monitor_source;
    std::unordered_map<std::string, link*, text_hash, std::equal_to<>> by_routing_id;
    std::unordered_map<int, link*> by_fd;
    std::unordered_map<int, connection> connected;  ///< those that stand, by descriptor
    std::deque<expected_word> expected;             ///< in the order of their time
    steady::time_point silence_told{};              ///< when some were last ended
    failures failed;
    std::vector<link_id> dying;
    steady::time_point dying_since;
    bool dead = false;
};

/// One attempt to connect to one address, and what became of it.
struct connector {
    std::uint64_t serial = 0;
    std::uint32_t target = 0;
    url address;
    std::vector<url> alternatives;  ///< to be tried if this one is not there
    std::string server_key;
    steady::time_point deadline;
    link_id open_as = 0;  ///< 0 while it is an attempt
    zmq_socket dealer;
    std::unique_ptr<monitor> watch;
    source dealer_source, monitor_source;
    bool dying = false;
    error reason;
    bool dead = false;
};

class socket_hub_impl {
  public:
    socket_hub_impl(events& report, security who, hub_settings settings);
    ~socket_hub_impl();
    socket_hub_impl(const socket_hub_impl&) = delete;
    socket_hub_impl& operator=(const socket_hub_impl&) = delete;

    // socket_hub.cpp
    void poll(std::chrono::nanoseconds timeout, std::unique_lock<std::mutex>* turn);
    bool settle();
    void wake() noexcept { waker_.wake(); }
    void send(link_id id, const shared_bytes& frame);
    void close(link_id id, bool drain);
    [[nodiscard]] const transport_counters& counters() const noexcept { return counters_; }

    // incoming.cpp
    expected<listener_info> listen(std::string_view address);
    void stop_listening(std::uint32_t id);
    expected<bool> reload_allowed();

    // outgoing.cpp
    expected<void> connect(std::uint32_t target, std::string_view address,
                           std::string_view server_key, std::chrono::nanoseconds timeout);
    void cancel(std::uint32_t target);

  private:
    /// A callback that must wait for the next `poll`.
    struct notice {
        bool of_link = false;
        std::uint32_t id = 0;  ///< link or target
        error reason;
    };
    struct timer {
        enum class kind_type : std::uint8_t { attempt, linger, first_frames, failures };
        kind_type kind{};
        std::uint32_t id = 0;      ///< target, link or listener
        std::uint64_t serial = 0;  ///< of the attempt
    };
    struct context_deleter {
        void operator()(void* context) const noexcept;
    };

    // socket_hub.cpp
    void watch(source& one, source::role_type role, void* owner, const zmq_socket& socket);
    void unwatch(source& one);
    void enqueue(source& one);
    void run_ready();
    void run_timers();
    void run_notices();
    std::chrono::nanoseconds until_next_timer(std::chrono::nanoseconds limit) const;
    void sleep(std::chrono::nanoseconds timeout, std::unique_lock<std::mutex>* turn);
    static bool has_news(const source& one);
    void bury();
    void set_common_options(zmq_socket& socket) const;
    void set_key_pair(zmq_socket& socket) const;
    void deliver(link_id id, zmq_message& body);

    // incoming.cpp
    expected<std::unique_ptr<listener>> bind(const url& where, bool ipv6);
    std::optional<std::string> refusal(const zap_handler::question& ask);
    bool allows(std::string_view public_key) const;
    static void remove_file(const listener& of);
    void read_listener_monitor(listener& from);
    void read_router(listener& from);
    link* accept(listener& from, std::string_view routing_id, zmq_message& first);
    bool send_incoming(link& to, zmq_message& body);
    void let_die(link& one, error reason);
    void finish_dying(listener& from, bool all_read);
    void forget_incoming(link& one);
    void evict(link& one, error reason);
    void expect_frame(listener& from, int fd);
    void watch_silence(const listener& from);
    void end_silent(listener& from);
    void note_failure(listener& from, const monitor::event& what);
    void tell_failures(listener& from);
    static void shut_down(const link& one) { shut_down(one.fd, one.inode); }
    static void shut_down(int fd, ino_t inode);

    // outgoing.cpp
    void dial(std::unique_ptr<connector> attempt);
    bool open_socket(connector& attempt);
    void read_answers();
    void read_dealer_monitor(connector& from);
    void read_dealer(connector& from);
    bool send_outgoing(connector& to, zmq_message& body);
    void open(connector& attempt);
    void fail_attempt(connector& attempt, error reason);
    void retire(std::unique_ptr<connector> one, std::chrono::milliseconds linger);
    void lose(connector& one);

    events& report_;
    security who_;
    hub_settings settings_;
    transport_counters counters_;
    waker waker_;
    int epoll_ = -1;
    std::unique_ptr<void, context_deleter> context_;  // Outlived by none of the sockets below.
    zap_handler zap_;
    source zap_source_;
    resolver resolver_;

    std::unordered_map<std::uint32_t, std::unique_ptr<listener>> listeners_;
    std::unordered_map<std::uint32_t, std::unique_ptr<connector>> attempts_;  ///< by target
    std::unordered_map<link_id, std::unique_ptr<link>> links_;
    std::vector<source*> ready_;
    std::vector<notice> notices_;
    std::multimap<steady::time_point, timer> timers_;
    // What is closed, but may still be referred to by a caller up the stack or by the ready list.
    std::vector<std::unique_ptr<listener>> dead_listeners_;
    std::vector<std::unique_ptr<connector>> dead_connectors_;
    link_id last_link_ = 0;
    std::uint32_t last_listener_ = 0;
    std::uint64_t last_serial_ = 0;
    bool reported_ = false;  ///< a callback was made in this `poll`
};

}  // namespace bzmq::transport
