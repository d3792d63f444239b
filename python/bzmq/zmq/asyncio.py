"""zmq.asyncio over the overlay: Context, Socket, Poller with awaitable calls."""

import zmq as _zmq
import zmq.asyncio as _asyncio

from . import _sockets

__all__ = ["Context", "Poller", "Socket"]


class Poller(_asyncio.Poller, _sockets.Poller):
    __doc__ = _asyncio.Poller.__doc__


class Socket(_asyncio.Socket, _sockets.OnOverlay):
    __doc__ = _asyncio.Socket.__doc__
    _poller_class = Poller
    _repr_cls = "bzmq.zmq.asyncio.Socket"
    setsockopt = _sockets.OnOverlay.setsockopt
    getsockopt = _sockets.OnOverlay.getsockopt

    def __init__(self, context=None, socket_type=-1, io_loop=None, _from_socket=None, **options):
        if isinstance(context, _zmq.Socket):
            context, _from_socket = None, context
        super().__init__(context, socket_type, io_loop, _from_socket, **options)
        if _from_socket is None:
            # pyzmq asks a plain socket for what is there; it must be one of ours.
            self._shadow_sock = _sockets.Socket.shadow(self.underlying)
            self._fd = self._shadow_sock.FD


Poller._socket_class = Socket


class Context(_asyncio.Context, _sockets.Context):
    __doc__ = _asyncio.Context.__doc__
    _socket_class = Socket
    _instance = None
    _repr_cls = "bzmq.zmq.asyncio.Context"
