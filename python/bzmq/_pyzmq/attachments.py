"""What a carried socket is attached to, and the endpoint that holds it.

Each socket is an endpoint of its own, made by the first bind or connect, since in ZeroMQ ports, keys and
high-water marks belong to sockets. With tcp, ipc and inproc the endpoint relays nothing for others, so
that a message goes as far as libzmq's would: from a PUB to the SUBs that are connected with it. With bzmq://
it is a full member of the overlay: messages go wherever the overlay reaches.
"""

import errno
import os
import time

from zmq.constants import Event, SocketOption

from ..configuration import Configuration
from ..endpoint import Endpoint
from ..errors import Error
from . import addresses
from .errors import ZMQError, as_zmq_error, refuse
from .options import check_set, endpoint_options, retry_of
from .security import check_addresses, curve_options, role, who_may_connect

__all__ = ["INPROC_PATIENCE", "Attachments"]

INPROC_PATIENCE = 10.0  # So long inproc waits; then it goes on by itself, as tcp does.
_INPROC_RETRY = 0.1
_STALLED = 2.0      # So long close waits without any progress.
_LOOK_EVERY = 0.005


class Attachments:
    """A base of `Carrier`, which has the options and the queues: `was_set`, `_open_queues`, `_settle`."""

    def __init__(self, everything):
        self.active = everything  # Carried? Otherwise from the first bzmq:// on.
        self.endpoint = None
        self.shown = b""          # LAST_ENDPOINT
        self._overlay = False     # attached by bzmq://?
        self._inproc = False      # attached by inproc://?
        self._like_zap = False    # a CURVE server that lets in whom the context's authenticator does?
        self._bound = {}          # address -> (URL, what to do at its end)
        self._connected = {}      # address -> URL, or how to end an inproc wait

    def takes(self, address):
        """Does a bind or connect of this address make the socket a carried one, or is it one?"""
        return self.active or address.startswith("bzmq://")

    def bind(self, socket, address):
        scheme = addresses.scheme_of(address)
        name = address.partition("://")[2]
        if role(socket) == "client":
            raise refuse("CURVE_SERVERKEY", "on the side that binds; the CURVE server must bind")
        place = None if scheme == "inproc" else addresses.parse(address, binding=True)
        self._start(socket, scheme)
        if self._like_zap:
            check_addresses(socket.context.underlying, place.url if place else address)
        if scheme == "inproc":
            context = socket.context.underlying
            url = addresses.inproc_bind(context, name, self, self._listen)
            self._inproc = True
            shown = address
            self._bound[address] = (url, lambda: addresses.inproc_unbind(context, name))
        else:
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
                    endpoint.peer_url_nosync(url, retry=_INPROC_RETRY)
                    endpoint.await_peer(binder.endpoint.node_id(), INPROC_PATIENCE)
                except Error as problem:
                    raise as_zmq_error(problem) from problem
                self._settle()
                binder._settle()
            self._inproc = True
            self._connected[address] = lambda: addresses.inproc_forget(context, name, begin)
            addresses.inproc_connect(context, name, begin)

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
                    self._like_zap = True
                self.endpoint = Endpoint(configuration)
            self._overlay, self.active = overlay, True
            self._open_queues()
        except Error as problem:
            raise as_zmq_error(problem) from problem

    def _end_attachments(self):
        """Stops waiting, hands on what was sent, ends the endpoint."""
        for target in self._connected.values():
            if callable(target):
                target()
        if self.endpoint is None:
            return
        if self.publishes:
            self._hand_on()
        self.endpoint.shutdown()
        for _, clean_up in self._bound.values():
            clean_up()

    def _hand_on(self):
        """Waits until peers have what was sent: as long as LINGER says, and something leaves."""
        linger = self.was_set.get(int(SocketOption.LINGER), -1)
        if self._overlay and not 0 <= linger < _STALLED * 1000:
            linger = _STALLED * 1000  # What waits may be others', which it relays, and never end.
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
