#include "transport/socket_hub.hpp"

#include "base/assert.hpp"
#include "transport/socket_hub_impl.hpp"
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif

namespace bzmq::transport {
namespace {

/// Up to this many bytes a copy costs less than another owner of the block; and received frames of
/// a few bytes would keep all of libzmq's 8 KiB read buffer alive.
constexpr std::size_t copied_bytes_max = 512;
/// libzmq takes 1023 sockets by default, and we need three for every outgoing link.
constexpr int sockets_max = 65000;
/// How many frames may wait between libzmq's I/O thread and `poll`, for each connection.
constexpr int receive_queue_frames = 1000;
/// Connections that the kernel holds for a listener.
constexpr int backlog = 1024;

struct received_block : byte_block {
    zmq_msg_t message;
};

/// Moves `body` into a block that hands it back to libzmq when it is no longer needed.
shared_bytes wrap(zmq_message& body) {
    auto* block = new received_block;
    zmq_msg_init(&block->message);
    zmq_msg_move(&block->message, body.get());
    block->data = static_cast<std::byte*>(zmq_msg_data(&block->message));
    block->capacity = zmq_msg_size(&block->message);
    block->dispose = [](byte_block* base) noexcept {
        auto* self = static_cast<received_block*>(base);
        zmq_msg_close(&self->message);
        delete self;
    };
    const auto* data = block->data;
    const auto size = block->capacity;
    return {block_ptr{block}, data, size};
}

// ThreadSanitizer cannot see how a block comes to libzmq's thread, and takes each that is released
// there for a race. That is suppressed, but writing such a report holds the thread up for a second.
#ifdef __SANITIZE_THREAD__
void hand_over(byte_block* block) { __tsan_release(block); }
void take_back(byte_block* block) { __tsan_acquire(block); }
#else
void hand_over(byte_block* /*block*/) {}
void take_back(byte_block* /*block*/) {}
#endif

/// Fills an empty message with `frame`, by reference where that pays.
void fill(zmq_message& body, const shared_bytes& frame) {
    if (frame.size() <= copied_bytes_max || !frame.block()) {
        zmq_msg_init_size(body.get(), frame.size());
        if (!frame.empty()) {
            std::memcpy(zmq_msg_data(body.get()), frame.data(), frame.size());
        }
        return;
    }
    block_ptr held = frame.block();
    hand_over(held.get());
    const auto release = [](void* /*data*/, void* hint) {
        auto* block = static_cast<byte_block*>(hint);
        take_back(block);
        block->drop_ref();
    };
    zmq_msg_init_data(body.get(), const_cast<std::byte*>(frame.data()), frame.size(), release,
                      held.release());
}

}  // namespace

void socket_hub_impl::context_deleter::operator()(void* context) const noexcept {
    while (zmq_ctx_term(context) != 0 && errno == EINTR) {
    }
}

socket_hub_impl::socket_hub_impl(events& report, security who, hub_settings settings)
    : report_(report),
      who_(std::move(who)),
      settings_(settings),
      context_(zmq_ctx_new()),
      zap_([this](const zap_handler::question& ask) { return refusal(ask); }),
      resolver_([this] { waker_.wake(); }) {
    if (who_.own && (!who_.own->secret || !is_key_text(who_.own->public_key))) {
        throw std::invalid_argument{"our own certificate lacks a key"};
    }
    epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    if (context_ == nullptr || epoll_ < 0) {
        ::close(epoll_);
        throw std::runtime_error{"no resources for a ZeroMQ context"};
    }
    zmq_ctx_set(context_.get(), ZMQ_MAX_SOCKETS, sockets_max);
    zmq_ctx_set(context_.get(), ZMQ_IO_THREADS, 1);
    if (auto started = zap_.start(context_.get()); !started) {
        ::close(epoll_);
        throw std::runtime_error{started.error().message()};
    }
    epoll_event wake_event{};
    wake_event.events = EPOLLIN;
    wake_event.data.ptr = nullptr;
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, waker_.fd(), &wake_event);
    watch(zap_source_, source::role_type::zap, this, zap_.socket());
}

socket_hub_impl::~socket_hub_impl() {
    const int linger = static_cast<int>(settings_.linger.count());
    for (auto& [id, one] : links_) {
        if (one->out) {
            one->out->watch->stop();
            one->out->dealer.set(ZMQ_LINGER, linger);
        }
    }
    for (auto& [id, one] : listeners_) {
        one->watch->stop();
        remove_file(*one);
        one->router.set(ZMQ_LINGER, linger);
    }
    ::close(epoll_);
}

// -- The loop ---------------------------------------------------------------------------------

void socket_hub_impl::watch(source& one, source::role_type role, void* owner,
                            const zmq_socket& socket) {
    one.role = role;
    one.owner = owner;
    one.fd = socket.get_int(ZMQ_FD);
    epoll_event interest{};
    interest.events = EPOLLIN;
    interest.data.ptr = &one;
    const int rc = ::epoll_ctl(epoll_, EPOLL_CTL_ADD, one.fd, &interest);
    BZMQ_ASSERT(rc == 0);
    enqueue(one);
}

void socket_hub_impl::unwatch(source& one) {
    if (one.fd >= 0 && !one.dead) {
        ::epoll_ctl(epoll_, EPOLL_CTL_DEL, one.fd, nullptr);
    }
    one.dead = true;
}

void socket_hub_impl::enqueue(source& one) {
    if (!one.queued && !one.dead) {
        one.queued = true;
        ready_.push_back(&one);
    }
}

void socket_hub_impl::poll(std::chrono::nanoseconds timeout, std::unique_lock<std::mutex>* turn) {
    reported_ = false;
    run_notices();
    run_ready();  // What was left over, and sockets that were written to.
    const bool busy = reported_ || !ready_.empty() || !notices_.empty();
    sleep(busy ? std::chrono::nanoseconds{0} : until_next_timer(timeout), turn);
    run_ready();
    read_answers();
    run_timers();
    run_notices();
    bury();
}

void socket_hub_impl::sleep(std::chrono::nanoseconds timeout, std::unique_lock<std::mutex>* turn) {
    const bool may_wait = timeout.count() > 0 && waker_.fall_asleep();
    std::array<epoll_event, 64> found{};
    timespec limit{};
    if (may_wait && turn != nullptr) {
        turn->unlock();
    }
    if (may_wait) {
        const auto seconds = std::chrono::floor<std::chrono::seconds>(timeout);
        limit.tv_sec = static_cast<time_t>(std::min<std::int64_t>(seconds.count(), 86'400));
        limit.tv_nsec = static_cast<long>((timeout - seconds).count());
    }
    int count =
        ::epoll_pwait2(epoll_, found.data(), static_cast<int>(found.size()), &limit, nullptr);
    if (count < 0 && errno == ENOSYS) {  // Linux before 5.11.
        const auto rounded_up = limit.tv_sec * 1000 + (limit.tv_nsec + 999'999) / 1'000'000;
        count = ::epoll_wait(epoll_, found.data(), static_cast<int>(found.size()),
                             static_cast<int>(rounded_up));
    }
    waker_.get_up();
    if (may_wait && turn != nullptr) {
        turn->lock();
    }
    for (int i = 0; i < count; ++i) {
        auto* one = static_cast<source*>(found[static_cast<std::size_t>(i)].data.ptr);
        if (one == nullptr) {
            waker_.drain();
        } else {
            enqueue(*one);
        }
    }
}

void socket_hub_impl::run_ready() {
    // What is queued meanwhile is for the next call.
    const auto batch = std::exchange(ready_, {});
    for (auto* one : batch) {
        one->queued = false;
        if (one->dead) {
            continue;
        }
        switch (one->role) {
            case source::role_type::router:
                read_router(*static_cast<listener*>(one->owner));
                break;
            case source::role_type::listener_monitor:
                read_listener_monitor(*static_cast<listener*>(one->owner));
                break;
            case source::role_type::dealer:
                read_dealer(*static_cast<connector*>(one->owner));
                break;
            case source::role_type::dealer_monitor:
                read_dealer_monitor(*static_cast<connector*>(one->owner));
                break;
            case source::role_type::zap:
                while (zap_.serve_one()) {
                }
                break;
        }
    }
}

/// May a receive on this socket find something, or is its end to be told?
bool socket_hub_impl::has_news(const source& one) {
    switch (one.role) {
        case source::role_type::router: {
            const auto& from = *static_cast<listener*>(one.owner);
            return !from.dying.empty() || (from.router.get_int(ZMQ_EVENTS) & ZMQ_POLLIN) != 0;
        }
        case source::role_type::dealer: {
            const auto& from = *static_cast<connector*>(one.owner);
            return from.open_as == 0 || from.dying
                   || (from.dealer.get_int(ZMQ_EVENTS) & ZMQ_POLLIN) != 0;
        }
        default:
            return true;
    }
}

bool socket_hub_impl::settle() {
    // A socket without news may sleep: libzmq has just looked, and what comes from now on shows at
    // its descriptor.
    std::erase_if(ready_, [](source* one) {
        const bool asleep = !one->dead && !has_news(*one);
        one->queued = one->queued && !asleep;
        return asleep;
    });
    return ready_.empty() && notices_.empty() && dead_listeners_.empty() && dead_connectors_.empty();
}

std::chrono::nanoseconds socket_hub_impl::until_next_timer(std::chrono::nanoseconds limit) const {
    if (timers_.empty()) {
        return limit;
    }
    const std::chrono::nanoseconds left = timers_.begin()->first - steady::now();
    return std::clamp(left, std::chrono::nanoseconds{0},
                      std::max(limit, std::chrono::nanoseconds{0}));
}

void socket_hub_impl::run_timers() {
    if (timers_.empty()) {
        return;
    }
    const auto now = steady::now();
    while (!timers_.empty() && timers_.begin()->first <= now) {
        const auto due = timers_.begin()->second;
        timers_.erase(timers_.begin());
        if (due.kind == timer::kind_type::linger) {
            if (const auto found = links_.find(due.id); found != links_.end()) {
                shut_down(*found->second);
            }
            continue;
        }
        if (due.kind == timer::kind_type::failures) {
            if (const auto found = listeners_.find(due.id); found != listeners_.end()) {
                tell_failures(*found->second);
            }
            continue;
        }
        if (due.kind == timer::kind_type::first_frames) {
            if (const auto found = listeners_.find(due.id); found != listeners_.end()) {
                end_silent(*found->second);
            }
            continue;
        }
        const auto found = attempts_.find(due.id);
        if (found != attempts_.end() && found->second->serial == due.serial) {
            auto& attempt = *found->second;
            attempt.alternatives.clear();
            fail_attempt(attempt, {ec::peer_timeout,
                                   "no answer in time from " + to_string(attempt.address)});
        }
    }
}

void socket_hub_impl::run_notices() {
    for (const auto& one : std::exchange(notices_, {})) {
        reported_ = true;
        if (one.of_link) {
            report_.link_closed(one.id, one.reason);
        } else {
            report_.connect_failed(one.id, one.reason);
        }
    }
}

void socket_hub_impl::bury() {
    if (dead_listeners_.empty() && dead_connectors_.empty()) {
        return;
    }
    std::erase_if(ready_, [](const source* one) { return one->dead; });
    dead_listeners_.clear();
    dead_connectors_.clear();
}

// -- Links --------------------------------------------------------------------------------------

void socket_hub_impl::set_common_options(zmq_socket& socket) const {
    // The session layer's window bounds what is in flight; with a bound here, a frame could be
    // refused that the window had granted.
    socket.set(ZMQ_SNDHWM, 0);
    socket.set(ZMQ_RCVHWM, receive_queue_frames);
    socket.set(ZMQ_MAXMSGSIZE, static_cast<std::int64_t>(settings_.max_frame_bytes));
    if (settings_.zmtp_heartbeat.count() > 0) {
        const int interval = static_cast<int>(settings_.zmtp_heartbeat.count());
        socket.set(ZMQ_HEARTBEAT_IVL, interval);
        socket.set(ZMQ_HEARTBEAT_TIMEOUT, 3 * interval);
    }
    socket.set(ZMQ_BACKLOG, backlog);
}

void socket_hub_impl::set_key_pair(zmq_socket& socket) const {
    socket.set(ZMQ_CURVE_PUBLICKEY, who_.own->public_key.c_str(), key_text_size + 1);
    socket.set(ZMQ_CURVE_SECRETKEY, who_.own->secret.reveal(), key_text_size + 1);
}

void socket_hub_impl::deliver(link_id id, zmq_message& body) {
    const auto size = body.view().size();
    ++counters_.received_frames;
    counters_.received_bytes += size;
    reported_ = true;
    if (size <= copied_bytes_max) {
        report_.frame_received(id, shared_bytes::copy_of(body.view()));
    } else {
        report_.frame_received(id, wrap(body));
    }
}

void socket_hub_impl::send(link_id id, const shared_bytes& frame) {
    const auto found = links_.find(id);
    if (found == links_.end() || found->second->muted) {
        ++counters_.dropped_frames;
        return;
    }
    auto& to = *found->second;
    zmq_message body;
    fill(body, frame);
    if (to.out ? send_outgoing(*to.out, body) : send_incoming(to, body)) {
        ++counters_.sent_frames;
        counters_.sent_bytes += frame.size();
    } else {
        ++counters_.dropped_frames;
    }
}

void socket_hub_impl::close(link_id id, bool drain) {
    const auto found = links_.find(id);
    if (found == links_.end()) {
        return;
    }
    auto& one = *found->second;
    // It may have been reported as gone already, but not yet in the caller's eyes.
    std::erase_if(notices_, [id](const notice& what) { return what.of_link && what.id == id; });
    if (one.out) {
        auto out = std::move(one.out);
        links_.erase(found);
        retire(std::move(out), drain ? settings_.linger : std::chrono::milliseconds{0});
        return;
    }
    if (std::exchange(one.muted, true)) {
        return;
    }
    // A ROUTER cannot end one connection. The peer, told by the session layer, is expected to; when
    // it does not, we shut its TCP connection down under libzmq's hands.
    if (!drain) {
        shut_down(one);
    } else {
        timers_.emplace(steady::now() + settings_.linger, timer{timer::kind_type::linger, id, 0});
    }
}

// -- The facade -----------------------------------------------------------------------------------

socket_hub::socket_hub(events& report, security who, hub_settings settings)
    : impl_(std::make_unique<socket_hub_impl>(report, std::move(who), settings)) {}
socket_hub::~socket_hub() = default;
expected<listener_info> socket_hub::listen(std::string_view address) {
    return impl_->listen(address);
}
void socket_hub::stop_listening(std::uint32_t listener) {
    impl_->stop_listening(listener);
}
expected<void> socket_hub::connect(std::uint32_t target, std::string_view address,
                                   std::string_view server_key, std::chrono::nanoseconds timeout) {
    return impl_->connect(target, address, server_key, timeout);
}
void socket_hub::cancel(std::uint32_t target) {
    impl_->cancel(target);
}
void socket_hub::send(link_id link, const shared_bytes& frame) {
    impl_->send(link, frame);
}
void socket_hub::close(link_id link, bool drain) {
    impl_->close(link, drain);
}
void socket_hub::poll(std::chrono::nanoseconds timeout, std::unique_lock<std::mutex>* turn) {
    impl_->poll(timeout, turn);
}
bool socket_hub::settle() {
    return impl_->settle();
}
void socket_hub::wake() noexcept {
    impl_->wake();
}
expected<bool> socket_hub::reload_allowed() {
    return impl_->reload_allowed();
}
const transport_counters& socket_hub::counters() const noexcept {
    return impl_->counters();
}

}  // namespace bzmq::transport
