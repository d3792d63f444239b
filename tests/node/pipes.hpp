#pragma once

#include <algorithm>
#include <chrono>
#include <cstring>
#include <deque>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "node/hub.hpp"
#include "wire/records.hpp"

namespace bzmq::node {

using namespace std::chrono_literals;

inline shared_bytes one_record(std::string_view topic, std::string_view payload) {
    std::vector<std::byte> bytes(wire::record_size(topic, payload.size(), false));
    auto* to = wire::put_record_head(bytes.data(), topic, payload.size(), false);
    std::memcpy(to, payload.data(), payload.size());
    return shared_bytes::copy_of(bytes);
}

/// A few hubs in one process whose frames arrive at once and in order.
class pipes {
  public:
    struct host final : hub_output {
        pipes& net;
        std::size_t index;
        std::unique_ptr<hub> machine;
        std::vector<std::string> notices;
        std::vector<std::string> received;
        bool full = false;  ///< its subscribers are
        std::size_t received_bytes = 0;
        std::vector<std::vector<endpoint_id>> pongs;
        std::size_t confirmed = 0;
        std::vector<std::string> store_messages;

        host(pipes& owner, std::size_t number) : net(owner), index(number) {}
        void send(link_id link, shared_bytes frame) override {
            net.queue.push_back([this, link, frame = std::move(frame)] {
                net.arrive(index, link, frame);
            });
        }
        void close(link_id link) override {
            net.queue.push_back([this, link] { net.hang_up(index, link); });
        }
        void connect(target_id target) override {
            net.queue.push_back([this, target] { net.dial(index, target); });
        }
        void deliver(std::span<const subscriber_id> to, const batch_ptr& batch,
                     std::vector<subscriber_id>& stuck) override {
            if (full) {
                stuck.insert(stuck.end(), to.begin(), to.end());
            }
            received_bytes += batch->records.size();
            wire::record_cursor cursor{batch->records.span()};
            for (wire::record r; cursor.next(r);) {
                received.push_back(std::string{r.topic} + "="
                                   + std::string{reinterpret_cast<const char*>(r.payload.data()),
                                                 r.payload.size()});
            }
        }
        void notify(status_variant what) override { notices.push_back(to_string(what)); }
        block_ptr allocate(std::size_t capacity) override {
            return block_ptr{new_heap_block(capacity)};
        }
        void pong(request_id, std::chrono::nanoseconds, std::vector<endpoint_id> path) override {
            pongs.push_back(std::move(path));
        }
        void filter_confirmed(request_id) override { ++confirmed; }
        void store_message(const endpoint_id&, shared_bytes message) override {
            store_messages.emplace_back(message.view());
        }
    };

    explicit pipes(std::size_t count, const std::function<void(hub_options&)>& change = {}) {
        for (std::size_t i = 0; i < count; ++i) {
            hosts.push_back(std::make_unique<host>(*this, i));
            hub_options options;
            options.self = id(i);
            options.name = "n" + std::to_string(i);
            if (change) {
                change(options);
            }
            hosts[i]->machine = std::make_unique<hub>(options, *hosts[i]);
        }
    }
    static endpoint_id id(std::size_t i) {
        endpoint_id::bytes_type bytes{};
        bytes[0] = static_cast<std::uint8_t>(i + 1);
        return endpoint_id{bytes};
    }
    hub& at(std::size_t i) { return *hosts[i]->machine; }

    void peer(std::size_t from, std::size_t to, const peering_limits& limits = {}) {
        const target_id target = ++last_target;
        dials[target] = to;
        at(from).add_target(now, target, "n" + std::to_string(to), true, {}, limits);
        run();
    }
    /// Two equal ways from 0 to 3, over 1 and over 2.
    void link_diamond() {
        peer(0, 1);
        peer(1, 3);
        peer(0, 2);
        peer(2, 3);
    }
    void dial(std::size_t from, target_id target) {
        if (!reachable) {
            at(from).connect_failed(now, target, error{ec::peer_unavailable});
            return;
        }
        const auto to = dials.at(target);
        const auto a = ++last_link;
        const auto b = ++last_link;
        far[{from, a}] = {to, b};
        far[{to, b}] = {from, a};
        const auto key_of = [this](std::size_t i) { return i < keys.size() ? keys[i] : ""; };
        at(from).link_opened(now, a, target, "n" + std::to_string(to), key_of(to));
        at(to).link_opened(now, b, no_target, "from n" + std::to_string(from), key_of(from));
    }
    void arrive(std::size_t from, link_id link, const shared_bytes& frame) {
        const auto end = far.find({from, link});
        if (end == far.end()) {
            return;
        }
        if (slow == std::pair{from, end->second.first}) {
            on_the_way.push_back([this, from, link, frame] { arrive(from, link, frame); });
            return;
        }
        at(end->second.first).frame_received(now, end->second.second, frame);
    }
    /// From now on frames from one to the other stay on their way, until `hurry`.
    void slow_down(std::size_t from, std::size_t to) { slow = {from, to}; }
    void hurry() {
        slow.reset();
        std::move(on_the_way.begin(), on_the_way.end(), std::back_inserter(queue));
        on_the_way.clear();
    }
    /// The neighbour by which `from` reaches `to`.
    std::size_t next_hop(std::size_t from, std::size_t to) {
        for (const auto& node : at(from).topology()) {
            if (node.id == id(to)) {
                return node.next_hop.bytes()[0] - 1U;
            }
        }
        ADD_FAILURE() << "no way";
        return to;
    }
    void hang_up(std::size_t from, link_id link) {
        const auto end = far.find({from, link});
        if (end == far.end()) {
            return;
        }
        const auto other = end->second;
        far.erase(end);
        far.erase({other.first, other.second});
        at(other.first).link_closed(now, other.second, error{ec::peer_unavailable});
    }
    void cut(std::size_t a, std::size_t b) {
        for (const auto& [from, to] : std::map{far}) {
            if (from.first == a && to.first == b) {
                far.erase({to.first, to.second});
                far.erase(from);
                at(a).link_closed(now, from.second, error{ec::peer_unavailable});
                at(b).link_closed(now, to.second, error{ec::peer_unavailable});
            }
        }
    }
    void run(std::chrono::nanoseconds span = 300ms) {
        for (const auto end = now + span; now < end; now += 1ms) {
            for (auto& each : hosts) {
                each->machine->tick(now);
            }
            while (!queue.empty()) {
                auto next = std::move(queue.front());
                queue.pop_front();
                next();
                for (auto& each : hosts) {
                    each->machine->flush(now);
                }
            }
        }
    }
    void publish(std::size_t from, std::string_view topic, std::string_view payload,
                 delivery_mode mode = delivery_mode::best_effort) {
        const auto bytes = one_record(topic, payload);
        EXPECT_EQ(at(from).publish(now, timestamp{}, mode, bytes, 0), bytes.size());
        at(from).flush(now);
    }

    instant now = 1s;
    std::vector<std::unique_ptr<host>> hosts;
    std::deque<std::function<void()>> queue;
    std::map<std::pair<std::size_t, link_id>, std::pair<std::size_t, link_id>> far;
    std::optional<std::pair<std::size_t, std::size_t>> slow;
    std::vector<std::function<void()>> on_the_way;
    std::map<target_id, std::size_t> dials;
    std::vector<std::string> keys;  ///< what each host proves on its links; none beyond the end
    bool reachable = true;  ///< whether dialling succeeds
    target_id last_target = 0;
    link_id last_link = 0;
};

}  // namespace bzmq::node
