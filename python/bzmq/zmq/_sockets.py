"""Context, Socket, Poller: pyzmq's, on our back end, whatever back end pyzmq itself has."""

import zmq
from zmq.sugar import context as _context, poll as _poll, socket as _socket

from .._pyzmq import socket as _own
from .._pyzmq.polling import zmq_poll

__all__ = ["Context", "OnOverlay", "Poller", "Socket", "select"]


class OnOverlay(_own.Socket):
    """A base behind pyzmq's class of sockets: what that asks of its back end comes here."""

    _carry_all = True

    # pyzmq takes these two from its back end itself.
    def setsockopt(self, option, optval):
        self.set(option, optval)

    def getsockopt(self, option):
        return self.get(option)


class Poller(_poll.Poller):
    __doc__ = _poll.Poller.__doc__

    def poll(self, timeout=None):
        """[(socket or descriptor, events)]; waits at most `timeout` milliseconds, None for ever."""
        return zmq_poll(self.sockets, -1 if timeout is None or timeout < 0 else int(timeout))


class Socket(_socket.Socket, OnOverlay):
    __doc__ = _socket.Socket.__doc__
    _poller_class = Poller
    _repr_cls = "bzmq.zmq.Socket"
    setsockopt = OnOverlay.setsockopt
    getsockopt = OnOverlay.getsockopt

    # The same as pyzmq's, without a step for each frame.

    def send_multipart(self, msg_parts, flags=0, copy=True, track=False, **options):
        """Sends a message of several frames."""
        carrier = self._carrier
        if (carrier is None or not carrier.active or not carrier.sends or self._closed or track or options
                or not msg_parts or int(flags) & _SNDMORE or carrier.in_message()
                or any(type(each) is not bytes for each in msg_parts)):
            return super().send_multipart(msg_parts, flags, copy, track, **options)
        return carrier.send_message(self, msg_parts, flags)

    def recv_multipart(self, flags=0, copy=True, track=False):
        """All frames of the next message."""
        carrier = self._carrier
        if (carrier is None or not carrier.active or not carrier.receives or self._closed or not copy
                or carrier.rest):
            return super().recv_multipart(flags, copy, track)
        return carrier.next_message(self, flags)


_SNDMORE = int(zmq.SNDMORE)


class Context(_context.Context, _own.Context):
    __doc__ = _context.Context.__doc__
    _socket_class = Socket
    _instance = None
    _repr_cls = "bzmq.zmq.Context"


def select(rlist, wlist, xlist, timeout=None):
    """As select.select, for sockets and descriptors. Seconds; None waits for ever."""
    wanted = {}
    for group, flag in ((rlist, zmq.POLLIN), (wlist, zmq.POLLOUT), (xlist, zmq.POLLERR)):
        for each in group:
            wanted[each] = wanted.get(each, 0) | flag
    ready = zmq_poll(list(wanted.items()), -1 if timeout is None or timeout < 0 else int(timeout * 1000))
    return tuple([each for each, events in ready if events & flag]
                 for flag in (zmq.POLLIN, zmq.POLLOUT, zmq.POLLERR))
