#pragma once

#include "transport/socket_hub.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bzmq::transport {

constexpr std::chrono::seconds patience{20};

/// A hub that writes down what it reports.
class test_hub : public events {
  public:
    struct opened {
        link_id link;
        bool outgoing;
        std::uint32_t from;
        std::string address, key;
    };
    struct frame {
        link_id link;
        shared_bytes bytes;
    };
    struct failure {
        std::size_t count;
        std::string address, why;
    };
    struct refusal {
        std::string address, key, why;
    };

    explicit test_hub(security who = {}, hub_settings settings = {})
        : hub(*this, std::move(who), settings) {}

    void link_opened(link_id link, bool outgoing, std::uint32_t from, std::string_view address,
                     std::string_view key) override {
        links.push_back({link, outgoing, from, std::string{address}, std::string{key}});
    }
    void link_closed(link_id link, const error& reason) override {
        closed.emplace_back(link, reason);
        if (on_closed) {
            on_closed(link);
        }
    }
    void connect_failed(std::uint32_t target, const error& reason) override {
        failed.emplace_back(target, reason);
    }
    void frame_received(link_id link, shared_bytes bytes) override {
        if (on_frame) {
            on_frame(link, bytes);
        } else {
            frames.push_back({link, std::move(bytes)});
        }
    }
    void peer_refused(std::string_view address, std::string_view key,
                      std::string_view why) override {
        refused.push_back({std::string{address}, std::string{key}, std::string{why}});
    }
    void silent_ended(std::size_t count, std::string_view address) override {
        silent.emplace_back(count, address);
    }

    void handshakes_failed(std::size_t count, std::string_view address,
                           std::string_view why) override {
        handshakes.push_back({count, std::string{address}, std::string{why}});
    }

    std::vector<opened> links;
    std::vector<std::pair<link_id, error>> closed;
    std::vector<std::pair<std::uint32_t, error>> failed;
    std::vector<frame> frames;
    std::vector<refusal> refused;
    std::vector<std::pair<std::size_t, std::string>> silent;
    std::vector<failure> handshakes;
    std::function<void(link_id, const shared_bytes&)> on_frame;
    std::function<void(link_id)> on_closed;
    socket_hub hub;
};

/// Drives the hubs until `done`; false where the patience ends first.
inline bool drive(std::initializer_list<test_hub*> hubs, const std::function<bool()>& done,
                  std::chrono::nanoseconds limit = patience) {
    const auto end = std::chrono::steady_clock::now() + limit;
    const std::chrono::milliseconds each{hubs.size() > 1 ? 1 : 10};
    while (!done()) {
        if (std::chrono::steady_clock::now() > end) {
            return false;
        }
        for (auto* one : hubs) {
            one->hub.poll(each);
        }
    }
    return true;
}

}  // namespace bzmq::transport
