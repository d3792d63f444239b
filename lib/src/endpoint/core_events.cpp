// What sockets and hub report to the core, and pass on through it to each other.
#include "endpoint/clock.hpp"
#include "endpoint/core.hpp"

namespace bzmq {
namespace {

std::string who_came(std::size_t count, std::string_view address) {
    return count == 1 ? std::string{address}
                      : std::to_string(count) + " connections, the last of them from "
                            + std::string{address} + ",";
}

}  // namespace

// -- From the sockets to the hub ------------------------------------------------------------------
// Not to one that a publisher's turn has left in the middle of something: the thread ends of it next.

void endpoint_core::link_opened(transport::link_id link, bool outgoing, std::uint32_t from,
                                std::string_view remote_address, std::string_view public_key) {
    if (broken_) {
        return;
    }
    now_ = monotonic_now();
    reload_permissions();  // Who adds a key to the allow list may have added it here just before.
    // What we dialled goes by the URL that it was dialled by, not by what a name was resolved to.
    const auto dialled = outgoing ? targets_.find(from) : targets_.end();
    hub_->link_opened(now_, link, outgoing ? from : node::no_target,
                      dialled != targets_.end() ? dialled->second.url : remote_address, public_key);
}

/// A file that cannot be read leaves the old rules in force, and is told of once.
void endpoint_core::reload_permissions() {
    if (!permissions_) {
        return;
    }
    const auto changed = permissions_->reload_if_changed();
    if (changed && *changed) {
        hub_->set_permissions(now_, permissions_->rules());
    }
    say_once(changed, permissions_problem_);
}

void endpoint_core::say_once(const expected<bool>& done, std::string& told) {
    auto problem = done ? std::string{} : to_string(done.error());
    if (!done && problem != told) {
        say(done.error());
    }
    told = std::move(problem);
}

void endpoint_core::link_closed(transport::link_id link, const error& reason) {
    if (broken_) {
        return;
    }
    now_ = monotonic_now();
    hub_->link_closed(now_, link, reason);
}

void endpoint_core::connect_failed(std::uint32_t target, const error& reason) {
    if (broken_) {
        return;
    }
    now_ = monotonic_now();
    hub_->connect_failed(now_, target, reason);
}

void endpoint_core::frame_received(transport::link_id link, shared_bytes frame) {
    if (broken_) {
        return;
    }
    now_ = monotonic_now();
    hub_->frame_received(now_, link, frame);
}

void endpoint_core::peer_refused(std::string_view address, std::string_view public_key,
                                 std::string_view why) {
    std::string text{"refused a peer"};
    if (!address.empty()) {
        text += " at ";
        text += address;
    }
    if (!public_key.empty()) {
        text += " with public key ";
        text += public_key;
    }
    text += ": ";
    text += why;
    say(error{ec::peer_not_authenticated, std::move(text)});
}

void endpoint_core::silent_ended(std::size_t count, std::string_view address) {
    const auto limit =
        std::chrono::ceil<std::chrono::milliseconds>(options_.handshake_timeout).count();
    say(error{ec::peer_timeout, who_came(count, address) + " connected and sent no hello within "
                                    + std::to_string(limit) + " ms"});
}

void endpoint_core::handshakes_failed(std::size_t count, std::string_view address,
                                      std::string_view why) {
    say(error{ec::peer_incompatible,
              who_came(count, address) + " did not get in: " + std::string{why}});
}

// -- From the hub to the sockets and to subscribers -----------------------------------------------

void endpoint_core::send(node::link_id link, shared_bytes frame) { sockets_->send(link, frame); }

void endpoint_core::close(node::link_id link) { sockets_->close(link); }

void endpoint_core::connect(node::target_id target) {
    const auto at = targets_.find(target);
    auto done = at == targets_.end()
                    ? expected<void>{fail(ec::cancelled, "no longer wanted")}
                    : sockets_->connect(target, at->second.url, at->second.server_key,
                                        options_.connect_timeout);
    if (!done) {
        failed_dials_.emplace_back(target, std::move(done.error()));
    }
}

void endpoint_core::deliver(std::span<const node::subscriber_id> to, const batch_ptr& batch,
                            std::vector<node::subscriber_id>& full) {
    note_overlay();
    for (const auto id : to) {
        const auto at = subscribers_.find(id);
        if (at == subscribers_.end()) {
            continue;
        }
        if (at->second.bridge && batch->origin == self_) {
            continue;  // A gateway publishes what the other domain has already, for this one alone.
        }
        direct_came_ = direct_came_ || at->second.direct;
        switch (at->second.queue->push(batch)) {
            case subscriber_queue::push_result::accepted:
                break;
            case subscriber_queue::push_result::full:
                full.push_back(id);
                break;
            case subscriber_queue::push_result::disconnected:
                disconnected_.push_back(id);
                say(error{ec::queue_full, "a subscriber was cut off because its queue was full"});
                break;
        }
    }
}

void endpoint_core::notify(status_variant what) { say(what); }

void endpoint_core::say(const status_variant& what) {
    if (turn_lent_) {
        unsaid_.push_back(what);  // A publisher may hold what the log's reader waits for.
        return;
    }
    note_overlay();
    journal_.note(what);
    for (const auto& each : status_queues_) {
        each->push(what);
    }
}

block_ptr endpoint_core::allocate(std::size_t capacity) { return pool_.take(capacity); }

void endpoint_core::pong(node::request_id request, std::chrono::nanoseconds round_trip,
                         std::vector<endpoint_id> path) {
    if (const auto at = pings_.find(request); at != pings_.end()) {
        at->second = ping_result{round_trip, std::move(path)};
    }
}

void endpoint_core::filter_confirmed(node::request_id request) {
    if (const auto at = confirmations_.find(request); at != confirmations_.end()) {
        at->second = true;
    }
}

void endpoint_core::store_message(const endpoint_id& from, shared_bytes message) {
    stores_->message_came(from, std::move(message));
}

}  // namespace bzmq
