#include "sim/workload.hpp"

#include "sim/random.hpp"
#include "wire/records.hpp"
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>

namespace bzmq::sim {

using namespace std::chrono_literals;

constexpr std::size_t waiting_batches_max = 3;
constexpr auto offer_again = 5ms;
// `publish_ready` said yes, `publish` took nothing, so many times running: that never ends.
constexpr unsigned fruitless_max = 100;

std::string random_topic(prng& random) {
    static constexpr const char* all[] = {"/a",     "/a/x", "/a/xy",   "/b/x",
                                          "/b/y/z", "/c",   "/node/1", "/node/10"};
    return all[random.below(std::size(all))];
}

std::vector<std::string> random_filter(prng& random) {
    static constexpr const char* all[] = {"/a",     "/a/",  "/a/x",   "/b/x",    "/b",
                                          "/b/y/z", "/c",   "/node",  "/node/1", "/node/10",
                                          "/",      "/zzz", "/a/xyz", ""};
    std::vector<std::string> out;
    for (auto count = random.below(4); count > 0; --count) {
        // The empty prefix, which matches all, is the rare one.
        const auto at = random.below(std::size(all));
        out.emplace_back(*all[at] == '\0' && random.chance(1, 2) ? "/c" : all[at]);
    }
    return out;
}

workload::workload(network& net, ledger& book, std::uint64_t seed)
    : net_(net), book_(book), random_(seed) {}

void workload::start(const workload_options& options) {
    options_ = options;
    ++generation_;
    publish_again(generation_);
    if (options_.filter_gap > 0ns) {
        change_again(generation_);
    }
}

void workload::publish_again(std::uint64_t generation) {
    net_.after(between(random_, 1us, 2 * options_.publish_gap), [this, generation] {
        if (generation != generation_) {
            return;
        }
        const auto at = static_cast<node_index>(random_.below(net_.size()));
        const auto mode = chance(random_, options_.reliable) ? delivery_mode::reliable
                                                             : delivery_mode::best_effort;
        if (chance(random_, options_.unicast) && net_.size() > 1) {
            const auto to = static_cast<node_index>(random_.below(net_.size()));
            if (to != at) {
                publish_to(at, to, mode, random_topic(random_));
            }
        } else {
            std::vector<std::string> topics(1 + random_.below(options_.batch_records));
            for (auto& topic : topics) {
                topic = random_topic(random_);
            }
            publish(at, mode, topics);
        }
        publish_again(generation);
    });
}

void workload::change_again(std::uint64_t generation) {
    net_.after(between(random_, 1us, 2 * options_.filter_gap), [this, generation] {
        if (generation != generation_) {
            return;
        }
        change_filter(static_cast<node_index>(random_.below(net_.size())));
        change_again(generation);
    });
}

void workload::change_filter(node_index at) {
    const auto& all = net_.subscribers(at);
    const auto pick = random_.below(10);
    if (all.empty() || (pick < 2 && all.size() < 4)) {
        net_.add_subscriber(at, {random_filter(random_), 0, {}});
    } else if (pick == 2) {
        net_.set_forwarded(at, random_filter(random_));
    } else {
        auto chosen = all.begin();
        std::advance(chosen, static_cast<std::ptrdiff_t>(random_.below(all.size())));
        if (pick == 3) {
            net_.remove_subscriber(at, chosen->first);
        } else {
            net_.set_filter(at, chosen->first, random_filter(random_));
        }
    }
    book_.filter_changed(at);
}

workload::pending workload::make_batch(node_index at, delivery_mode mode,
                                       const std::vector<std::string>& topics,
                                       life_index destination) {
    pending out;
    out.life = net_.life_of(at);
    std::vector<std::byte> bytes;
    for (std::size_t i = 0; i < topics.size(); ++i) {
        item one{book_.next(out.life, mode), topics[i], 0};
        one.who.destination = destination;
        const auto payload = encode(one.who, random_.below(options_.padding + 1));
        const bool same = i > 0 && topics[i] == topics[i - 1] && random_.chance(1, 2);
        const auto start = bytes.size();
        bytes.resize(start + wire::record_size(topics[i], payload.size(), same));
        auto* to = wire::put_record_head(bytes.data() + start, topics[i], payload.size(), same);
        std::memcpy(to, payload.data(), payload.size());
        one.end = bytes.size();
        out.items.push_back(std::move(one));
    }
    out.records = shared_bytes::copy_of(bytes);
    return out;
}

std::deque<workload::pending>& workload::queue(node_index at, delivery_mode mode) {
    waiting_.resize(net_.size());
    polling_.resize(net_.size());
    return waiting_[at][static_cast<std::size_t>(mode)];
}

std::vector<std::string> workload::stuck() const {
    std::vector<std::string> out;
    for (node_index at = 0; at < waiting_.size(); ++at) {
        for (std::size_t mode = 0; mode < 2; ++mode) {
            const auto& waiting = waiting_[at][mode];
            if (!waiting.empty() && net_.is_current(waiting.front().life)) {
                out.push_back(fmt::format("n{} has not taken {} batches of mode {}", at,
                                          waiting.size(), mode));
            }
        }
    }
    return out;
}

void workload::publish(node_index at, delivery_mode mode, const std::vector<std::string>& topics) {
    auto& waiting = queue(at, mode);
    std::erase_if(waiting, [&](const pending& one) { return !net_.is_current(one.life); });
    if (!net_.active(at) || waiting.size() >= waiting_batches_max) {
        return;
    }
    net_.say(
        fmt::format("{} publishes {} mode {}", at, fmt::join(topics, " "), static_cast<int>(mode)));
    waiting.push_back(make_batch(at, mode, topics, no_life));
    offer(at, mode);
}

void workload::offer(node_index at, delivery_mode mode) {
    auto& waiting = queue(at, mode);
    while (!waiting.empty()) {
        auto& batch = waiting.front();
        if (!net_.is_current(batch.life)) {
            waiting.pop_front();
            continue;
        }
        if (!net_.active(at) || !net_.hub_of(at).publish_ready(mode)) {
            break;
        }
        for (const auto& one : batch.items) {
            book_.prepare(one.who, one.topic);
        }
        const auto before = batch.offset;
        batch.offset = net_.with(at, [&](node::hub& hub) {
            return hub.publish(net_.now(), net_.wall(), mode, batch.records, batch.offset);
        });
        while (!batch.items.empty() && batch.items.front().end <= batch.offset) {
            batch.items.pop_front();
        }
        if (batch.offset == batch.records.size()) {
            waiting.pop_front();
            continue;
        }
        for (const auto& one : batch.items) {
            book_.take_back(one.who);
        }
        batch.fruitless = batch.offset == before ? batch.fruitless + 1 : 0;
        if (batch.fruitless > fruitless_max) {
            book_.fail(fmt::format("n{} is ready to publish but takes nothing", at));
            waiting.pop_front();
        }
        break;
    }
    auto& polling = polling_[at][static_cast<std::size_t>(mode)];
    if (!waiting.empty() && !polling) {
        polling = true;
        net_.after(offer_again, [this, at, mode] {
            polling_[at][static_cast<std::size_t>(mode)] = false;
            offer(at, mode);
        });
    }
}

void workload::publish_to(node_index at, node_index to, delivery_mode mode,
                          const std::string& topic) {
    if (!net_.active(at) || !queue(at, mode).empty()) {
        return;
    }
    const auto life = net_.life_of(to);
    const auto batch = make_batch(at, mode, {topic}, life);
    const auto& who = batch.items.front().who;
    const bool reachable = net_.hub_of(at).reachable(net_.id_of(life));
    const auto computed = net_.hub_of(at).counters().route_computations;
    book_.prepare(who, topic);
    const auto answer = net_.with(at, [&](node::hub& hub) {
        return hub.publish_to(net_.now(), net_.wall(), net_.id_of(life), mode, batch.records);
    });
    net_.say(fmt::format("{} publishes {} to {} only, mode {}: {}", at, topic, to,
                         static_cast<int>(mode), to_string(answer)));
    if (answer) {
        book_.take_back(who);
    }
    // The call may compute paths anew, before it sends and, where that ends a link, after.
    if (computed == net_.hub_of(at).counters().route_computations
        && reachable == (answer == ec::no_path_to_peer)) {
        book_.fail(fmt::format("n{} answers {} to a unicast to {}reachable n{}", at,
                               to_string(answer), reachable ? "" : "un", to));
    }
}

}  // namespace bzmq::sim
