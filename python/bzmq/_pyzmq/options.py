"""What each socket option does on a carried socket.

libzmq's own socket, which lies under every carried one, checks and keeps all values, so that types, ranges
and errors are libzmq's. This table says what becomes of them. docs/pyzmq.md shows it, and a test compares.
"""

from zmq.backend.cython import Socket as LibzmqSocket
from zmq.constants import SocketOption

from .errors import refuse

__all__ = ["KEPT", "MAPPED", "REFUSED", "TABLE", "check_set", "endpoint_options"]

MAPPED = "mapped"      # does on the overlay what it does in libzmq, or the nearest there is
KEPT = "kept"          # can be set and read, without effect; libzmq's PUB/SUB over TCP has none either,
                       # or the overlay does not need it
REFUSED = "ENOTSUP"    # another value than libzmq's default raises ENOTSUP
LIBZMQ = "libzmq"      # libzmq's answer: not for these socket types, or not in this build

_ROWS = [
    # -- What goes through it
    ("SUBSCRIBE", MAPPED, "subscribes; counted, as in libzmq"),
    ("UNSUBSCRIBE", MAPPED, "takes one subscription back; what waits and matches no other is dropped"),
    ("RCVMORE", MAPPED, "more frames of this message follow"),
    ("EVENTS", MAPPED, "POLLIN, POLLOUT; clears the descriptor"),
    ("FD", MAPPED, "edge-triggered, as libzmq's"),
    ("TYPE", MAPPED, "the socket's type"),
    ("LAST_ENDPOINT", MAPPED, "the last address bound, with its real port, or connected"),
    ("RCVTIMEO", MAPPED, "longest wait of recv"),
    ("SNDTIMEO", MAPPED, "longest wait of send; only XPUB_NODROP lets it wait"),
    ("RCVHWM", MAPPED, "messages that may wait in the receiver; unset or 0: a million; 64 MiB in any case"),
    ("SNDHWM", MAPPED, "messages that may wait for one peer; unset or 0: a million; 64 MiB in any case"),
    ("HWM", MAPPED, "both"),
    ("CONFLATE", MAPPED, "keeps the newest message only; on a PUB, refused"),
    ("MAXMSGSIZE", MAPPED, "longest message to accept; at most 64 MiB in any case"),
    ("LINGER", MAPPED, "close waits so long for what was sent to leave; two seconds after the last that did it gives up"),
    # -- Peers
    ("RECONNECT_IVL", MAPPED, "pause between attempts to connect; -1: one attempt only"),
    ("RECONNECT_IVL_MAX", MAPPED, "the pause grows up to this"),
    ("CONNECT_TIMEOUT", MAPPED, "longest attempt to connect"),
    ("HANDSHAKE_IVL", MAPPED, "longest handshake"),
    ("HEARTBEAT_IVL", MAPPED, "pause between signs of life; unset: 1 s, since the overlay always has them"),
    ("HEARTBEAT_TIMEOUT", MAPPED, "silence after which a peer is lost; unset: 3 s"),
    ("HEARTBEAT_TTL", KEPT, "each side has its own HEARTBEAT_TIMEOUT"),
    # -- Keys
    ("CURVE_SERVER", MAPPED, "on the side that binds"),
    ("CURVE_PUBLICKEY", MAPPED, "of the side that connects"),
    ("CURVE_SECRETKEY", MAPPED, "of either side"),
    ("CURVE_SERVERKEY", MAPPED, "on the side that connects"),
    ("MECHANISM", MAPPED, "NULL or CURVE"),
    ("ZAP_DOMAIN", KEPT, "who may connect is told by BZMQ_ALLOW, or by bzmq.zmq.auth"),
    ("ZAP_ENFORCE_DOMAIN", KEPT, "as ZAP_DOMAIN"),
    ("PLAIN_SERVER", REFUSED, "passwords: use CURVE"),
    ("PLAIN_USERNAME", REFUSED, "passwords: use CURVE"),
    ("PLAIN_PASSWORD", REFUSED, "passwords: use CURVE"),
    ("GSSAPI_SERVER", REFUSED, "Kerberos: use CURVE"),
    ("GSSAPI_PRINCIPAL", REFUSED, "Kerberos: use CURVE"),
    ("GSSAPI_SERVICE_PRINCIPAL", REFUSED, "Kerberos: use CURVE"),
    ("GSSAPI_PLAINTEXT", REFUSED, "Kerberos: use CURVE"),
    ("GSSAPI_PRINCIPAL_NAMETYPE", REFUSED, "Kerberos: use CURVE"),
    ("GSSAPI_SERVICE_PRINCIPAL_NAMETYPE", REFUSED, "Kerberos: use CURVE"),
    # -- XPUB and XSUB
    ("XPUB_VERBOSE", REFUSED, "each prefix is told once"),
    ("XPUB_VERBOSER", REFUSED, "each prefix is told once"),
    ("XPUB_NODROP", MAPPED, "send waits, or raises Again, where a peer is full"),
    ("XPUB_MANUAL", REFUSED, "the overlay routes by what subscribers want"),
    ("XPUB_MANUAL_LAST_VALUE", LIBZMQ, "draft"),
    ("XPUB_WELCOME_MSG", REFUSED, "no first message for new subscribers"),
    ("INVERT_MATCHING", REFUSED, "the overlay routes by prefixes"),
    ("ONLY_FIRST_SUBSCRIBE", LIBZMQ, "draft"),
    # -- TCP
    ("AFFINITY", REFUSED, "an endpoint has one I/O thread"),
    ("IPV6", KEPT, "both kinds of address work"),
    ("IPV4ONLY", KEPT, "both kinds of address work"),
    ("IMMEDIATE", KEPT, "nothing is queued for who is not connected"),
    ("BACKLOG", KEPT, "the overlay's own"),
    ("SNDBUF", KEPT, "the system's"),
    ("RCVBUF", KEPT, "the system's"),
    ("TCP_KEEPALIVE", KEPT, "heartbeats do that"),
    ("TCP_KEEPALIVE_CNT", KEPT, "heartbeats do that"),
    ("TCP_KEEPALIVE_IDLE", KEPT, "heartbeats do that"),
    ("TCP_KEEPALIVE_INTVL", KEPT, "heartbeats do that"),
    ("TCP_MAXRT", KEPT, "heartbeats do that"),
    ("TCP_ACCEPT_FILTER", REFUSED, "allow keys, not addresses"),
    ("IPC_FILTER_PID", REFUSED, "the file's permissions decide"),
    ("IPC_FILTER_UID", REFUSED, "the file's permissions decide"),
    ("IPC_FILTER_GID", REFUSED, "the file's permissions decide"),
    ("TOS", REFUSED, "not passed on"),
    ("BINDTODEVICE", REFUSED, "bind to the interface's address"),
    ("USE_FD", REFUSED, "listeners are the endpoint's own"),
    ("SOCKS_PROXY", REFUSED, "no proxies"),
    ("SOCKS_USERNAME", LIBZMQ, "draft"),
    ("SOCKS_PASSWORD", LIBZMQ, "draft"),
    # -- No effect on PUB/SUB over TCP in libzmq either
    ("ROUTING_ID", KEPT, "peers do not see it"),
    ("RATE", KEPT, "multicast"),
    ("RECOVERY_IVL", KEPT, "multicast"),
    ("MULTICAST_HOPS", KEPT, "multicast"),
    ("MULTICAST_LOOP", LIBZMQ, "draft"),
    ("MULTICAST_MAXTPDU", KEPT, "multicast"),
    ("VMCI_BUFFER_SIZE", LIBZMQ, "VMCI"),
    ("VMCI_BUFFER_MIN_SIZE", LIBZMQ, "VMCI"),
    ("VMCI_BUFFER_MAX_SIZE", LIBZMQ, "VMCI"),
    ("VMCI_CONNECT_TIMEOUT", LIBZMQ, "VMCI"),
    ("LOOPBACK_FASTPATH", LIBZMQ, "Windows"),
    ("THREAD_SAFE", KEPT, "no"),
    ("METADATA", REFUSED, "handshakes carry none"),
    # -- Other socket types
    ("ROUTER_MANDATORY", LIBZMQ, "ROUTER"),
    ("ROUTER_RAW", LIBZMQ, "ROUTER"),
    ("ROUTER_HANDOVER", LIBZMQ, "ROUTER"),
    ("ROUTER_NOTIFY", LIBZMQ, "draft"),
    ("CONNECT_ROUTING_ID", LIBZMQ, "ROUTER"),
    ("PROBE_ROUTER", LIBZMQ, "ROUTER, DEALER, REQ"),
    ("REQ_CORRELATE", LIBZMQ, "REQ"),
    ("REQ_RELAXED", LIBZMQ, "REQ"),
    ("STREAM_NOTIFY", LIBZMQ, "STREAM"),
    ("BLOCKY", LIBZMQ, "of the context"),
    ("IN_BATCH_SIZE", LIBZMQ, "draft"),
    ("OUT_BATCH_SIZE", LIBZMQ, "draft"),
    ("WSS_KEY_PEM", LIBZMQ, "draft"),
    ("WSS_CERT_PEM", LIBZMQ, "draft"),
    ("WSS_TRUST_PEM", LIBZMQ, "draft"),
    ("WSS_HOSTNAME", LIBZMQ, "draft"),
    ("WSS_TRUST_SYSTEM", LIBZMQ, "draft"),
    ("RECONNECT_STOP", LIBZMQ, "draft"),
    ("HELLO_MSG", LIBZMQ, "draft"),
    ("DISCONNECT_MSG", LIBZMQ, "draft"),
    ("PRIORITY", LIBZMQ, "draft"),
]

TABLE = {name: (kind, note) for name, kind, note in _ROWS}
_REFUSED = {int(SocketOption[name]): (name, note) for name, kind, note in _ROWS if kind == REFUSED}
# What libzmq's sockets start with; what it does not let be read is set for no other reason than to use it.
_DEFAULTS = {SocketOption.AFFINITY: 0, SocketOption.TOS: 0, SocketOption.USE_FD: -1,
             SocketOption.XPUB_VERBOSE: 0, SocketOption.XPUB_VERBOSER: 0, SocketOption.XPUB_MANUAL: 0,
             SocketOption.INVERT_MATCHING: 0, SocketOption.PLAIN_SERVER: 0,
             SocketOption.GSSAPI_SERVER: 0, SocketOption.GSSAPI_PLAINTEXT: 0,
             SocketOption.XPUB_WELCOME_MSG: b"", SocketOption.BINDTODEVICE: b"",
             SocketOption.SOCKS_PROXY: b""}
_PUBLISHING = ("PUB", "XPUB")
_HOUR = 3_600_000  # milliseconds; an endpoint's longest times


def check_set(option, value, type_name):
    """Raises where a carried socket cannot do what this option asks for."""
    row = _REFUSED.get(int(option))
    if row and _DEFAULTS.get(option) != value:
        raise refuse(row[0], row[1])
    if option == SocketOption.CONFLATE and value and type_name in _PUBLISHING:
        raise refuse("CONFLATE", "on the side that publishes; set it on the SUB")


def endpoint_options(socket, was_set, type_name):
    """The endpoint's options that follow from a socket's, a dict. `was_set`: what the program has set."""
    def value(option):
        return LibzmqSocket.get(socket, option)

    made = {}
    if SocketOption.SNDHWM in was_set and value(SocketOption.SNDHWM):
        made["peer_queue_messages"] = value(SocketOption.SNDHWM)
    if value(SocketOption.MAXMSGSIZE) > 0:
        made["max_message_bytes"] = min(max(value(SocketOption.MAXMSGSIZE), 1024), 64 << 20)
    if value(SocketOption.CONNECT_TIMEOUT) > 0:
        made["connect_timeout"] = min(max(value(SocketOption.CONNECT_TIMEOUT), 10), _HOUR) / 1000
    if SocketOption.HANDSHAKE_IVL in was_set and value(SocketOption.HANDSHAKE_IVL) > 0:
        made["handshake_timeout"] = min(max(value(SocketOption.HANDSHAKE_IVL), 10), _HOUR) / 1000
    first, most = value(SocketOption.RECONNECT_IVL), value(SocketOption.RECONNECT_IVL_MAX)
    if most > first > 0:
        made["retry_min"], made["retry_max"] = first / 1000, min(most, 24 * _HOUR) / 1000
    made.update(_heartbeats(value(SocketOption.HEARTBEAT_IVL), value(SocketOption.HEARTBEAT_TIMEOUT)))
    if type_name in _PUBLISHING and was_set.get(SocketOption.XPUB_NODROP):
        made["peer_overflow"] = "block"
        if "peer_queue_messages" in made:
            # What is ahead of the peer's queue and behind it is bounded in bytes. Of so many messages of
            # a KiB libzmq would keep about as much.
            bytes = made["peer_queue_messages"] << 10
            made["publish_queue_bytes"] = min(max(bytes, 16 << 10), 16 << 20)
            made["link_window_bytes"] = min(max(bytes, 64 << 10), 4 << 20)
    return made


def _heartbeats(interval, silence):
    """Milliseconds, 0 or -1 where unset, as the endpoint's options. Those want silence to be longer than the
    interval."""
    if interval <= 0 and silence <= 0:
        return {}
    silence = max(silence, 20) if silence > 0 else 3 * max(interval, 10)
    silence = min(silence, _HOUR)
    interval = min(max(interval, 10), 60_000) if interval > 0 else min(1000, silence // 3)
    interval = max(10, min(interval, silence - 10))
    return {"heartbeat_interval": interval / 1000, "peer_timeout": max(silence, interval + 10) / 1000}


def retry_of(socket):
    """The pause between attempts to connect, in seconds; None for one that grows."""
    first = LibzmqSocket.get(socket, SocketOption.RECONNECT_IVL)
    if first < 0:
        return 0
    if LibzmqSocket.get(socket, SocketOption.RECONNECT_IVL_MAX) > first:
        return None
    return max(first, 1) / 1000
