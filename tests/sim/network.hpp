#pragma once

#include "base/prng.hpp"
#include "node/hub.hpp"

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

/// A virtual network of hubs. One thread, one clock, one seed: a run repeats exactly.
///
/// It models ZeroMQ, not UDP: a connection keeps the order of its frames and loses them only as a
/// suffix, when it breaks; the ends hear of that at different times or never. `hostile` links
/// are worse than that on purpose.
namespace bzmq::sim {

using std::chrono::nanoseconds;

/// A place in the network: an address, at which one endpoint after another may live.
using node_index = std::uint32_t;
/// One run of an endpoint, numbered over the whole simulation: what an endpoint id names.
using life_index = std::uint32_t;
constexpr life_index no_life = 0xffffffff;

/// How connections behave. Changes hold for what is sent from then on.
struct link_conditions {
    nanoseconds delay_min = std::chrono::microseconds{50};
    nanoseconds delay_mean = std::chrono::microseconds{200};
    std::uint64_t bytes_per_second = 0;  ///< 0: without bound
    // Single frames, in 10,000: what ZeroMQ never does, but a session must heal all the same.
    unsigned lost = 0;
    unsigned duplicated = 0;
    unsigned reordered = 0;
};

/// Who hears that a connection broke.
enum class telling : std::uint8_t { both, dialer, listener, nobody };

/// What a partition does to the connections across it.
enum class cut : std::uint8_t {
    hold,      ///< frames wait, as TCP sends them again later
    hold_one,  ///< the same, but only from the side with the lower group number
    reset,     ///< connections break at once, both ends are told
    vanish,    ///< connections are dead and nobody is told
};

/// Watches the run. Called in the midst of hub calls: must not touch the network.
class observer {
  public:
    virtual ~observer() = default;
    virtual void started(life_index life) = 0;
    virtual void ended(life_index life) = 0;
    virtual void delivered(life_index life, std::span<const node::subscriber_id> to,
                           const message_batch& batch) = 0;
    virtual void notified(life_index life, const status_variant& what) = 0;
    virtual void turn_ended(life_index life) = 0;
};

struct subscriber_options {
    std::vector<std::string> prefixes;
    /// 0: takes everything at once. Otherwise it blocks with so many batches in its queue and takes
    /// one each `pace`.
    std::size_t queue_batches = 0;
    nanoseconds pace{};
};

struct pong_report {
    node::request_id request = 0;
    std::vector<endpoint_id> path;
};

class network {
  public:
    explicit network(std::uint64_t seed);
    ~network();
    network(const network&) = delete;
    network& operator=(const network&) = delete;

    void watch(observer* who) { observer_ = who; }
    /// Prints one line an event to standard error.
    void set_verbose(bool verbose) { verbose_ = verbose; }
    [[nodiscard]] bool verbose() const { return verbose_; }
    void say(const std::string& line) const;
    void set_conditions(const link_conditions& conditions) { conditions_ = conditions; }
    [[nodiscard]] const link_conditions& conditions() const { return conditions_; }

    // -- Nodes ------------------------------------------------------------------------------------
    /// Adds a node and starts its first life. `options.self`, `name` and `seed` are filled in.
    node_index add_node(node::hub_options options);
    [[nodiscard]] std::size_t size() const { return nodes_.size(); }
    [[nodiscard]] bool alive(node_index at) const { return nodes_[at].hub != nullptr; }
    /// Alive, not frozen, and not on its way out.
    [[nodiscard]] bool active(node_index at) const {
        return alive(at) && !nodes_[at].leaving && nodes_[at].frozen_until <= now_;
    }
    [[nodiscard]] node::hub& hub_of(node_index at) { return *nodes_[at].hub; }
    [[nodiscard]] const node::hub_options& options_of(node_index at) const {
        return nodes_[at].options;
    }
    [[nodiscard]] life_index life_of(node_index at) const { return nodes_[at].life; }
    /// Lives so far.
    [[nodiscard]] std::size_t lives() const { return lives_.size(); }
    [[nodiscard]] endpoint_id id_of(life_index life) const { return lives_[life].id; }
    [[nodiscard]] node_index home_of(life_index life) const { return lives_[life].home; }
    [[nodiscard]] bool is_current(life_index life) const {
        const auto& home = nodes_[lives_[life].home];
        return home.hub != nullptr && home.life == life;
    }
    [[nodiscard]] life_index find_life(const endpoint_id& id) const;

    /// The endpoint is gone without a word. Peers hear of the broken connections, or not.
    void crash(node_index at, bool peers_told);
    /// Goes in order: shutdown, then gone when drained or after `patience`.
    void leave(node_index at, nanoseconds patience);
    /// A new life with a new id, the same dial targets and subscribers.
    void restart(node_index at);
    /// Does nothing at all for a while, like a process under SIGSTOP.
    void freeze(node_index at, nanoseconds span);
    /// How long the node is busy with each turn of its loop; what comes meanwhile waits.
    void set_pace(node_index at, nanoseconds per_turn) { nodes_[at].turn_cost = per_turn; }

    /// Calls into a live node's hub, then ends the turn as the shell does.
    template <class action>
    auto with(node_index at, action&& what) {
        struct finish {
            network& net;
            node_index at;
            ~finish() { net.end_turn(at); }
        } end{*this, at};
        return what(*nodes_[at].hub);
    }

    // -- Peerings ---------------------------------------------------------------------------------
    void add_target(node_index from, node_index to);
    /// False where `from` does not dial `to`.
    bool remove_target(node_index from, node_index to);
    [[nodiscard]] bool dials(node_index from, node_index to) const;
    /// The nodes that `at` shall peer with, dialled by either side, dead ones included.
    [[nodiscard]] std::vector<node_index> neighbours(node_index at) const;

    // -- Subscribers ------------------------------------------------------------------------------
    node::subscriber_id add_subscriber(node_index at, subscriber_options options);
    void set_filter(node_index at, node::subscriber_id id, std::vector<std::string> prefixes);
    void remove_subscriber(node_index at, node::subscriber_id id);
    void set_forwarded(node_index at, std::vector<std::string> prefixes);
    [[nodiscard]] const std::map<node::subscriber_id, subscriber_options>& subscribers(
        node_index at) const {
        return nodes_[at].subscribers;
    }
    [[nodiscard]] const std::vector<std::string>& forwarded(node_index at) const {
        return nodes_[at].forwarded;
    }
    /// What the node subscribes to: the least set of prefixes, sorted.
    [[nodiscard]] std::vector<std::string> true_filter(node_index at) const;

    // -- Faults -----------------------------------------------------------------------------------
    /// Breaks one connection between the two, if there is one. What is under way is lost from a
    /// random point on, in each direction.
    bool break_connection(node_index a, node_index b, telling who);
    /// Breaks a random connection.
    bool break_random_connection(telling who);
    /// Nodes of different groups are cut off from one another.
    void partition(std::vector<unsigned> groups, cut how);
    void heal_partition();
    [[nodiscard]] std::size_t open_connections() const;

    // -- Time -------------------------------------------------------------------------------------
    [[nodiscard]] instant now() const { return now_; }
    /// Runs all events up to `until` and stops the clock there.
    void run_until(instant until);
    void run_for(nanoseconds span) { run_until(now_ + span); }
    /// Runs until `done` holds, looking each `step`; false if it still does not after `limit`.
    bool run_until(const std::function<bool()>& done, nanoseconds limit, nanoseconds step);
    void at(instant when, std::function<void()> action);
    void after(nanoseconds span, std::function<void()> action) {
        at(now_ + span, std::move(action));
    }

    // -- Findings ---------------------------------------------------------------------------------
    [[nodiscard]] std::uint64_t trace_hash() const { return trace_; }
    [[nodiscard]] std::uint64_t events() const { return events_run_; }
    /// Set where a hub breaks its contract with the shell; empty while all is well.
    [[nodiscard]] const std::string& complaint() const { return complaint_; }
    [[nodiscard]] const std::vector<pong_report>& pongs() const { return pongs_; }
    [[nodiscard]] const std::vector<node::request_id>& confirmations() const {
        return confirmations_;
    }
    [[nodiscard]] timestamp wall() const {
        return timestamp{std::chrono::seconds{1'790'000'000} + now_};
    }

  private:
    struct hub_shell;

    /// What a hub is told.
    struct input {
        enum class kind : std::uint8_t { opened, closed, failed, frame } what;
        node::link_id link = 0;
        node::target_id target = node::no_target;
        shared_bytes frame;
    };
    struct dial_target {
        node::target_id id = node::no_target;
        node_index to = 0;
        bool wanted = true;
    };
    struct node_state {
        node::hub_options options;
        std::unique_ptr<hub_shell> shell;
        std::unique_ptr<node::hub> hub;
        life_index life = no_life;
        std::vector<node_index> dials;
        std::vector<dial_target> targets;  ///< of this life
        std::map<node::subscriber_id, subscriber_options> subscribers;
        std::map<node::subscriber_id, std::size_t> queued;  ///< batches, where bounded
        std::vector<std::string> forwarded;
        std::deque<input> inbox;
        nanoseconds turn_cost = std::chrono::microseconds{10};
        instant busy_until{};
        instant frozen_until{};
        instant timer = never;
        bool wake_pending = false;
        bool leaving = false;
        unsigned spins = 0;
    };
    struct life_state {
        endpoint_id id;
        node_index home = 0;
    };
    /// One direction of a connection.
    struct flow {
        instant last_arrival{};
        instant free_at{};
        std::uint64_t sent = 0;
        std::uint64_t cut_after = ~std::uint64_t{0};  ///< frames beyond are lost
        std::uint64_t arrived = 0;
        bool held = false;
        std::deque<std::pair<bool, shared_bytes>> backlog;  ///< (end of stream, frame) while held
    };
    struct side {
        node_index home = 0;
        life_index life = no_life;
        bool open = false;    ///< told to the hub, and neither end has ended it since
        bool coming = false;  ///< its link_opened is under way
    };
    struct connection {
        side sides[2];  ///< dialer, listener
        flow flows[2];  ///< flows[i]: from sides[i] to the other
        node::target_id target = node::no_target;
        bool dead = false;  ///< whatever is sent now is lost
    };
    struct event {
        enum class kind : std::uint8_t { input, timer, wake, action } what = kind::action;
        node_index home = 0;
        life_index life = no_life;
        std::uint32_t connection = 0;
        std::uint8_t direction = 0;
        bool counted = false;  ///< an input that travels in a flow
        std::uint64_t index = 0;
        input payload{};
        std::function<void()> action;
    };
    struct key {
        instant at;
        std::uint64_t sequence;
        std::uint32_t slot;
    };
    struct later {
        bool operator()(const key& a, const key& b) const {
            return a.at != b.at ? a.at > b.at : a.sequence > b.sequence;
        }
    };

    static node::link_id link_of(std::uint32_t connection, unsigned side) {
        return 2 * connection + side + 1;
    }
    static std::uint32_t connection_of(node::link_id link) { return (link - 1) / 2; }
    static unsigned side_of(node::link_id link) { return (link - 1) % 2; }

    void schedule(instant at, event what);
    void run(event& what);
    void mix(std::uint64_t value);
    void mix(std::span<const std::byte> bytes);
    void complain(node_index at, const std::string& what);

    void begin_life(node_index at);
    void end_life(node_index at);
    void start_target(node_index at, node_index to);
    void input_arrives(node_index at, input what);
    void turn(node_index at);
    void apply(node_index at, input& what);
    void end_turn(node_index at);
    void arm(node_index at);
    void wake_at(node_index at, instant when);
    void drain_later(node_index at, node::subscriber_id id);

    void dial(node_index from, node::target_id target);
    void open(std::uint32_t connection, unsigned side, instant when);
    void send(node::link_id link, shared_bytes frame);
    void transmit(std::uint32_t connection, unsigned direction, bool end, shared_bytes frame);
    void close(node::link_id link);
    void break_one(std::uint32_t connection, telling who);
    void tell_closed(std::uint32_t connection, unsigned side);
    void release(std::uint32_t connection, unsigned direction);
    [[nodiscard]] bool cut_off(node_index from, node_index to) const;
    [[nodiscard]] bool usable(const connection& one) const;

    prng random_;
    prng id_random_;
    link_conditions conditions_;
    observer* observer_ = nullptr;
    bool verbose_ = false;
    std::vector<node_state> nodes_;
    std::vector<life_state> lives_;
    std::map<endpoint_id, life_index> life_of_id_;
    std::vector<connection> connections_;
    std::vector<unsigned> groups_;
    node::target_id last_target_ = 0;
    node::subscriber_id last_subscriber_ = 0;
    instant now_{};
    std::vector<key> heap_;
    std::vector<event> events_;
    std::vector<std::uint32_t> free_events_;
    std::uint64_t last_sequence_ = 0;
    std::uint64_t events_run_ = 0;
    std::uint64_t trace_ = 0xcbf29ce484222325ULL;
    std::string complaint_;
    std::vector<pong_report> pongs_;
    std::vector<node::request_id> confirmations_;
};

/// The least set of prefixes that matches the same topics, sorted.
std::vector<std::string> minimal(std::vector<std::string> prefixes);
bool matches(const std::vector<std::string>& prefixes, std::string_view topic);

}  // namespace bzmq::sim
