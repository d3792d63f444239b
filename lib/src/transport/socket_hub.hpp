#pragma once

#include "bzmq/certificate.hpp"
#include "bzmq/error.hpp"
#include "bzmq/shared_bytes.hpp"

#include "transport/allow_list.hpp"
#include "transport/url.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

/// Frames over ZeroMQ: a ROUTER for each listener, a fresh DEALER for each attempt to connect.
/// docs/transport.md tells why, and which traps of libzmq lie behind the choices.
namespace bzmq::transport {

/// One connection. Never 0, never used again in a run.
using link_id = std::uint32_t;

/// Who we are and whom we let in.
struct security {
    /// With a certificate every link is encrypted and authenticated (CurveZMQ), and no other peer
    /// gets in. Without one nothing is.
    std::optional<certificate> own;
    /// Keys that may connect to our listeners besides our own. Without a list only our own may: a
    /// cluster that shares one certificate.
    std::optional<allow_list> allowed;
    /// Any key may connect.
    bool allow_any_client = false;
};

struct hub_settings {
    /// A connection to a listener that has not shown who it is by then is dropped; so is, a
    /// little later, one that has and then sent no frame.
    std::chrono::milliseconds handshake_timeout{5000};
    /// How long a link that we close may take to hand on what is queued.
    std::chrono::milliseconds linger{500};
    /// A larger frame ends the link that brings it.
    std::size_t max_frame_bytes = std::size_t{16} << 20;
    /// ZMTP's own heartbeats; 0: none. Off, since the session layer has its own, and those also
    /// notice a peer whose core thread hangs: ZMTP's are answered by libzmq's I/O thread.
    std::chrono::milliseconds zmtp_heartbeat{0};
    /// What one call of `poll` reads at most from one socket.
    std::size_t batch_frames = 256;
    std::size_t batch_bytes = std::size_t{4} << 20;
};

struct listener_info {
    std::uint32_t id = 0;
    std::string url;         ///< with the port that the system chose
    std::uint16_t port = 0;  ///< 0 for ipc
};

struct transport_counters {
    std::uint64_t sent_frames = 0, sent_bytes = 0;
    std::uint64_t received_frames = 0, received_bytes = 0;
    std::uint64_t accepted_connections = 0;  ///< TCP or ipc connections, before any handshake
    std::uint64_t failed_handshakes = 0;     ///< of those; also those that never sent a frame
    std::uint64_t refused_peers = 0;         ///< of those, by key
    std::uint64_t malformed_messages = 0;    ///< of more or fewer parts than ours have
    std::uint64_t dropped_frames = 0;        ///< handed to `send` for a link that was gone
};

/// What the hub reports. Called from inside `poll` only. Implementations may call the hub, except
/// for `poll` and its destructor.
class events {
  public:
    virtual ~events() = default;
    /// A connection stands. `from` is the target for an outgoing one, else the listener. The public
    /// key (Z85) is authenticated; it is empty without security. An incoming link opens when its
    /// first frame arrives, just before `frame_received`: who is silent is not a link.
    virtual void link_opened(link_id link, bool outgoing, std::uint32_t from,
                             std::string_view remote_address, std::string_view public_key) = 0;
    /// The connection is gone; all frames that it brought have been reported. Exactly once for
    /// every opened link, except for one that `close` ended.
    virtual void link_closed(link_id link, const error& reason) = 0;
    /// The attempt ended without a link: peer_unavailable (nobody listens, unknown host),
    /// peer_timeout, peer_not_authenticated (it refused our key), peer_incompatible (it speaks
    /// another protocol, or only one side uses CURVE), peer_disconnect_during_handshake (it hung
    /// up, as a CURVE listener does whose key is not the one that we expect). Where only one side
    /// uses CURVE, a listener of libzmq often hangs up before it has told us what it uses: then
    /// that, too, is peer_disconnect_during_handshake.
    virtual void connect_failed(std::uint32_t target, const error& reason) = 0;
    virtual void frame_received(link_id link, shared_bytes frame) = 0;
    /// A listener of ours kept a peer out. `address` is its IP address, or empty over ipc.
    virtual void peer_refused(std::string_view address, std::string_view public_key,
                              std::string_view why) = 0;
    /// So many connections to a listener of ours had shown who they are, but sent nothing within
    /// `handshake_timeout`, and were ended; `address` is that of the last of them. At most once a
    /// second for each listener.
    virtual void silent_ended(std::size_t count, std::string_view address) = 0;
    /// So many connections to a listener of ours ended before they had shown who they are, those
    /// that `peer_refused` tells of left out; `address` and `why` are those of the last of them, as
    /// far as libzmq lets us know. At most once a second for each listener.
    virtual void handshakes_failed(std::size_t count, std::string_view address,
                                   std::string_view why) = 0;
};

class socket_hub_impl;

/// Owns a ZeroMQ context and all its sockets. For one thread at a time, except for `wake`.
///
/// Nothing in here bounds what is sent: libzmq queues every frame of a link that stands. The
/// session layer's window does. What comes in is bounded: libzmq stops reading from a peer that has
/// 1,000 frames waiting for us.
class socket_hub {
  public:
    /// `report` must outlive the hub. Throws std::runtime_error where the system has no resources
    /// for it, std::invalid_argument for a certificate without secret key.
    socket_hub(events& report, security who, hub_settings settings = {});
    /// Closes everything without callbacks. Takes up to `linger` to get out what is queued.
    ~socket_hub();
    socket_hub(const socket_hub&) = delete;
    socket_hub& operator=(const socket_hub&) = delete;

    /// Opens a listener: tcp://HOST:PORT or ipc://PATH; port 0 or `*` takes any free one.
    /// `address_in_use` or `invalid_address`, naming the address. A name is resolved here, which
    /// may block; its first address counts.
    expected<listener_info> listen(std::string_view address);
    /// Ends a listener and with it all links that came in by it; each is reported as closed, with
    /// reason `shutting_down`, in the next `poll`.
    void stop_listening(std::uint32_t listener);

    /// Tries once to connect, within `timeout`; answered by `link_opened` or `connect_failed` with
    /// this `target`, which the caller chooses and uses for one attempt at a time. All addresses of
    /// a name are tried in turn. `server_key` is the key (Z85) that the peer must prove to own;
    /// empty stands for our own. Fails at once with `invalid_address`, or `invalid_certificate` for
    /// a malformed key.
    expected<void> connect(std::uint32_t target, std::string_view address,
                           std::string_view server_key, std::chrono::nanoseconds timeout);
    /// Gives up the attempt, if there is one; no callback follows.
    void cancel(std::uint32_t target);

    /// Sends one frame. Never blocks, keeps the order of a link's frames, does not copy large ones.
    /// For a link that is gone the frame is dropped; `link_closed` tells or has told.
    void send(link_id link, const shared_bytes& frame);
    /// Ends the link. Frames sent before have `linger` to get out, unless `drain` is false. No
    /// callback for this link follows. Unknown links are ignored.
    void close(link_id link, bool drain = true);

    /// Waits up to `timeout` for something to happen, then reports it: all that is there, up to a
    /// bound for each socket; what is left makes the next call return at once. `turn`, where given,
    /// is let go of while it waits: whoever holds it then may send.
    void poll(std::chrono::nanoseconds timeout, std::unique_lock<std::mutex>* turn = nullptr);
    /// For whoever has sent while `poll` waits: true where nothing is to be done here before what
    /// it waits for. Otherwise `wake` it.
    [[nodiscard]] bool settle();
    /// Makes the current or the next `poll` return. Any thread.
    void wake() noexcept;

    /// Reads the allow list again where its source changed, and ends incoming links whose key is no
    /// longer in it (`peer_not_authenticated`, in the next `poll`). True where it changed. The list
    /// is looked at for every peer that comes in, too; call this now and then for those already in.
    expected<bool> reload_allowed();

    [[nodiscard]] const transport_counters& counters() const noexcept;

  private:
    std::unique_ptr<socket_hub_impl> impl_;
};

}  // namespace bzmq::transport
