"""The classes on which pyzmq's own Socket and Context build."""

import errno
import os
import weakref

from zmq.backend.cython import Context as LibzmqContext, Frame as LibzmqFrame, Socket as LibzmqSocket
from zmq.constants import Event, SocketOption

from . import addresses
from .carrier import CARRIED_TYPES, Carrier, ForkedCarrier
from .errors import ZMQError
from .monitor import Monitor
from .security import ZAP_ADDRESS, Allowed

__all__ = ["Context", "Socket", "carrier_of", "carry_all_from_environment"]

_FD, _RCVMORE = int(SocketOption.FD), int(SocketOption.RCVMORE)

# Sockets' states by their libzmq address: a socket and its shadows share one.
_carriers = weakref.WeakValueDictionary()


def _forked():
    for each in list(_carriers.values()):
        each.__class__ = ForkedCarrier


os.register_at_fork(after_in_child=_forked)


def carry_all_from_environment():
    """The switch BZMQ_PYZMQ."""
    switch = os.environ.get("BZMQ_PYZMQ", "bzmq")
    if switch not in ("bzmq", "all"):
        raise ValueError(f"BZMQ_PYZMQ: expected bzmq (sockets with bzmq:// addresses) or all (every PUB, "
                         f"SUB, XPUB and XSUB), not {switch!r}")
    return switch == "all"


def carrier_of(thing):
    """The state of a socket that the overlay carries; else None."""
    carrier = getattr(type(thing), "_is_carriable", False) and thing._carrier
    return carrier if carrier and carrier.active else None


class Socket(LibzmqSocket):
    """libzmq's socket, or one that the overlay carries. Then libzmq's own lies idle under it: it checks and
    keeps the options, and tells of the context's end."""

    _carry_all = False
    _is_carriable = True
    _carrier = None
    _carrier_monitor = None
    _answers_zap = False

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        kind = LibzmqSocket.get(self, SocketOption.TYPE)
        if kind not in CARRIED_TYPES:
            return
        address = self.underlying
        shadow = bool(options.get("shadow"))
        self._carrier = _carriers.get(address) if shadow else None
        if self._carrier is None:
            self._carrier = _carriers[address] = Carrier(
                kind, self._carry_all and not shadow, self.context and self.context.underlying)

    @property
    def bzmq_endpoint(self):
        """The `bzmq.Endpoint` of a carried socket, from its first bind or connect on; else None."""
        return self._carrier and self._carrier.endpoint

    # -- Attachments ------------------------------------------------------------------------------

    def bind(self, addr):
        carrier = self._taking(addr)
        if carrier is not None:
            carrier.bind(self, _text(addr))
            self._tell_monitor(Event.LISTENING)
        else:
            super().bind(addr)
            if addr in (ZAP_ADDRESS, ZAP_ADDRESS.encode()):
                self._answers_zap = self.context.underlying
                Allowed.handler_bound(self._answers_zap)

    def connect(self, addr):
        carrier = self._taking(addr)
        if carrier is None:
            super().connect(addr)
        else:
            carrier.connect(self, _text(addr), self._tell_monitor)

    def unbind(self, addr):
        carrier = self._taking(addr)
        if carrier is None:
            super().unbind(addr)
        else:
            carrier.unbind(_text(addr))
            self._tell_monitor(Event.CLOSED, _text(addr))

    def disconnect(self, addr):
        carrier = self._taking(addr)
        if carrier is None:
            super().disconnect(addr)
        else:
            carrier.disconnect(_text(addr))

    def _tell_monitor(self, event, address=None):
        if self._carrier_monitor is not None:
            self._carrier_monitor.attached()
            self._carrier_monitor.tell(event, 0, address or self._carrier.shown.decode())

    def _taking(self, addr):
        """The carrier, where it is the one to ask."""
        carrier = self._carrier
        if carrier is None or not isinstance(addr, (str, bytes)) or not carrier.takes(_text(addr)):
            return None
        self._alive()
        if not carrier.active and LibzmqSocket.get(self, SocketOption.LAST_ENDPOINT):
            raise addresses.refuse("bzmq://", "one socket cannot have bzmq:// and other addresses")
        return carrier

    def _alive(self):
        if self._closed:
            raise ZMQError(errno.ENOTSOCK)
        if isinstance(self._carrier, ForkedCarrier):
            self._carrier.refuse()
        LibzmqSocket.get(self, SocketOption.TYPE)  # Raises once the context has ended.

    # -- Options ----------------------------------------------------------------------------------

    def set(self, option, optval):
        if self._carrier is None:
            return super().set(option, optval)
        super().set(option, optval)
        self._carrier.set(self, option, optval)

    def get(self, option):
        carrier = self._carrier
        if carrier is None:
            return super().get(option)
        if option == _RCVMORE and carrier.active and not self._closed:
            return 1 if carrier.rest else 0
        if option == _FD:
            self._alive()
            return carrier.descriptor(self)
        if carrier.active:
            self._alive()
            got = carrier.get(self, option)
            if got is not None:
                return got
        return super().get(option)

    setsockopt = set
    getsockopt = get

    @property
    def FD(self):
        return self.get(SocketOption.FD)

    # -- Messages ---------------------------------------------------------------------------------

    def send(self, data, flags=0, copy=True, track=False):
        carrier = self._carrier
        if carrier is None or not carrier.active or not carrier.sends:
            return super().send(data, flags, copy, track)
        if self._closed:
            raise ZMQError(errno.ENOTSOCK)
        if type(data) is not bytes:
            if track and not copy and isinstance(data, LibzmqFrame) and data.tracker is None:
                raise ValueError("Not a tracked message")
            data = _bytes(data)
        carrier.send(self, data, flags)
        if track and not copy:
            from zmq import _FINISHED_TRACKER  # It has been copied.
            return _FINISHED_TRACKER

    def recv(self, flags=0, copy=True, track=False):
        carrier = self._carrier
        if carrier is None or not carrier.active or not carrier.receives:
            return super().recv(flags, copy, track)
        if self._closed:
            raise ZMQError(errno.ENOTSOCK)
        frame, more = carrier.next_frame(self, flags)
        if copy:
            return frame
        from zmq import Frame
        made = Frame(frame, track=track)
        made.more = more
        return made

    # -- The rest ---------------------------------------------------------------------------------

    def monitor(self, addr, events=0xFFFF):
        carrier = self._carrier
        if carrier is None or not carrier.active:
            return super().monitor(addr, events)
        self._alive()
        if self._carrier_monitor is not None:
            self._carrier_monitor.close()
            self._carrier_monitor = None
        if addr is not None:
            self._carrier_monitor = Monitor(self, carrier, _text(addr), events)

    def close(self, linger=None):
        if self._closed:
            return super().close(linger)
        if self._answers_zap:
            Allowed.handler_gone(self._answers_zap)
        if self._carrier_monitor is not None and not isinstance(self._carrier, ForkedCarrier):
            self._carrier_monitor.close()
        address = None if self._carrier is None else self.underlying
        super().close(linger)
        if self._carrier is not None:
            _carriers.pop(address, None)
            if linger is not None:
                self._carrier.was_set[int(SocketOption.LINGER)] = linger
            self._carrier.close()


class Context(LibzmqContext):
    """libzmq's, which tells its carried sockets of its end."""

    def term(self):
        if not self.closed:
            address = self.underlying
            for each in list(_carriers.values()):
                each.terminating = each.terminating or each.context == address
        super().term()


def _text(addr):
    return addr if isinstance(addr, str) else addr.decode("utf-8", "surrogateescape")


def _bytes(data):
    if isinstance(data, LibzmqFrame):
        return data.bytes
    if isinstance(data, str):
        raise TypeError("unicode not allowed, use send_string")
    return bytes(memoryview(data))
