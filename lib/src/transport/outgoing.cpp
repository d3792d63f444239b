#include "base/assert.hpp"
#include "transport/socket_hub_impl.hpp"

#include <cerrno>
#include <utility>

/// The connecting side of the hub. Every attempt has a DEALER of its own that never reconnects:
/// libzmq's silent reconnect loses what was in flight, and nobody would know.
namespace bzmq::transport {
namespace {

/// A CURVE listener whose key is not the one that we expect says nothing: it hangs up.
error hung_up(const std::string& where, bool secure) {
    return {ec::peer_disconnect_during_handshake,
            where + " hung up during the handshake"
                + (secure ? "; its key may not be the one that we expect (server_key), or it uses "
                            "no CURVE"
                          : "; it may want CURVE")};
}

error handshake_error(const monitor::event& what, const std::string& where, bool secure) {
    if (what.type == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) {
        return {ec::peer_not_authenticated, where + " refused our key"};
    }
    if (what.type == ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL) {
        return hung_up(where, secure);
    }
    switch (what.value) {
        case ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH:
            return {ec::peer_incompatible,
                    where + (secure ? " does not use CURVE, we do" : " uses CURVE, we do not")};
        case ZMQ_PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC:
            return {ec::peer_not_authenticated, where + " could not prove to own its key"};
        default:
            return {ec::peer_incompatible, where + " does not speak ZMTP 3"};
    }
}

}  // namespace

// -- Attempts -------------------------------------------------------------------------------------

expected<void> socket_hub_impl::connect(std::uint32_t target, std::string_view address,
                                        std::string_view server_key,
                                        std::chrono::nanoseconds timeout) {
    auto where = url::parse(address);
    if (!where) {
        return tl::make_unexpected(where.error());
    }
    const bool tcp = where->scheme == url::scheme_type::tcp;
    if (tcp && (where->port == 0 || where->kind == url::host_type::wildcard)) {
        return fail(ec::invalid_address, std::string{address} + ": nothing to connect to");
    }
    if (!server_key.empty() && !is_key_text(server_key)) {
        return fail(ec::invalid_certificate,
                    "the key of " + std::string{address} + " is not a key in Z85");
    }
    cancel(target);
    auto attempt = std::make_unique<connector>();
    attempt->serial = ++last_serial_;
    attempt->target = target;
    attempt->address = std::move(*where);
    attempt->server_key = server_key;
    if (who_.own && server_key.empty()) {
        attempt->server_key = who_.own->public_key;
    }
    constexpr std::chrono::nanoseconds longest = std::chrono::hours{24};
    attempt->deadline = steady::now() + std::min(timeout, longest);
    timers_.emplace(attempt->deadline, timer{timer::kind_type::attempt, target, attempt->serial});
    if (!tcp || attempt->address.kind != url::host_type::name) {
        dial(std::move(attempt));
        return {};
    }
    if (attempt->address.host == "localhost") {
        attempt->alternatives = resolve(attempt->address);
        attempt->address = attempt->alternatives.front();
        attempt->alternatives.erase(attempt->alternatives.begin());
        dial(std::move(attempt));
        return {};
    }
    if (!resolver_.ask(attempt->serial, attempt->address)) {
        return fail(ec::unspecified, "no thread to resolve " + attempt->address.host);
    }
    attempts_[target] = std::move(attempt);
    return {};
}

void socket_hub_impl::read_answers() {
    while (auto answer = resolver_.next()) {
        for (auto& [target, attempt] : attempts_) {
            if (attempt->serial != answer->id) {
                continue;
            }
            if (answer->addresses.empty()) {
                fail_attempt(*attempt,
                             {ec::peer_unavailable, "unknown host " + attempt->address.host});
            } else {
                auto owned = std::move(attempt);
                attempts_.erase(owned->target);
                owned->address = answer->addresses.front();
                owned->alternatives.assign(answer->addresses.begin() + 1, answer->addresses.end());
                dial(std::move(owned));
            }
            break;
        }
    }
}

void socket_hub_impl::dial(std::unique_ptr<connector> attempt) {
    auto& one = *attempt;
    if (!open_socket(one)) {
        notices_.push_back({false,
                            one.target,
                            {ec::peer_unavailable, "cannot connect to " + to_string(one.address)
                                                       + ": " + zmq_strerror(errno)}});
        return;
    }
    attempts_[one.target] = std::move(attempt);
    watch(one.dealer_source, source::role_type::dealer, &one, one.dealer);
    watch(one.monitor_source, source::role_type::dealer_monitor, &one, one.watch->socket());
}

bool socket_hub_impl::open_socket(connector& attempt) {
    attempt.dealer = zmq_socket{context_.get(), ZMQ_DEALER};
    if (!attempt.dealer) {
        return false;
    }
    auto& dealer = attempt.dealer;
    set_common_options(dealer);
    dealer.set(ZMQ_IPV6, attempt.address.kind == url::host_type::ipv6 ? 1 : 0);
    dealer.set(ZMQ_RECONNECT_IVL, -1);
    dealer.set(ZMQ_IMMEDIATE, 1);      // No queue before the connection stands, none after it.
    dealer.set(ZMQ_HANDSHAKE_IVL, 0);  // The attempt has a deadline of its own.
    if (who_.own) {
        set_key_pair(dealer);
        dealer.set(ZMQ_CURVE_SERVERKEY, attempt.server_key.c_str(), key_text_size + 1);
    }
    attempt.watch = std::make_unique<monitor>(
        context_.get(), dealer,
        ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CLOSED
            | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL
            | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL);
    return attempt.watch->good()
           && zmq_connect(dealer.get(), to_string(attempt.address).c_str()) == 0;
}

void socket_hub_impl::cancel(std::uint32_t target) {
    std::erase_if(notices_,
                  [target](const notice& what) { return !what.of_link && what.id == target; });
    if (const auto found = attempts_.find(target); found != attempts_.end()) {
        auto owned = std::move(found->second);
        attempts_.erase(found);
        retire(std::move(owned), std::chrono::milliseconds{0});
    }
}

void socket_hub_impl::fail_attempt(connector& attempt, error reason) {
    const auto found = attempts_.find(attempt.target);
    BZMQ_ASSERT(found != attempts_.end() && found->second.get() == &attempt);
    auto owned = std::move(found->second);
    attempts_.erase(found);
    const auto target = owned->target;
    std::unique_ptr<connector> next;
    if (reason == ec::peer_unavailable && !owned->alternatives.empty()) {
        next = std::make_unique<connector>();
        next->serial = owned->serial;  // One deadline for all addresses.
        next->target = target;
        next->address = owned->alternatives.front();
        next->alternatives.assign(owned->alternatives.begin() + 1, owned->alternatives.end());
        next->server_key = owned->server_key;
        next->deadline = owned->deadline;
    }
    retire(std::move(owned), std::chrono::milliseconds{0});
    if (next) {
        dial(std::move(next));
        return;
    }
    reported_ = true;
    report_.connect_failed(target, reason);
}

void socket_hub_impl::retire(std::unique_ptr<connector> one, std::chrono::milliseconds linger) {
    one->dead = true;
    unwatch(one->dealer_source);
    unwatch(one->monitor_source);
    if (one->watch) {
        one->watch->stop();
    }
    if (one->dealer) {
        one->dealer.set(ZMQ_LINGER, static_cast<int>(linger.count()));
        one->dealer.close();
    }
    dead_connectors_.push_back(std::move(one));
}

// -- What comes in --------------------------------------------------------------------------------

void socket_hub_impl::read_dealer_monitor(connector& from) {
    while (!from.dead) {
        const auto what = from.watch->next();
        if (!what) {
            return;
        }
        const auto where = to_string(from.address);
        if (what->type == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
            open(from);
        } else if (from.open_as != 0) {
            // Only a disconnect can follow. What the connection brought is in the DEALER: read it
            // to the end first.
            from.dying = true;
            from.reason = {ec::peer_unavailable, where + " is gone"};
            enqueue(from.dealer_source);
        } else if (what->type == ZMQ_EVENT_CLOSED) {
            fail_attempt(from, {ec::peer_unavailable, "nobody answers at " + where});
        } else if (what->type == ZMQ_EVENT_DISCONNECTED) {
            fail_attempt(from, hung_up(where, who_.own.has_value()));
        } else {
            fail_attempt(from, handshake_error(*what, where, who_.own.has_value()));
        }
    }
}

void socket_hub_impl::open(connector& attempt) {
    const auto found = attempts_.find(attempt.target);
    if (attempt.open_as != 0 || found == attempts_.end()) {
        return;
    }
    auto made = std::make_unique<link>();
    made->id = ++last_link_;
    made->out = std::move(found->second);
    attempts_.erase(found);
    attempt.open_as = made->id;
    const auto id = made->id;
    links_.emplace(id, std::move(made));
    // Makes libzmq process the command that attaches the connection to the DEALER; the first send
    // may come too early for its lazy schedule, and would fail with EAGAIN.
    attempt.dealer.get_int(ZMQ_EVENTS);
    enqueue(attempt.dealer_source);
    reported_ = true;
    report_.link_opened(id, true, attempt.target, to_string(attempt.address),
                        who_.own ? attempt.server_key : std::string{});
}

void socket_hub_impl::read_dealer(connector& from) {
    if (from.open_as == 0) {
        // Its frames must not overtake the news that it stands.
        from.dealer.get_int(ZMQ_EVENTS);
        read_dealer_monitor(from);
        return;
    }
    std::size_t bytes = 0;
    for (std::size_t frames = 0; frames < settings_.batch_frames && bytes < settings_.batch_bytes;
         ++frames) {
        zmq_message body;
        if (!from.dealer.receive(body)) {
            if (from.dying) {
                lose(from);
            }
            return;
        }
        if (body.more()) {
            ++counters_.malformed_messages;
            zmq_message rest;
            while (from.dealer.receive(rest) && rest.more()) {
            }
            continue;
        }
        bytes += body.view().size();
        deliver(from.open_as, body);
        if (from.dead) {
            return;
        }
    }
    enqueue(from.dealer_source);
}

void socket_hub_impl::lose(connector& one) {
    const auto found = links_.find(one.open_as);
    BZMQ_ASSERT(found != links_.end());
    auto owned = std::move(found->second->out);
    links_.erase(found);
    const auto id = owned->open_as;
    const error reason = owned->reason;
    retire(std::move(owned), std::chrono::milliseconds{0});
    reported_ = true;
    report_.link_closed(id, reason);
}

bool socket_hub_impl::send_outgoing(connector& to, zmq_message& body) {
    enqueue(to.dealer_source);
    if (to.dealer.send(body)) {
        return true;
    }
    // No connection is attached any more: without reconnects, none ever will be.
    if (!std::exchange(to.dying, true)) {
        to.reason = {ec::peer_unavailable, to_string(to.address) + " is gone"};
    }
    return false;
}

}  // namespace bzmq::transport
