#include "base/assert.hpp"
#include "transport/socket_hub_impl.hpp"
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

/// The listening side of the hub. A ROUTER names its peers by routing ids that it makes up, one for
/// each connection; the monitor names connections by their file descriptor. The first frame of a
/// connection carries both (ZMQ_SRCFD) and ties them together, which tells us at once when a peer
/// is gone.
namespace bzmq::transport {
namespace {

/// A link whose connection is gone is reported after this time even if a flood of other links'
/// frames keeps us from making sure that we have read its last one.
constexpr std::chrono::milliseconds dying_max{100};
/// libzmq ends connections that have not shown who they are by `handshake_timeout`, and it counts
/// them; those that it leaves are ours to end, so long after that.
constexpr std::chrono::milliseconds silence_grace{250};
/// Silent connections are ended in bunches, for the sake of who reads of it.
constexpr std::chrono::seconds silence_pause{1};
/// So are failed handshakes told of, and not before libzmq can have said whose they were.
constexpr std::chrono::seconds failures_pause{1};
constexpr std::chrono::milliseconds failures_delay{10};

/// Does a process listen at this path? libzmq would silently take the path away from it.
bool somebody_listens(const std::string& path) {
    sockaddr_un raw{};
    raw.sun_family = AF_UNIX;
    path.copy(raw.sun_path, sizeof raw.sun_path - 1);
    socklen_t size = sizeof raw;
    if (path.front() == '@') {  // The abstract name space.
        raw.sun_path[0] = '\0';
        size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
    }
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const bool found =
        fd >= 0
        && (::connect(fd, reinterpret_cast<const sockaddr*>(&raw), size) == 0 || errno == EAGAIN);
    if (fd >= 0) {
        ::close(fd);
    }
    return found;
}

/// The socket at this path; nothing where there is none, or something else.
std::optional<socket_file> socket_file_at(const std::string& path) {
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0 || !S_ISSOCK(info.st_mode)) {
        return std::nullopt;
    }
    return socket_file{path, info.st_dev, info.st_ino};
}

/// libzmq would delete it.
bool is_no_socket(const std::string& path) {
    struct stat info {};
    return ::lstat(path.c_str(), &info) == 0 && !S_ISSOCK(info.st_mode);
}

std::string failure_text(const monitor::event& what, bool secure) {
    if (what.type == ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL) {
        return secure ? "it hung up in the handshake; it may use no CURVE, or expect another key "
                        "than ours (server_key)"
                      : "it hung up in the handshake; it may want CURVE";
    }
    switch (what.value) {
        case ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH:
            return secure ? "it does not use CURVE, we do" : "it uses CURVE, we do not";
        case ZMQ_PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC:
            return "it expects another key than ours (server_key)";
        default:
            return "it does not speak ZMTP 3";
    }
}

ino_t inode_of(int fd) {
    struct stat info {};
    return ::fstat(fd, &info) == 0 ? info.st_ino : 0;
}

}  // namespace

// -- Listeners ------------------------------------------------------------------------------------

expected<listener_info> socket_hub_impl::listen(std::string_view address) {
    auto where = url::parse(address);
    if (!where) {
        return tl::make_unexpected(where.error());
    }
    if (where->scheme == url::scheme_type::ipc && somebody_listens(where->path)) {
        return fail(ec::address_in_use, std::string{address} + ": somebody listens there already");
    }
    if (where->scheme == url::scheme_type::ipc && is_no_socket(where->path)) {
        return fail(ec::address_in_use, std::string{address} + ": that is no socket, but a file");
    }
    if (where->scheme == url::scheme_type::tcp && where->kind == url::host_type::name) {
        // Left to libzmq where no resolver knows it: it may name a network interface.
        if (auto found = resolve(*where); !found.empty()) {
            *where = std::move(found.front());
        }
    }
    const bool any = where->kind == url::host_type::wildcard;
    auto made = bind(*where, any || where->kind == url::host_type::ipv6);
    if (!made && any && made.error() == ec::invalid_address) {
        made = bind(*where, false);  // A machine without IPv6.
    }
    if (!made) {
        return tl::make_unexpected(made.error());
    }
    auto& one = **made;
    one.info.id = ++last_listener_;
    listeners_.emplace(one.info.id, std::move(*made));
    watch(one.router_source, source::role_type::router, &one, one.router);
    watch(one.monitor_source, source::role_type::listener_monitor, &one, one.watch->socket());
    return one.info;
}

expected<std::unique_ptr<listener>> socket_hub_impl::bind(const url& where, bool ipv6) {
    auto made = std::make_unique<listener>();
    made->router = zmq_socket{context_.get(), ZMQ_ROUTER};
    if (!made->router) {
        return fail(ec::unspecified, to_string(where) + ": " + zmq_strerror(errno));
    }
    auto& router = made->router;
    set_common_options(router);
    router.set(ZMQ_IPV6, ipv6 ? 1 : 0);
    router.set(ZMQ_ROUTER_MANDATORY, 1);  // Without it frames vanish silently.
    router.set(ZMQ_HANDSHAKE_IVL, static_cast<int>(settings_.handshake_timeout.count()));
    // A domain makes libzmq ask us about every peer, and refuse those of ZMTP 1 and 2, which is
    // what most garbage looks like to it.
    constexpr std::string_view domain = "bzmq";
    router.set(ZMQ_ZAP_DOMAIN, domain.data(), domain.size());
    if (who_.own) {
        router.set(ZMQ_CURVE_SERVER, 1);
        set_key_pair(router);
    }
    made->watch = std::make_unique<monitor>(
        context_.get(), router,
        ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH
            | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL);
    if (!made->watch->good()) {
        return fail(ec::unspecified, to_string(where) + ": " + zmq_strerror(errno));
    }
    if (zmq_bind(router.get(), to_string(where).c_str()) != 0) {
        return fail(errno == EADDRINUSE ? ec::address_in_use : ec::invalid_address,
                    to_string(where) + ": " + zmq_strerror(errno));
    }
    made->info.url = router.last_endpoint();
    if (where.scheme == url::scheme_type::tcp) {
        const auto digits = made->info.url.rfind(':') + 1;
        std::from_chars(made->info.url.data() + digits,
                        made->info.url.data() + made->info.url.size(), made->info.port);
    } else {
        made->file = socket_file_at(where.path);
    }
    return made;
}

/// libzmq leaves it. To be called while we still listen: nobody else takes the path before that.
void socket_hub_impl::remove_file(const listener& of) {
    if (of.file && socket_file_at(of.file->path) == of.file) {
        ::unlink(of.file->path.c_str());
    }
}

void socket_hub_impl::stop_listening(std::uint32_t id) {
    const auto found = listeners_.find(id);
    if (found == listeners_.end()) {
        return;
    }
    auto owned = std::move(found->second);
    listeners_.erase(found);
    auto& one = *owned;
    one.dead = true;
    unwatch(one.router_source);
    unwatch(one.monitor_source);
    one.watch->stop();
    remove_file(one);
    one.router.set(ZMQ_LINGER, static_cast<int>(settings_.linger.count()));
    one.router.close();
    for (auto& [routing_id, gone] : one.by_routing_id) {
        if (!gone->muted) {
            notices_.push_back(
                {true, gone->id, {ec::shutting_down, "we stopped listening at " + one.info.url}});
        }
        links_.erase(gone->id);
    }
    one.by_routing_id.clear();
    dead_listeners_.push_back(std::move(owned));
}

// -- Who may come in ------------------------------------------------------------------------------

bool socket_hub_impl::allows(std::string_view public_key) const {
    return who_.allow_any_client || public_key == who_.own->public_key
           || (who_.allowed && who_.allowed->contains(public_key));
}

std::optional<std::string> socket_hub_impl::refusal(const zap_handler::question& ask) {
    std::string why;
    if (!who_.own) {
        if (ask.mechanism == "NULL") {
            return std::nullopt;
        }
        why = "we use no encryption";
    } else if (ask.mechanism != "CURVE" || ask.public_key.empty()) {
        why = "no key";
    } else {
        if (who_.allowed) {
            // Of a bad file the old keys hold; the owner's next reload_allowed reports it.
            static_cast<void>(reload_allowed());
        }
        if (allows(ask.public_key)) {
            return std::nullopt;
        }
        why = who_.allowed ? "the key is not in the allow list " + who_.allowed->path()
                           : "the key is not our own, and there is no allow list";
    }
    ++counters_.refused_peers;
    reported_ = true;
    report_.peer_refused(ask.address, ask.public_key, why);
    return why;
}

expected<bool> socket_hub_impl::reload_allowed() {
    if (!who_.allowed) {
        return false;
    }
    auto changed = who_.allowed->reload_if_changed();
    if (changed.value_or(true) && who_.own) {  // A bad file does not keep the others from counting.
        for (auto& [id, one] : links_) {
            if (one->in != nullptr && !one->muted && !allows(one->public_key)) {
                evict(*one,
                      {ec::peer_not_authenticated, "the key was removed from the allow list"});
            }
        }
    }
    return changed;
}

/// Ends a link on our own account.
void socket_hub_impl::evict(link& one, error reason) {
    one.muted = true;
    notices_.push_back({true, one.id, std::move(reason)});
    shut_down(one);
}

/// Ends the connection at a descriptor. The descriptor is libzmq's, which may close it at any time, so
/// that the number may name something else by now: take hold of it first, then look what it is.
void socket_hub_impl::shut_down(int fd, ino_t inode) {
    if (fd < 0) {
        return;
    }
    const int held = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (held < 0) {
        return;
    }
    if (inode != 0 && inode_of(held) == inode) {
        ::shutdown(held, SHUT_RDWR);
    }
    ::close(held);
}

// -- What comes in --------------------------------------------------------------------------------

void socket_hub_impl::read_listener_monitor(listener& from) {
    while (const auto what = from.watch->next()) {
        const int fd = static_cast<int>(what->value);
        switch (what->type) {
            case ZMQ_EVENT_ACCEPTED:
                ++counters_.accepted_connections;
                expect_frame(from, fd);
                break;
            case ZMQ_EVENT_DISCONNECTED: {
                const auto gone = from.connected.extract(fd);
                if (std::exchange(from.failed.ends_next, false) && gone) {
                    from.failed.address = gone.mapped().address;
                }
                if (const auto found = from.by_fd.find(fd); found != from.by_fd.end()) {
                    let_die(*found->second, {ec::peer_unavailable, "the peer is gone"});
                }
                break;
            }
            default:
                ++counters_.failed_handshakes;
                if (what->type != ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) {  // That, ZAP has told.
                    note_failure(from, *what);
                }
                break;
        }
    }
}

/// An operator who looks for a peer that does not come is to find it here. libzmq tells of the failure
/// first, and then which connection has ended.
void socket_hub_impl::note_failure(listener& from, const monitor::event& what) {
    auto& failed = from.failed;
    failed.why = failure_text(what, who_.own.has_value());
    failed.address.clear();
    failed.ends_next = true;
    if (failed.count++ == 0) {
        timers_.emplace(std::max(steady::now() + failures_delay, failed.told + failures_pause),
                        timer{timer::kind_type::failures, from.info.id, 0});
    }
}

void socket_hub_impl::tell_failures(listener& from) {
    auto failed = std::exchange(from.failed, {});
    from.failed.told = steady::now();
    reported_ = true;
    report_.handshakes_failed(failed.count, failed.address.empty() ? from.info.url : failed.address,
                              failed.why);
}

/// A connection opens a link with its first frame. One that never sends any is known to nobody
/// above, so its time is ours to watch.
void socket_hub_impl::expect_frame(listener& from, int fd) {
    from.connected[fd] = {inode_of(fd), ++last_serial_, false, remote_address(fd)};
    from.expected.push_back(
        {steady::now() + settings_.handshake_timeout + silence_grace, fd, last_serial_});
    if (from.expected.size() == 1) {
        watch_silence(from);
    }
}

void socket_hub_impl::watch_silence(const listener& from) {
    timers_.emplace(std::max(from.expected.front().due, from.silence_told + silence_pause),
                    timer{timer::kind_type::first_frames, from.info.id, 0});
}

/// Ends the connections that should have spoken by now.
void socket_hub_impl::end_silent(listener& from) {
    read_listener_monitor(from);  // Who has gone meanwhile is not there to be ended.
    const auto now = steady::now();
    std::size_t count = 0;
    std::string address;
    while (!from.expected.empty() && from.expected.front().due <= now) {
        const auto due = from.expected.front();
        from.expected.pop_front();
        const auto found = from.connected.find(due.fd);
        if (found == from.connected.end() || found->second.serial != due.serial
            || found->second.spoke) {
            continue;
        }
        ++count;
        ++counters_.failed_handshakes;
        address = found->second.address;
        shut_down(due.fd, found->second.inode);
    }
    if (count > 0) {
        from.silence_told = now;
    }
    if (!from.expected.empty()) {
        watch_silence(from);
    }
    if (count > 0) {
        reported_ = true;
        report_.silent_ended(count, address.empty() ? from.info.url : address);
    }
}

/// The connection is gone, but frames of it may wait in the ROUTER. libzmq had queued them all
/// before it told us, so that a receive that finds nothing proves that we have read them.
void socket_hub_impl::let_die(link& one, error reason) {
    auto& from = *one.in;
    if (const auto found = from.by_fd.find(one.fd);
        found != from.by_fd.end() && found->second == &one) {
        from.by_fd.erase(found);
    }
    one.fd = -1;
    if (!std::exchange(one.dying, true)) {
        one.reason = std::move(reason);
        if (from.dying.empty()) {
            from.dying_since = steady::now();
        }
        from.dying.push_back(one.id);
    }
    enqueue(from.router_source);
}

void socket_hub_impl::finish_dying(listener& from, bool all_read) {
    if (from.dying.empty() || (!all_read && steady::now() - from.dying_since < dying_max)) {
        return;
    }
    // A link stays known while frames of it may come, lest they open a new one.
    const auto gone = all_read ? std::exchange(from.dying, {}) : from.dying;
    for (const auto id : gone) {
        const auto found = links_.find(id);
        if (found == links_.end()) {
            continue;
        }
        auto& one = *found->second;
        const bool known = !std::exchange(one.muted, true);
        const error reason = one.reason;
        if (all_read) {
            forget_incoming(one);
        }
        if (known) {
            reported_ = true;
            report_.link_closed(id, reason);
            if (from.dead) {
                return;
            }
        }
    }
}

void socket_hub_impl::forget_incoming(link& one) {
    auto& from = *one.in;
    if (const auto found = from.by_fd.find(one.fd);
        found != from.by_fd.end() && found->second == &one) {
        from.by_fd.erase(found);
    }
    from.by_routing_id.erase(one.routing_id);
    links_.erase(one.id);  // Destroys `one`.
}

void socket_hub_impl::read_router(listener& from) {
    std::size_t bytes = 0;
    for (std::size_t frames = 0; frames < settings_.batch_frames && bytes < settings_.batch_bytes;
         ++frames) {
        zmq_message routing_id;
        if (!from.router.receive(routing_id)) {
            finish_dying(from, true);
            return;
        }
        zmq_message body;
        bool well_formed = routing_id.more() && from.router.receive(body);
        for (bool more = body.more(); more;) {
            well_formed = false;
            zmq_message rest;
            more = from.router.receive(rest) && rest.more();
        }
        bytes += body.view().size();
        if (!well_formed) {
            ++counters_.malformed_messages;
            continue;
        }
        const auto found = from.by_routing_id.find(routing_id.view());
        link* one = found != from.by_routing_id.end() ? found->second
                                                      : accept(from, routing_id.view(), body);
        if (from.dead) {
            return;
        }
        if (one != nullptr && !one->muted) {
            deliver(one->id, body);
        }
        if (from.dead) {
            return;
        }
    }
    finish_dying(from, false);
    if (!from.dead) {
        enqueue(from.router_source);
    }
}

/// The first frame of a connection makes it a link. Null where it must not.
link* socket_hub_impl::accept(listener& from, std::string_view routing_id, zmq_message& first) {
    // Whatever happened to the descriptor before this frame came must not be applied to its link.
    read_listener_monitor(from);
    auto made = std::make_unique<link>();
    auto& one = *made;
    one.id = ++last_link_;
    one.in = &from;
    one.routing_id = routing_id;
    if (who_.own) {
        one.public_key = first.property("User-Id");
        if (!allows(one.public_key)) {
            // Came in, then was removed from the list before it said a word.
            ++counters_.refused_peers;
            one.muted = true;
        }
    }
    one.fd = zmq_msg_get(first.get(), ZMQ_SRCFD);
    std::string address{first.property("Peer-Address")};
    bool stands = true;
    if (one.fd >= 0) {
        if (const auto old = from.by_fd.find(one.fd); old != from.by_fd.end()) {
            let_die(*old->second, {ec::peer_unavailable, "the peer is gone"});
        }
        const auto connected = from.connected.find(one.fd);
        stands = connected != from.connected.end();
        if (stands) {
            connected->second.spoke = true;
            one.inode = inode_of(one.fd);
            if (auto exact = remote_address(one.fd); !exact.empty()) {
                address = std::move(exact);
            }
            from.by_fd[one.fd] = &one;
        }
    }
    if (address.empty()) {
        address = from.info.url;  // ipc: clients have no address.
    }
    links_.emplace(one.id, std::move(made));
    from.by_routing_id.emplace(one.routing_id, &one);
    if (one.muted) {
        shut_down(one);
    } else {
        reported_ = true;
        report_.link_opened(one.id, false, from.info.id, address, one.public_key);
        if (from.dead) {
            return nullptr;
        }
    }
    if (!stands) {
        let_die(one, {ec::peer_unavailable, "the peer is gone"});
    }
    return &one;
}

bool socket_hub_impl::send_incoming(link& to, zmq_message& body) {
    auto& router = to.in->router;
    enqueue(to.in->router_source);
    zmq_message routing_id{to.routing_id};
    if (!router.send(routing_id, ZMQ_SNDMORE)) {
        let_die(to,
                {ec::peer_unavailable, std::string{"the peer is gone: "} + zmq_strerror(errno)});
        return false;
    }
    const bool sent = router.send(body);
    BZMQ_ASSERT(sent);  // Once the ROUTER has taken the routing id it takes the rest, or drops it.
    return sent;
}

}  // namespace bzmq::transport
