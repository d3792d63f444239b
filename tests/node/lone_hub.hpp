#pragma once

#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "node/hub.hpp"
#include "overlay/record_codec.hpp"
#include "wire/frames.hpp"
#include "wire/records.hpp"

namespace bzmq::node {

using namespace std::chrono_literals;

inline shared_bytes one_message(std::string_view topic, std::string_view payload) {
    std::vector<std::byte> bytes(wire::record_size(topic, payload.size(), false));
    auto* to = wire::put_record_head(bytes.data(), topic, payload.size(), false);
    std::memcpy(to, payload.data(), payload.size());
    return shared_bytes::copy_of(bytes);
}

/// One hub; the test is all of its peers, and sees every byte that it sends.
class lone_hub final : public hub_output {
  public:
    explicit lone_hub(hub_options options = {}) {
        options.self = id(1);
        machine = std::make_unique<hub>(options, *this);
    }

    static endpoint_id id(std::uint8_t number) {
        endpoint_id::bytes_type bytes{};
        bytes[0] = number;
        return endpoint_id{bytes};
    }

    /// A connection that somebody dialled.
    link_id comes_in() {
        machine->link_opened(now, ++last_link, no_target, "tcp://192.0.2.1:7", "");
        return last_link;
    }
    void say(link_id link, const std::vector<std::byte>& frame) {
        machine->frame_received(now, link, shared_bytes::copy_of(frame));
    }
    /// Of a peer with `number` that wants all topics, and says that it has a link to us.
    static wire::hello_frame hello_of(std::uint8_t number, std::uint64_t message_bytes_max = 0) {
        wire::hello_frame frame;
        frame.id = id(number);
        frame.name = "peer";
        frame.message_bytes_max = message_bytes_max;
        overlay::topology_record topology;
        topology.origin = frame.id;
        topology.sequence = 1;
        topology.neighbours.push_back({id(1), 10});
        overlay::filter_record filter;
        filter.origin = frame.id;
        filter.sequence = 1;
        filter.prefixes = {""};
        frame.topology = overlay::encode(topology);
        frame.filter = overlay::encode(filter);
        return frame;
    }
    /// A link to that peer that is up and announced.
    link_id peer(std::uint8_t number, std::uint64_t message_bytes_max = 0) {
        const auto link = comes_in();
        say(link, wire::encode(wire::frame_type::hello, hello_of(number, message_bytes_max)));
        say(link, wire::encode_ready());
        turn();
        return link;
    }
    /// Everything on its way to the peers leaves, now and a little later.
    void turn() {
        for (int i = 0; i < 20; ++i, now += 1ms) {
            machine->tick(now);
        }
    }
    /// Until a frame of more than `size` has left over this link, in so far as it does in a second.
    void turn_until(link_id link, std::size_t size) {
        for (int i = 0; i < 50 && largest_frame(link) <= size; ++i) {
            turn();
        }
    }
    void publish(std::string_view topic, std::string_view payload, delivery_mode mode) {
        const auto bytes = one_message(topic, payload);
        EXPECT_EQ(machine->publish(now, timestamp{}, mode, bytes, 0), bytes.size());
        turn();
    }
    /// The link breaks, as the transport sees it.
    void cut(link_id link) {
        machine->link_closed(now, link, error{ec::peer_unavailable, "the peer is gone"});
        turn();
    }
    [[nodiscard]] std::size_t largest_frame(link_id link) const {
        std::size_t most = 0;
        if (const auto at = sent.find(link); at != sent.end()) {
            for (const auto& frame : at->second) {
                most = std::max(most, frame.size());
            }
        }
        return most;
    }
    /// Whether the bytes of `text` were sent over this link.
    [[nodiscard]] bool has_sent(link_id link, std::string_view text) const {
        const auto at = sent.find(link);
        return at != sent.end()
               && std::any_of(at->second.begin(), at->second.end(), [&](const auto& frame) {
                      return frame.view().find(text) != std::string_view::npos;
                  });
    }
    /// The GOODBYE that ended this link.
    [[nodiscard]] wire::goodbye_frame goodbye(link_id link) const {
        const auto at = sent.find(link);
        if (at == sent.end() || at->second.empty()) {
            ADD_FAILURE() << "nothing was sent";
            return {};
        }
        byte_reader in{at->second.back().span()};
        EXPECT_EQ(in.u8(), static_cast<std::uint8_t>(wire::frame_type::goodbye));
        const auto frame = wire::decode_goodbye(in);
        EXPECT_TRUE(frame);
        return frame.value_or(wire::goodbye_frame{});
    }

    void send(link_id link, shared_bytes frame) override { sent[link].push_back(std::move(frame)); }
    void close(link_id link) override { closed.push_back(link); }
    void connect(target_id target) override { dialled.push_back(target); }
    void deliver(std::span<const subscriber_id>, const batch_ptr&,
                 std::vector<subscriber_id>&) override {}
    void notify(status_variant what) override { notices.push_back(to_string(what)); }
    block_ptr allocate(std::size_t capacity) override { return block_ptr{new_heap_block(capacity)}; }
    void pong(request_id, std::chrono::nanoseconds, std::vector<endpoint_id>) override {}
    void filter_confirmed(request_id) override {}

    std::unique_ptr<hub> machine;
    instant now = 1s;
    std::map<link_id, std::vector<shared_bytes>> sent;
    std::vector<link_id> closed;
    std::vector<target_id> dialled;
    std::vector<std::string> notices;
    link_id last_link = 0;
};

}  // namespace bzmq::node
