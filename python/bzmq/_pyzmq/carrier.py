"""One carried socket: its endpoint, its attachments, its queues.

Each socket is an endpoint of its own, made by the first bind or connect, since in ZeroMQ ports, keys and
high-water marks belong to sockets. With tcp, ipc and inproc the endpoint relays nothing for others, so
that a message goes as far as libzmq's would: from a PUB to the SUBs that are connected with it. With bzmq://
it is a full member of the overlay: messages go wherever the overlay reaches.
"""

import collections
import errno
import os
import select
import time

from zmq.backend.cython import Socket as LibzmqSocket
from zmq.constants import Event, NOBLOCK, POLLIN, POLLOUT, SNDMORE, SocketOption, SocketType

from ..configuration import Configuration
from ..endpoint import Endpoint
from ..errors import Error, ForkError
from ..errors import QueueFull
from . import addresses
from .errors import Again, ZMQError, as_zmq_error, refuse
from .messages import decode, encode
from .options import check_set, endpoint_options, retry_of
from .security import curve_options, role, who_may_connect
from .signal import Signal
from .subscriptions import Heard, Wanted

__all__ = ["CARRIED_TYPES", "Carrier"]

CARRIED_TYPES = {int(SocketType.PUB), int(SocketType.SUB), int(SocketType.XPUB), int(SocketType.XSUB)}
_SENDING = {int(SocketType.PUB), int(SocketType.XPUB)}
_SNDMORE, _NOBLOCK, _SNDTIMEO = int(SNDMORE), int(NOBLOCK), int(SocketOption.SNDTIMEO)
_INPROC_PATIENCE = 5.0
_STALLED = 2.0      # So long close waits without any progress.
_LOOK_EVERY = 0.005
_BATCH = 1000  # messages that one look takes out of the overlay's queue


class Carrier:
    """The state behind a Socket and its shadows. `socket`, an argument of what needs it, is the one that
    is used."""

    def __init__(self, type_number, everything, context):
        self.context = context  # its address at libzmq
        self.type = type_number
        self.type_name = SocketType(type_number).name
        self.everything = everything  # Carried whatever it binds or connects?
        self.active = everything      # From the first bzmq:// otherwise.
        self.publishes = type_number in _SENDING
        self.sends = type_number != SocketType.SUB
        self.receives = type_number != SocketType.PUB
        self.wanted = Wanted()
        self.was_set = {}
        self.endpoint = None
        self.signal = None
        self.shown = b""
        self._publish = None
        self._subscriber = None   # the overlay's own object
        self._subscriber_fd = None
        self._heard = None        # an XPUB's
        self._overlay = False     # attached by bzmq://?
        self._inproc = False      # attached by inproc://?
        self._bound = {}          # address -> (URL, ipc or inproc name to clean up)
        self._connected = {}      # address -> URL, or an inproc callback
        self._outgoing = []       # frames before the last
        self._inbox = collections.deque()
        self.rest = ()            # frames that follow what recv gave, the last first
        self._conflate = False
        self._nodrop = False
        self._batch = _BATCH
        self._closed = False
        self.terminating = False  # Does its context end? Then the next look at libzmq raises.

    # -- Options ----------------------------------------------------------------------------------

    def set(self, socket, option, value):
        """After libzmq has taken it."""
        option = int(option)
        if self.active:
            check_set(option, value, self.type_name)
        if option == SocketOption.SUBSCRIBE:
            self._change(self.wanted.add, value)
        elif option == SocketOption.UNSUBSCRIBE:
            if self._change(self.wanted.remove, value):
                self._inbox = collections.deque(each for each in self._inbox
                                                if self.wanted.matches(each[0]))
        elif option == SocketOption.HWM:
            self.was_set[int(SocketOption.SNDHWM)] = self.was_set[int(SocketOption.RCVHWM)] = value
        else:
            self.was_set[option] = value

    def _change(self, change, prefix):
        try:
            changed = change(prefix)
            if self._inproc:
                self._settle()
            return changed
        except Error as problem:
            raise as_zmq_error(problem) from problem

    def get(self, socket, option):
        """The values that are ours; None for libzmq's."""
        if option == SocketOption.EVENTS:
            return self.events(socket)
        if option == SocketOption.RCVMORE:
            return int(bool(self.rest))
        if option == SocketOption.LAST_ENDPOINT:
            return self.shown
        return None

    # -- Attachments ------------------------------------------------------------------------------

    def takes(self, address):
        """Does a bind or connect of this address make the socket a carried one, or is it one?"""
        return self.active or address.startswith("bzmq://")

    def bind(self, socket, address):
        scheme = addresses.scheme_of(address)
        name = address.partition("://")[2]
        if role(socket) == "client":
            raise refuse("CURVE_SERVERKEY", "on the side that binds; the CURVE server must bind")
        self._start(socket, scheme)
        if scheme == "inproc":
            context = socket.context.underlying
            url = addresses.inproc_bind(context, name, self, self._listen)
            self._inproc = True
            shown = address
            self._bound[address] = (url, lambda: addresses.inproc_unbind(context, name))
        else:
            place = addresses.parse(address, binding=True)
            port = self._listen(place.url)
            url = self.endpoint.listeners()[-1]
            shown = place.shown
            if scheme != "ipc":
                shown = f"{shown.rpartition(':')[0]}:{port}"
            path = place.url[len("ipc://"):] if scheme == "ipc" else None
            self._bound[shown] = (url, lambda: path and _remove(path, name == "*"))
            if shown != address and not address.endswith((":*", ":0", "//*")):
                self._bound[address] = self._bound[shown]
        self.shown = shown.encode()

    def _listen(self, url):
        try:
            return self.endpoint.listen_url(url)
        except Error as problem:
            raise as_zmq_error(problem) from problem

    def connect(self, socket, address, tell):
        """`tell(event)`: what the monitor hears before anything that comes of it."""
        scheme = addresses.scheme_of(address)
        if role(socket) == "server":
            raise refuse("CURVE_SERVER", "on the side that connects; the CURVE server must bind")
        place = None if scheme == "inproc" else addresses.parse(address, binding=False)
        self._start(socket, scheme)
        self.shown = address.encode()
        if address in self._connected:
            return
        tell(Event.CONNECT_DELAYED)
        retry = retry_of(socket)
        endpoint = self.endpoint

        if place:
            self._connected[address] = place.url  # Before the monitor can ask.
            try:
                endpoint.peer_url_nosync(place.url, retry=retry)
            except Error as problem:
                del self._connected[address]
                raise as_zmq_error(problem) from problem
        else:
            context, name = socket.context.underlying, address.partition("://")[2]

            def begin(url, binder):
                # In libzmq two inproc sockets are connected when bind and connect have returned.
                self._connected[address] = url
                try:
                    endpoint.peer_url(url, retry=0, timeout=_INPROC_PATIENCE)
                except Error as problem:
                    raise as_zmq_error(problem) from problem
                self._settle()
                binder._settle()
            self._inproc = True
            self._connected[address] = lambda: addresses.inproc_forget(context, name, begin)
            addresses.inproc_connect(context, name, begin)

    def _settle(self):
        """Waits until the other ends know what this one wants."""
        if self._subscriber is not None:
            self._subscriber.wait_ready(_INPROC_PATIENCE)

    def dialled(self):
        """The URLs that it connects to."""
        return [each for each in list(self._connected.values()) if isinstance(each, str)]

    def unbind(self, address):
        if address not in self._bound:
            raise ZMQError(errno.ENOENT)
        url, clean_up = self._bound[address]
        for each in [each for each, (its, _) in self._bound.items() if its == url]:
            del self._bound[each]
        self.endpoint.stop_listening(url)
        addresses.await_closed(url)
        clean_up()

    def disconnect(self, address):
        if address not in self._connected:
            raise ZMQError(errno.ENOENT)
        target = self._connected.pop(address)
        if callable(target):
            target()
        elif target not in self._connected.values():
            self.endpoint.unpeer_url(target)

    def _start(self, socket, scheme):
        """Makes the endpoint, with the first attachment."""
        overlay = scheme == "bzmq"
        if self.endpoint is not None:
            if overlay != self._overlay:
                raise refuse(f"{scheme}://", "one socket cannot have bzmq:// and other addresses")
            return
        for option, value in self.was_set.items():
            check_set(option, value, self.type_name)
        options = endpoint_options(socket, self.was_set, self.type_name)
        if not overlay:
            options["forwarding"] = False
        try:
            with curve_options(socket, self.was_set) as keys:
                configuration = _configured({**options, **keys})
                if role(socket) == "server" and not configuration.allow:
                    for name, value in who_may_connect(socket.context.underlying).items():
                        setattr(configuration, name, value)
                self.endpoint = Endpoint(configuration)
            self._overlay, self.active = overlay, True
            self._open_queues()
        except Error as problem:
            raise as_zmq_error(problem) from problem

    def _open_queues(self):
        if self.publishes:
            self._publish = self.endpoint._own.publish
            self._nodrop = bool(self.was_set.get(int(SocketOption.XPUB_NODROP)))
            if self.type == SocketType.XPUB:
                self._heard = Heard(self.endpoint)
        else:
            most = self.was_set.get(int(SocketOption.RCVHWM)) or None
            # As in libzmq a full SUB holds up its links, and the PUB drops. An endpoint that relays must
            # not hold up others for its own reader's sake.
            overflow = None if self._overlay else "block"
            self._conflate = bool(self.was_set.get(int(SocketOption.CONFLATE)))
            if self._conflate:
                most, overflow = 1, "drop_oldest"
            if most:
                self._batch = max(1, min(_BATCH, most // 10))
            made = self.endpoint.make_bytes_subscriber(self.wanted.topics(), most, overflow=overflow)
            self.wanted.attach(made)
            self._subscriber = made._own
            self._subscriber_fd = made.fileno()
        if self.signal is not None and self.level_fd() is not None:
            self.signal.watch(self.level_fd())

    # -- Receiving --------------------------------------------------------------------------------

    def level_fd(self):
        """A descriptor that is readable while something may be received; None where nothing can be."""
        return self._subscriber_fd if self._heard is None else self._heard.fileno()

    def _fill(self):
        """Looks what has come. False where there is nothing."""
        if self._subscriber is not None:
            if self._inbox and not self._conflate:
                return True
            for topic, value in self._subscriber.poll(self._batch):
                parts = decode(topic, value)
                if self.wanted.exact or self.wanted.matches(parts[0]):
                    self._inbox.append(parts)
            if self._conflate:
                while len(self._inbox) > 1:
                    self._inbox.popleft()
            if not self._inbox and self._subscriber.ended():
                self._subscriber_fd = None  # Readable for good; to wait for it would be to spin.
        elif self._heard is not None and not self._inbox:
            self._inbox.extend(self._heard.take())
        return bool(self._inbox)

    def events(self, socket):
        self.clear_signal(socket)
        found = POLLOUT if self.type != SocketType.SUB else 0
        if self.rest or self._fill():
            found |= POLLIN
        return int(found)

    def next_frame(self, socket, flags):
        """The next frame, and whether more follow."""
        if self.rest:
            return self.rest.pop(), bool(self.rest)
        parts = self.next_message(socket, flags)
        if len(parts) == 1:
            return parts[0], False
        parts.reverse()
        self.rest = parts
        return parts.pop(), True

    def next_message(self, socket, flags):
        """All frames of the next message."""
        if self.signal is not None:
            self.clear_signal(socket)
        if not self._inbox or self._conflate:
            self._wait(socket, flags)
        return self._inbox.popleft()

    def _wait(self, socket, flags):
        if self._fill():
            return
        timeout = 0 if int(flags) & _NOBLOCK else LibzmqSocket.get(socket, SocketOption.RCVTIMEO)
        if timeout == 0:
            LibzmqSocket.get(socket, SocketOption.EVENTS)  # Says whether the context has ended.
            raise Again()
        end = None if timeout < 0 else time.monotonic() + timeout / 1000
        poller = select.poll()
        poller.register(LibzmqSocket.get(socket, SocketOption.FD), select.POLLIN)
        if self.level_fd() is not None:
            poller.register(self.level_fd(), select.POLLIN)
        while True:
            left = None if end is None else max(0.0, end - time.monotonic()) * 1000
            poller.poll(left)  # Python hears signals meanwhile.
            LibzmqSocket.get(socket, SocketOption.EVENTS)
            if self._fill():
                return
            if left is not None and left <= 0:
                raise Again()
            if self._subscriber is not None and self._subscriber_fd is None:
                raise ZMQError(errno.ENOTSOCK)  # Its endpoint has ended, as at the interpreter's exit.

    # -- Sending ----------------------------------------------------------------------------------

    def send(self, socket, frame, flags):
        # pyzmq's flags are enums, whose arithmetic takes longer than all the rest here.
        flags = int(flags)
        if flags & _SNDMORE:
            self._outgoing.append(frame)
            return
        if self._outgoing:
            parts, self._outgoing = [*self._outgoing, frame], []
        else:
            parts = [frame]
        self.send_message(socket, parts, flags)

    def in_message(self):
        """Have frames been sent that wait for the last one?"""
        return bool(self._outgoing)

    def send_message(self, socket, parts, flags):
        if self.signal is not None or self.terminating:
            self.clear_signal(socket)
        if not self.publishes:
            self._send_upstream(socket, parts)
        elif self._publish is not None:
            topic, value = encode(parts)
            try:
                self._publish(topic, value, False,
                              self._send_patience(flags) if self._nodrop else None)
            except QueueFull:
                if self._nodrop:
                    raise Again() from None  # Else as libzmq's PUB: what does not fit is dropped.
            except Error as problem:
                raise as_zmq_error(problem) from problem

    def _send_patience(self, flags):
        """Seconds that a send may wait, None for ever."""
        timeout = 0 if int(flags) & _NOBLOCK else self.was_set.get(_SNDTIMEO, -1)
        return None if timeout < 0 else timeout / 1000

    def _send_upstream(self, socket, parts):
        """An XSUB's subscriptions."""
        first = parts[0]
        if len(parts) != 1 or not first or first[0] > 1:
            raise refuse("XSUB.send", "only subscriptions, \\x01 or \\x00 and a prefix, go upstream")
        option = SocketOption.SUBSCRIBE if first[0] else SocketOption.UNSUBSCRIBE
        self.set(socket, option, first[1:])

    # -- The descriptor and the end ---------------------------------------------------------------

    def descriptor(self, socket):
        if self.signal is None:
            self.signal = Signal(LibzmqSocket.get(socket, SocketOption.FD))
            if self.level_fd() is not None:
                self.signal.watch(self.level_fd())
        return self.signal.fileno()

    def clear_signal(self, socket):
        if self.signal is not None:
            self.signal.clear()
        LibzmqSocket.get(socket, SocketOption.EVENTS)  # libzmq's own; raises once the context ends.

    def close(self):
        if self._closed:
            return
        self._closed = True
        for target in self._connected.values():
            if callable(target):
                target()
        if self.endpoint is not None:
            try:
                if self.publishes:
                    self._hand_on()
                self.endpoint.shutdown()
            except ForkError:
                return  # The parent's; it ends it itself.
            if self._heard is not None:
                self._heard.close()
            for _, clean_up in self._bound.values():
                clean_up()
        if self.signal is not None:
            self.signal.close()
        self._publish = self._subscriber = self._subscriber_fd = None


    def _hand_on(self):
        """Waits until peers have what was sent: as long as LINGER says, and something leaves."""
        linger = self.was_set.get(int(SocketOption.LINGER), -1)
        end = None if linger < 0 else time.monotonic() + linger / 1000
        last, since = None, time.monotonic()
        while end is None or time.monotonic() < end:
            waiting = self.endpoint.metrics()["publish_queue_bytes"] + sum(
                each.queue_bytes for each in self.endpoint.peers())
            if not waiting:
                return
            if waiting != last:
                last, since = waiting, time.monotonic()
            elif time.monotonic() - since > _STALLED:
                return
            time.sleep(_LOOK_EVERY)


def _configured(options):
    """What the environment says of endpoints, and what follows from the socket's own options, which win."""
    made = Configuration(options)
    if "BZMQ_LOG_LEVEL" not in os.environ:
        made.log_level = "off"
    made.init([])
    made.listen, made.peers = [], []
    # An address that the program itself names is meant, as in libzmq.
    made.allow_insecure_listen = True
    return made


def _remove(path, with_folder):
    try:
        os.unlink(path)
        if with_folder:
            os.rmdir(os.path.dirname(path))
    except OSError:
        pass
