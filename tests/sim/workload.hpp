#pragma once

#include "sim/checkers.hpp"
#include "sim/network.hpp"

#include <array>
#include <deque>
#include <string>
#include <vector>

namespace bzmq::sim {

struct workload_options {
    nanoseconds publish_gap = std::chrono::milliseconds{20};  ///< between publishes, on average
    nanoseconds filter_gap{};    ///< between changes of subscriptions; 0: none
    unsigned reliable = 5'000;   ///< of 10,000 batches
    unsigned unicast = 1'000;    ///< of 10,000 batches
    unsigned batch_records = 4;  ///< at most
    std::size_t padding = 64;    ///< bytes of payload at most
};

/// Topics and prefixes that lie close enough to one another to confuse a trie.
std::string random_topic(prng& random);
std::vector<std::string> random_filter(prng& random);

/// Publishers and subscribers that change their minds.
class workload {
  public:
    workload(network& net, ledger& book, std::uint64_t seed);
    ~workload() { stop(); }
    workload(const workload&) = delete;
    workload& operator=(const workload&) = delete;

    void start(const workload_options& options);
    /// Nothing new from now on; what hubs would not take yet is still offered to them.
    void stop() { ++generation_; }
    /// What hubs have not taken yet, in words; empty when all that was to be published is.
    [[nodiscard]] std::vector<std::string> stuck() const;
    void publish(node_index at, delivery_mode mode, const std::vector<std::string>& topics);
    void publish_to(node_index at, node_index to, delivery_mode mode, const std::string& topic);
    void change_filter(node_index at);

  private:
    struct item {
        identity who;
        std::string topic;
        std::size_t end = 0;  ///< offset behind its record
    };
    struct pending {
        life_index life = no_life;
        shared_bytes records;
        std::size_t offset = 0;
        std::deque<item> items;
        unsigned fruitless = 0;
    };

    void publish_again(std::uint64_t generation);
    void change_again(std::uint64_t generation);
    void offer(node_index at, delivery_mode mode);
    pending make_batch(node_index at, delivery_mode mode, const std::vector<std::string>& topics,
                       life_index destination);
    std::deque<pending>& queue(node_index at, delivery_mode mode);

    network& net_;
    ledger& book_;
    prng random_;
    workload_options options_;
    std::uint64_t generation_ = 0;
    std::vector<std::array<std::deque<pending>, 2>> waiting_;
    std::vector<std::array<bool, 2>> polling_;
};

}  // namespace bzmq::sim
